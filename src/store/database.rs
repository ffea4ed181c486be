//! The open database: its connection, its growth, its directory and lock, and its
//! transactions.

use std::fs::File;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, ffi};

use super::error::{Error, not_written};
use super::growth::Growth;
use super::log::Log;
use super::seal::Seal;

/// Name of the database in the state directory.
pub const DATABASE: &str = "tcnd.sqlite";

/// What follows it in the name of the file of growth.
pub(super) const GROWTH: &str = "-growth";

/// The database and what belongs to it. One thread owns it.
pub(super) struct Database {
    pub(super) connection: Connection,
    /// What the table of contacts does not have yet.
    pub(super) growth: Growth,
    /// Seals the report keys in it.
    pub(super) seal: Seal,
    /// Held until the connection is closed. Fields are dropped from top to bottom.
    _lock: File,
    /// The state directory.
    pub(super) directory: PathBuf,
    /// The database has no file any more.
    pub(super) file_lost: bool,
    /// Damage that a query came upon when it folded the growth. It persists while the
    /// file is open.
    pub(super) damage: Option<Error>,
}

impl Database {
    pub(super) fn new(
        (connection, growth): (Connection, Growth),
        seal: Seal,
        lock: File,
        directory: PathBuf,
    ) -> Self {
        Self {
            connection,
            growth,
            seal,
            _lock: lock,
            directory,
            file_lost: false,
            damage: None,
        }
    }

    /// One transaction that does not concern the contacts: all of `work`, or nothing.
    pub(super) fn transact<T>(
        &mut self,
        durable: Durable,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = begin(&mut self.connection, durable)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// One durable transaction that folds the growth and does `work`: all of it, or
    /// nothing.
    pub(super) fn change<T>(
        &mut self,
        work: impl FnOnce(&Log<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = begin(&mut self.connection, Durable::PowerLoss)?;
        let done = work(&self.growth.fold(&transaction)?)?;
        transaction.commit()?;
        self.growth.folded();
        Ok(done)
    }

    /// Reads the log. The growth is folded on the way, so that it is folded once for many
    /// queries in a row. If that cannot be written, on a full disk for instance, the
    /// transaction is taken back, and the answer is the same.
    pub(super) fn query<T>(
        &mut self,
        work: impl FnOnce(&Log<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        if self.growth.is_folded() {
            let transaction = self.connection.transaction()?;
            return Ok(work(&self.growth.fold(&transaction)?)?);
        }
        let transaction = begin(&mut self.connection, Durable::PowerLoss)?;
        let log = self.growth.fold(&transaction).map_err(Error::from);
        let log = log.inspect_err(|error| self.damage = error.damage())?;
        let answer = work(&log)?;
        if transaction.commit().is_ok() {
            self.growth.folded();
        }
        Ok(answer)
    }

    /// Moves all growth and the journal into the database, durably. What was destroyed
    /// is in no file then.
    pub(super) fn gather(&mut self) -> rusqlite::Result<()> {
        self.change(|_| Ok(()))?;
        self.growth.cut().map_err(not_written)?;
        checkpoint(&self.connection)
    }
}

fn begin(connection: &mut Connection, durable: Durable) -> rusqlite::Result<Transaction<'_>> {
    connection.pragma_update(None, "synchronous", durable.level())?;
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
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
