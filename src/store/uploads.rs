//! Parts of our own reports on their way to servers.
//!
//! ```text
//!            taken            accepted
//!   queued ────────▶ sent ──────────────▶ accepted
//!     │               │ │    refused
//!     ▼               │ ├───────────────▶ refused
//!   cancelled:        │ │    cancelled
//!   forgotten         │ └───────────────▶ cancelled: may have left, and is
//!                     │                   not sent again
//!                     └─ failed, or nothing heard: taken again when due
//! ```
//!
//! That a part left is written, durably, before it is handed out. So what is not
//! `sent` never left, and what is may have: after a crash it is sent again, and
//! a server that has it already keeps it once.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tcn_engine::KeyId;
use tcn_exchange::upload_result::UploadResult;
use tcn_exchange::upload_schedule;
use tcn_protocol::{SignedReport, UnixTime, wire};

use super::database::Durable;
use super::error::Error;
use super::handle::Store;
use super::sql::{signed, unsigned};

/// Where a part is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// It has not left.
    Queued,
    /// It was handed out to be sent; what became of it is not known.
    Sent,
    /// The server has it.
    Accepted,
    /// The server does not want it.
    Refused,
    /// It was handed out, what became of it is not known, and it is not sent again.
    Cancelled,
}

/// What of a report could be sent to a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sendable {
    /// Parts that are not on their way there, and were not accepted.
    pub new: usize,
    /// Parts that are on their way there, but not due yet.
    pub waiting: usize,
}

/// What became of the parts of a report for a source when it was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The name of the source.
    pub source: String,
    /// Parts that had not left, and do not.
    pub cancelled: usize,
    /// Parts that had left, or may have.
    pub left: usize,
}

/// One part on its way to one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// The key of the part.
    pub key: KeyId,
    /// Where it goes.
    pub source: String,
    /// When it may leave.
    pub due: UnixTime,
    /// It need not keep its distance from others.
    pub urgent: bool,
}

/// A part that is to be sent now.
#[derive(Debug)]
pub struct DueUpload {
    /// Its local name, which says nothing of the order of keys.
    pub id: u64,
    /// The part.
    pub signed: SignedReport,
}

/// A part as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where it goes.
    pub source: String,
    /// How far it is.
    pub state: UploadState,
    /// Since when.
    pub at: UnixTime,
    /// When it leaves, or is tried again, at the earliest.
    pub due: Option<UnixTime>,
    /// What the server, or the network, said last.
    pub reason: String,
}

impl UploadState {
    const fn number(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Accepted => 2,
            Self::Refused => 3,
            Self::Cancelled => 4,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Queued,
            1 => Self::Sent,
            2 => Self::Accepted,
            3 => Self::Refused,
            _ => Self::Cancelled,
        }
    }
}

