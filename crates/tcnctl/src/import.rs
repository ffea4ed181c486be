//! `report import`: matches reports of others from files.
//!
//! Each file has its own result, whatever happens to the others. tcnd gets a pipe,
//! never the file. So a file system that does not respond blocks only this program, and
//! this program can show the progress. Ending this program ends the import.

mod feed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use tcnd_client::proxy::{ImportReply, ReportsProxy};
use zbus::Variant;

use self::feed::Feed;
use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::time;

/// The document of `report import --json`.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    files: Vec<Looked>,
}

/// The result of one file.
#[derive(Debug, Serialize)]
struct Looked {
    file: String,
    accepted: u64,
    duplicate: u64,
    bad_signature: u64,
    malformed: u64,
    too_large: u64,
    new_exposures: u64,
    updated: u64,
    known: u64,
    heard_later: u64,
    error: Option<String>,
}

/// How the files are imported.
struct Wanted<'a> {
    source: Option<&'a str>,
    published: Option<Timestamp>,
}

pub(super) async fn import(
    client: &Client,
    files: &[PathBuf],
    source: Option<&str>,
    published: Option<Timestamp>,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let reports = client.reports().await?;
    let wanted = Wanted { source, published };
    let mut outcome = Outcome::default();
    for path in files {
        let looked = match look(client, &reports, path, &wanted).await {
            Ok(imported) => Looked::new(path, &imported),
            // The error concerns this file; the next file may be good.
            Err(error @ (CliError::File { .. } | CliError::Refused { .. })) => {
                Looked::failed(path, &error)
            }
            Err(error) => {
                // The meaning of earlier files is printed all the same: their exposures
                // will not be new the next time.
                if !outcome.files.is_empty() {
                    Answer::new(json, &outcome, Outcome::render).deliver()?;
                }
                return Err(error);
            }
        };
        outcome.files.push(looked);
    }
    let good = outcome.files.iter().all(|looked| looked.error.is_none());
    Ok(Answer::new(json, &outcome, Outcome::render).failed_unless(good))
}

async fn look(
    client: &Client,
    reports: &ReportsProxy<'_>,
    path: &Path,
    wanted: &Wanted<'_>,
) -> Result<ImportReply, CliError> {
    let feed = Feed::open(path)?;
    let label = wanted.source.map_or_else(|| label(path), str::to_owned);
    let mut options = HashMap::from([("source", Variant::from(label))]);
    let published = wanted.published.map(time::unix_seconds);
    options.extend(published.map(|at| ("published", Variant::from(at))));
    let (pipe, progress) = feed.start(path)?;
    let call = reports.import((&pipe).into(), options);
    let imported = progress.shown_during(call).await;
    drop(pipe);
    // A file that could not be read to its end is not imported, whatever tcnd did with
    // the part it got.
    progress.ended(path)?;
    client.told(imported)
}

/// The source that exposures will name.
fn label(path: &Path) -> String {
    const LONGEST: usize = 256;
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy();
    let mut label = name.replace(|c| !printable::is_printable(c), "\u{fffd}");
    while label.len() > LONGEST {
        label.pop();
    }
    label
}

impl Looked {
    fn new(path: &Path, imported: &ImportReply) -> Self {
        Self {
            file: path.to_string_lossy().into_owned(),
            accepted: imported.accepted,
            duplicate: imported.duplicate,
            bad_signature: imported.bad_signature,
            malformed: imported.malformed,
            too_large: imported.too_large,
            new_exposures: imported.new_exposures,
            updated: imported.updated,
            known: imported.known,
            heard_later: imported.heard_later,
            error: None,
        }
    }

    fn failed(path: &Path, error: &CliError) -> Self {
        // The line contains the file name already.
        let cause = if let CliError::File { source, .. } = error {
            source.to_string()
        } else {
            error.to_string()
        };
        Self {
            error: Some(format!("{cause}; {}", error.hint())),
            ..Self::new(path, &ImportReply::default())
        }
    }

    fn render(&self) -> String {
        if let Some(error) = &self.error {
            return format!("{}: not imported: {error}", printable::clean(&self.file));
        }
        let counts = [
            (self.accepted, "new"),
            (self.duplicate, "known already"),
            (
                self.bad_signature,
                "naming you with a signature that does not hold",
            ),
            (self.malformed, "no report at all"),
            (self.too_large, "past the work one file may cause"),
        ];
        let counts: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!("{}: {}", printable::clean(&self.file), counts.join(", "))
    }
}

impl Outcome {
    fn render(&self) -> String {
        let mut lines: Vec<_> = self.files.iter().map(Looked::render).collect();
        lines.extend(self.meaning());
        lines.join("\n")
    }

    /// The meaning of the imported files for the user; `None` if no file was imported.
    fn meaning(&self) -> Option<String> {
        let imported = || self.files.iter().filter(|looked| looked.error.is_none());
        imported().next()?;
        let sum = |count: fn(&Looked) -> u64| imported().map(count).sum::<u64>();
        let found = sum(|looked| looked.new_exposures);
        let known = sum(|looked| looked.known);
        let later = sum(|looked| looked.heard_later);
        Some(match (found, sum(|looked| looked.updated), known) {
            (0, 0, 0) if later > 0 => {
                "No exposure: the contacts that match began after their report was public."
                    .to_owned()
            }
            (0, 0, 0) => "No contact matches.".to_owned(),
            (0, 0, 1) => {
                "Nothing new; 1 report is known to name a contact. See: tcnctl exposures".to_owned()
            }
            (0, 0, known) => format!(
                "Nothing new; {known} reports are known to name contacts. See: tcnctl exposures"
            ),
            (0, ..) => "What you know already has changed. See: tcnctl exposures".to_owned(),
            (1, ..) => "You were near somebody who made a report. See: tcnctl exposures".to_owned(),
            (n, ..) => {
                format!("You were near people who made reports, {n} times. See: tcnctl exposures")
            }
        })
    }
}
