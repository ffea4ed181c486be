//! Errors of the store.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// The store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The state directory cannot be created or used.
    #[error("cannot use the state directory {}; make it writable or give another with --state-dir", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server uses it.
    #[error("another tcn-reportd uses the state directory {}; stop it, or give another with --state-dir", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// A newer release wrote it, or it belongs to another program.
    #[error("the database {} is of another format; run the release that wrote it, or move the file away", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// SQLite cannot open it.
    #[error("cannot open the database {}; if it is damaged, move it away: reports in it are gone then", path.display())]
    Sqlite {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The thread cannot be started.
    #[error("cannot start the thread of the store")]
    Thread(#[source] io::Error),
}

/// Why a report was not stored. It may be sent again. The first word of each message is
/// for programs.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// The queue of reports to be written is full.
    #[error("busy: too much is waiting to be written; send it again later")]
    Busy,
    /// The limit for all senders is reached.
    #[error("limited: more uploads come than uploads_per_second allows; send it again later")]
    Limited,
    /// No space is left.
    #[error("disk-full: no space is left for the store; send it again later")]
    DiskFull,
    /// The file or its file system may not be written.
    #[error("read-only: the store may not be written; send it again later")]
    ReadOnly,
    /// Another program holds the database.
    #[error("locked: another program holds the database; send it again later")]
    Locked,
    /// The disk refuses for another reason. Reports acknowledged before are safe.
    #[error("failing: the store cannot write; send it again later")]
    Failing,
    /// The bucket that front ends leave uploads in does not take them.
    #[error("inbox: the inbox takes no uploads; send it again later")]
    Inbox,
    /// The clock stands more than an interval before the one that is open.
    #[error("clock-behind: the server's clock was set back; send it again later")]
    ClockBehind,
    /// The clock jumped ahead, and nothing vouches for it.
    #[error("clock-ahead: the server's clock jumped ahead and is in doubt; send it again later")]
    ClockAhead,
    /// The server is stopping.
    #[error("stopping: the server is stopping; send it again later")]
    Stopping,
}

impl Unavailable {
    /// The reason that stands for an error of SQLite.
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            _ => Self::Failing,
        }
    }

    /// The word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Limited => "limited",
            Self::DiskFull => "disk-full",
            Self::ReadOnly => "read-only",
            Self::Locked => "locked",
            Self::Failing => "failing",
            Self::Inbox => "inbox",
            Self::ClockBehind => "clock-behind",
            Self::ClockAhead => "clock-ahead",
            Self::Stopping => "stopping",
        }
    }
}
