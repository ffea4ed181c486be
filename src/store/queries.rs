//! What may be asked of the store, and is answered.
//!
//! An answer includes all that was sent before the question. A question holds
//! the one thread that writes, and a rotation waits behind it; so what can be
//! long is asked for in pages.

use std::path::Path;
use std::time::Duration;

use tcn_engine::Contact;
use tcn_protocol::UnixTime;

use super::contacts::{self, Bucket, Place, Summary};
use super::database::{DATABASE, Database, Durable, checkpoint, shrink};
use super::error::Fault;
use super::handle::Store;
use super::others;

/// How large the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Database and journal, in bytes.
    pub bytes: u64,
    /// Contacts.
    pub rows: u64,
}

impl Store {
    /// Totals of contacts that began in `[from, to)`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn summary(&self, from: UnixTime, to: UnixTime) -> Result<Summary, Fault> {
        self.call(move |database| Ok(contacts::summary(&database.connection, from, to)?))
            .await
    }

    /// Contacts that began in `[from, to)`, in bars of `bucket` from `from`
    /// on; empty bars are left out.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn histogram(
        &self,
        from: UnixTime,
        to: UnixTime,
        bucket: Duration,
    ) -> Result<Vec<Bucket>, Fault> {
        self.call(move |database| Ok(contacts::histogram(&database.connection, from, to, bucket)?))
            .await
    }

    /// How large the log is.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn size(&self) -> Result<Size, Fault> {
        self.call(|database| Ok(size(database)?)).await
    }

    /// At most `most` contacts behind `place`, by the quarter of an hour they
    /// began in and then by number; fewer only at the end.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn contacts(&self, place: Place, most: u32) -> Result<Vec<Contact>, Fault> {
        self.call(move |database| Ok(contacts::page(&database.connection, place, most)?))
            .await
    }

    /// Destroys the contacts that began in `[from, to)`, and their bytes; says
    /// how many.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing is destroyed, or all is
    /// but the journal may still hold it until the next retention.
    pub async fn erase(&self, from: UnixTime, to: UnixTime) -> Result<u64, Fault> {
        self.call(move |database| {
            let gone = database.transact(Durable::Crash, |transaction| {
                let gone = contacts::erase(transaction, from, to)?;
                others::orphans(transaction)?;
                shrink(transaction)?;
                Ok(gone)
            })?;
            checkpoint(&database.connection)?;
            Ok(gone)
        })
        .await
    }

    /// Folds the journal into the database, durably, behind all work sent before:
    /// what was sent outlives even a machine that does not wake up.
    ///
    /// # Errors
    /// If the database cannot be written, or somebody reads it for longer than a
    /// second.
    pub async fn checkpoint(&self) -> Result<(), Fault> {
        self.call(|database| Ok(checkpoint(&database.connection)?))
            .await
    }
}

fn size(database: &Database) -> rusqlite::Result<Size> {
    let rows = contacts::rows(&database.connection)?;
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let bytes = length(&database.directory.join(DATABASE))
        + length(&database.directory.join(format!("{DATABASE}-wal")));
    Ok(Size { bytes, rows })
}
