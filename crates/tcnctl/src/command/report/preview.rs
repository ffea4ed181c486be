//! `tcnctl report preview`: what a report would disclose. It makes none.

use serde_json::json;
use tcnd_client::proxy::Disclosure;

use super::disclosure;
use crate::args::SpanArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn preview(client: &Client, args: SpanArgs) -> Result<CommandOutput, CliError> {
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
    Ok(client.output(&document, |_| disclosure::text(&disclosure)))
}

fn gaps(disclosure: &Disclosure) -> Vec<serde_json::Value> {
    let gap = |(from, to): &(u64, u64)| json!({"from": from, "to": to});
    disclosure.gaps.iter().map(gap).collect()
}
