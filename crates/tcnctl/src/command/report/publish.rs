//! `tcnctl report publish`: has tcnd-sync send an own report to servers.
//!
//! A published report cannot be withdrawn, so the user is asked once more, and sees
//! where it goes, how, and how long that takes. tcnd computes the preview in the same
//! way as the upload, so the upload does exactly what was shown.

use std::collections::HashMap;

use jiff::ZonedDateTime;
use serde_json::json;
use tcnd_client::names;
use tcnd_client::proxy::{CancelPublishReply, PublishReply};
use zbus::Variant;

use super::uploads;
use crate::args::PublishArgs;
use crate::client::Client;
use crate::confirm::{self, Confirmation};
use crate::error::CliError;
use crate::output::CommandOutput;
use crate::time;

/// How often a preview is shown because it changed while the user read it.
const MAX_PREVIEWS: usize = 5;

pub(crate) async fn publish(
    client: &Client,
    args: &PublishArgs,
) -> Result<CommandOutput, CliError> {
    let reports = client.reports().await?;
    let arguments = || {
        let mut arguments = HashMap::from([("now", Variant::from(args.now))]);
        arguments.extend(args.to.as_deref().map(|to| ("source", Variant::from(to))));
        arguments
    };
    let mut previews = 1..=MAX_PREVIEWS;
    let published = loop {
        previews.next();
        let mut dry_run = arguments();
        dry_run.insert("dry_run", Variant::from(true));
        let preview = client.map_err(reports.publish(&args.id, dry_run).await)?;
        let text = consent_text(args, &preview);
        if args.yes {
            confirm::show(&text)?;
        } else {
            confirm::ask(&text, "Publish this report?", Confirmation::Yes)?;
        }
        let mut call = arguments();
        call.insert("consent", Variant::from(true));
        call.insert("token", Variant::from(preview.token.as_str()));
        match client.map_err(reports.publish(&args.id, call).await) {
            Err(CliError::Refused { name, .. })
                if name == names::error::CONSENT_REQUIRED && !previews.is_empty() =>
            {
                confirm::show("The uploads changed meanwhile, so nothing was queued.")?;
            }
            published => break published?,
        }
    };
    let document = json!({
        "id": args.id,
        "parts": published.parts,
        "hurried": published.hurried,
        "labels": published.labels,
        "last": published.last,
    });
    Ok(client.output(&document, |_| result_text(args, &published, &time::now())))
}

/// Everything the user must see before a report is published.
fn consent_text(args: &PublishArgs, preview: &PublishReply) -> String {
    let how = if args.now {
        "They leave at once. The operator of the server, and everyone who watches the network\n  \
         on the way, can tell by their times that they belong to one person, and sees the\n  \
         address that sent them."
    } else {
        "They leave one by one, in random order over hours, while this machine is on.\n  \
         The operator of the server, and everyone who watches the network on the way, still\n  \
         sees the address that sent each, unless tcnd-sync uses a proxy such as Tor's.\n  \
         Until a part has left, --now sends it at once and --cancel keeps it here."
    };
    let hurried = match preview.hurried {
        0 => String::new(),
        some => format!(
            "\n  Of these, {} queued already.",
            uploads::parts_of(some, "is", "are")
        ),
    };
    format!(
        "Of report {id}, {parts} to be sent to {to}, where everyone can fetch them.{hurried}\n  {how}\n\
         A published report cannot be taken back. What it discloses: tcnctl report list",
        id = args.id,
        parts = uploads::parts_of(preview.parts, "is", "are"),
        to = preview.labels.join(", "),
    )
}

fn result_text(args: &PublishArgs, published: &PublishReply, now: &ZonedDateTime) -> String {
    let to = published.labels.join(", ");
    let to = printable::line(to);
    let when = if args.now {
        "now, with the next run of tcnd-sync".to_owned()
    } else {
        format!(
            "from now until {}, or later",
            local_time::show(published.last, now)
        )
    };
    let id = &args.id;
    format!(
        "{} queued for {to}, to be sent {when}.\nTheir progress: tcnctl report list\n\
         To cancel those that have not left: tcnctl report publish --cancel {id}",
        uploads::parts_of(published.parts, "is", "are")
    )
}

/// Cancels parts that have not left. That needs no consent, since nothing leaves by it.
pub(crate) async fn cancel(
    client: &Client,
    id: &str,
    source: Option<&str>,
) -> Result<CommandOutput, CliError> {
    let options = source.map(|source| ("source", Variant::from(source)));
    let reports = client.reports().await?;
    let cancelled = reports.cancel_publish(id, options.into_iter().collect());
    let cancelled = client.map_err(cancelled.await)?;
    let server = |(source, cancelled, left): &(String, u32, u32)| json!({"source": source, "cancelled": cancelled, "left": left});
    let document = json!({
        "id": id,
        "cancelled": cancelled.cancelled,
        "left": cancelled.left,
        "servers": cancelled.servers.iter().map(server).collect::<Vec<_>>(),
    });
    Ok(client.output(&document, |_| cancel_text(id, &cancelled)))
}

fn cancel_text(id: &str, cancelled: &CancelPublishReply) -> String {
    if cancelled.servers.is_empty() {
        return format!("No part of report {id} is queued for a server.");
    }
    let mut lines = Vec::new();
    for (source, kept, left) in &cancelled.servers {
        let left = match left {
            0 => "none had left".to_owned(),
            left => uploads::parts_of(*left, "has or may have left", "have or may have left"),
        };
        let kept = uploads::parts_of(*kept, "stays here", "stay here");
        lines.push(format!("{source}: {kept}; {left}."));
    }
    lines.join("\n")
}
