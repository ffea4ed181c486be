//! `tcnctl report list`: the own reports, and what has left the machine.

use std::fmt::Write as _;

use serde::Serialize;
use tcn_protocol::{Memo, MemoType};
use tcnd_client::proxy::OwnReportInfo;

use super::uploads;
use crate::client::Client;
use crate::error::CliError;
use crate::memo::reading;
use crate::output::{CommandOutput, counted};
use crate::time;

/// The document of `report list --json`.
#[derive(Debug, Serialize)]
struct ReportListDocument {
    reports: Vec<ListedReport>,
}

#[derive(Debug, Serialize)]
struct ListedReport {
    id: String,
    created: u64,
    deleted: Option<u64>,
    memo_type: u8,
    memo: Option<String>,
    memo_reading: Option<String>,
    note: String,
    parts: u32,
    numbers: u64,
    named: Option<u64>,
    from: u64,
    to: u64,
    departures: Vec<ReleaseEntry>,
    uploads: Vec<serde_json::Value>,
    #[serde(skip)]
    progress: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ReleaseEntry {
    at: u64,
    how: String,
}

pub(crate) async fn list(client: &Client) -> Result<CommandOutput, CliError> {
    let reports = client.map_err(client.reports().await?.list().await)?;
    let reports = reports.into_iter().map(ListedReport::new).collect();
    Ok(client.output(&ReportListDocument { reports }, ReportListDocument::render))
}

/// The count of numbers that a report names, where it differs from the count of those
/// that were on the air.
fn named(aired: u64, named: Option<u64>) -> String {
    let unaired = named.map_or(0, |named| named.saturating_sub(aired));
    match (named, unaired) {
        (None, _) | (_, 0) => String::new(),
        (Some(named), unaired) => format!(" (it names {named}; {unaired} never on the air)"),
    }
}

impl ListedReport {
    fn new(report: OwnReportInfo) -> Self {
        let kind = MemoType::new(report.memo_type);
        let memo = report.memo.as_ref();
        let memo = memo.and_then(|data| Memo::new(kind, data.as_slice()).ok());
        let departures = report.departures.into_iter();
        Self {
            id: report.id,
            created: report.created,
            deleted: report.deleted,
            memo_type: report.memo_type,
            memo: memo
                .as_ref()
                .map(|memo| base16ct::lower::encode_string(memo.data())),
            memo_reading: memo.as_ref().and_then(reading),
            note: report.note,
            parts: report.parts,
            numbers: report.numbers,
            named: report.named,
            from: report.from,
            to: report.to,
            departures: departures
                .map(|(at, how)| ReleaseEntry { at, how })
                .collect(),
            uploads: report.uploads.iter().map(uploads::document).collect(),
            progress: uploads::progress(&report.uploads, &time::now()),
        }
    }
}

impl ReportListDocument {
    fn render(&self) -> String {
        if self.reports.is_empty() {
            return "You have made no report.".to_owned();
        }
        let now = time::now();
        let mut text = String::new();
        for report in &self.reports {
            let _ = writeln!(
                text,
                "{id}  made {made}: {numbers} in {parts}{named}, {span}",
                id = report.id,
                made = local_time::show(report.created, &now),
                numbers = counted(report.numbers, "number"),
                parts = counted(report.parts.into(), "signed report"),
                named = named(report.numbers, report.named),
                span = local_time::show_span(report.from, report.to, &now),
            );
            let lines = [("says", &report.memo_reading), ("memo", &report.memo)];
            let line = lines
                .into_iter()
                .find_map(|(word, text)| Some((word, text.as_ref()?)));
            if let Some((word, line)) = line {
                let _ = writeln!(text, "   {word}  {}", printable::line(line));
            }
            if !report.note.is_empty() {
                let _ = writeln!(text, "   note  {}", printable::line(&report.note));
            }
            for departure in &report.departures {
                let when = local_time::show(departure.at, &now);
                let how = printable::line(&departure.how);
                let _ = writeln!(text, "   left the machine {when}, by {how}");
            }
            for line in &report.progress {
                let _ = writeln!(text, "   {line}");
            }
            let left = !report.departures.is_empty();
            match report.deleted {
                Some(at) => {
                    let _ = writeln!(text, "   deleted {}", local_time::show(at, &now));
                }
                None if !left => text.push_str("   has not left the machine\n"),
                None => {}
            }
        }
        text
    }
}
