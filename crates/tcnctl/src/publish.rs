//! Uploads to servers and fetches from them: `report publish`, `report check`.
//!
//! A published report cannot be withdrawn, so the user is asked once more, and sees
//! where it goes, how, and how long that takes. tcnd computes the preview in the same
//! way as the upload, so the upload does exactly what was shown.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde_json::json;
use tcnd_client::names;
use tcnd_client::proxy::{CancelPublishReply, CheckReply, PublishReply, UploadStatus};
use zbus::Variant;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::question::Agreement;
use super::{question, time};

pub(super) struct Wanted<'a> {
    pub(super) id: &'a str,
    pub(super) to: Option<&'a str>,
    pub(super) now: bool,
    pub(super) yes: bool,
}

/// How often a preview is shown again because it changed while the user read it.
const MOST_LOOKS: usize = 5;

pub(super) async fn publish(
    client: &Client,
    wanted: Wanted<'_>,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let reports = client.reports().await?;
    let options = || {
        let mut options = HashMap::from([("now", Variant::from(wanted.now))]);
        options.extend(wanted.to.map(|to| ("source", Variant::from(to))));
        options
    };
    let mut looks = 1..=MOST_LOOKS;
    let published = loop {
        looks.next();
        let mut look = options();
        look.insert("dry_run", Variant::from(true));
        let would = client.told(reports.publish(wanted.id, look).await)?;
        let shown = reveal(&wanted, &would);
        if wanted.yes {
            question::show(&shown)?;
        } else {
            question::ask(&shown, "Publish this report?", Agreement::Yes)?;
        }
        let mut act = options();
        act.insert("consent", Variant::from(true));
        act.insert("token", Variant::from(would.token.as_str()));
        match client.told(reports.publish(wanted.id, act).await) {
            Err(CliError::Refused { name, .. })
                if name == names::error::CONSENT_REQUIRED && !looks.is_empty() =>
            {
                question::show("Meanwhile it has become something else. Nothing was queued.")?;
            }
            published => break published?,
        }
    };
    let document = json!({
        "id": wanted.id,
        "parts": published.parts,
        "hurried": published.hurried,
        "labels": published.labels,
        "last": published.last,
    });
    Ok(Answer::new(json, &document, |_| {
        say(&wanted, &published, &ZonedDateTime::now())
    }))
}

/// Everything the user must see before a report is published.
fn reveal(wanted: &Wanted<'_>, would: &PublishReply) -> String {
    let how = if wanted.now {
        "They leave at once. Whoever runs the server, or watches the way there, can tell by\n  \
         their times that they are one person's, and from what address they came."
    } else {
        "They leave one by one, in random order over hours, while this machine is on.\n  \
         Whoever runs the server, or watches the way there, still sees from what address\n  \
         each came, unless tcnd-sync goes by a proxy such as Tor's. Until a part has left,\n  \
         --now hurries it and --cancel keeps it here."
    };
    let hurried = match would.hurried {
        0 => String::new(),
        some => format!(
            "\n  Of these, {} on the way already.",
            parts_of(some, "is", "are")
        ),
    };
    format!(
        "Of report {id}, {parts} to be sent to {to}, where everybody can fetch them.{hurried}\n  {how}\n\
         What has been published cannot be taken back. What it gives away: tcnctl report list",
        id = wanted.id,
        parts = parts_of(would.parts, "is", "are"),
        to = would.labels.join(", "),
    )
}

/// `1 signed report is`, `2 signed reports are`.
pub(super) fn parts(count: usize, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 signed report {one}"),
        count => format!("{count} signed reports {more}"),
    }
}

fn parts_of(count: u32, one: &str, more: &str) -> String {
    parts(usize::try_from(count).unwrap_or(usize::MAX), one, more)
}

fn say(wanted: &Wanted<'_>, published: &PublishReply, now: &ZonedDateTime) -> String {
    let to = published.labels.join(", ");
    let to = printable::line(to);
    let when = if wanted.now {
        "now, with the next run of tcnd-sync".to_owned()
    } else {
        format!(
            "from now until {}, or later",
            time::show(published.last, now)
        )
    };
    let id = wanted.id;
    format!(
        "{} queued for {to}, to leave {when}. How far they are: tcnctl report list; to keep here \
         what has not left: tcnctl report publish --cancel {id}",
        parts_of(published.parts, "is", "are")
    )
}

/// Cancels parts that have not left. That needs no consent, since nothing leaves by it.
pub(super) async fn cancel(
    client: &Client,
    id: &str,
    source: Option<&str>,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let options = source.map(|source| ("source", Variant::from(source)));
    let reports = client.reports().await?;
    let cancelled = reports.cancel_publish(id, options.into_iter().collect());
    let cancelled = client.told(cancelled.await)?;
    let server = |(source, cancelled, left): &(String, u32, u32)| json!({"source": source, "cancelled": cancelled, "left": left});
    let document = json!({
        "id": id,
        "cancelled": cancelled.cancelled,
        "left": cancelled.left,
        "servers": cancelled.servers.iter().map(server).collect::<Vec<_>>(),
    });
    Ok(Answer::new(json, &document, |_| kept(id, &cancelled)))
}

fn kept(id: &str, cancelled: &CancelPublishReply) -> String {
    if cancelled.servers.is_empty() {
        return format!("Nothing of report {id} is on its way to a server.");
    }
    let mut lines = Vec::new();
    for (source, kept, left) in &cancelled.servers {
        let left = match left {
            0 => "none had left".to_owned(),
            left => format!(
                "{} the machine before, or may have",
                parts_of(*left, "left", "left")
            ),
        };
        let kept = parts_of(*kept, "stays here", "stay here");
        lines.push(format!("{source}: {kept}; {left}."));
    }
    lines.join("\n")
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

fn found(checked: &CheckReply) -> String {
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
            "\n{} could not be gone through ({}); it is tried again by itself.",
            printable::line(label),
            printable::line(problem)
        );
    }
    text
}

/// A part that is to be sent, as JSON.
pub(super) fn document(upload: &UploadStatus) -> serde_json::Value {
    json!({
        "source": upload.source,
        "state": upload.state,
        "at": upload.at,
        "due": upload.due,
        "reason": upload.reason,
    })
}

/// The progress of a report's parts, a line for each server.
pub(super) fn progress(uploads: &[UploadStatus], now: &ZonedDateTime) -> Vec<String> {
    let mut lines = Vec::new();
    // The parts are sorted by source.
    for parts in uploads.chunk_by(|a, b| a.source == b.source) {
        let mut line = format!("published to {}:", printable::line(&parts[0].source));
        let count = |state: &str| parts.iter().filter(|part| part.state == state).count();
        let mut states: Vec<&str> = parts.iter().map(|part| part.state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        let counts: Vec<_> = states
            .iter()
            .map(|state| format!("{} {state}", count(state)))
            .collect();
        let _ = write!(line, " {}", printable::line(counts.join(", ")));
        if let Some(next) = parts.iter().filter_map(|part| part.due).min() {
            let _ = write!(line, "; the next one {} or later", time::show(next, now));
        }
        if let Some(said) = parts.iter().find(|part| !part.reason.is_empty()) {
            let _ = write!(line, "; last: {}", printable::line(&said.reason));
        }
        lines.push(line);
    }
    lines
}
