//! `tcnctl config check`: the daemon's own judgement, without the daemon.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::answer::Answer;
use super::error::CliError;
use crate::config::{self, ConfigError, Fault};

pub(super) fn check(explicit: &[PathBuf], json: bool) -> Result<Answer, CliError> {
    let faults = match config::load(explicit) {
        Err(error) if !json => return Err(CliError::Config(error)),
        outcome => outcome.map_or_else(ConfigError::into_faults, |_| Vec::new()),
    };
    let files: Vec<String> = config::files(explicit)
        .unwrap_or_default()
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let document = json!({
        "valid": faults.is_empty(),
        "files": files,
        "faults": faults.iter().map(fault).collect::<Vec<_>>(),
    });
    Ok(Answer::new(json, &document, |_| valid(&files)).failed_unless(faults.is_empty()))
}

fn valid(files: &[String]) -> String {
    if files.is_empty() {
        return "The configuration is valid: there are no files, so all is at its default."
            .to_owned();
    }
    let list: Vec<_> = files.iter().map(|file| format!("\n  {file}")).collect();
    format!("The configuration is valid:{}", list.concat())
}

fn fault(fault: &Fault) -> Value {
    json!({
        "file": fault.file().display().to_string(),
        "line": fault.line(),
        "message": fault.flaw().to_string(),
    })
}
