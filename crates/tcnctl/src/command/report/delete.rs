//! `tcnctl report delete`: deletes an own report, and cancels its uploads.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde_json::json;
use tcnd_client::proxy::OwnReportInfo;
use tcnd_client::{failure, names};

use super::uploads;
use crate::client::Client;
use crate::confirm::{self, Confirmation};
use crate::error::CliError;
use crate::output::{CommandOutput, counted};
use crate::time;

/// Shows what deleting does to parts that are not sent yet, and asks.
pub(crate) async fn delete(
    client: &Client,
    id: &str,
    yes: bool,
) -> Result<CommandOutput, CliError> {
    let reports = client.reports().await?;
    let find = |all: Vec<OwnReportInfo>| all.into_iter().find(|report| report.id == id);
    let report = find(client.map_err(reports.list().await)?);
    let report = report
        .filter(|report| report.deleted.is_none())
        .ok_or_else(no_such_report)?;
    if !yes {
        let text = consequences(&report, &time::now());
        confirm::ask(&text, "Delete it?", Confirmation::Yes)?;
    }
    client.map_err(reports.delete(id).await)?;
    // The record of what left the machine stays.
    let record = find(client.map_err(reports.list().await)?).unwrap_or_default();
    let cancelled = report.uploads.len().saturating_sub(record.uploads.len());
    let left = record.uploads.len();
    let document = json!({"id": id, "deleted": true, "cancelled": cancelled, "left": left});
    Ok(client.output(&document, |_| {
        let mut text = format!("Report {id} is deleted on this machine.");
        if cancelled > 0 {
            let parts = uploads::parts(cancelled, "was", "were");
            let _ = write!(text, " {parts} queued for servers, and will not be sent.");
        }
        if record.departures.is_empty() {
            text.push_str(" No part of it had left the machine.");
        } else {
            text.push_str(" Copies that left the machine stay where they are.");
        }
        text
    }))
}

fn no_such_report() -> CliError {
    CliError::refused(names::error::NOT_FOUND, failure::NO_SUCH_REPORT)
}

/// What is lost with a report, and what stays.
fn consequences(report: &OwnReportInfo, now: &ZonedDateTime) -> String {
    let mut text = format!(
        "Report {}, made {}, will be deleted: {} in {}.\n",
        report.id,
        local_time::show(report.created, now),
        counted(report.numbers, "number"),
        counted(report.parts.into(), "signed report"),
    );
    let uploads = report.uploads.iter();
    let queued = uploads.filter(|part| part.state == "queued").count();
    if queued > 0 {
        let parts = uploads::parts(queued, "is", "are");
        let _ = writeln!(text, "  {parts} queued for servers, and will not be sent.");
    }
    for (at, how) in &report.departures {
        let when = local_time::show(*at, now);
        let _ = writeln!(
            text,
            "  It left the machine {when}, by {how}; that copy stays."
        );
    }
    text.push_str(if report.departures.is_empty() {
        "It has not left the machine, so its keys can be reported again."
    } else {
        "Its keys cannot be reported again. The list keeps the record of what left."
    });
    text
}
