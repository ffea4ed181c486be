//! Finds and reads the files of a configuration, the same for every program.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::document::line_of;
use super::{ConfigError, Diagnostic, DiagnosticKind, paths};

/// These files or, if there are none, those in the directories of the system.
pub(super) fn files_or(
    explicit: &[PathBuf],
    directories: &[&str],
) -> Result<Vec<PathBuf>, Diagnostic> {
    if explicit.is_empty() {
        paths::fragments(directories.iter().map(Path::new))
    } else {
        Ok(explicit.to_vec())
    }
}

/// Reads the files in order. `take` takes the text of each and adds its errors, which are
/// returned. A file that cannot be read is an error too.
pub(super) fn read_each(
    files: &[PathBuf],
    mut take: impl FnMut(&Path, &str, &mut Vec<Diagnostic>),
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => take(file, &text, &mut diagnostics),
            Err(source) => diagnostics.push(Diagnostic::in_file(
                file,
                DiagnosticKind::Unreadable(source),
            )),
        }
    }
    diagnostics
}

/// The value if there is no error, else the errors in the order of files and lines.
pub(super) fn finish<T>(
    value: T,
    files: &[PathBuf],
    mut diagnostics: Vec<Diagnostic>,
) -> Result<T, ConfigError> {
    if diagnostics.is_empty() {
        return Ok(value);
    }
    let position =
        |diagnostic: &Diagnostic| files.iter().position(|file| file == diagnostic.file());
    diagnostics.sort_by_key(|diagnostic| (position(diagnostic), diagnostic.line()));
    Err(ConfigError::new(diagnostics))
}

/// Merges files key by key into settings that serde reads; the later file wins. Errors
/// do not repeat values, because settings may contain secrets.
///
/// # Errors
/// The first error in each of the files.
pub fn load_merged<T: DeserializeOwned>(files: &[PathBuf]) -> Result<T, ConfigError> {
    let mut merged = toml::Table::new();
    let diagnostics = read_each(files, |file, text, diagnostics| {
        // Each file must be valid alone, so that an error has the file and the line.
        let table = toml::from_str::<T>(text).and_then(|_settings| toml::from_str(text));
        match table {
            Ok(table) => merged.extend::<toml::Table>(table),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let error = DiagnosticKind::Syntax(error);
                diagnostics.push(Diagnostic::at(file, line_of(text, at), error));
            }
        }
    });
    let merged = finish(merged, files, diagnostics)?;
    merged.try_into().map_err(|error| {
        let last = files.last().map_or(Path::new(""), PathBuf::as_path);
        ConfigError::new(vec![Diagnostic::in_file(
            last,
            DiagnosticKind::Syntax(error),
        )])
    })
}
