//! Own reports, the keys they took, and what has left the machine.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use tcn_engine::{Aired, KeyHistory, KeyId, Seed};
use tcn_protocol::{Memo, MemoType, RatchetIndex, SignedReport, UnixTime, wire};

use super::database::{Durable, checkpoint};
use super::error::Error;
use super::handle::Store;
use super::report_keys::read_seed;
use super::seal::Seal;
use super::sql::{signed, unsigned};
use super::uploads::{self, Upload};

/// An own report to keep.
#[derive(Debug)]
pub struct NewReport {
    /// When it was made.
    pub created: UnixTime,
    /// What it says besides its numbers.
    pub memo: Memo,
    /// The person's note on it; it never leaves the machine.
    pub note: String,
    /// What it is made of.
    pub parts: Vec<NewPart>,
}

/// One signed report of several.
#[derive(Debug)]
pub struct NewPart {
    /// The key it took.
    pub key: KeyId,
    /// Numbers in it that were on the air.
    pub numbers: u16,
    /// When the first came on the air.
    pub from: UnixTime,
    /// When the last left it.
    pub to: UnixTime,
    /// The report itself.
    pub signed: SignedReport,
}

/// An own report as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnReport {
    /// Its local name.
    pub id: u64,
    /// When it was made.
    pub created: UnixTime,
    /// When it was deleted; then it is only a record of what left.
    pub deleted: Option<UnixTime>,
    /// The type of its memo.
    pub memo_type: MemoType,
    /// Its memo, until it is deleted.
    pub memo: Option<Memo>,
    /// The person's note.
    pub note: String,
    /// Signed reports in it.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// Numbers that they name, those of burnt indices too, until it is deleted.
    pub named: Option<u64>,
    /// When the first came on the air.
    pub from: UnixTime,
    /// When the last left it.
    pub to: UnixTime,
    /// What left the machine, in order.
    pub releases: Vec<Release>,
    /// Parts on their way to servers, by source.
    pub uploads: Vec<Upload>,
}

/// A release: one time that a report left the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// When.
    pub at: UnixTime,
    /// A token, such as `export-tcn`.
    pub how: String,
}

