//! The switches: `enable`, `disable`, `pause`, `resume`, `rotate`.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};
use serde_json::json;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::time;

pub(super) async fn enable(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.enable(HashMap::new()).await)?;
    let text = "tcnd is enabled, now and after every restart. See how it does: tcnctl status";
    Ok(Answer::new(json, &json!({"enabled": true}), |_| {
        text.to_owned()
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

/// Without a duration, until somebody resumes.
pub(super) async fn pause(
    client: &Client,
    duration: Option<Duration>,
    reason: &str,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    // Zero stands for "until resumed" on the bus; a person who says 0s means now.
    let seconds = duration.map_or(0, |duration| duration.as_secs().max(1));
    let manager = client.manager().await?;
    let cookie = client.told(manager.pause(seconds, reason, HashMap::new()).await)?;
    let until = duration
        .is_some()
        .then(|| time::unix_seconds(Timestamp::now()).saturating_add(seconds));
    let document = json!({"paused": true, "cookie": cookie, "until": until});
    Ok(Answer::new(json, &document, |_| {
        let end = until.map_or_else(
            || "until somebody resumes it".to_owned(),
            |until| format!("until {}", time::show(until, &ZonedDateTime::now())),
        );
        format!("tcnd is paused {end}. To end it: tcnctl resume")
    }))
}

pub(super) async fn resume(client: &Client, json: bool) -> Result<Answer, CliError> {
    const ALL: u32 = 0;
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.resume(ALL).await)?;
    Ok(Answer::new(json, &json!({"paused": false}), |_| {
        "tcnd goes on; all pauses are ended.".to_owned()
    }))
}

pub(super) async fn rotate(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.manager().await?.rotate().await)?;
    Ok(Answer::new(json, &json!({"rotated": true}), |_| {
        "tcnd takes a new number and a new address.".to_owned()
    }))
}
