//! `tcnctl enable` and `disable`: gives and withdraws consent.

use std::collections::HashMap;

use serde_json::json;

use super::pause;
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn enable(client: &Client) -> Result<CommandOutput, CliError> {
    client.map_err(client.manager().await?.enable(HashMap::new()).await)?;
    let until = pause::paused_until(client).await;
    Ok(client.output(&json!({"enabled": true}), |_| {
        let text = "tcnd is enabled, now and after every restart. Its state: tcnctl status";
        until.map_or_else(
            || text.to_owned(),
            |until| {
                format!(
                    "{text}\nBut it is paused {}: tcnctl resume",
                    pause::until_text(until)
                )
            },
        )
    }))
}

pub(crate) async fn disable(client: &Client) -> Result<CommandOutput, CliError> {
    client.map_err(client.manager().await?.disable().await)?;
    let text = "tcnd is disabled: nothing is broadcast or recorded. The contact log is kept.";
    Ok(client.output(&json!({"enabled": false}), |_| text.to_owned()))
}
