//! `report import`: matches reports of others from files.
//!
//! Each file has its own result, whatever happens to the others. tcnd gets a pipe,
//! never the file. So a file system that does not respond blocks only this program, and
//! this program can show the progress. Ending this program ends the import.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use tcnd_client::proxy::{ImportCounts, ReportsProxy};
use zbus::Variant;

use super::file_pipe::FilePipe;
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

/// The document of `report import --json`.
#[derive(Debug, Default, Serialize)]
struct ImportDocument {
    files: Vec<FileResult>,
}

/// The result of one file.
#[derive(Debug, Serialize)]
struct FileResult {
    file: String,
    #[serde(flatten, serialize_with = "ImportCounts::serialize_plain")]
    counts: ImportCounts,
    error: Option<String>,
}

/// How the files are imported.
struct ImportOptions<'a> {
    source: Option<&'a str>,
    published: Option<Timestamp>,
}

pub(crate) async fn import(
    client: &Client,
    files: &[PathBuf],
    source: Option<&str>,
    published: Option<Timestamp>,
) -> Result<CommandOutput, CliError> {
    let reports = client.reports().await?;
    let options = ImportOptions { source, published };
    let mut document = ImportDocument::default();
    for path in files {
        let result = match import_file(client, &reports, path, &options).await {
            Ok(counts) => FileResult::new(path, counts),
            // The error concerns this file; the next file may be good.
            Err(error @ (CliError::File { .. } | CliError::Refused { .. })) => {
                FileResult::failed(path, &error)
            }
            Err(error) => {
                // The meaning of earlier files is printed all the same: their exposures
                // will not be new the next time.
                if !document.files.is_empty() {
                    client.output(&document, ImportDocument::render).print()?;
                }
                return Err(error);
            }
        };
        document.files.push(result);
    }
    let good = document.files.iter().all(|result| result.error.is_none());
    Ok(client
        .output(&document, ImportDocument::render)
        .failed_unless(good))
}

async fn import_file(
    client: &Client,
    reports: &ReportsProxy<'_>,
    path: &Path,
    import_options: &ImportOptions<'_>,
) -> Result<ImportCounts, CliError> {
    let file = FilePipe::open(path)?;
    let label = import_options
        .source
        .map_or_else(|| printable::file_label(path), str::to_owned);
    let mut options = HashMap::from([("source", Variant::from(label))]);
    let published = import_options.published.map(local_time::unix_seconds);
    options.extend(published.map(|at| ("published", Variant::from(at))));
    let (pipe, progress) = file.start(path)?;
    let call = reports.import((&pipe).into(), options);
    let imported = progress.show_during(call).await;
    drop(pipe);
    // A file that could not be read to its end is not imported, whatever tcnd did with
    // the part it got.
    progress.read_error(path)?;
    client.map_err(imported)
}

impl FileResult {
    fn new(path: &Path, counts: ImportCounts) -> Self {
        Self {
            file: path.to_string_lossy().into_owned(),
            counts,
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
            ..Self::new(path, ImportCounts::default())
        }
    }

    fn render(&self) -> String {
        if let Some(error) = &self.error {
            return format!("{}: not imported: {error}", printable::clean(&self.file));
        }
        let counts = [
            (self.counts.accepted, "new"),
            (self.counts.duplicate, "already known"),
            (
                self.counts.bad_signature,
                "with an invalid signature, though they match contacts",
            ),
            (self.counts.malformed, "not readable as a report"),
            (self.counts.too_large, "beyond the work limit for one file"),
        ];
        let counts: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, meaning)| format!("{count} {meaning}"))
            .collect();
        format!("{}: {}", printable::clean(&self.file), counts.join(", "))
    }
}

impl ImportDocument {
    fn render(&self) -> String {
        let mut lines: Vec<_> = self.files.iter().map(FileResult::render).collect();
        lines.extend(self.meaning());
        lines.join("\n")
    }

    /// The meaning of the imported files for the user; `None` if no file was imported.
    fn meaning(&self) -> Option<String> {
        let imported = || self.files.iter().filter(|result| result.error.is_none());
        imported().next()?;
        let sum = |count: fn(&ImportCounts) -> u64| -> u64 {
            imported().map(|result| count(&result.counts)).sum()
        };
        let found = sum(|counts| counts.new_exposures);
        let known = sum(|counts| counts.known);
        let later = sum(|counts| counts.heard_later);
        Some(match (found, sum(|counts| counts.updated), known) {
            (0, 0, 0) if later > 0 => {
                "No exposure: the matching contacts began after the report was published.".to_owned()
            }
            (0, 0, 0) => "No match: none of these reports names a contact of yours.".to_owned(),
            (0, 0, 1) => {
                "Nothing new; 1 of them is already known to name a contact of yours. See: tcnctl exposures".to_owned()
            }
            (0, 0, known) => format!(
                "Nothing new; {known} of them are already known to name contacts of yours. See: tcnctl exposures"
            ),
            (0, ..) => "A known exposure has changed. See: tcnctl exposures".to_owned(),
            (1, ..) => "This computer was near a person who made a report. See: tcnctl exposures".to_owned(),
            (n, ..) => {
                format!("This computer was near people who made reports, {n} times. See: tcnctl exposures")
            }
        })
    }
}
