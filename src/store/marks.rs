//! What a person took back of what was marked.

use rusqlite::{Transaction, params};
use tcn_protocol::UnixTime;

use super::ledger::signed;
use super::row::Row;
use super::thread::Durable;
use super::{Fault, Store};

impl Store {
    /// Lists again what this report named from `from` to `to`, if it was
    /// dismissed; it stays seen. Whether there is any.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn restore_exposure(
        &self,
        report: u64,
        (from, to): (UnixTime, UnixTime),
    ) -> Result<bool, Fault> {
        self.ask(move |owner| {
            let restore = |t: &Transaction<'_>| restore(t, report, (from, to));
            Ok(owner.transact(Durable::PowerLoss, restore)?)
        })
        .await
    }
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
            signed(Row::quarter(from)),
            signed(Row::quarter(to))
        ],
    )?;
    Ok(restored > 0)
}
