//! Reports on their way to and from servers: `report publish`, `report check`.
//!
//! What is published cannot be taken back, so the person is asked once more,
//! and told where it goes, how, and how long that takes.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde_json::json;
use zbus::Variant;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::{question, time};
use crate::bus::proxy::{Checked, Published, UploadState};

pub(super) struct Wanted<'a> {
    pub(super) id: &'a str,
    pub(super) to: Option<&'a str>,
    pub(super) now: bool,
    pub(super) yes: bool,
}

pub(super) async fn publish(
    client: &Client,
    wanted: Wanted<'_>,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let shown = reveal(&wanted);
    if wanted.yes {
        question::show(&shown)?;
    } else {
        question::ask(&shown, "Publish this report?", "yes")?;
    }
    let mut options = HashMap::from([
        ("consent", Variant::from(true)),
        ("now", Variant::from(wanted.now)),
    ]);
    options.extend(wanted.to.map(|to| ("source", Variant::from(to))));
    let reports = client.reports().await?;
    let published = client.told(reports.publish(wanted.id, options).await)?;
    let document = json!({
        "id": wanted.id,
        "parts": published.parts,
        "labels": published.labels,
        "last": published.last,
    });
    Ok(Answer::new(json, &document, |_| {
        say(&wanted, &published, &ZonedDateTime::now())
    }))
}

/// All that the person has to see before a report is published.
fn reveal(wanted: &Wanted<'_>) -> String {
    let to = wanted.to.map_or_else(
        || "every server that is configured to take reports".to_owned(),
        |to| format!("the server {to}"),
    );
    let how = if wanted.now {
        "All signed reports leave at once. Whoever runs the server, or watches the way\n  \
         there, can tell by their times that they are one person's, and from what address\n  \
         they came."
    } else {
        "The signed reports leave one by one, in random order over hours, while this\n  \
         machine is on. Whoever runs the server, or watches the way there, still sees from\n  \
         what address each came, unless tcnd-sync goes by a proxy such as Tor's."
    };
    format!(
        "Report {id} goes to {to}, where everybody can fetch it.\n  {how}\n\
         What has been published cannot be taken back. What it gives away: tcnctl report list",
        id = wanted.id,
    )
}

fn say(wanted: &Wanted<'_>, published: &Published, now: &ZonedDateTime) -> String {
    let signed = match published.parts {
        1 => "1 signed report is".to_owned(),
        parts => format!("{parts} signed reports are"),
    };
    let to = published.labels.join(", ");
    let when = if wanted.now {
        "now, with the next run of tcnd-sync".to_owned()
    } else {
        format!(
            "from now until {}, or later",
            time::show(published.last, now)
        )
    };
    format!("{signed} queued for {to}, to leave {when}. How far they are: tcnctl report list")
}

pub(super) async fn check(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let reports = client.reports().await?;
    let checked = client.told(reports.check(HashMap::new()).await)?;
    let failed: Vec<_> = checked.failed.iter().map(failure).collect();
    let document = json!({
        "reports": checked.reports,
        "new_exposures": checked.new_exposures,
        "checked": checked.checked,
        "failed": failed,
    });
    Ok(Answer::new(json, &document, |_| found(&checked)))
}

fn failure((label, problem): &(String, String)) -> serde_json::Value {
    json!({"label": label, "problem": problem})
}

fn found(checked: &Checked) -> String {
    let mut text = match checked.reports {
        0 => "No report is new.".to_owned(),
        1 => "1 report is new.".to_owned(),
        new => format!("{new} reports are new."),
    };
    text.push_str(match checked.new_exposures {
        0 => " None of them names anybody you were near.",
        _ => "\nYou were near somebody who made a report. See: tcnctl exposures",
    });
    for (label, problem) in &checked.failed {
        let _ = write!(
            text,
            "\n{label} could not be gone through ({problem}); it is tried again by itself."
        );
    }
    text
}

/// A part on its way, as JSON has it.
pub(super) fn document(upload: &UploadState) -> serde_json::Value {
    json!({
        "source": upload.source,
        "state": upload.state,
        "at": upload.at,
        "due": upload.due,
        "reason": upload.reason,
    })
}

/// How far the parts of a report are, a line for each server.
pub(super) fn progress(uploads: &[UploadState], now: &ZonedDateTime) -> Vec<String> {
    let mut lines = Vec::new();
    // They come in order of their sources.
    for parts in uploads.chunk_by(|a, b| a.source == b.source) {
        let mut line = format!("published to {}:", parts[0].source);
        let count = |state: &str| parts.iter().filter(|part| part.state == state).count();
        let mut states: Vec<&str> = parts.iter().map(|part| part.state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        let counts: Vec<_> = states
            .iter()
            .map(|state| format!("{} {state}", count(state)))
            .collect();
        let _ = write!(line, " {}", counts.join(", "));
        if let Some(next) = parts.iter().filter_map(|part| part.due).min() {
            let _ = write!(line, "; the next one {} or later", time::show(next, now));
        }
        if let Some(said) = parts.iter().find(|part| !part.reason.is_empty()) {
            let _ = write!(line, "; the server said: {}", said.reason);
        }
        lines.push(line);
    }
    lines
}
