//! Own reports: `report preview` and `create`.
//!
//! Before a report is made, the user sees what it discloses, in numbers, in times, and
//! to whom. The daemon makes none unless the client states that the user saw this and
//! agreed.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::{Timestamp, ZonedDateTime};
use serde_json::json;
use tcn_protocol::Memo;
use tcn_protocol::memo::MemoConcern;
use tcnd_client::names;
use tcnd_client::proxy::Disclosure;
use zbus::Variant;

use super::answer::Answer;
use super::args::{MemoArgs, SpanArgs};
use super::client::Client;
use super::error::{CliError, Topic};
use super::memo::reading;
use super::question::Agreement;
use super::{hex, question, symptoms, time};

/// The days that a report covers by default.
const DAYS: u64 = 14;
const DAY: u64 = 86_400;

/// From and to in seconds since 1970.
fn span(args: SpanArgs) -> (u64, u64) {
    let now = time::unix_seconds(Timestamp::now());
    let from = args.from.map(time::unix_seconds);
    // The daemon takes only seconds that are over; the current one is not.
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
        "named": given_away.named,
        "bytes": given_away.bytes,
        "from": given_away.from,
        "to": given_away.to,
        "on_air": given_away.on_air,
        "gaps": gaps(&given_away),
        "reported": given_away.reported,
    });
    Ok(Answer::new(json, &document, |_| say(&given_away)))
}

fn gaps(of: &Disclosure) -> Vec<serde_json::Value> {
    let gap = |(from, to): &(u64, u64)| json!({"from": from, "to": to});
    of.gaps.iter().map(gap).collect()
}

/// What a report would disclose, and to whom, in words.
fn say(of: &Disclosure) -> String {
    let now = ZonedDateTime::now();
    let (Some(from), Some(to)) = (of.from, of.to) else {
        return match of.reported {
            0 => {
                "Nothing of yours was on the air in that time: there is nothing to report.\n".into()
            }
            _ => "All that was on the air in that time is in your reports already.\n".into(),
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
    if of.on_air {
        text.push_str("  A number is on the air now; it counts until the report is made.\n");
    }
    let _ = writeln!(
        text,
        "  It names {}, of which {} never on the air, nor will be.",
        counted(of.named, "number"),
        match of.named.saturating_sub(of.numbers) {
            1 => "1 was".to_owned(),
            burnt => format!("{burnt} were"),
        }
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

pub(super) fn counted(n: u64, what: &str) -> String {
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

/// How often a disclosure is shown again because it changed while the user read it.
const MOST_LOOKS: usize = 5;

pub(super) async fn create(
    client: &Client,
    wanted: Wanted<'_>,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let memo = symptoms::memo(wanted.memo, ZonedDateTime::now().date())?;
    check_note(wanted.note)?;
    let (from, to) = span(wanted.span);
    let reports = client.reports().await?;
    let mut looks = 1..=MOST_LOOKS;
    let (id, made) = loop {
        looks.next();
        let given_away = client.told(reports.preview(from, to).await)?;
        foresee(&given_away, &memo, wanted.linkable)?;
        let shown = reveal(&given_away, &memo);
        if wanted.yes {
            question::show(&shown)?;
        } else {
            question::ask(&shown, "Make this report?", Agreement::Yes)?;
        }
        let options = HashMap::from([
            ("consent", Variant::from(true)),
            ("note", Variant::from(wanted.note)),
            ("token", Variant::from(given_away.token.as_str())),
            ("linkable", Variant::from(wanted.linkable)),
        ]);
        let kind = memo.kind().get();
        let made = reports.create(kind, memo.data(), from, to, options).await;
        match client.told(made) {
            Err(CliError::Refused { name, .. })
                if name == names::error::CONSENT_REQUIRED && !looks.is_empty() =>
            {
                question::show("Meanwhile it has become something else. Nothing was made.")?;
            }
            made => break made?,
        }
    };
    let document = json!({
        "id": id,
        "parts": made.parts,
        "numbers": made.numbers,
        "named": made.named,
        "from": made.from,
        "to": made.to,
        "concerns": made.concerns,
    });
    Ok(Answer::new(json, &document, |_| {
        format!(
            "Report {id} is made, and has not left this machine. It gives away {numbers} in {parts}.\n\
             To hand it out: tcnctl report export {id} FILE, or to all: tcnctl report publish {id}",
            numbers = counted(made.numbers, "number"),
            parts = counted(made.parts.into(), "signed report"),
        )
    }))
}

/// Refuses, before asking the user, what tcnd would refuse, with the same words.
fn foresee(given_away: &Disclosure, memo: &Memo, linkable: bool) -> Result<(), CliError> {
    let refused = |name: &str, text: String| {
        let name = name.to_owned();
        Err(CliError::Refused {
            name,
            text,
            topic: Topic::Reports,
        })
    };
    if given_away.parts == 0 {
        let text = match given_away.reported {
            0 => "nothing of yours was on the air in that time, so there is nothing to report",
            _ => "all that was on the air in that time is reported already",
        };
        return refused(names::error::NO_DATA, text.to_owned());
    }
    let concerns = memo.concerns(given_away.parts as usize);
    let accepted = |concern: &MemoConcern| linkable && concern.is_about_linking();
    match concerns.iter().find(|c| c.is_refusal() && !accepted(c)) {
        Some(concern) => refused(names::error::MEMO_REFUSED, concern.to_string()),
        None => Ok(()),
    }
}

fn check_note(note: &str) -> Result<(), CliError> {
    const LONGEST: usize = 256;
    if note.len() > LONGEST {
        return Err(CliError::Note("a note takes 256 bytes at most"));
    }
    if !printable::is_line(note) {
        return Err(CliError::Note(
            "a note may have no characters that steer a terminal or cannot be seen",
        ));
    }
    Ok(())
}

/// Everything the user must see before a report is made.
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
