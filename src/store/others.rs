//! Reports of others: which were looked at, which named a contact, and what
//! the person did about it.
//!
//! Exposures have no table. They are made of the contacts a report named each
//! time somebody asks, so one that still grows is the same exposure grown, and
//! one whose contacts are destroyed is gone with them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::ledger::{signed, unsigned};
use super::row::Row;
use super::thread::{Durable, Owner};
use super::{Fault, Store, log};
use crate::engine::{Contact, UnixTime};
use crate::protocol::{Memo, MemoType, ReportDigest, TemporaryContactNumber};

const DAY: u64 = 86_400;

/// A report of somebody else's that named contacts, and whose signature held.
#[derive(Debug)]
pub struct NewMatch {
    /// Which report.
    pub digest: ReportDigest,
    /// What it says besides its numbers.
    pub memo: Memo,
    /// Where it came from, a label for people.
    pub source: String,
    /// By when it was public, as far as this source tells.
    pub published: UnixTime,
    /// When it came here.
    pub received: UnixTime,
    /// The contacts it named, by when they began and their number.
    pub contacts: Vec<(UnixTime, TemporaryContactNumber)>,
}

/// What became of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The report had named nothing before.
    New,
    /// It is known; another source, an earlier publication or more contacts
    /// were added.
    Updated,
    /// It is known, and nothing was added.
    Known,
    /// None of its contacts is in the log any more; nothing was kept.
    Gone,
    /// So many reports name its contacts, or so many contacts are named, that
    /// there is no room; nothing was kept.
    Crowded,
}

/// A matched report as it is kept, with its contacts as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedReport {
    /// Its local name.
    pub id: u64,
    /// What it says besides its numbers.
    pub memo: Memo,
    /// Where it came from.
    pub sources: Vec<String>,
    /// By when it was public, the earliest that any source told.
    pub published: UnixTime,
    /// When it first came here.
    pub received: UnixTime,
    /// The contacts it named that are still in the log.
    pub contacts: Vec<Contact>,
    /// Starts of the contacts among them that the person has seen.
    pub seen: Vec<UnixTime>,
    /// Starts of those that the person has dismissed.
    pub dismissed: Vec<UnixTime>,
}

impl Store {
    /// By when each of these reports was public, as told when it was first
    /// looked at; `None` of one that was not, and is from now on, with
    /// `published`.
    ///
    /// # Errors
    /// If the database cannot be written; then none of them is.
    pub async fn look_at(
        &self,
        reports: Vec<ReportDigest>,
        published: UnixTime,
        now: UnixTime,
    ) -> Result<Vec<Option<UnixTime>>, Fault> {
        self.ask(move |owner| {
            let look = |t: &Transaction<'_>| look_at(t, &reports, published, now);
            Ok(owner.transact(Durable::Crash, look)?)
        })
        .await
    }

    /// Keeps matches, durably, all or none; what became of each, in their
    /// order.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing is kept.
    pub async fn record_matches(&self, found: Vec<NewMatch>) -> Result<Vec<Recorded>, Fault> {
        self.ask(move |owner| {
            let record = |t: &Transaction<'_>| found.iter().map(|found| record(t, found)).collect();
            Ok(owner.transact(Durable::PowerLoss, record)?)
        })
        .await
    }

