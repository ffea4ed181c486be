//! What can go wrong with a database, and the cure.

use std::io;
use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};
use rustix::io::Errno;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
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
    /// Others can write into the state directory, or can read it while it
    /// holds files that are not ours; then its mode is not ours to change.
    #[error("the state directory {path} is open to others; make it private: chmod 0700 {path}")]
    NotPrivate {
        /// Where.
        path: PathBuf,
    },
    /// The state directory is another user's.
    #[error(
        "the state directory {path} belongs to another user; give one of your own with --state-dir, or hand it over: chown"
    )]
    NotOurs {
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
        "{path} was written by a newer release (format {found}, this one knows {known}); install that release again, or move the file away to start with an empty one"
    )]
    Newer {
        /// Which file; it is left as it is.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The report keys are sealed, and cannot be opened.
    #[error(
        "the report keys in {path} are sealed, and the credential tcnd.kek is missing or another one; put the right one into /etc/credstore.encrypted and start tcnd again, or move the file away to start with an empty one"
    )]
    Sealed {
        /// Which file; it is left as it is.
        path: PathBuf,
    },
    /// The credential cannot be read.
    #[error("the credential tcnd.kek cannot be read")]
    Credential(#[source] io::Error),
    /// The credential is no key.
    #[error(
        "the credential tcnd.kek is not 32 bytes long; make one: head -c 32 /dev/urandom | systemd-creds encrypt --name=tcnd.kek - /etc/credstore.encrypted/tcnd.kek"
    )]
    CredentialLength,
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
///
/// The sources are codes alone: rusqlite's own errors may quote what
/// stands in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No space, or no permission to write.
    #[error(
        "the contact log cannot be written: free disk space, or check the permissions of the state directory"
    )]
    Full(#[source] ffi::Error),
    /// The file is damaged; at the next start it is set aside.
    #[error("the contact log is damaged; restart tcnd to set it aside and begin a new one")]
    Corrupt(#[source] ffi::Error),
    /// A file could not be made, overwritten or removed.
    #[error(
        "a file of the contact log cannot be made or removed: check the permissions of the state directory"
    )]
    Files(io::ErrorKind),
    /// A damaged database that was set aside is due, and stays.
    #[error(
        "a damaged contact log is older than retention allows and cannot be removed: delete tcnd.sqlite.damaged-* from the state directory"
    )]
    NotRemoved(#[source] Errno),
    /// More work is waiting than the queue holds.
    #[error("the store is too slow: too much work is waiting")]
    Busy,
    /// The thread has ended.
    #[error("the store has been closed")]
    Closed,
    /// Anything else.
    #[error("the database refused")]
    Sqlite(#[source] ffi::Error),
}

impl Error {
    /// A value is not what the schema says.
    pub(super) fn unreadable() -> Self {
        Self::Corrupt(ffi::Error::new(ffi::SQLITE_CORRUPT))
    }

    /// This, if the file is damaged.
    pub(super) fn damage(&self) -> Option<Self> {
        match self {
            Self::Corrupt(_) => Some(*self),
            Self::Full(_)
            | Self::Files(_)
            | Self::NotRemoved(_)
            | Self::Busy
            | Self::Closed
            | Self::Sqlite(_) => None,
        }
    }
}

/// A file beside the database could not be written: as SQLite says it of its own.
pub(super) fn not_written(_: io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_WRITE), None)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(&code) = error.sqlite_error() else {
            // What is left are values that are not what the schema says.
            return Self::unreadable();
        };
        if matches!(
            code.code,
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::CannotOpen
        ) {
            Self::Full(code)
        } else if is_damage(&error) {
            Self::Corrupt(code)
        } else {
            Self::Sqlite(code)
        }
    }
}

/// Whether the file is damaged: not a database, or not one as we write it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        None => matches!(
            error,
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..)
        ),
    }
}
