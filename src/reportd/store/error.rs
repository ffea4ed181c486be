//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The state directory cannot be made or used.
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
    /// A newer release wrote it, or it is not ours.
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

/// Why a report was not stored. It may be sent again.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(in crate::reportd) enum Unavailable {
    /// More is waiting to be written than may wait.
    #[error("too much is waiting to be written; send it again later")]
    Busy,
    /// The disk refuses; what was answered before is safe.
    #[error("the store cannot write; send it again later")]
    Failing,
    /// The clock stands more than an interval before the one that is open.
    #[error("the server's clock was set back; send it again later")]
    Clock,
    /// The server is going.
    #[error("the server is stopping; send it again later")]
    Stopping,
}
