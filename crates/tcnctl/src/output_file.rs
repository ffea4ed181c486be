//! A new file, or standard output, whose descriptor is given to the daemon.
//!
//! The daemon cannot and should not open a user's files, so it gets an open descriptor. An
//! existing file is never overwritten. A file that stayed empty because the daemon refused
//! the call is removed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::CliError;

pub(crate) enum OutputFile {
    Standard(io::Stdout),
    New(File, PathBuf),
}

impl OutputFile {
    /// Creates the file. Only its owner may read it: exported data is about people.
    pub(crate) fn create(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            return Ok(Self::Standard(io::stdout()));
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match file {
            Ok(file) => Ok(Self::New(file, path.to_owned())),
            Err(source) => Err(CliError::NewFile {
                file: path.to_owned(),
                source,
            }),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard(stdout) => stdout.as_fd(),
            Self::New(file, _) => file.as_fd(),
        }
    }

    /// Whether standard output carries the data, and therefore no message.
    pub(crate) fn is_standard(&self) -> bool {
        matches!(self, Self::Standard(_))
    }

    /// Removes a file that stayed empty.
    pub(crate) fn discard(self) {
        if let Self::New(_, path) = self {
            // If it cannot be removed, an empty file stays.
            let _ = std::fs::remove_file(path);
        }
    }
}
