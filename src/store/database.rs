//! The open database: its connection, its directory and lock, and its transactions.

use std::fs::File;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, ffi};

use super::seal::Seal;

/// Name of the database in the state directory.
pub const DATABASE: &str = "tcnd.sqlite";

/// The database and what belongs to it. One thread owns it.
pub(super) struct Database {
    pub(super) connection: Connection,
    /// Seals the report keys in it.
    pub(super) seal: Seal,
    /// Held until the connection is closed. Fields are dropped from top to bottom.
    _lock: File,
    /// The state directory.
    pub(super) directory: PathBuf,
    /// The database has no file any more.
    pub(super) file_lost: bool,
}

impl Database {
    pub(super) const fn new(
        connection: Connection,
        seal: Seal,
        lock: File,
        directory: PathBuf,
    ) -> Self {
        Self {
            connection,
            seal,
            _lock: lock,
            directory,
            file_lost: false,
        }
    }

    /// One transaction: all of `work`, or nothing.
    pub(super) fn transact<T>(
        &mut self,
        durable: Durable,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.connection
            .pragma_update(None, "synchronous", durable.level())?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// What a transaction must survive.
#[derive(Clone, Copy)]
pub(super) enum Durable {
    /// The process being killed.
    Crash,
    /// The power going away.
    PowerLoss,
}

impl Durable {
    const fn level(self) -> &'static str {
        match self {
            Self::Crash => "NORMAL",
            Self::PowerLoss => "FULL",
        }
    }
}

/// How every connection is opened: one thread uses it, so SQLite takes no mutex.
pub(super) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Gives the free pages at the end of the file back; each step of the pragma
/// frees one.
pub(super) fn shrink(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// Moves the journal into the database and cuts it to nothing.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let code = ffi::Error::new(ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(code, None));
    }
    Ok(())
}
