//! New dates for the log after the wall clock was set.
//!
//! The rows of this boot move, those of other boots stay. Both can be told apart
//! by their dates, unless a clock was behind: then rows of other boots lie where
//! those of this boot come to lie. Their keys are held in memory, up to
//! [`MOST_OF_OTHERS`]; past that nothing moves any more until the clock is
//! confirmed. A row that moves onto another one of the same number is merged with
//! it, so no sighting is lost.
//!
//! All of it is one transaction, so a process that is killed finds the log in one
//! state or the other, with the [`ClockRecord`](tcn_engine::ClockRecord) that goes with
//! it. Rows go through memory by the quarter of an hour they began in.

use std::collections::{BTreeSet, VecDeque};

use rusqlite::{Transaction, params};
use tcn_engine::{CLOCK_FLOOR, Redating, Shift};
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::clock;
use super::contact_row::{ContactRow, QUARTER};
use super::contacts;
use super::log::Log;
use super::sql::signed;

/// Rows of other boots that are told apart one by one: more than a fortnight of
/// twenty neighbours has. About 3 MiB.
pub(super) const MOST_OF_OTHERS: usize = 1 << 16;

/// The start of a row in seconds.
const START: &str = "quarter * 900 + (span & 1023)";

type Tcn = TemporaryContactNumber;

/// New dates that wait to be written, and rows that do not move.
#[derive(Debug, Default)]
pub(super) struct PendingDates {
    /// Not written yet, in order.
    waiting: VecDeque<Redating>,
    pub(super) others: OtherBoots,
}

impl PendingDates {
    pub(super) fn push(&mut self, redating: Redating) {
        self.waiting.push_back(redating);
    }

    /// What has to be written next.
    pub(super) fn next(&self) -> Option<Redating> {
        self.waiting.front().copied()
    }

    /// The next is written, and these rows do not move.
    pub(super) fn applied(&mut self, others: OtherBoots) {
        self.others = others;
        self.waiting.pop_front();
    }
}

/// Rows of other boots among those of this one.
#[derive(Clone, Debug, Default)]
pub(super) struct OtherBoots {
    rows: BTreeSet<(i64, Tcn)>,
    /// There were too many of them.
    mixed: bool,
}

impl OtherBoots {
    /// Whether dates of this boot and of others are mixed from some time on.
    pub(super) fn are_mixed(&self) -> bool {
        self.mixed || !self.rows.is_empty()
    }

    fn add(
        &mut self,
        transaction: &Transaction<'_>,
        from: UnixTime,
        to: UnixTime,
    ) -> rusqlite::Result<()> {
        let mut query = transaction.prepare_cached(&format!(
            "SELECT quarter, tcn FROM contact WHERE quarter BETWEEN ?1 AND ?2 \
             AND {START} >= ?3 AND {START} < ?4"
        ))?;
        let quarters = (signed(from.0 / QUARTER), signed(to.0 / QUARTER));
        let bounds = params![quarters.0, quarters.1, signed(from.0), signed(to.0)];
        let mut rows = query.query(bounds)?;
        while let Some(row) = rows.next()? {
            if self.rows.len() >= MOST_OF_OTHERS {
                self.rows.clear();
                self.mixed = true;
                return Ok(());
            }
            self.rows
                .insert((row.get(0)?, Tcn::from_bytes(row.get(1)?)));
        }
        Ok(())
    }
}

/// Writes new dates, and the record of the clock that goes with them.
pub(super) fn apply(
    log: &Log<'_>,
    redating: &Redating,
    others: &mut OtherBoots,
) -> rusqlite::Result<()> {
    let Redating { moved, then, .. } = redating;
    match moved {
        Some(shift) => {
            let before = others.clone();
            others.add(log, *then, shift.since)?;
            if !before.mixed {
                move_contacts(log, *shift, &before.rows)?;
            }
            reports(log, *shift)?;
        }
        None => {
            *others = OtherBoots::default();
            others.add(log, *then, UnixTime(i64::MAX.unsigned_abs()))?;
        }
    }
    keys(log, redating)?;
    uploads(log, redating.jump)?;
    clock::forget_unfinished(log, asked_again(redating))?;
    clock::write(log, &redating.record, others.are_mixed())
}

/// From when on intervals are asked for again: those that are not over yet, and
/// those that ended before contacts of this boot and end after them now, because their
/// reports may name contacts that began too late before.
fn asked_again(redating: &Redating) -> UnixTime {
    let now = redating.record.at.wall;
    match redating.moved {
        Some(shift) if shift.by < 0 => {
            now.min(UnixTime(shift.since.0.saturating_add_signed(shift.by)))
        }
        Some(_) | None => now,
    }
}

