//! For tests: configuration files, and what is wrong with them.

use std::path::PathBuf;

use crate::ConfigError;

/// Loads a file with this text, which its diagnostics call `F`.
pub(crate) fn diagnosed<T>(
    text: &str,
    load: impl FnOnce(&[PathBuf]) -> Result<T, ConfigError>,
) -> Result<T, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let name = file.path().to_str().unwrap();
    load(&[file.path().to_owned()]).map_err(|error| error.to_string().replace(name, "F"))
}

/// The texts in a table, each below a blank line, and the diagnostic on the next line.
pub(crate) fn faults(table: &str) -> Vec<(String, &str)> {
    let mut text = Vec::new();
    let mut faults = Vec::new();
    for line in table.lines() {
        if line.starts_with("F:") {
            faults.push((text[1..].join("\n"), line));
            text.clear();
        } else {
            text.push(line);
        }
    }
    assert!(text.is_empty(), "what is wrong with {text:?}?");
    faults
}