impl Store {
    /// The keys of a report's parts; none if it is not there any more.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn parts(&self, report: u64) -> Result<Vec<KeyId>, Error> {
        self.call(move |database| Ok(parts(&database.connection, report)?))
            .await
    }

    /// What of a report could be sent to each of these sources, in their order.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn sendable(
        &self,
        report: u64,
        sources: Vec<String>,
        now: UnixTime,
    ) -> Result<Vec<Sendable>, Error> {
        self.call(move |database| {
            let sources = sources.iter();
            let sendable =
                sources.map(|source| sendable(&database.connection, report, source, now));
            Ok(sendable.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Parts of a report that have not left leave no more, durably; those that left
    /// and were to be tried again are not. For this source, or for all; says what
    /// became of the parts of each.
    ///
    /// # Errors
    /// If the database cannot be written; then all leave as before.
    pub async fn cancel_uploads(
        &self,
        report: u64,
        source: Option<String>,
    ) -> Result<Vec<Cancelled>, Error> {
        self.transact(Durable::PowerLoss, move |t| {
            cancel_for(t, report, source.as_deref())
        })
        .await
    }

    /// Queues parts of a report, durably, in the order given; how many. One that
    /// is on its way to that source already is hurried if it is urgent now; one that
    /// was accepted stays as it is; one that was refused there or cancelled is
    /// tried again.
    ///
    /// # Errors
    /// If the database cannot be written; then none is queued.
    pub async fn queue(
        &self,
        report: u64,
        uploads: Vec<NewUpload>,
        now: UnixTime,
    ) -> Result<usize, Error> {
        self.transact(Durable::PowerLoss, move |t| queue(t, report, &uploads, now))
            .await
    }

    /// The part for `source` that has been due longest, if one is; that it left
    /// is written before, durably. Tried again at `again` unless its outcome is
    /// told before. Others for this source that need keep a distance leave at
    /// `next` at the earliest.
    ///
    /// # Errors
    /// If the database cannot be written; then nothing may leave.
    pub async fn take_upload(
        &self,
        source: String,
        now: UnixTime,
        again: UnixTime,
        next: UnixTime,
    ) -> Result<Option<DueUpload>, Error> {
        self.call(move |database| {
            let take = |t: &Transaction<'_>| take(t, &source, now, again, next);
            let Some((id, bytes)) = database.transact(Durable::PowerLoss, take)? else {
                return Ok(None);
            };
            let signed = wire::parse(&bytes).map_err(|_| Error::unreadable())?;
            Ok(Some(DueUpload { id, signed }))
        })
        .await
    }

    /// Keeps the result of the upload of a part, durably; whether it was on its way. A
    /// failed one is tried again after the time that `wait` returns for the number of
    /// tries and the wait that the server asked for.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn settle_upload(
        &self,
        id: u64,
        result: UploadResult,
        now: UnixTime,
        wait: impl FnOnce(u32, Option<Duration>) -> Duration + Send + 'static,
    ) -> Result<bool, Error> {
        self.transact(Durable::PowerLoss, move |t| {
            settle(t, id, &result, now, wait)
        })
        .await
    }
}

const UNDER_WAY: &str = "state < 2";

fn parts(db: &Connection, report: u64) -> rusqlite::Result<Vec<KeyId>> {
    db.prepare_cached("SELECT key FROM own_part WHERE report = ?1 AND signed IS NOT NULL")?
        .query_map([signed(report)], |row| Ok(KeyId(unsigned(row.get(0)?))))?
        .collect()
}

fn queue(
    transaction: &Transaction<'_>,
    report: u64,
    uploads: &[NewUpload],
    now: UnixTime,
) -> rusqlite::Result<usize> {
    let mut again = transaction.prepare_cached(
        "DELETE FROM upload WHERE report = ?1 AND key = ?2 AND source = ?3 AND state > 2",
    )?;
    let mut hurry = transaction.prepare_cached(&format!(
        "UPDATE upload SET due = min(due, ?4), urgent = 1 WHERE report = ?1 AND key = ?2 \
         AND source = ?3 AND {UNDER_WAY} AND (urgent = 0 OR due > ?4)"
    ))?;
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO upload (report, key, source, state, at, due, urgent, tries, reason) \
         SELECT report, key, ?3, 0, ?4, ?5, ?6, 0, '' FROM own_part \
         WHERE report = ?1 AND key = ?2 AND signed IS NOT NULL",
    )?;
    let mut queued = 0;
    for upload in uploads {
        let key = signed(upload.key.0);
        again.execute(params![signed(report), key, upload.source])?;
        if upload.urgent {
            queued += hurry.execute(params![signed(report), key, upload.source, signed(now.0)])?;
        }
        queued += insert.execute(params![
            signed(report),
            key,
            upload.source,
            signed(now.0),
            signed(upload.due.0),
            upload.urgent
        ])?;
    }
    Ok(queued)
}

fn sendable(
    db: &Connection,
    report: u64,
    source: &str,
    now: UnixTime,
) -> rusqlite::Result<Sendable> {
    const NEW: &str = "SELECT count(*) FROM own_part LEFT JOIN upload \
                       ON upload.report = own_part.report AND upload.key = own_part.key \
                       AND source = ?2 WHERE own_part.report = ?1 AND signed IS NOT NULL \
                       AND (state IS NULL OR state > 2)";
    let waiting = format!(
        "SELECT count(*) FROM upload WHERE report = ?1 AND source = ?2 \
         AND {UNDER_WAY} AND (urgent = 0 OR due > ?3)"
    );
    let count = |row: &rusqlite::Row<'_>| row.get(0).map(unsigned);
    let new = params![signed(report), source];
    let new = db.prepare_cached(NEW)?.query_row(new, count)?;
    let waiting_now = params![signed(report), source, signed(now.0)];
    let waiting = db.prepare_cached(&waiting)?.query_row(waiting_now, count)?;
    Ok(Sendable {
        new: usize::try_from(new).unwrap_or(usize::MAX),
        waiting: usize::try_from(waiting).unwrap_or(usize::MAX),
    })
}

fn cancel_for(
    transaction: &Transaction<'_>,
    report: u64,
    source: Option<&str>,
) -> rusqlite::Result<Vec<Cancelled>> {
    let of_these = "report = ?1 AND (?2 IS NULL OR source = ?2)";
    let those = params![signed(report), source];
    let became = transaction
        .prepare_cached(&format!(
            "SELECT source, sum(state = 0), sum(state != 0) FROM upload \
             WHERE {of_these} GROUP BY source ORDER BY source"
        ))?
        .query_map(those, |row| {
            let count = |column| {
                row.get(column)
                    .map(|n: i64| usize::try_from(n).unwrap_or(0))
            };
            Ok(Cancelled {
                source: row.get(0)?,
                cancelled: count(1)?,
                left: count(2)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    transaction.execute(
        &format!("DELETE FROM upload WHERE {of_these} AND state = 0"),
        those,
    )?;
    transaction.execute(
        &format!("UPDATE upload SET state = 4 WHERE {of_these} AND state = 1"),
        those,
    )?;
    Ok(became)
}

fn take(
    transaction: &Transaction<'_>,
    source: &str,
    now: UnixTime,
    again: UnixTime,
    later: UnixTime,
) -> rusqlite::Result<Option<(u64, Vec<u8>)>> {
    // A clock that was ahead when they were queued must not keep them for a month.
    transaction.execute(
        &format!("UPDATE upload SET due = ?2 WHERE source = ?1 AND {UNDER_WAY} AND due > ?2"),
        params![source, signed(now.after(upload_schedule::LATEST_DUE).0)],
    )?;
    let due = transaction
        .prepare_cached(&format!(
            "SELECT upload.id, upload.report, signed FROM upload JOIN own_part USING (report, key) \
             WHERE source = ?1 AND {UNDER_WAY} AND due <= ?2 AND signed IS NOT NULL \
             ORDER BY due, upload.id LIMIT 1"
        ))?
        .query_row(params![source, signed(now.0)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((id, report, part)): Option<(i64, i64, Vec<u8>)> = due else {
        return Ok(None);
    };
    transaction.execute(
        "UPDATE upload SET state = 1, at = ?2, due = ?3, tries = min(tries + 1, 1000000) \
         WHERE id = ?1",
        params![id, signed(now.0), signed(again.0)],
    )?;
    transaction.execute(
        &format!(
            "UPDATE upload SET due = max(due, ?3) \
             WHERE source = ?1 AND id != ?2 AND urgent = 0 AND {UNDER_WAY}"
        ),
        params![source, id, signed(later.0)],
    )?;
    record_upload_release(transaction, report, source, now)?;
    Ok(Some((unsigned(id), part)))
}

/// Records the release of the report, once for each source.
fn record_upload_release(
    transaction: &Transaction<'_>,
    report: i64,
    source: &str,
    now: UnixTime,
) -> rusqlite::Result<()> {
    let how = format!("publish-{source}");
    transaction.execute(
        "INSERT INTO departure (report, at, how) SELECT ?1, ?2, ?3 WHERE NOT EXISTS \
         (SELECT 1 FROM departure WHERE report = ?1 AND how = ?3)",
        params![report, signed(now.0), how],
    )?;
    Ok(())
}

/// How often a part was taken, if it is on its way.
fn tries(db: &Connection, id: u64) -> rusqlite::Result<Option<u32>> {
    // One that was cancelled meanwhile is on its way all the same.
    db.prepare_cached("SELECT tries FROM upload WHERE id = ?1 AND state IN (1, 4)")?
        .query_row([signed(id)], |row| row.get(0))
        .optional()
}

fn settle(
    transaction: &Transaction<'_>,
    id: u64,
    result: &UploadResult,
    now: UnixTime,
    wait: impl FnOnce(u32, Option<Duration>) -> Duration,
) -> rusqlite::Result<bool> {
    let Some(tries) = tries(transaction, id)? else {
        return Ok(false);
    };
    let (state, reason, due) = match result {
        UploadResult::Accepted => (UploadState::Accepted, "", None),
        UploadResult::Refused { reason } => (UploadState::Refused, reason.as_str(), None),
        UploadResult::Failed {
            reason,
            retry_after,
        } => {
            let again = now.after(wait(tries, *retry_after));
            (UploadState::Sent, reason.as_str(), Some(signed(again.0)))
        }
    };
    transaction.execute(
        "UPDATE upload SET state = CASE WHEN state = 4 AND ?2 = 1 THEN 4 ELSE ?2 END, \
         at = ?3, reason = ?4, due = coalesce(?5, due) WHERE id = ?1 AND state IN (1, 4)",
        params![signed(id), state.number(), signed(now.0), reason, due],
    )?;
    Ok(true)
}

/// The parts of a report and how far each is, by source.
pub(super) fn of_report(db: &Connection, report: u64) -> rusqlite::Result<Vec<Upload>> {
    db.prepare_cached(
        "SELECT source, state, at, due, reason FROM upload WHERE report = ?1 ORDER BY source, id",
    )?
    .query_map([signed(report)], |row| {
        let state = UploadState::of(row.get(1)?);
        let due = UnixTime(unsigned(row.get(3)?));
        let under_way = matches!(state, UploadState::Queued | UploadState::Sent);
        Ok(Upload {
            source: row.get(0)?,
            state,
            at: UnixTime(unsigned(row.get(2)?)),
            due: under_way.then_some(due),
            reason: row.get(4)?,
        })
    })?
    .collect()
}

/// Parts of a deleted report leave no more. Those that left stay as the record
/// of that.
pub(super) fn cancel(transaction: &Transaction<'_>, report: u64) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM upload WHERE report = ?1 AND state = 0",
        [signed(report)],
    )?;
    Ok(())
}
