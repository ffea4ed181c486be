//! A new file, or standard output, to hand to the daemon.
//!
//! The daemon cannot open a person's files and should not: it is given an open
//! one. A file that exists is never written over, and one that stayed empty
//! because the daemon said no is removed again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::CliError;

pub(super) enum OutputFile {
    Standard(io::Stdout),
    New(File, PathBuf),
}

impl OutputFile {
    /// The file is for its owner alone: what is exported is about people.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
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

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard(stdout) => stdout.as_fd(),
            Self::New(file, _) => file.as_fd(),
        }
    }

    /// Whether the facts of the answer have to keep clear of standard output.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self, Self::Standard(_))
    }

    /// Removes what was made for nothing.
    pub(super) fn discard(self) {
        if let Self::New(_, path) = self {
            // If it cannot be removed, an empty file stays.
            let _ = std::fs::remove_file(path);
        }
    }
}
