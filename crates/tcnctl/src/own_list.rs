//! The own reports: `report list`, `export`, `delete`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::json;
use tcn_protocol::{Memo, MemoType};
use tcnd_client::names;
use tcnd_client::proxy::OwnReportInfo;
use zbus::Variant;

use super::answer::Answer;
use super::args::ReportFormat;
use super::client::Client;
use super::error::{CliError, Topic};
use super::memo::reading;
use super::output_file::OutputFile;
use super::own::counted;
use super::question::Agreement;
use super::{hex, publish, question, time};

/// The document of `report list --json`.
#[derive(Debug, Serialize)]
struct Listed {
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
    departures: Vec<Departure>,
    uploads: Vec<serde_json::Value>,
    #[serde(skip)]
    progress: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Departure {
    at: u64,
    how: String,
}

pub(super) async fn list(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let reports = client.told(client.reports().await?.list().await)?;
    let reports = reports.into_iter().map(ListedReport::new).collect();
    Ok(Answer::new(json, &Listed { reports }, Listed::render))
}

/// Both numbers where they differ: those a report names, and those that were on the
/// air.
fn named(aired: u64, named: Option<u64>) -> String {
    let burnt = named.map_or(0, |named| named.saturating_sub(aired));
    match (named, burnt) {
        (None, _) | (_, 0) => String::new(),
        (Some(named), burnt) => format!(" (named are {named}; {burnt} never on the air)"),
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
            memo: memo.as_ref().map(|memo| hex(memo.data())),
            memo_reading: memo.as_ref().and_then(reading),
            note: report.note,
            parts: report.parts,
            numbers: report.numbers,
            named: report.named,
            from: report.from,
            to: report.to,
            departures: departures.map(|(at, how)| Departure { at, how }).collect(),
            uploads: report.uploads.iter().map(publish::document).collect(),
            progress: publish::progress(&report.uploads, &ZonedDateTime::now()),
        }
    }
}

impl Listed {
    fn render(&self) -> String {
        if self.reports.is_empty() {
            return "You have made no report.".to_owned();
        }
        let now = ZonedDateTime::now();
        let mut text = String::new();
        for report in &self.reports {
            let _ = writeln!(
                text,
                "{id}  made {made}: {numbers} in {parts}{named}, {span}",
                id = report.id,
                made = time::show(report.created, &now),
                numbers = counted(report.numbers, "number"),
                parts = counted(report.parts.into(), "signed report"),
                named = named(report.numbers, report.named),
                span = time::show_span(report.from, report.to, &now),
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
                let when = time::show(departure.at, &now);
                let how = printable::line(&departure.how);
                let _ = writeln!(text, "   left the machine {when}, by {how}");
            }
            for line in &report.progress {
                let _ = writeln!(text, "   {line}");
            }
            let left = !report.departures.is_empty();
            match report.deleted {
                Some(at) => {
                    let _ = writeln!(text, "   deleted {}", time::show(at, &now));
                }
                None if !left => text.push_str("   has not left the machine\n"),
                None => {}
            }
        }
        text
    }
}

pub(super) async fn export(
    client: &Client,
    id: &str,
    path: &Path,
    format: ReportFormat,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let reports = client.reports().await?;
    let file = OutputFile::create(path)?;
    let format = match format {
        ReportFormat::Tcn => "tcn",
        ReportFormat::Base64 => "base64",
        ReportFormat::Json => "json",
    };
    let options = HashMap::from([("format", Variant::from(format))]);
    let written = reports.export(id, file.fd().into(), options).await;
    let bytes = match client.told(written) {
        Ok(bytes) => bytes,
        Err(error) => {
            file.discard();
            return Err(error);
        }
    };
    let document =
        json!({"id": id, "file": path.to_string_lossy(), "format": format, "bytes": bytes});
    if file.is_standard() {
        return Ok(Answer::silent());
    }
    Ok(Answer::new(json, &document, |_| {
        format!(
            "Report {id} is in {}, {bytes} bytes. Hand it to whom you want warned.",
            printable::path(path)
        )
    }))
}

/// Says what deleting does to parts that are not sent yet, and asks.
pub(super) async fn delete(
    client: &Client,
    id: &str,
    yes: bool,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let reports = client.reports().await?;
    let found = |all: Vec<OwnReportInfo>| all.into_iter().find(|report| report.id == id);
    let report = found(client.told(reports.list().await)?);
    let report = report
        .filter(|report| report.deleted.is_none())
        .ok_or_else(no_such_report)?;
    if !yes {
        let shown = loss(&report, &ZonedDateTime::now());
        question::ask(&shown, "Delete it?", Agreement::Yes)?;
    }
    client.told(reports.delete(id).await)?;
    // The record of what left the machine stays.
    let record = found(client.told(reports.list().await)?).unwrap_or_default();
    let cancelled = report.uploads.len().saturating_sub(record.uploads.len());
    let left = record.uploads.len();
    let document = json!({"id": id, "deleted": true, "cancelled": cancelled, "left": left});
    Ok(Answer::new(json, &document, |_| {
        let mut text = format!("Report {id} is deleted here.");
        if cancelled > 0 {
            let parts = publish::parts(cancelled, "was", "were");
            let _ = write!(text, " {parts} queued for servers, and will not leave.");
        }
        if record.departures.is_empty() {
            text.push_str(" Nothing of it had left the machine.");
        } else {
            text.push_str(" What had left the machine stays where it went.");
        }
        text
    }))
}

fn no_such_report() -> CliError {
    CliError::Refused {
        name: names::error::NOT_FOUND.to_owned(),
        text: "there is no report with this id; tcnctl report list shows all reports".to_owned(),
        topic: Topic::Reports,
    }
}

/// What is lost with a report, and what stays.
fn loss(report: &OwnReportInfo, now: &ZonedDateTime) -> String {
    let mut text = format!(
        "Report {}, made {}, will be deleted: {} in {}.\n",
        report.id,
        time::show(report.created, now),
        counted(report.numbers, "number"),
        counted(report.parts.into(), "signed report"),
    );
    let uploads = report.uploads.iter();
    let queued = uploads.filter(|part| part.state == "queued").count();
    if queued > 0 {
        let parts = publish::parts(queued, "is", "are");
        let _ = writeln!(text, "  {parts} queued for servers, and will not leave.");
    }
    for (at, how) in &report.departures {
        let when = time::show(*at, now);
        let _ = writeln!(text, "  It left the machine {when}, by {how}; that stays.");
    }
    text.push_str(if report.departures.is_empty() {
        "It has not left the machine, so its keys can be reported again."
    } else {
        "Its keys cannot be reported again; the record of what left stays on the list."
    });
    text
}
