//! The switches: `enable`, `disable`, `pause`, `resume`, `rotate`, `clock confirm`.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};
use serde_json::json;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::status::Status;
use super::time;

pub(super) async fn enable(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.enable(HashMap::new()).await)?;
    let until = paused_until(client).await;
    Ok(Answer::new(json, &json!({"enabled": true}), |_| {
        let text = "tcnd is enabled, now and after every restart. See how it does: tcnctl status";
        until.map_or_else(
            || text.to_owned(),
            |until| format!("{text}\nBut it is paused {}: tcnctl resume", end(until)),
        )
    }))
}

pub(super) async fn disable(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.disable().await)?;
    let text = "tcnd is disabled: nothing is broadcast or recorded. The contact log is kept.";
    Ok(Answer::new(json, &json!({"enabled": false}), |_| {
        text.to_owned()
    }))
}

/// Without a duration, until a user resumes.
pub(super) async fn pause(
    client: &Client,
    duration: Option<Duration>,
    reason: &str,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    // Zero means "until resumed" on the bus; a person who types 0s means now.
    let seconds = duration.map_or(0, |duration| duration.as_secs().max(1));
    let manager = client.manager().await?;
    let cookie = client.told(manager.pause(seconds, reason, HashMap::new()).await)?;
    let until = duration
        .is_some()
        .then(|| time::unix_seconds(Timestamp::now()).saturating_add(seconds));
    let document = json!({"paused": true, "cookie": cookie, "until": until});
    let until = until.unwrap_or(UNTIL_RESUMED);
    // Several pauses hold together; tcnd resumes when the last one ends.
    let all = paused_until(client).await.unwrap_or(until);
    Ok(Answer::new(json, &document, |_| {
        // The two clocks are read a moment apart.
        let others = if all > until.saturating_add(SLACK) {
            format!(
                " Another pause lasts longer than this one, which ends {}.",
                end(until)
            )
        } else {
            String::new()
        };
        format!(
            "tcnd is paused {}.{others} To end all pauses: tcnctl resume",
            end(all.max(until))
        )
    }))
}

/// The end, on the bus, of a pause that only Resume ends.
const UNTIL_RESUMED: u64 = u64::MAX;

/// Two ends that differ by this many seconds count as the same.
const SLACK: u64 = 2;

/// When the last pause ends; `None` if there is no pause, or its end is unknown.
async fn paused_until(client: &Client) -> Option<u64> {
    let until = client.manager().await.ok()?.paused_until().await.ok()?;
    (until != 0).then_some(until)
}

fn end(until: u64) -> String {
    if until == UNTIL_RESUMED {
        return "until somebody resumes it".to_owned();
    }
    format!("until {}", time::show(until, &ZonedDateTime::now()))
}

pub(super) async fn resume(client: &Client, json: bool) -> Result<Answer, CliError> {
    const ALL: u32 = 0;
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.resume(ALL).await)?;
    // If tcnd continues, there is nothing more to say.
    let enabled = client.manager().await?.enabled().await;
    let status = match enabled {
        Ok(false) => Some(Status::read(client).await?),
        Ok(true) | Err(_) => None,
    };
    Ok(Answer::new(json, &json!({"paused": false}), |_| {
        let Some(status) = status else {
            return "tcnd goes on; all pauses are ended.".to_owned();
        };
        format!(
            "All pauses are ended. {} Consent with: {}",
            status.sentence(&ZonedDateTime::now()),
            status.way_to_consent()
        )
    }))
}

pub(super) async fn rotate(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.rotate().await)?;
    Ok(Answer::new(json, &json!({"rotated": true}), |_| {
        "tcnd takes a new number and a new address.".to_owned()
    }))
}

pub(super) async fn confirm_clock(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.confirm_clock().await)?;
    let text = "tcnd takes the clock for right, and destroys what is past its retention by it.";
    Ok(Answer::new(json, &json!({"confirmed": true}), |_| {
        text.to_owned()
    }))
}
