//! Queries over the contact log, its erasure, and the checkpoint.
//!
//! An answer includes all that was sent before the query. A query occupies the one
//! thread that writes, and a rotation waits behind it; so long results are read in
//! pages.

use std::path::Path;
use std::time::Duration;

use tcn_engine::Contact;
use tcn_protocol::UnixTime;

use super::contacts::{self, Bucket, Cursor, Summary};
use super::database::{DATABASE, Database, Durable, checkpoint, shrink};
use super::error::Error;
use super::handle::Store;
use super::matched_reports;

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
    pub async fn summary(&self, from: UnixTime, to: UnixTime) -> Result<Summary, Error> {
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
    ) -> Result<Vec<Bucket>, Error> {
        self.call(move |database| Ok(contacts::histogram(&database.connection, from, to, bucket)?))
            .await
    }

    /// How large the log is.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn size(&self) -> Result<Size, Error> {
        self.call(|database| Ok(size(database)?)).await
    }

    /// At most `limit` contacts behind `cursor`, by the quarter of an hour they
    /// began in and then by number; fewer only at the end.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn contacts(&self, cursor: Cursor, limit: u32) -> Result<Vec<Contact>, Error> {
        self.call(move |database| Ok(contacts::page(&database.connection, cursor, limit)?))
            .await
    }

    /// Destroys the contacts that began in `[from, to)`, and their bytes; says
    /// how many.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing is destroyed, or all is
    /// but the journal may still hold it until the next retention.
    pub async fn erase(&self, from: UnixTime, to: UnixTime) -> Result<u64, Error> {
        self.call(move |database| {
            let gone = database.transact(Durable::Crash, |transaction| {
                let gone = contacts::erase(transaction, from, to)?;
                matched_reports::delete_orphans(transaction)?;
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
    /// If the database cannot be written, or another process reads it for longer
    /// than a second.
    pub async fn checkpoint(&self) -> Result<(), Error> {
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
