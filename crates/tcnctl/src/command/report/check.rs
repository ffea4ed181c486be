//! `tcnctl report check`: has tcnd-sync fetch reports from all servers now.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::json;
use tcnd_client::proxy::CheckReply;

use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn check(client: &Client) -> Result<CommandOutput, CliError> {
    let reports = client.reports().await?;
    let checked = client.map_err(reports.check(HashMap::new()).await)?;
    let failed: Vec<_> = checked.failed.iter().map(failure).collect();
    let document = json!({
        "reports": checked.reports,
        "new_exposures": checked.new_exposures,
        "checked": checked.checked,
        "failed": failed,
    });
    Ok(client.output(&document, |_| text(&checked)))
}

fn failure((label, problem): &(String, String)) -> serde_json::Value {
    json!({"label": label, "problem": problem})
}

fn text(checked: &CheckReply) -> String {
    let mut text = match checked.reports {
        0 => "No new reports.".to_owned(),
        1 => "1 new report.".to_owned(),
        new => format!("{new} new reports."),
    };
    text.push_str(match (checked.reports, checked.new_exposures) {
        (0, 0) => "",
        (_, 0) => " No match: none of them names a contact of yours.",
        _ => "\nThis computer was near a person who made a report. See: tcnctl exposures",
    });
    for (label, problem) in &checked.failed {
        let _ = write!(
            text,
            "\n{} could not be checked ({}); tcnd-sync tries again.",
            printable::line(label),
            printable::line(problem)
        );
    }
    text
}