/// Moves rows by the quarter: the newest first if they move ahead, the oldest
/// first if they move back. So none is met twice.
fn move_contacts(
    transaction: &Transaction<'_>,
    shift: Shift,
    others: &BTreeSet<(i64, Tcn)>,
) -> rusqlite::Result<()> {
    let first = signed(shift.since.0 / QUARTER);
    let next = match shift.by {
        0 => return Ok(()),
        1.. => "SELECT max(quarter) FROM contact WHERE quarter BETWEEN ?1 AND ?2",
        ..0 => "SELECT min(quarter) FROM contact WHERE quarter BETWEEN ?1 AND ?2",
    };
    let named: bool =
        transaction.query_row("SELECT EXISTS (SELECT 1 FROM matched_contact)", [], |row| {
            row.get(0)
        })?;
    let (mut from, mut to) = (first, i64::MAX);
    let mut next = transaction.prepare(next)?;
    loop {
        let quarter: Option<i64> = next.query_row([from, to], |row| row.get(0))?;
        let Some(quarter) = quarter else {
            return Ok(());
        };
        for (tcn, row) in rows_of(transaction, quarter)? {
            if row.start >= shift.since.0 && !others.contains(&(quarter, tcn)) {
                move_row(transaction, (quarter, tcn), &row, shift.by, named)?;
            }
        }
        match shift.by {
            1.. => to = quarter - 1,
            ..=0 => from = quarter + 1,
        }
        if from > to {
            return Ok(());
        }
    }
}

fn rows_of(
    transaction: &Transaction<'_>,
    quarter: i64,
) -> rusqlite::Result<Vec<(Tcn, ContactRow)>> {
    let mut query = transaction.prepare_cached(
        "SELECT quarter, span, rssi_max, rssi_sum, sightings, bridged, unheard, tcn \
         FROM contact WHERE quarter = ?1",
    )?;
    let rows = query.query_map([quarter], |row| {
        Ok((Tcn::from_bytes(row.get(7)?), contacts::row(row)?))
    })?;
    rows.collect()
}

fn move_row(
    transaction: &Transaction<'_>,
    (quarter, tcn): (i64, Tcn),
    row: &ContactRow,
    by: i64,
    named: bool,
) -> rusqlite::Result<()> {
    let moved = ContactRow {
        start: row.start.saturating_add_signed(by),
        end: row.end.saturating_add_signed(by),
        ..row.clone()
    };
    transaction
        .prepare_cached("DELETE FROM contact WHERE quarter = ?1 AND tcn = ?2")?
        .execute(params![quarter, tcn.as_bytes()])?;
    contacts::put(transaction, tcn, moved.clone())?;
    let there = signed(moved.start / QUARTER);
    if named && there != quarter {
        transaction
            .prepare_cached(
                "UPDATE OR IGNORE matched_contact SET quarter = ?3 WHERE tcn = ?1 AND quarter = ?2",
            )?
            .execute(params![tcn.as_bytes(), quarter, there])?;
        // A report that named both rows names the merged one.
        transaction
            .prepare_cached("DELETE FROM matched_contact WHERE tcn = ?1 AND quarter = ?2")?
            .execute(params![tcn.as_bytes(), quarter])?;
    }
    Ok(())
}

/// What was on the air, by the keys of this boot.
fn keys(transaction: &Transaction<'_>, redating: &Redating) -> rusqlite::Result<()> {
    let impossible = redating.impossible.unwrap_or(0);
    let (since, by) = redating
        .moved
        .map_or((i64::MAX, 0), |shift| (signed(shift.since.0), shift.by));
    for (table, key, columns) in [
        ("report_key", "id", &["born"][..]),
        ("broadcast", "key", &["first", "last"]),
    ] {
        for column in columns {
            let sql = format!(
                "UPDATE {table} SET {column} = CASE WHEN {column} < ?2 THEN {column} + ?3 \
                 WHEN {column} >= ?4 THEN max(0, {column} + ?5) ELSE {column} END \
                 WHERE {key} >= ?1 AND ({column} < ?2 OR {column} >= ?4)"
            );
            let floor = signed(CLOCK_FLOOR.0);
            let keys = signed(redating.keys.0);
            transaction.execute(&sql, params![keys, floor, impossible, since, by])?;
        }
    }
    Ok(())
}

/// What a person made, and what was looked at, in the time that moves.
fn reports(transaction: &Transaction<'_>, shift: Shift) -> rusqlite::Result<()> {
    for (table, column) in [
        ("own_report", "created"),
        ("own_report", "deleted"),
        ("own_part", "first"),
        ("own_part", "last"),
        ("departure", "at"),
        ("source", "checked"),
        ("matched_report", "received"),
    ] {
        let sql = format!("UPDATE {table} SET {column} = {column} + ?2 WHERE {column} >= ?1");
        transaction.execute(&sql, params![signed(shift.since.0), shift.by])?;
    }
    // Files that people import were public by the time of the import.
    for table in ["seen_report", "report_source"] {
        let sql = format!(
            "UPDATE {table} SET published = published + ?2 WHERE source = 0 AND published >= ?1"
        );
        transaction.execute(&sql, params![signed(shift.since.0), shift.by])?;
    }
    transaction.execute_batch(
        "UPDATE matched_report SET published = \
         (SELECT max(told) FROM (SELECT min(published) AS told FROM report_source \
           WHERE report = matched_report.id GROUP BY source)) \
         WHERE id IN (SELECT report FROM report_source WHERE source = 0)",
    )
}

/// Parts of reports leave as long after now as before: not all at once because
/// the clock went ahead, and not a month later because it went back.
fn uploads(transaction: &Transaction<'_>, jump: i64) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE upload SET due = max(0, due + ?1), at = max(0, at + ?1) WHERE state < 2",
        [jump],
    )?;
    Ok(())
}
