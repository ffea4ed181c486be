//! Exposures marked as seen or dismissed, and marks taken back.

use rusqlite::{Transaction, params};
use tcn_protocol::UnixTime;

use super::contact_row::ContactRow;
use super::database::Durable;
use super::error::Error;
use super::handle::Store;
use super::sql::signed;

impl Store {
    /// Marks what this report named from `from` to `to` as seen, and, if so, as
    /// dismissed; whether there is any.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn mark_exposure(
        &self,
        report: u64,
        (from, to): (UnixTime, UnixTime),
        dismissed: bool,
    ) -> Result<bool, Error> {
        self.transact(Durable::PowerLoss, move |t| {
            mark(t, report, (from, to), dismissed)
        })
        .await
    }

    /// Lists again what this report named from `from` to `to`, if it was
    /// dismissed; it stays seen. Whether there is any.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn restore_exposure(
        &self,
        report: u64,
        (from, to): (UnixTime, UnixTime),
    ) -> Result<bool, Error> {
        self.transact(Durable::PowerLoss, move |t| restore(t, report, (from, to)))
            .await
    }
}

/// Marks by the quarters that contacts began in: between two exposures of one
/// report there are four of them at least.
fn mark(
    transaction: &Transaction<'_>,
    report: u64,
    (from, to): (UnixTime, UnixTime),
    dismissed: bool,
) -> rusqlite::Result<bool> {
    let marked = transaction.execute(
        "UPDATE matched_contact SET seen = 1, dismissed = max(dismissed, ?4) \
         WHERE report = ?1 AND quarter BETWEEN ?2 AND ?3",
        params![
            signed(report),
            signed(ContactRow::quarter(from)),
            signed(ContactRow::quarter(to)),
            dismissed
        ],
    )?;
    Ok(marked > 0)
}

fn restore(
    transaction: &Transaction<'_>,
    report: u64,
    (from, to): (UnixTime, UnixTime),
) -> rusqlite::Result<bool> {
    let restored = transaction.execute(
        "UPDATE matched_contact SET dismissed = 0 WHERE report = ?1 AND quarter BETWEEN ?2 AND ?3",
        params![
            signed(report),
            signed(ContactRow::quarter(from)),
            signed(ContactRow::quarter(to))
        ],
    )?;
    Ok(restored > 0)
}
