//! `tcnctl clock confirm`.

use serde_json::json;

use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn confirm(client: &Client) -> Result<CommandOutput, CliError> {
    client.map_err(client.manager().await?.confirm_clock().await)?;
    let text = "tcnd now trusts the clock, and destroys data that is past its retention by it.";
    Ok(client.output(&json!({"confirmed": true}), |_| text.to_owned()))
}
