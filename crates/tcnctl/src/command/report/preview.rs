//! `tcnctl report preview`: what a report would disclose. It makes none.

use serde_json::json;
use tcnd_client::proxy::Disclosure;

use super::disclosure;
use crate::args::SpanArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn preview(
    client: &Client,
    args: SpanArgs,
    json: bool,
) -> Result<CommandOutput, CliError> {
    let _agent = client.start_polkit_agent().await;
    let (from, to) = disclosure::span(args);
    let reports = client.reports().await?;
    let disclosure = client.map_err(reports.preview(from, to).await)?;
    let document = json!({
        "parts": disclosure.parts,
        "numbers": disclosure.numbers,
        "named": disclosure.named,
        "bytes": disclosure.bytes,
        "from": disclosure.from,
        "to": disclosure.to,
        "on_air": disclosure.on_air,
        "gaps": gaps(&disclosure),
        "reported": disclosure.reported,
    });
    Ok(CommandOutput::new(json, &document, |_| {
        disclosure::text(&disclosure)
    }))
}

fn gaps(disclosure: &Disclosure) -> Vec<serde_json::Value> {
    let gap = |(from, to): &(u64, u64)| json!({"from": from, "to": to});
    disclosure.gaps.iter().map(gap).collect()
}
