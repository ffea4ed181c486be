//! `tcnctl rotate`.

use serde_json::json;

use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn rotate(client: &Client) -> Result<CommandOutput, CliError> {
    client.map_err(client.manager().await?.rotate().await)?;
    Ok(client.output(&json!({"rotated": true}), |_| {
        "tcnd takes a new number and a new address.".to_owned()
    }))
}
