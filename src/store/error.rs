//! What can go wrong with a database, and the cure.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// The store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The state directory cannot be made or used.
    #[error(
        "cannot use the state directory {path}; check its owner and mode, or give another with --state-dir"
    )]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Other users could put files into the state directory.
    #[error("the state directory {path} is open to others; make it private: chmod 0700 {path}")]
    NotPrivate {
        /// Where.
        path: PathBuf,
    },
    /// Another tcnd works on this directory.
    #[error("another tcnd uses {path}; stop it, or give another directory with --state-dir")]
    Locked {
        /// Where.
        path: PathBuf,
    },
    /// A later release wrote this database.
    #[error(
        "{path} was written by a newer release (format {found}, this one knows {known}); install that release again, or move the file away to begin anew"
    )]
    Newer {
        /// Which file; it is left as it is.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// SQLite says no for another reason.
    #[error("cannot open the database {path}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The thread cannot be started.
    #[error("cannot start the store thread")]
    Thread(#[source] io::Error),
}

/// The store could not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// No space, or no permission to write.
    #[error(
        "the contact log cannot be written: free disk space, or check the permissions of the state directory"
    )]
    Full(#[source] rusqlite::Error),
    /// The file is damaged; at the next start it is set aside.
    #[error("the contact log is damaged; restart tcnd to set it aside and begin a new one")]
    Corrupt(#[source] rusqlite::Error),
    /// More work is waiting than the queue holds.
    #[error("the store is too slow: too much work is waiting")]
    Busy,
    /// The thread has ended.
    #[error("the store has been closed")]
    Closed,
    /// Anything else.
    #[error("the database refused")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::CannotOpen,
            ) => Self::Full(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error),
            Some(_) | None => Self::Sqlite(error),
        }
    }
}
