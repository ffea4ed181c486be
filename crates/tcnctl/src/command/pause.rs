//! `tcnctl pause` and `resume`.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::command::status::Status;
use crate::error::CliError;
use crate::output::CommandOutput;
use crate::time;

/// Without a duration, until a user resumes.
pub(crate) async fn pause(
    client: &Client,
    duration: Option<Duration>,
    reason: &str,
) -> Result<CommandOutput, CliError> {
    // Zero means "until resumed" on the bus; a person who types 0s means now.
    let seconds = duration.map_or(0, |duration| duration.as_secs().max(1));
    let manager = client.manager().await?;
    let cookie = client.map_err(manager.pause(seconds, reason, HashMap::new()).await)?;
    let until = duration
        .is_some()
        .then(|| local_time::unix_seconds(time::now().timestamp()).saturating_add(seconds));
    let document = json!({"paused": true, "cookie": cookie, "until": until});
    let until = until.unwrap_or(UNTIL_RESUMED);
    // Several pauses hold together; tcnd resumes when the last one ends.
    let last = paused_until(client).await.unwrap_or(until);
    Ok(client.output(&document, |_| {
        // The two clocks are read a moment apart.
        let others = if last > until.saturating_add(SLACK) {
            format!(
                " Another pause lasts longer than this one, which ends {}.",
                until_text(until)
            )
        } else {
            String::new()
        };
        format!(
            "tcnd is paused {}.{others} To end all pauses: tcnctl resume",
            until_text(last.max(until))
        )
    }))
}

/// The end, on the bus, of a pause that only Resume ends.
const UNTIL_RESUMED: u64 = u64::MAX;

/// Two ends that differ by this many seconds count as the same.
const SLACK: u64 = 2;

/// When the last pause ends; `None` if there is no pause, or its end is unknown.
pub(crate) async fn paused_until(client: &Client) -> Option<u64> {
    let until = client.manager().await.ok()?.paused_until().await.ok()?;
    (until != 0).then_some(until)
}

/// The end of a pause in words, such as "until 18:00".
pub(crate) fn until_text(until: u64) -> String {
    if until == UNTIL_RESUMED {
        return "until it is resumed".to_owned();
    }
    format!("until {}", local_time::show(until, &time::now()))
}

pub(crate) async fn resume(client: &Client) -> Result<CommandOutput, CliError> {
    const ALL: u32 = 0;
    client.map_err(client.manager().await?.resume(ALL).await)?;
    // If tcnd continues, there is nothing more to say.
    let enabled = client.manager().await?.enabled().await;
    let status = match enabled {
        Ok(false) => Some(Status::read(client).await?),
        Ok(true) | Err(_) => None,
    };
    Ok(client.output(&json!({"paused": false}), |_| {
        let Some(status) = status else {
            return "All pauses are ended; tcnd continues.".to_owned();
        };
        format!(
            "All pauses are ended. {} Consent with: {}",
            status.sentence(&time::now()),
            status.how_to_consent()
        )
    }))
}
