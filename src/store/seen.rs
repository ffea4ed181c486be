//! Reports of others that each source delivered, and by when it told that they
//! were public.
//!
//! A report is known by the digest of its unsigned bytes. Each source has rows of
//! its own: what one tells does not change what another told. Of what one source
//! told of a report, the earliest counts: a report does not become new by being
//! delivered again.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tcn_protocol::{ReportDigest, UnixTime};

use super::database::Durable;
use super::error::Error;
use super::handle::Store;
use super::sql::{signed, unsigned};

/// Reports of one source that are remembered at most: two weeks of a country
/// that publishes 150,000 a day. They take some 70 MB. Reports past these are
/// matched like all others, but a second delivery of them is not known as one.
pub const MOST_REMEMBERED: u64 = 1 << 21;

/// Where reports come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub(super) i64);

impl SourceId {
    /// Files that people import. All of them are one source.
    pub const FILES: Self = Self(0);
}

impl Store {
    /// Remembers that this source delivered these reports and told that they were
    /// public by `published`. By when each was public, the earliest that the source
    /// told before; `None` of one that it had not delivered.
    ///
    /// # Errors
    /// If the database cannot be written; then none of them is remembered.
    pub async fn remember_reports(
        &self,
        source: SourceId,
        reports: Vec<ReportDigest>,
        published: UnixTime,
        now: UnixTime,
    ) -> Result<Vec<Option<UnixTime>>, Error> {
        self.transact(Durable::Crash, move |t| {
            remember(t, source, &reports, published, now)
        })
        .await
    }

    /// By when each of these reports was public, the earliest that this source
    /// told; `None` of one that is not remembered.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn earliest_published(
        &self,
        source: SourceId,
        reports: Vec<ReportDigest>,
    ) -> Result<Vec<Option<UnixTime>>, Error> {
        self.call(move |database| {
            let db = &database.connection;
            let days = days(db)?;
            let published = reports.iter().map(|report| {
                let remembered = remembered(db, &days, source, report)?;
                Ok(remembered.map(|(_, published)| published))
            });
            Ok(published.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

/// The days there are, each found from the one before: SQLite makes a scan of
/// every row of `SELECT DISTINCT`, 70 ms for a million, and this is asked for
/// every slice of an import.
const DAYS: &str = "\
WITH RECURSIVE days (day) AS (
  SELECT min(day) FROM seen_report
  UNION ALL
  SELECT (SELECT min(day) FROM seen_report WHERE day > days.day) FROM days WHERE day IS NOT NULL
) SELECT day FROM days WHERE day IS NOT NULL";

fn days(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached(DAYS)?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// The day that a report is remembered under, and by when it was public.
fn remembered(
    db: &Connection,
    days: &[i64],
    source: SourceId,
    report: &ReportDigest,
) -> rusqlite::Result<Option<(i64, UnixTime)>> {
    let mut find = db.prepare_cached(
        "SELECT published FROM seen_report WHERE day = ?1 AND source = ?2 AND digest = ?3",
    )?;
    for day in days {
        let found: Option<i64> = find
            .query_row(params![day, source.0, report.as_bytes()], |row| row.get(0))
            .optional()?;
        if let Some(found) = found {
            return Ok(Some((*day, UnixTime(unsigned(found)))));
        }
    }
    Ok(None)
}

fn remember(
    transaction: &Transaction<'_>,
    source: SourceId,
    reports: &[ReportDigest],
    published: UnixTime,
    now: UnixTime,
) -> rusqlite::Result<Vec<Option<UnixTime>>> {
    let today = signed(now.day());
    let mut days = days(transaction)?;
    if !days.contains(&today) {
        days.push(today);
    }
    let mut room = room(transaction, source)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO seen_report (day, source, digest, published) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut update = transaction.prepare_cached(
        "UPDATE seen_report SET published = ?4 WHERE day = ?1 AND source = ?2 AND digest = ?3",
    )?;
    let mut known = Vec::with_capacity(reports.len());
    let mut added = 0;
    for report in reports {
        let row = |day| params_of(day, source, report, published);
        // A report twice in one batch is known the second time.
        let remembered = remembered(transaction, &days, source, report)?;
        match remembered {
            Some((day, before)) if published < before => {
                update.execute(row(day))?;
            }
            Some(_) => {}
            None if room > 0 => {
                insert.execute(row(today))?;
                room -= 1;
                added += 1;
            }
            None => {}
        }
        known.push(remembered.map(|(_, before)| before));
    }
    transaction.execute(
        "UPDATE source SET remembered = remembered + ?2 WHERE id = ?1",
        [source.0, added],
    )?;
    Ok(known)
}

fn params_of(
    day: i64,
    source: SourceId,
    report: &ReportDigest,
    published: UnixTime,
) -> (i64, i64, [u8; 16], i64) {
    let digest = *report.as_bytes();
    (day, source.0, digest, signed(published.0))
}

/// How many more reports of this source may be remembered. What people import is
/// bounded by what one import may bring.
fn room(transaction: &Transaction<'_>, source: SourceId) -> rusqlite::Result<i64> {
    let remembered: Option<i64> = transaction
        .prepare_cached("SELECT remembered FROM source WHERE id = ?1")?
        .query_row([source.0], |row| row.get(0))
        .optional()?;
    Ok(signed(MOST_REMEMBERED) - remembered.unwrap_or(0))
}

/// Forgets reports that were delivered before the day of `before`.
pub(super) fn forget(transaction: &Transaction<'_>, before: UnixTime) -> rusqlite::Result<()> {
    let first = signed(before.day());
    let expired = days(transaction)?.into_iter().filter(|day| *day < first);
    let mut gone: BTreeMap<i64, i64> = BTreeMap::new();
    for day in expired {
        let sources = transaction
            .prepare_cached("SELECT id FROM source")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        for source in sources {
            let rows = transaction.execute(
                "DELETE FROM seen_report WHERE day = ?1 AND source = ?2",
                [day, source],
            )?;
            *gone.entry(source).or_default() += signed(rows as u64);
        }
        // Those of files, and of sources that are configured no more.
        transaction.execute("DELETE FROM seen_report WHERE day = ?1", [day])?;
    }
    for (source, rows) in gone {
        transaction.execute(
            "UPDATE source SET remembered = max(remembered - ?2, 0) WHERE id = ?1",
            [source, rows],
        )?;
    }
    Ok(())
}
