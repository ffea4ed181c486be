//! `tcnctl report inspect`: from a file to standard output.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use super::error::{CliError, Exit};
use super::inspect;
use crate::exchange::file::MAX_LEN;

/// Done if every report in the file is valid.
pub(super) fn inspect(path: &Path, expand: bool, json: bool) -> Result<Exit, CliError> {
    let input = read(path).map_err(|source| CliError::File {
        file: path.to_owned(),
        source,
    })?;
    let inspection = inspect::inspect(&input, expand).map_err(CliError::ReportFile)?;
    // Half a million reports do not go through a String.
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if json {
        serde_json::to_writer(&mut out, &inspection)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        inspection.write_text(&mut out)
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        Ok(()) | Err(_) if inspection.all_valid() => Ok(Exit::Done),
        Ok(()) | Err(_) => Ok(Exit::Failed),
    }
}

/// One byte more than is allowed tells that there are too many.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_LEN + 1).unwrap_or(u64::MAX);
    let mut input = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut input)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut input)?;
    }
    Ok(input)
}
