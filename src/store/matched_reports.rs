//! Reports of others that named a contact, and what the person did about it.
//!
//! Which contacts of a report count depends on when the report became public,
//! because from then on anyone can send its numbers. Each source tells that time for
//! itself, and the latest one counts: a contact counts if it began before **some**
//! source told that the report was public. So no source takes a contact away from
//! what another gives, whatever it tells, and in whatever order they come. What a
//! source can add is bounded by what it told first: a report that it delivers
//! again, later, is as old as the first time (`seen`). The quota of matches is
//! divided among the sources in the same way.
//!
//! Exposures have no table. They are computed from the contacts a report named at
//! each query. So an exposure that still grows stays the same exposure, and one whose
//! contacts are destroyed is gone with them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tcn_engine::Contact;
use tcn_exchange::help::Help;
use tcn_protocol::{Memo, MemoType, ReportDigest, TemporaryContactNumber, UnixTime};

use super::contact_row::{ContactRow, times};
use super::error::Error;
use super::handle::Store;
use super::log::Log;
use super::seen::SourceId;
use super::sql::{signed, unsigned};
use super::{contacts, seen, sources};

/// A report from another person that named contacts and has a valid signature.
#[derive(Debug)]
pub struct NewMatch {
    /// Which report.
    pub digest: ReportDigest,
    /// What it says besides its numbers.
    pub memo: Memo,
    /// Where it came from.
    pub source: SourceId,
    /// The same, for people.
    pub label: String,
    /// By when it was public, the earliest that this source told.
    pub published: UnixTime,
    /// When it came here.
    pub received: UnixTime,
    /// The contacts it named, by when they began and their number. With none, only
    /// what the source tells is kept, of a report that is known.
    pub contacts: Vec<(UnixTime, TemporaryContactNumber)>,
}

/// What became of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The report had named nothing before.
    New,
    /// It is known; another source, another publication or more contacts were
    /// added.
    Updated,
    /// It is known, and nothing was added.
    Known,
    /// None of its contacts is in the log any more; nothing was kept.
    ContactsGone,
    /// Reports of this source name its contacts, or contacts at all, as often as they
    /// may; nothing was kept.
    OverQuota,
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
    /// Where those of the sources that say so have help.
    pub help: Vec<SourceHelp>,
    /// By when it was public: of each source the earliest that it told, and of
    /// those the latest.
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

/// Where a source of a matched report says that people find help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHelp {
    /// The label of the source.
    pub label: String,
    /// A page, a telephone number, or both.
    pub help: Help,
}

/// When the contacts of a matched report were, and which of them the person has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedTimes {
    /// By when the report was public.
    pub published: UnixTime,
    /// Start and end of each contact.
    pub contacts: Vec<(UnixTime, UnixTime)>,
    /// Starts of those that the person has seen.
    pub seen: Vec<UnixTime>,
}

impl Store {
    /// Keeps matches, durably, all or none; what became of each, in their
    /// order.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing is kept.
    pub async fn record_matches(&self, found: Vec<NewMatch>) -> Result<Vec<Recorded>, Error> {
        self.call(move |database| Ok(database.change(|log| record_all(log, &found))?))
            .await
    }

    /// All matched reports whose contacts are in the log, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn matched_reports(&self) -> Result<Vec<MatchedReport>, Error> {
        self.call(|database| database.query(|log| load(log, None)))
            .await
    }

    /// The matched report of this id, if its contacts are in the log.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn matched_report(&self, id: u64) -> Result<Option<MatchedReport>, Error> {
        self.call(move |database| database.query(|log| Ok(load(log, Some(id))?.pop())))
            .await
    }

    /// When the contacts of each matched report were: what it takes to count exposures.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn matched_times(&self) -> Result<Vec<MatchedTimes>, Error> {
        self.call(|database| database.query(load_times)).await
    }
}

/// Reports of one source that may name one contact. A key belongs to one person, so
/// more than a few of them were made to fill the disk.
const MOST_REPORTS_A_CONTACT: i64 = 8;

/// Contacts that all reports together may name, each time counted: more than a
/// person meets, and few enough to be held in memory. The sources, and the files
/// that people import, have an equal share each.
const MOST_NAMED: i64 = 1 << 16;

