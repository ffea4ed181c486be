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
use super::database::{DATABASE, Database, shrink};
use super::error::Error;
use super::handle::Store;
use super::matched_reports;

/// How large the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Database, journal and growth, in bytes.
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
        self.call(move |database| database.query(|log| contacts::summary(log, from, to)))
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
        self.call(move |database| database.query(|log| contacts::histogram(log, from, to, bucket)))
            .await
    }

    /// How large the log is.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn size(&self) -> Result<Size, Error> {
        self.call(size).await
    }

    /// At most `limit` contacts behind `cursor`, by the quarter of an hour they
    /// began in and then by number; fewer only at the end.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn contacts(&self, cursor: Cursor, limit: u32) -> Result<Vec<Contact>, Error> {
        self.call(move |database| database.query(|log| contacts::page(log, cursor, limit)))
            .await
    }

    /// Destroys the contacts that began in `[from, to)`, and their bytes; says
    /// how many.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing is destroyed, or all is
    /// but another file may still hold it until the next retention.
    pub async fn erase(&self, from: UnixTime, to: UnixTime) -> Result<u64, Error> {
        self.call(move |database| {
            let gone = database.change(|log| {
                let gone = contacts::erase(log, from, to)?;
                matched_reports::delete_orphans(log)?;
                shrink(log)?;
                Ok(gone)
            })?;
            database.gather()?;
            Ok(gone)
        })
        .await
    }

    /// Moves growth and journal into the database, durably, behind all work sent before:
    /// what was sent outlives even a machine that does not wake up.
    ///
    /// # Errors
    /// If the database cannot be written, or another process reads it for longer
    /// than a second.
    pub async fn checkpoint(&self) -> Result<(), Error> {
        self.call(|database| Ok(database.gather()?)).await
    }
}

fn size(database: &mut Database) -> Result<Size, Error> {
    let rows = database.query(contacts::rows)?;
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let bytes = length(&database.directory.join(DATABASE))
        + length(&database.directory.join(format!("{DATABASE}-wal")))
        + database.growth.bytes();
    Ok(Size { bytes, rows })
}