impl Store {
    /// What every key with a lower name than `limit` had on the air.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn history(&self, limit: KeyId) -> Result<Vec<KeyHistory>, Error> {
        self.call(move |database| Ok(history(&database.connection, limit)?))
            .await
    }

    /// The seeds of these keys, those that are still there.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn seeds(&self, keys: Vec<KeyId>) -> Result<Vec<(KeyId, Seed)>, Error> {
        self.call(move |database| Ok(seeds(&database.connection, &keys, &database.seal)?))
            .await
    }

    /// Keeps an own report, durably; its local name, or `None` if one of
    /// its keys was used by another meanwhile, or destroyed.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn keep_report(&self, report: NewReport) -> Result<Option<u64>, Error> {
        self.call(move |database| {
            match database.transact(Durable::PowerLoss, |t| keep(t, &report)) {
                Ok(id) => Ok(Some(id)),
                Err(rusqlite::Error::StatementChangedRows(_)) => Ok(None),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Own reports, the oldest first, deleted ones that have left among them.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn own_reports(&self) -> Result<Vec<OwnReport>, Error> {
        self.call(|database| Ok(list(&database.connection)?)).await
    }

    /// Records durably that an own report leaves the machine, and returns its signed
    /// reports; `None` if there is no such report any more.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing may leave.
    pub async fn record_release(
        &self,
        id: u64,
        release: Release,
    ) -> Result<Option<Vec<SignedReport>>, Error> {
        self.call(move |database| {
            let signed =
                database.transact(Durable::PowerLoss, |t| record_release(t, id, &release))?;
            let Some(signed) = signed else {
                return Ok(None);
            };
            let parsed: Result<Vec<_>, _> = signed.iter().map(|bytes| wire::parse(bytes)).collect();
            parsed.map(Some).map_err(|_| Error::unreadable())
        })
        .await
    }

    /// Deletes an own report; whether there was one. If it never left the
    /// machine, its keys can be reported again; otherwise the record of that
    /// stays, without memo and reports.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn delete_report(&self, id: u64, at: UnixTime) -> Result<bool, Error> {
        self.call(move |database| {
            let deleted = database.transact(Durable::PowerLoss, |t| delete(t, id, at))?;
            checkpoint(&database.connection)?;
            Ok(deleted)
        })
        .await
    }
}

fn history(db: &Connection, limit: KeyId) -> rusqlite::Result<Vec<KeyHistory>> {
    let mut query = db.prepare_cached(
        "SELECT id, EXISTS (SELECT 1 FROM own_part WHERE own_part.key = id), idx, first, last \
         FROM report_key JOIN broadcast ON broadcast.key = id WHERE id < ?1 ORDER BY id, idx",
    )?;
    let mut rows = query.query([signed(limit.0)])?;
    let mut histories: Vec<KeyHistory> = Vec::new();
    while let Some(row) = rows.next()? {
        let key = KeyId(unsigned(row.get(0)?));
        let Some(index) = RatchetIndex::new(row.get(2)?) else {
            continue;
        };
        let last: Option<i64> = row.get(4)?;
        let aired = Aired {
            index,
            first: UnixTime(unsigned(row.get(3)?)),
            last: last.map(|last| UnixTime(unsigned(last))),
        };
        match histories.last_mut() {
            Some(history) if history.key == key => history.numbers.push(aired),
            Some(_) | None => histories.push(KeyHistory {
                key,
                reported: row.get(1)?,
                numbers: vec![aired],
            }),
        }
    }
    Ok(histories)
}

fn seeds(db: &Connection, keys: &[KeyId], seal: &Seal) -> rusqlite::Result<Vec<(KeyId, Seed)>> {
    let mut query = db.prepare_cached("SELECT seed FROM report_key WHERE id = ?1")?;
    let mut seeds = Vec::new();
    for key in keys {
        let seed = query
            .query_row([signed(key.0)], |row| read_seed(row, 0, *key, seal))
            .optional()?;
        seeds.extend(seed.map(|seed| (*key, seed)));
    }
    Ok(seeds)
}

fn keep(transaction: &Transaction<'_>, report: &NewReport) -> rusqlite::Result<u64> {
    transaction.execute(
        "INSERT INTO own_report (created, memo_type, memo, note) VALUES (?1, ?2, ?3, ?4)",
        params![
            signed(report.created.0),
            report.memo.kind().get(),
            report.memo.data(),
            report.note
        ],
    )?;
    let id = transaction.last_insert_rowid();
    let mut insert = transaction.prepare_cached(
        "INSERT INTO own_part (report, key, numbers, first, last, signed) \
         SELECT ?1, id, ?3, ?4, ?5, ?6 FROM report_key WHERE id = ?2",
    )?;
    for part in &report.parts {
        let kept = insert.execute(params![
            id,
            signed(part.key.0),
            part.numbers,
            signed(part.from.0),
            signed(part.to.0),
            wire::write(&part.signed)
        ])?;
        if kept != 1 {
            // A key that was wiped meanwhile must not live on in its report.
            return Err(rusqlite::Error::StatementChangedRows(kept));
        }
    }
    Ok(unsigned(id))
}

fn list(db: &Connection) -> rusqlite::Result<Vec<OwnReport>> {
    let mut query = db.prepare_cached(
        "SELECT id, created, deleted, memo_type, memo, note, \
         count(key), coalesce(sum(numbers), 0), coalesce(min(first), 0), coalesce(max(last), 0) \
         FROM own_report LEFT JOIN own_part ON report = id GROUP BY id ORDER BY id",
    )?;
    let reports = query.query_map([], |row| {
        let memo_type = MemoType::new(row.get(3)?);
        let memo: Option<Vec<u8>> = row.get(4)?;
        let deleted: Option<i64> = row.get(2)?;
        Ok(OwnReport {
            id: unsigned(row.get(0)?),
            created: UnixTime(unsigned(row.get(1)?)),
            deleted: deleted.map(|at| UnixTime(unsigned(at))),
            memo_type,
            memo: memo.and_then(|data| Memo::new(memo_type, data).ok()),
            note: row.get(5)?,
            parts: row.get(6)?,
            numbers: unsigned(row.get(7)?),
            from: UnixTime(unsigned(row.get(8)?)),
            to: UnixTime(unsigned(row.get(9)?)),
            named: None,
            releases: Vec::new(),
            uploads: Vec::new(),
        })
    })?;
    let mut reports = reports.collect::<rusqlite::Result<Vec<_>>>()?;
    for report in &mut reports {
        report.named = named(db, report.id)?;
        report.releases = releases(db, report.id)?;
        report.uploads = uploads::of_report(db, report.id)?;
    }
    Ok(reports)
}

/// Numbers that the parts of a report name; `None` if it was deleted.
fn named(db: &Connection, id: u64) -> rusqlite::Result<Option<u64>> {
    let mut query = db.prepare_cached("SELECT signed FROM own_part WHERE report = ?1")?;
    let parts = query.query_map([signed(id)], |row| row.get(0))?;
    let mut named = Some(0);
    for part in parts {
        let part: Option<Vec<u8>> = part?;
        let part = part.and_then(|bytes| wire::parse(&bytes).ok());
        let count = part.map(|part| u64::from(part.claim().count()));
        named = named.zip(count).map(|(sum, count)| sum + count);
    }
    Ok(named)
}

fn releases(db: &Connection, id: u64) -> rusqlite::Result<Vec<Release>> {
    let mut query =
        db.prepare_cached("SELECT at, how FROM departure WHERE report = ?1 ORDER BY at, rowid")?;
    let releases = query.query_map([signed(id)], |row| {
        Ok(Release {
            at: UnixTime(unsigned(row.get(0)?)),
            how: row.get(1)?,
        })
    })?;
    releases.collect()
}

fn record_release(
    transaction: &Transaction<'_>,
    id: u64,
    release: &Release,
) -> rusqlite::Result<Option<Vec<Vec<u8>>>> {
    let mut query = transaction.prepare_cached(
        "SELECT signed FROM own_part WHERE report = ?1 AND signed IS NOT NULL ORDER BY first, key",
    )?;
    let parts = query.query_map([signed(id)], |row| row.get(0))?;
    let parts = parts.collect::<rusqlite::Result<Vec<Vec<u8>>>>()?;
    if parts.is_empty() {
        return Ok(None);
    }
    transaction.execute(
        "INSERT INTO departure (report, at, how) VALUES (?1, ?2, ?3)",
        params![signed(id), signed(release.at.0), release.how],
    )?;
    Ok(Some(parts))
}

fn delete(transaction: &Transaction<'_>, id: u64, at: UnixTime) -> rusqlite::Result<bool> {
    let left = "EXISTS (SELECT 1 FROM departure WHERE departure.report = ?1)";
    let kept = transaction.execute(
        &format!(
            "UPDATE own_report SET memo = NULL, note = '', deleted = ?2 \
             WHERE id = ?1 AND deleted IS NULL AND {left}"
        ),
        [signed(id), signed(at.0)],
    )?;
    transaction.execute(
        &format!("UPDATE own_part SET signed = NULL WHERE report = ?1 AND {left}"),
        [signed(id)],
    )?;
    uploads::cancel(transaction, id)?;
    let gone = transaction.execute(
        &format!("DELETE FROM own_report WHERE id = ?1 AND NOT {left}"),
        [signed(id)],
    )?;
    Ok(kept + gone > 0)
}

/// Destroys reports made before `before`, and the record of where they went; but
/// for those of a key that is still there, for it could be reported again.
pub(super) fn forget(transaction: &Transaction<'_>, before: UnixTime) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM own_report WHERE created < ?1 AND NOT EXISTS \
         (SELECT 1 FROM own_part JOIN report_key ON report_key.id = own_part.key \
         WHERE report = own_report.id)",
        [signed(before.0)],
    )?;
    Ok(())
}
