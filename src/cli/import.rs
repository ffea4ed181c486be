//! `report import`: looks for oneself in reports of others.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use zbus::Variant;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::time;
use crate::bus::proxy::Imported;
use crate::printable;

/// The document of `report import --json`.
#[derive(Debug, Serialize)]
struct Outcome {
    files: Vec<Looked>,
}

#[derive(Debug, Serialize)]
struct Looked {
    file: PathBuf,
    accepted: u64,
    duplicate: u64,
    bad_signature: u64,
    malformed: u64,
    too_large: u64,
    new_exposures: u64,
    updated: u64,
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
    let mut outcome = Outcome { files: Vec::new() };
    for path in files {
        let look = async {
            let file = Source::open(path)?;
            let label = source.map_or_else(|| label(path), str::to_owned);
            let mut options = HashMap::from([("source", Variant::from(label))]);
            let published = published.map(time::unix_seconds);
            options.extend(published.map(|at| ("published", Variant::from(at))));
            client.told(reports.import(file.fd().into(), options).await)
        };
        match look.await {
            Ok(imported) => outcome.files.push(Looked::new(path, &imported)),
            Err(error) if outcome.files.is_empty() => return Err(error),
            Err(error) => {
                // What the files before meant is told all the same: it will not
                // be new the next time.
                Answer::new(json, &outcome, Outcome::render).deliver()?;
                return Err(error);
            }
        }
    }
    Ok(Answer::new(json, &outcome, Outcome::render))
}

/// What exposures will name as the source.
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

enum Source {
    Standard(io::Stdin),
    File(File),
}

impl Source {
    fn open(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            return Ok(Self::Standard(io::stdin()));
        }
        File::open(path)
            .map(Self::File)
            .map_err(|source| CliError::File {
                file: path.to_owned(),
                source,
            })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard(stdin) => stdin.as_fd(),
            Self::File(file) => file.as_fd(),
        }
    }
}

impl Looked {
    fn new(path: &Path, imported: &Imported) -> Self {
        let &Imported {
            accepted,
            duplicate,
            bad_signature,
            malformed,
            too_large,
            new_exposures,
            updated,
        } = imported;
        Self {
            file: path.to_owned(),
            accepted,
            duplicate,
            bad_signature,
            malformed,
            too_large,
            new_exposures,
            updated,
        }
    }

    fn render(&self) -> String {
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
        format!("{}: {}", printable::path(&self.file), counts.join(", "))
    }
}

impl Outcome {
    fn render(&self) -> String {
        let mut lines: Vec<_> = self.files.iter().map(Looked::render).collect();
        let found: u64 = self.files.iter().map(|looked| looked.new_exposures).sum();
        let updated: u64 = self.files.iter().map(|looked| looked.updated).sum();
        lines.push(match (found, updated) {
            (0, 0) => "You are in none of them.".to_owned(),
            (0, _) => "What you know already has changed. See: tcnctl exposures".to_owned(),
            (1, _) => "You were near somebody who made a report. See: tcnctl exposures".to_owned(),
            (n, _) => {
                format!("You were near people who made reports, {n} times. See: tcnctl exposures")
            }
        });
        lines.join("\n")
    }
}