    /// All matched reports whose contacts are in the log, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn matched_reports(&self) -> Result<Vec<MatchedReport>, Fault> {
        self.ask(|owner| Ok(matched(owner)?)).await
    }

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
    ) -> Result<bool, Fault> {
        self.ask(move |owner| {
            let mark = |t: &Transaction<'_>| mark(t, report, (from, to), dismissed);
            Ok(owner.transact(Durable::PowerLoss, mark)?)
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

fn look_at(
    transaction: &Transaction<'_>,
    reports: &[ReportDigest],
    published: UnixTime,
    now: UnixTime,
) -> rusqlite::Result<Vec<Option<UnixTime>>> {
    let days: Vec<i64> = transaction
        .prepare_cached(DAYS)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let today = signed(now.0 / DAY);
    let earlier: Vec<i64> = days.into_iter().filter(|day| *day != today).collect();
    let mut find = transaction
        .prepare_cached("SELECT published FROM seen_report WHERE day = ?1 AND digest = ?2")?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO seen_report (day, digest, published) VALUES (?1, ?2, ?3)")?;
    let mut known = Vec::with_capacity(reports.len());
    for report in reports {
        let mut told: Option<i64> = None;
        // A report twice in one batch is seen the second time.
        for day in earlier.iter().chain([&today]) {
            if told.is_none() {
                told = find
                    .query_row(params![day, report.as_bytes()], |row| row.get(0))
                    .optional()?;
            }
        }
        if told.is_none() {
            insert.execute(params![today, report.as_bytes(), signed(published.0)])?;
        }
        known.push(told.map(|told| UnixTime(unsigned(told))));
    }
    Ok(known)
}

/// Reports that may name one contact. A key is one person's, so more than a
/// few of them are made to fill the disk.
const MOST_REPORTS_A_CONTACT: i64 = 8;

/// Contacts that all reports together may name, each time counted: more than
/// anybody meets, and few enough to be held in memory.
const MOST_NAMED: i64 = 1 << 16;

/// What was destroyed since it was read, by hand or by retention, is not
/// written back under another table.
fn record(transaction: &Transaction<'_>, found: &NewMatch) -> rusqlite::Result<Recorded> {
    let contacts = still_there(transaction, found)?;
    if contacts.is_empty() {
        return Ok(Recorded::Gone);
    }
    let contacts = with_room(transaction, found, contacts)?;
    if contacts.is_empty() {
        return Ok(Recorded::Crowded);
    }
    let known: Option<(i64, i64)> = transaction
        .prepare_cached("SELECT id, published FROM matched_report WHERE digest = ?1")?
        .query_row([found.digest.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (id, mut added) = match known {
        Some((id, published)) => {
            let earlier = signed(found.published.0) < published;
            if earlier {
                transaction.execute(
                    "UPDATE matched_report SET published = ?2 WHERE id = ?1",
                    [id, signed(found.published.0)],
                )?;
            }
            (id, usize::from(earlier))
        }
        None => (insert(transaction, found)?, 0),
    };
    added += transaction.execute(
        "INSERT OR IGNORE INTO report_source (report, source) VALUES (?1, ?2)",
        params![id, found.source],
    )?;
    let mut name = transaction.prepare_cached(
        "INSERT OR IGNORE INTO matched_contact (tcn, quarter, report, seen, dismissed) \
         VALUES (?1, ?2, ?3, 0, 0)",
    )?;
    for (tcn, quarter) in contacts {
        added += name.execute(params![tcn.as_bytes(), quarter, id])?;
    }
    Ok(match (known, added) {
        (None, _) => Recorded::New,
        (Some(_), 0) => Recorded::Known,
        (Some(_), _) => Recorded::Updated,
    })
}

type Named<'a> = (&'a TemporaryContactNumber, i64);

fn still_there<'a>(
    transaction: &Transaction<'_>,
    found: &'a NewMatch,
) -> rusqlite::Result<Vec<Named<'a>>> {
    let mut there =
        transaction.prepare_cached("SELECT 1 FROM contact WHERE quarter = ?1 AND tcn = ?2")?;
    let mut contacts = Vec::with_capacity(found.contacts.len());
    for (start, tcn) in &found.contacts {
        let quarter = signed(Row::quarter(*start));
        if there.exists(params![quarter, tcn.as_bytes()])? {
            contacts.push((tcn, quarter));
        }
    }
    Ok(contacts)
}

/// Those that this report names already, and as many more as there is room for.
fn with_room<'a>(
    transaction: &Transaction<'_>,
    found: &NewMatch,
    contacts: Vec<Named<'a>>,
) -> rusqlite::Result<Vec<Named<'a>>> {
    let all: i64 = transaction
        .prepare_cached("SELECT count(*) FROM matched_contact")?
        .query_row([], |row| row.get(0))?;
    let mut room = MOST_NAMED - all;
    let mut count = transaction.prepare_cached(
        "SELECT count(*), coalesce(max(digest = ?3), 0) FROM matched_contact \
         JOIN matched_report ON id = report WHERE tcn = ?1 AND quarter = ?2",
    )?;
    let mut kept = Vec::with_capacity(contacts.len());
    for (tcn, quarter) in contacts {
        let place = params![tcn.as_bytes(), quarter, found.digest.as_bytes()];
        let (reports, named): (i64, bool) =
            count.query_row(place, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if named {
            kept.push((tcn, quarter));
        } else if reports < MOST_REPORTS_A_CONTACT && room > 0 {
            room -= 1;
            kept.push((tcn, quarter));
        }
    }
    Ok(kept)
}

fn insert(transaction: &Transaction<'_>, found: &NewMatch) -> rusqlite::Result<i64> {
    transaction.execute(
        "INSERT INTO matched_report (digest, published, received, memo_type, memo) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            found.digest.as_bytes(),
            signed(found.published.0),
            signed(found.received.0),
            found.memo.kind().get(),
            found.memo.data(),
        ],
    )?;
    Ok(transaction.last_insert_rowid())
}

