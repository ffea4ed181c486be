//! Reports of one's own: `report preview`, `create`, `list`, `export`, `delete`.
//!
//! Before a report is made the person sees what it gives away, in numbers, in
//! times, and to whom; the daemon makes none without being told that this was
//! shown and agreed to.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;
use serde_json::json;
use zbus::Variant;

use super::answer::Answer;
use super::args::{MemoArgs, ReportFormat, SpanArgs};
use super::client::Client;
use super::error::CliError;
use super::memo::reading;
use super::output_file::OutputFile;
use super::{hex, publish, question, symptoms, time};
use crate::bus::proxy::{Disclosure, OwnReport};
use crate::protocol::{Memo, MemoType};

/// What a report covers if nobody says.
const DAYS: u64 = 14;
const DAY: u64 = 86_400;

/// From and to in seconds since 1970.
fn span(args: SpanArgs) -> (u64, u64) {
    let now = time::unix_seconds(Timestamp::now());
    let from = args.from.map(time::unix_seconds);
    // The daemon takes what is over; this second is not.
    let to = args.to.map_or(now + 1, time::unix_seconds);
    (from.unwrap_or(now.saturating_sub(DAYS * DAY)), to)
}

pub(super) async fn preview(
    client: &Client,
    args: SpanArgs,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let (from, to) = span(args);
    let reports = client.reports().await?;
    let given_away = client.told(reports.preview(from, to).await)?;
    let document = json!({
        "parts": given_away.parts,
        "numbers": given_away.numbers,
        "bytes": given_away.bytes,
        "from": given_away.from,
        "to": given_away.to,
        "gaps": gaps(&given_away),
        "reported": given_away.reported,
    });
    Ok(Answer::new(json, &document, |_| say(&given_away)))
}

fn gaps(of: &Disclosure) -> Vec<serde_json::Value> {
    let gap = |(from, to): &(u64, u64)| json!({"from": from, "to": to});
    of.gaps.iter().map(gap).collect()
}

/// What a report would give away, to whom, in words.
fn say(of: &Disclosure) -> String {
    let now = ZonedDateTime::now();
    let (Some(from), Some(to)) = (of.from, of.to) else {
        return match of.reported {
            0 => "Nothing of yours was on the air in that time: there is nothing to report.".into(),
            _ => "All that was on the air in that time is in your reports already.".into(),
        };
    };
    let mut text = format!(
        "A report gives away {numbers} in {parts}: all that was on the air\n\
         from {span}. A key is given away to its end, so this may be\n\
         more than you asked for, by six hours at most.\n",
        numbers = counted(of.numbers, "number"),
        parts = counted(of.parts.into(), "signed report"),
        span = time::show_span(from, to, &now),
    );
    text.push_str(
        "  Whoever heard one of these numbers learns that you were there, and can be warned.\n  \
         Whoever has the report can tell that the numbers of one signed report are one\n  \
         person's; whoever has the whole file, that all of them are.\n  \
         Nothing that is broadcast after it is made can be computed from it.\n",
    );
    if of.reported > 0 {
        let _ = writeln!(
            text,
            "  Of {} more of that time there are reports of yours already.",
            counted(of.reported.into(), "key")
        );
    }
    if !of.gaps.is_empty() {
        let silent: u64 = of.gaps.iter().map(|(from, to)| to - from).sum();
        let _ = writeln!(
            text,
            "  In {} of that time nothing was on the air: nobody can be warned of it.",
            time::say(silent)
        );
    }
    text
}

fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

pub(super) struct Wanted<'a> {
    pub(super) memo: &'a MemoArgs,
    pub(super) span: SpanArgs,
    pub(super) note: &'a str,
    pub(super) linkable: bool,
    pub(super) yes: bool,
}

pub(super) async fn create(
    client: &Client,
    wanted: Wanted<'_>,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let memo = symptoms::memo(wanted.memo, ZonedDateTime::now().date())?;
    let (from, to) = span(wanted.span);
    let reports = client.reports().await?;
    let given_away = client.told(reports.preview(from, to).await)?;
    let shown = reveal(&given_away, &memo);
    if wanted.yes || given_away.parts == 0 {
        question::show(&shown)?;
    } else {
        question::ask(&shown, "Make this report?", "yes")?;
    }
    let options = HashMap::from([
        ("consent", Variant::from(true)),
        ("note", Variant::from(wanted.note)),
        ("numbers", Variant::from(given_away.numbers)),
        ("linkable", Variant::from(wanted.linkable)),
    ]);
    let kind = memo.kind().get();
    let made = reports.create(kind, memo.data(), from, to, options).await;
    let (id, made) = client.told(made)?;
    let document = json!({
        "id": id,
        "parts": made.parts,
        "numbers": made.numbers,
        "from": made.from,
        "to": made.to,
        "concerns": made.concerns,
    });
    Ok(Answer::new(json, &document, |_| {
        format!(
            "Report {id} is made, and has not left this machine. To hand it out: \
             tcnctl report export {id} FILE, or to all: tcnctl report publish {id}"
        )
    }))
}

/// All that the person has to see before a report is made.
fn reveal(given_away: &Disclosure, memo: &Memo) -> String {
    let mut text = say(given_away);
    let says = reading(memo).unwrap_or_else(|| match memo.data() {
        [] => format!("nothing (an empty memo of type {})", memo.kind().get()),
        data => format!("{} (type {})", hex(data), memo.kind().get()),
    });
    let _ = writeln!(text, "  It says: {says}.");
    for concern in memo.concerns(given_away.parts as usize) {
        let _ = writeln!(text, "  Mind: {concern}.");
    }
    text.push_str("What has left the machine cannot be taken back.");
    text
}

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

impl ListedReport {
    fn new(report: OwnReport) -> Self {
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
                "{id}  made {made}: {numbers} in {parts}, {span}",
                id = report.id,
                made = time::show(report.created, &now),
                numbers = counted(report.numbers, "number"),
                parts = counted(report.parts.into(), "signed report"),
                span = time::show_span(report.from, report.to, &now),
            );
            let lines = [("says", &report.memo_reading), ("memo", &report.memo)];
            let line = lines
                .into_iter()
                .find_map(|(word, text)| Some((word, text.as_ref()?)));
            if let Some((word, line)) = line {
                let _ = writeln!(text, "   {word}  {line}");
            }
            if !report.note.is_empty() {
                let _ = writeln!(text, "   note  {}", report.note);
            }
            for departure in &report.departures {
                let when = time::show(departure.at, &now);
                let _ = writeln!(text, "   left the machine {when}, by {}", departure.how);
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
    let document = json!({"id": id, "file": path, "format": format, "bytes": bytes});
    if file.is_standard() {
        return Ok(Answer::silent());
    }
    Ok(Answer::new(json, &document, |_| {
        format!(
            "Report {id} is in {}, {bytes} bytes. Hand it to whom you want warned.",
            path.display()
        )
    }))
}

pub(super) async fn delete(client: &Client, id: &str, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.reports().await?.delete(id).await)?;
    Ok(Answer::new(
        json,
        &json!({"id": id, "deleted": true}),
        |_| format!("Report {id} is deleted here. What had left the machine stays where it went."),
    ))
}
