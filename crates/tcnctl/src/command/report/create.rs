//! `tcnctl report create`: makes a report.
//!
//! Before a report is made, the user sees what it discloses, in numbers, in times, and
//! to whom. The daemon makes none unless the client states that the user saw this and
//! agreed.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::json;
use tcn_protocol::Memo;
use tcn_protocol::memo::MemoConcern;
use tcnd_client::proxy::Disclosure;
use tcnd_client::{failure, names};
use zbus::Variant;

use super::{disclosure, symptoms};
use crate::args::CreateArgs;
use crate::client::Client;
use crate::confirm::{self, Confirmation};
use crate::error::CliError;
use crate::memo::reading;
use crate::output::{CommandOutput, counted};
use crate::time;

/// How often a disclosure is shown because it changed while the user read it.
const MAX_PREVIEWS: usize = 5;

pub(crate) async fn create(client: &Client, args: &CreateArgs) -> Result<CommandOutput, CliError> {
    let memo = symptoms::memo(&args.memo, time::now().date())?;
    check_note(&args.note)?;
    let (from, to) = disclosure::span(args.span);
    let reports = client.reports().await?;
    let mut previews = 1..=MAX_PREVIEWS;
    let (id, created) = loop {
        previews.next();
        let disclosure = client.map_err(reports.preview(from, to).await)?;
        check_refusals(&disclosure, &memo, args.linkable)?;
        let text = consent_text(&disclosure, &memo);
        if args.yes {
            confirm::show(&text)?;
        } else {
            confirm::ask(&text, "Make this report?", Confirmation::Yes)?;
        }
        let arguments = HashMap::from([
            ("consent", Variant::from(true)),
            ("note", Variant::from(args.note.as_str())),
            ("token", Variant::from(disclosure.token.as_str())),
            ("linkable", Variant::from(args.linkable)),
        ]);
        let kind = memo.kind().get();
        let created = reports.create(kind, memo.data(), from, to, arguments).await;
        match client.map_err(created) {
            Err(CliError::Refused { name, .. })
                if name == names::error::CONSENT_REQUIRED && !previews.is_empty() =>
            {
                confirm::show("The disclosure changed meanwhile, so no report was made.")?;
            }
            created => break created?,
        }
    };
    let document = json!({
        "id": id,
        "parts": created.parts,
        "numbers": created.numbers,
        "named": created.named,
        "from": created.from,
        "to": created.to,
        "concerns": created.concerns,
    });
    Ok(client.output(&document, |_| {
        format!(
            "Report {id} is made and has not left this machine. It discloses {numbers} in {parts}.\n\
             To give it to someone: tcnctl report export {id} FILE\n\
             To publish it: tcnctl report publish {id}",
            numbers = counted(created.numbers, "number"),
            parts = counted(created.parts.into(), "signed report"),
        )
    }))
}

/// Refuses, before asking the user, what tcnd would refuse, with the same words.
fn check_refusals(disclosure: &Disclosure, memo: &Memo, linkable: bool) -> Result<(), CliError> {
    if disclosure.parts == 0 {
        let text = failure::nothing_to_report(disclosure.reported > 0);
        return Err(CliError::refused(names::error::NO_DATA, text));
    }
    let concerns = memo.concerns(disclosure.parts as usize);
    let accepted = |concern: &MemoConcern| linkable && concern.is_about_linking();
    let Some(concern) = concerns.iter().find(|c| c.is_refusal() && !accepted(c)) else {
        return Ok(());
    };
    let choice = match concern.is_about_linking() {
        true => "; to accept this, add --linkable",
        false => "",
    };
    let text = format!("{concern}{choice}");
    Err(CliError::refused(names::error::MEMO_REFUSED, text))
}

fn check_note(note: &str) -> Result<(), CliError> {
    if note.len() > printable::MAX_TEXT {
        return Err(CliError::Note("a note takes 256 bytes at most"));
    }
    if !printable::is_line(note) {
        return Err(CliError::Note(
            "a note must not contain control characters or invisible characters",
        ));
    }
    Ok(())
}

/// Everything the user must see before a report is made.
fn consent_text(disclosure: &Disclosure, memo: &Memo) -> String {
    let mut text = disclosure::text(disclosure);
    let content = reading(memo).unwrap_or_else(|| match memo.data() {
        [] => format!("nothing (an empty memo of type {})", memo.kind().get()),
        data => format!(
            "{} (type {})",
            base16ct::lower::encode_string(data),
            memo.kind().get()
        ),
    });
    let _ = writeln!(text, "  Its memo says: {content}.");
    for concern in memo.concerns(disclosure.parts as usize) {
        let _ = writeln!(text, "  Note: {concern}.");
    }
    text.push_str("A report that has left the machine cannot be taken back.");
    text
}
