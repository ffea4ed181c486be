//! `tcnctl report inspect`: reads a file and writes to standard output.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::Path;

use tcn_protocol::file::FileError;

use super::error::{CliError, Exit};
use super::inspect::{self, InspectError, View};

/// Returns [`Exit::Done`] if every report in the file is valid.
pub(super) fn inspect(path: &Path, view: View) -> Result<Exit, CliError> {
    let unreadable = |source| CliError::File {
        file: path.to_owned(),
        source,
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    match inspect::inspect(source, view, BufWriter::new(io::stdout().lock())) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(InspectError::File(FileError::Source(source))) => Err(unreadable(source)),
        Err(InspectError::File(error)) => Err(CliError::ReportFile(error)),
        Err(InspectError::Output(error)) => Err(CliError::Output(error)),
    }
}
