//! Own keys and what was on the air, and the settings that outlive a run.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tcn_engine::{ClockRecord, KeyId, Pause, Record, Seed};
use tcn_protocol::{
    Ratchet, RatchetIndex, ReportAuthorizationKey, TemporaryContactNumber, UnixTime,
};
use zeroize::Zeroizing;

use super::clock;
use super::seal::{Seal, WrongKey};
use super::settings;
use super::sql::{signed, unsigned};

/// What the last run left.
#[derive(Debug)]
pub struct Resume {
    /// A name that no key ever had.
    pub next_key: KeyId,
    /// Own numbers of earlier runs, oldest key first.
    pub broadcast: Vec<Broadcast>,
    /// Broadcasting was allowed.
    pub consent: bool,
    /// A decision about it was made, one way or the other.
    pub decided: bool,
    /// Whether it was paused.
    pub pause: Pause,
    /// What was known of the wall clock.
    pub clock: Option<ClockRecord>,
    /// The newest date of all; `None` if nothing is dated.
    pub newest: Option<UnixTime>,
}

/// The numbers of one key that were or may have been on the air.
#[derive(Debug)]
pub struct Broadcast {
    /// Its local name.
    pub key: KeyId,
    /// The key itself.
    pub seed: Seed,
    /// The last of its numbers.
    pub last: RatchetIndex,
}

impl Broadcast {
    /// The numbers, from the first to the last.
    pub fn numbers(&self) -> Vec<TemporaryContactNumber> {
        let mut numbers = Vec::new();
        let mut tck =
            ReportAuthorizationKey::from_bytes(&self.seed.0).first_temporary_contact_key();
        while tck.index() <= self.last {
            numbers.push(tck.temporary_contact_number());
            match tck.ratchet() {
                Ratchet::Next(next) => tck = next,
                Ratchet::Spent => break,
            }
        }
        numbers
    }
}

pub(super) fn resume(db: &Connection, seal: &Seal) -> rusqlite::Result<Resume> {
    let consent = settings::consent(db)?;
    Ok(Resume {
        next_key: next_key(db)?,
        broadcast: broadcast(db, seal)?,
        consent: consent.unwrap_or(false),
        decided: consent.is_some(),
        pause: settings::pause(db)?,
        clock: clock::read(db)?,
        newest: clock::newest(db)?,
    })
}

/// The sequence outlives its rows, so a name is not given again even when all
/// keys are forgotten.
fn next_key(db: &Connection) -> rusqlite::Result<KeyId> {
    let last: Option<i64> = db
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'report_key'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(KeyId(unsigned(last.unwrap_or(0)) + 1))
}

fn broadcast(db: &Connection, seal: &Seal) -> rusqlite::Result<Vec<Broadcast>> {
    let mut query = db.prepare(
        "SELECT id, seed, max(idx) FROM report_key JOIN broadcast ON key = id GROUP BY id ORDER BY id",
    )?;
    let rows = query.query_map([], |row| {
        let key = KeyId(unsigned(row.get(0)?));
        let seed = read_seed(row, 1, key, seal)?;
        let last: u16 = row.get(2)?;
        Ok(RatchetIndex::new(last).map(|last| Broadcast { key, seed, last }))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// The key in a column. All were looked at when the database was opened, so one
/// that cannot be opened now is damage.
pub(super) fn read_seed(
    row: &Row<'_>,
    column: usize,
    key: KeyId,
    seal: &Seal,
) -> rusqlite::Result<Seed> {
    let stored: Zeroizing<Vec<u8>> = Zeroizing::new(row.get(column)?);
    seal.unseal(key, &stored).map_err(|WrongKey| {
        rusqlite::Error::InvalidColumnType(column, "seed".to_owned(), Type::Blob)
    })
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    records: &[Record],
    seal: &Seal,
) -> rusqlite::Result<()> {
    for record in records {
        match record {
            Record::KeyBorn { key, seed, born } => transaction
                .prepare_cached("INSERT INTO report_key (id, seed, born) VALUES (?1, ?2, ?3)")?
                .execute(params![
                    signed(key.0),
                    &seal.seal(*key, seed)[..],
                    signed(born.0)
                ])?,
            Record::Reserved { key, index, from } => transaction
                .prepare_cached("INSERT INTO broadcast (key, idx, first) VALUES (?1, ?2, ?3)")?
                .execute(params![signed(key.0), index.get(), signed(from.0)])?,
            Record::Unaired { key, index } => transaction
                .prepare_cached("DELETE FROM broadcast WHERE key = ?1 AND idx = ?2")?
                .execute(params![signed(key.0), index.get()])?,
            // Absent if its reservation could not be written; then it was
            // never aired.
            Record::Retired { key, index, until } => transaction
                .prepare_cached("UPDATE broadcast SET last = ?3 WHERE key = ?1 AND idx = ?2")?
                .execute(params![signed(key.0), index.get(), signed(until.0)])?,
        };
    }
    Ok(())
}

/// Destroys keys whose last number left the air before `before`.
pub(super) fn forget(transaction: &Transaction<'_>, before: UnixTime) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM report_key WHERE born < ?1 AND NOT EXISTS \
         (SELECT 1 FROM broadcast WHERE key = id AND coalesce(last, first) >= ?1)",
        [signed(before.0)],
    )?;
    Ok(())
}