/// How many more contacts the reports of each source may name.
struct Quota {
    share: i64,
    named: BTreeMap<i64, i64>,
}

impl Quota {
    fn now(transaction: &Transaction<'_>) -> rusqlite::Result<Self> {
        let sources: i64 = transaction
            .prepare_cached("SELECT count(*) FROM source")?
            .query_row([], |row| row.get(0))?;
        let named = transaction
            .prepare_cached(
                "SELECT source, count(*) FROM matched_contact JOIN \
                 (SELECT DISTINCT report, source FROM report_source) USING (report) GROUP BY source",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            share: MOST_NAMED / (sources + 1),
            named,
        })
    }

    fn is_left(&self, source: i64) -> bool {
        self.named.get(&source).copied().unwrap_or(0) < self.share
    }

    fn take(&mut self, source: i64) {
        *self.named.entry(source).or_default() += 1;
    }
}

fn record_all(log: &Log<'_>, found: &[NewMatch]) -> rusqlite::Result<Vec<Recorded>> {
    let mut quota = Quota::now(log)?;
    let record = |found| record(log, found, &mut quota);
    found.iter().map(record).collect()
}

/// What was destroyed since it was read, by hand or by retention, is not
/// written back under another table.
fn record(log: &Log<'_>, found: &NewMatch, quota: &mut Quota) -> rusqlite::Result<Recorded> {
    let known: Option<i64> = log
        .prepare_cached("SELECT id FROM matched_report WHERE digest = ?1")?
        .query_row([found.digest.as_bytes()], |row| row.get(0))
        .optional()?;
    let contacts = still_there(log, found)?;
    if contacts.is_empty() && (known.is_none() || !found.contacts.is_empty()) {
        return Ok(Recorded::ContactsGone);
    }
    let none = contacts.is_empty();
    let contacts = within_quota(log, found, contacts, quota)?;
    if contacts.is_empty() && !none {
        return Ok(Recorded::OverQuota);
    }
    let id = known.map_or_else(|| insert(log, found), Ok)?;
    let mut added = write_source(log, id, found)?;
    let mut name = log.prepare_cached(
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

/// Keeps what a source tells of a report; how many rows that changed.
fn write_source(
    transaction: &Transaction<'_>,
    id: i64,
    found: &NewMatch,
) -> rusqlite::Result<usize> {
    let told = transaction
        .prepare_cached(
            "INSERT INTO report_source (report, source, label, published, help_url, help_phone) \
             VALUES (?1, ?2, ?3, ?4, coalesce((SELECT help_url FROM source WHERE id = ?2), ''), \
             coalesce((SELECT help_phone FROM source WHERE id = ?2), '')) \
             ON CONFLICT DO UPDATE SET published = excluded.published \
             WHERE excluded.published < published",
        )?
        .execute(params![
            id,
            found.source.0,
            found.label,
            signed(found.published.0)
        ])?;
    transaction
        .prepare_cached(
            "UPDATE matched_report SET published = told FROM \
             (SELECT max(earliest) AS told FROM (SELECT min(published) AS earliest \
              FROM report_source WHERE report = ?1 GROUP BY source)) \
             WHERE id = ?1 AND published <> told",
        )?
        .execute([id])?;
    Ok(told)
}

type Named<'a> = (&'a TemporaryContactNumber, i64);

fn still_there<'a>(log: &Log<'_>, found: &'a NewMatch) -> rusqlite::Result<Vec<Named<'a>>> {
    let mut there = log.prepare_cached("SELECT 1 FROM contact WHERE quarter = ?1 AND tcn = ?2")?;
    let mut contacts = Vec::with_capacity(found.contacts.len());
    for (start, tcn) in &found.contacts {
        let quarter = signed(ContactRow::quarter(*start));
        if there.exists(params![quarter, tcn.as_bytes()])? {
            contacts.push((tcn, quarter));
        }
    }
    Ok(contacts)
}

/// Those that this report names already, and as many more as the quota of this
/// source allows.
fn within_quota<'a>(
    transaction: &Transaction<'_>,
    found: &NewMatch,
    contacts: Vec<Named<'a>>,
    quota: &mut Quota,
) -> rusqlite::Result<Vec<Named<'a>>> {
    let source = found.source.0;
    let mut count = transaction.prepare_cached(
        "SELECT coalesce(sum(report IN (SELECT report FROM report_source WHERE source = ?4)), 0), \
         coalesce(max(digest = ?3), 0) FROM matched_contact \
         JOIN matched_report ON id = report WHERE tcn = ?1 AND quarter = ?2",
    )?;
    let mut kept = Vec::with_capacity(contacts.len());
    for (tcn, quarter) in contacts {
        let place = params![tcn.as_bytes(), quarter, found.digest.as_bytes(), source];
        let (reports, named): (i64, bool) =
            count.query_row(place, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if named {
            kept.push((tcn, quarter));
        } else if reports < MOST_REPORTS_A_CONTACT && quota.is_left(source) {
            quota.take(source);
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

/// All matched reports, or the one of this id.
fn load(log: &Log<'_>, only: Option<u64>) -> rusqlite::Result<Vec<MatchedReport>> {
    let only = only.map(signed);
    let mut contacts = contacts(log, only)?;
    let mut query = log.prepare_cached(
        "SELECT id, published, received, memo_type, memo FROM matched_report \
         WHERE ?1 IS NULL OR id = ?1 ORDER BY id",
    )?;
    let mut rows = query.query([only])?;
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
            sources: sources(log, id)?,
            help: help(log, id)?,
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

fn contacts(log: &Log<'_>, only: Option<i64>) -> rusqlite::Result<BTreeMap<i64, Contacts>> {
    let mut query = log.prepare_cached(
        "SELECT quarter, span, rssi_max, rssi_sum, sightings, bridged, unheard, tcn, report, seen, \
         dismissed FROM matched_contact JOIN contact USING (quarter, tcn) WHERE ?1 IS NULL OR report = ?1",
    )?;
    let mut rows = query.query([only])?;
    let mut reports: BTreeMap<i64, Contacts> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let tcn = TemporaryContactNumber::from_bytes(row.get(7)?);
        let contact = contacts::row(row)?.contact(tcn);
        let report = reports.entry(row.get(8)?).or_default();
        let (seen, dismissed): (bool, bool) = (row.get(9)?, row.get(10)?);
        report.seen.extend(seen.then_some(contact.start));
        report.dismissed.extend(dismissed.then_some(contact.start));
        report.all.push(contact);
    }
    Ok(reports)
}

fn load_times(log: &Log<'_>) -> rusqlite::Result<Vec<MatchedTimes>> {
    let mut query = log.prepare_cached(
        "SELECT report, published, quarter, span, seen FROM matched_contact \
         JOIN contact USING (quarter, tcn) JOIN matched_report ON id = report ORDER BY report",
    )?;
    let mut rows = query.query([])?;
    let mut reports: Vec<(i64, MatchedTimes)> = Vec::new();
    while let Some(row) = rows.next()? {
        let report = row.get(0)?;
        if reports.last().is_none_or(|(last, _)| *last != report) {
            let times = MatchedTimes {
                published: UnixTime(unsigned(row.get(1)?)),
                contacts: Vec::new(),
                seen: Vec::new(),
            };
            reports.push((report, times));
        }
        let (start, end) = times(unsigned(row.get(2)?), unsigned(row.get(3)?));
        let (start, end) = (UnixTime(start), UnixTime(end));
        let seen: bool = row.get(4)?;
        if let Some((_, report)) = reports.last_mut() {
            report.contacts.push((start, end));
            report.seen.extend(seen.then_some(start));
        }
    }
    Ok(reports.into_iter().map(|(_, times)| times).collect())
}

fn sources(db: &Connection, report: i64) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached("SELECT DISTINCT label FROM report_source WHERE report = ?1 ORDER BY label")?
        .query_map([report], |row| row.get(0))?
        .collect()
}

/// The help of the sources of a report that have one. What a source says now counts, and of
/// a source that is not configured any more what it said when it brought the report. So a
/// run of tcnd-sync changes nothing here, and takes the same time whatever was matched.
fn help(db: &Connection, report: i64) -> rusqlite::Result<Vec<SourceHelp>> {
    let mut query = db.prepare_cached(
        "SELECT DISTINCT report_source.label, \
         coalesce(source.help_url, report_source.help_url) AS url, \
         coalesce(source.help_phone, report_source.help_phone) AS phone \
         FROM report_source LEFT JOIN source ON source.id = report_source.source \
         WHERE report = ?1 ORDER BY 1, 2, 3",
    )?;
    let told = query.query_map([report], |row| {
        Ok(SourceHelp {
            label: row.get(0)?,
            help: sources::help(row, 1)?,
        })
    })?;
    let told = told.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(told
        .into_iter()
        .filter(|told| !told.help.is_none())
        .collect())
}

/// Whether a report names any of these numbers.
pub(super) fn name_any(db: &Connection, growth: &[Contact]) -> rusqlite::Result<bool> {
    let mut named = db.prepare_cached("SELECT 1 FROM matched_contact WHERE tcn = ?1")?;
    for contact in growth {
        if named.exists([contact.tcn.as_bytes()])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A number that a report named was heard in another quarter of an hour: that
/// contact is named too, unless it began when the report was public. Whether a contact
/// that a report names has grown, so that exposures may have changed.
pub(super) fn extend_matches(log: &Log<'_>, growth: &[Contact]) -> rusqlite::Result<bool> {
    let mut naming = log.prepare_cached(
        "SELECT DISTINCT report FROM matched_contact JOIN matched_report ON id = report \
         WHERE tcn = ?1 AND published >= ?2 AND NOT EXISTS (SELECT 1 FROM matched_contact AS known \
         WHERE known.tcn = ?1 AND known.quarter = ?3 AND known.report = id)",
    )?;
    let mut named =
        log.prepare_cached("SELECT 1 FROM matched_contact WHERE tcn = ?1 AND quarter = ?2")?;
    let mut quota = None;
    let mut changed = false;
    for contact in growth {
        let (tcn, quarter) = (&contact.tcn, signed(ContactRow::quarter(contact.start)));
        let reports = naming
            .query_map(
                params![tcn.as_bytes(), signed(contact.start.0), quarter],
                |row| row.get(0),
            )?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        for report in reports {
            let quota = match &mut quota {
                Some(quota) => quota,
                none @ None => none.insert(Quota::now(log)?),
            };
            extend_match(log, (tcn, quarter), report, quota)?;
        }
        changed = changed || named.exists(params![tcn.as_bytes(), quarter])?;
    }
    Ok(changed)
}

/// Adds a contact to what a report names, if the quota of one of its sources allows it.
fn extend_match(
    transaction: &Transaction<'_>,
    (tcn, quarter): Named<'_>,
    report: i64,
    quota: &mut Quota,
) -> rusqlite::Result<()> {
    let sources = transaction
        .prepare_cached("SELECT DISTINCT source FROM report_source WHERE report = ?1")?
        .query_map([report], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    if !sources.iter().any(|source| quota.is_left(*source)) {
        return Ok(());
    }
    sources.iter().for_each(|source| quota.take(*source));
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO matched_contact (tcn, quarter, report, seen, dismissed) \
             VALUES (?1, ?2, ?3, 0, 0)",
        )?
        .execute(params![tcn.as_bytes(), quarter, report])?;
    Ok(())
}

/// Destroys what was received before `before`, and matches whose contacts are
/// gone.
pub(super) fn forget(log: &Log<'_>, before: UnixTime) -> rusqlite::Result<()> {
    seen::forget(log, before)?;
    log.execute(
        "DELETE FROM matched_report WHERE received < ?1",
        [signed(before.0)],
    )?;
    delete_orphans(log)
}

/// Destroys matches whose contacts are gone, and reports that match nothing
/// any more.
pub(super) fn delete_orphans(log: &Log<'_>) -> rusqlite::Result<()> {
    log.execute_batch(
        "DELETE FROM matched_contact WHERE NOT EXISTS (SELECT 1 FROM contact \
           WHERE contact.quarter = matched_contact.quarter AND contact.tcn = matched_contact.tcn);
         DELETE FROM matched_report WHERE NOT EXISTS \
           (SELECT 1 FROM matched_contact WHERE report = matched_report.id);",
    )
}