fn matched(owner: &Owner) -> rusqlite::Result<Vec<MatchedReport>> {
    let db = &owner.db;
    let mut contacts = contacts(db)?;
    let mut query = db.prepare_cached(
        "SELECT id, published, received, memo_type, memo FROM matched_report ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut reports = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let data: Vec<u8> = row.get(4)?;
        let Some(contacts) = contacts.remove(&id) else {
            continue;
        };
        let Ok(memo) = Memo::new(MemoType::new(row.get(3)?), data) else {
            continue;
        };
        reports.push(MatchedReport {
            id: unsigned(id),
            memo,
            sources: sources(db, id)?,
            published: UnixTime(unsigned(row.get(1)?)),
            received: UnixTime(unsigned(row.get(2)?)),
            contacts: contacts.all,
            seen: contacts.seen,
            dismissed: contacts.dismissed,
        });
    }
    Ok(reports)
}

/// The contacts of one report, and which of them were seen and dismissed.
#[derive(Default)]
struct Contacts {
    all: Vec<Contact>,
    seen: Vec<UnixTime>,
    dismissed: Vec<UnixTime>,
}

fn contacts(db: &Connection) -> rusqlite::Result<BTreeMap<i64, Contacts>> {
    let mut query = db.prepare_cached(
        "SELECT quarter, span, rssi_max, rssi_sum, sightings, bridged, tcn, report, seen, dismissed \
         FROM matched_contact JOIN contact USING (quarter, tcn)",
    )?;
    let mut rows = query.query([])?;
    let mut reports: BTreeMap<i64, Contacts> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let tcn = TemporaryContactNumber::from_bytes(row.get(6)?);
        let contact = log::row(row)?.contact(tcn);
        let report = reports.entry(row.get(7)?).or_default();
        let (seen, dismissed): (bool, bool) = (row.get(8)?, row.get(9)?);
        report.seen.extend(seen.then_some(contact.start));
        report.dismissed.extend(dismissed.then_some(contact.start));
        report.all.push(contact);
    }
    Ok(reports)
}

fn sources(db: &Connection, report: i64) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached("SELECT source FROM report_source WHERE report = ?1 ORDER BY source")?
        .query_map([report], |row| row.get(0))?
        .collect()
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
            signed(Row::quarter(from)),
            signed(Row::quarter(to)),
            dismissed
        ],
    )?;
    Ok(marked > 0)
}

/// A number that a report named was heard in another quarter of an hour: that
/// contact is named too.
pub(super) fn grew(transaction: &Transaction<'_>, growth: &[Contact]) -> rusqlite::Result<()> {
    let mut name = transaction.prepare_cached(
        "INSERT OR IGNORE INTO matched_contact (tcn, quarter, report, seen, dismissed) \
         SELECT DISTINCT tcn, ?2, report, 0, 0 FROM matched_contact WHERE tcn = ?1 \
         AND (SELECT count(*) FROM matched_contact) < ?3",
    )?;
    for contact in growth {
        let quarter = signed(Row::quarter(contact.start));
        name.execute(params![contact.tcn.as_bytes(), quarter, MOST_NAMED])?;
    }
    Ok(())
}

/// Destroys what was received, or looked at, before `before`, and matches
/// whose contacts are gone.
pub(super) fn forget(transaction: &Transaction<'_>, before: UnixTime) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM seen_report WHERE day < ?1",
        [signed(before.0 / DAY)],
    )?;
    transaction.execute(
        "DELETE FROM matched_report WHERE received < ?1",
        [signed(before.0)],
    )?;
    orphans(transaction)
}

/// Destroys matches whose contacts are gone, and reports that match nothing
/// any more.
pub(super) fn orphans(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DELETE FROM matched_contact WHERE NOT EXISTS (SELECT 1 FROM contact \
           WHERE contact.quarter = matched_contact.quarter AND contact.tcn = matched_contact.tcn);
         DELETE FROM matched_report WHERE NOT EXISTS \
           (SELECT 1 FROM matched_contact WHERE report = matched_report.id);",
    )
}
