//! Commands that destroy data or export rows: `contacts export`, `contacts erase`,
//! `wipe`.

use std::collections::HashMap;
use std::path::Path;

use jiff::{Timestamp, ZonedDateTime};
use serde_json::json;
use tcnd_client::names;
use zbus::Variant;

use super::answer::Answer;
use super::args::{RowFormat, SpanArgs};
use super::client::Client;
use super::error::{CliError, Topic};
use super::output_file::OutputFile;
use super::question::Agreement;
use super::{question, time};

pub(super) async fn export(
    client: &Client,
    path: &Path,
    format: RowFormat,
    raw: bool,
    span: SpanArgs,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let contacts = client.contacts().await?;
    let file = OutputFile::create(path)?;
    let format = match format {
        RowFormat::Csv => "csv",
        RowFormat::Jsonl => "jsonl",
        RowFormat::Sqlite => "sqlite",
    };
    let mut options = HashMap::from([("format", Variant::from(format)), ("raw", raw.into())]);
    // As `contacts` counts them, so that both agree for one span.
    let quarters = time::quarters(span.from, span.to);
    let bounds = [("from", quarters.from), ("to", quarters.to)];
    for (name, at) in bounds {
        options.extend(at.map(|at| (name, at.into())));
    }
    let written = contacts.export_log(file.fd().into(), options).await;
    let rows = match client.told(written) {
        Ok(rows) => rows,
        Err(error) => {
            file.discard();
            return Err(error);
        }
    };
    if file.is_standard() {
        return Ok(Answer::silent());
    }
    let document =
        json!({"file": path.to_string_lossy(), "format": format, "raw": raw, "rows": rows});
    Ok(Answer::new(json, &document, |_| {
        let numbers = if raw {
            "with the numbers themselves: keep it as safe as the log"
        } else {
            "with stand-ins for the numbers"
        };
        format!(
            "{rows} contacts are in {}, {numbers}.",
            printable::path(path)
        )
    }))
}

pub(super) async fn erase(
    client: &Client,
    span: SpanArgs,
    yes: bool,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let from = span.from.map_or(0, time::unix_seconds);
    let to =
        time::unix_seconds(span.to.unwrap_or_else(Timestamp::now)) + u64::from(span.to.is_none());
    if from >= to {
        return Err(CliError::Refused {
            name: names::error::INVALID_RANGE.to_owned(),
            text: "from must be before to".to_owned(),
            topic: Topic::Contacts,
        });
    }
    if !yes {
        may_destroy(client).await?;
        let now = ZonedDateTime::now();
        let which = match (span.from, span.to) {
            (None, None) => "All contacts".to_owned(),
            (None, Some(_)) => format!("All contacts that began before {}", time::show(to, &now)),
            (Some(_), _) => format!(
                "All contacts that began from {}",
                time::show_span(from, to, &now)
            ),
        };
        let what = format!(
            "{which} will be destroyed, and with them what exposures are made of.\n\
             Nobody can be found in them any more, not by you either.\n{OUT_OF_REACH}"
        );
        question::ask(&what, "Destroy them?", Agreement::Yes)?;
    }
    let rows = client.told(client.contacts().await?.erase(from, to).await)?;
    Ok(Answer::new(json, &json!({"erased": rows}), |_| {
        format!("{rows} contacts are destroyed.")
    }))
}

pub(super) async fn wipe(client: &Client, yes: bool, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    if !yes {
        may_destroy(client).await?;
        let what = format!(
            "All keys, contacts, reports, exposures and decisions will be destroyed, and the files \
             they\nstand in overwritten. Reports you have not exported can never be made again. \
             tcnd is\nas after its installation then: nothing is broadcast until tcnctl enable, unless the\nconfiguration says so.\n{OUT_OF_REACH}"
        );
        let agreement = Agreement::Phrase(names::WIPE_PHRASE);
        question::ask(&what, "Destroy everything?", agreement)?;
    }
    let privacy = client.privacy().await?;
    client.told(privacy.wipe_all(names::WIPE_PHRASE, HashMap::new()).await)?;
    Ok(Answer::new(json, &json!({"wiped": true}), |_| {
        "Everything is destroyed. Files you exported are yours to delete; snapshots, backups \
         and\nblocks that a drive has put out of use may hold older copies."
            .to_owned()
    }))
}

/// Data that overwriting a file does not reach.
const OUT_OF_REACH: &str = "\
Overwriting reaches the files, not older copies of them: snapshots and file systems
that copy on write (btrfs, ZFS), blocks that an SSD or SD card has put out of use,
backups. An encrypted disk protects those.";

/// Whether the user may destroy anything. A refusal comes before any confirmation is
/// asked for.
async fn may_destroy(client: &Client) -> Result<(), CliError> {
    let options = HashMap::from([("dry_run", Variant::from(true))]);
    let privacy = client.privacy().await?;
    client.told(privacy.wipe_all(names::WIPE_PHRASE, options).await)
}
