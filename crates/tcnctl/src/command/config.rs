//! `tcnctl config check`: the checks of the daemon, without the daemon.

use std::path::PathBuf;

use serde_json::{Value, json};
use tcnd_config::{ConfigError, Diagnostic};

use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) fn check(explicit: &[PathBuf], json: bool) -> Result<CommandOutput, CliError> {
    let faults = match tcnd_config::load(explicit) {
        Err(error) if !json => return Err(CliError::Config(error)),
        outcome => outcome.map_or_else(ConfigError::into_diagnostics, |_| Vec::new()),
    };
    let files = tcnd_config::files(explicit).unwrap_or_default();
    let document = json!({
        "valid": faults.is_empty(),
        "files": files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>(),
        "faults": faults.iter().map(fault).collect::<Vec<_>>(),
    });
    Ok(
        CommandOutput::new(json, &document, |_| tcnd_config::valid(&files))
            .failed_unless(faults.is_empty()),
    )
}

fn fault(fault: &Diagnostic) -> Value {
    json!({
        "file": fault.file().to_string_lossy(),
        "line": fault.line(),
        "message": fault.kind().to_string(),
    })
}
