//! What may be asked of the store, and is answered.
//!
//! An answer includes all that was sent before the question. A question holds
//! the one thread that writes, and a rotation waits behind it; so what can be
//! long is asked for in pages.

use std::path::Path;
use std::time::Duration;

use tcn_engine::Contact;
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::thread::{Durable, Owner, shrink};
use super::{Bucket, DATABASE, Fault, Store, Summary, log, others};

/// How large the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Database and journal, in bytes.
    pub bytes: u64,
    /// Contacts.
    pub rows: u64,
}

/// Where a page of contacts begins: behind one that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) quarter: u64,
    pub(super) tcn: Option<TemporaryContactNumber>,
}

impl Place {
    /// Before every contact that began at `from` or later.
    pub const fn since(from: UnixTime) -> Self {
        Self {
            quarter: super::row::Row::quarter(from),
            tcn: None,
        }
    }

    /// Behind this contact.
    pub const fn behind(contact: &Contact) -> Self {
        Self {
            quarter: super::row::Row::quarter(contact.start),
            tcn: Some(contact.tcn),
        }
    }
}

impl Store {
    /// Totals of contacts that began in `[from, to)`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn summary(&self, from: UnixTime, to: UnixTime) -> Result<Summary, Fault> {
        self.ask(move |owner| Ok(log::summary(&owner.db, from, to)?))
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
        self.ask(move |owner| Ok(log::histogram(&owner.db, from, to, bucket)?))
            .await
    }

    /// How large the log is.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn size(&self) -> Result<Size, Fault> {
        self.ask(|owner| Ok(size(owner)?)).await
    }

    /// At most `most` contacts behind `place`, by the quarter of an hour they
    /// began in and then by number; fewer only at the end.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn contacts(&self, place: Place, most: u32) -> Result<Vec<Contact>, Fault> {
        self.ask(move |owner| Ok(log::page(&owner.db, place, most)?))
            .await
    }

    /// Destroys the contacts that began in `[from, to)`, and their bytes; says
    /// how many.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing is destroyed, or all is
    /// but the journal may still hold it until the next retention.
    pub async fn erase(&self, from: UnixTime, to: UnixTime) -> Result<u64, Fault> {
        self.ask(move |owner| {
            let gone = owner.transact(Durable::Crash, |transaction| {
                let gone = log::erase(transaction, from, to)?;
                others::orphans(transaction)?;
                shrink(transaction)?;
                Ok(gone)
            })?;
            super::open::checkpoint(&owner.db)?;
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
        self.ask(|owner| Ok(super::open::checkpoint(&owner.db)?))
            .await
    }

    /// Destroys everything: every key, contact, report and decision, the files
    /// they stood in and the damaged ones set aside before, and begins anew.
    ///
    /// # Errors
    /// If a file cannot be overwritten or removed; what is left is told by the
    /// directory, and the next call goes on.
    pub async fn wipe(&self) -> Result<(), Fault> {
        self.ask(Owner::wipe).await
    }
}

fn size(owner: &Owner) -> rusqlite::Result<Size> {
    let rows = log::rows(&owner.db)?;
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let bytes = length(&owner.directory.join(DATABASE))
        + length(&owner.directory.join(format!("{DATABASE}-wal")));
    Ok(Size { bytes, rows })
}
