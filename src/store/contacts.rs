//! The contact log: batches in, totals out, and what is old destroyed.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tcn_engine::{Contact, Signal};
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::contact_row::{ContactRow, QUARTER, counts, times, unheard};
use super::log::Log;
use super::sql::{signed, unsigned};

/// Contact totals over a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Contacts: a number heard again after it was away, and in another quarter
    /// of an hour, counts again.
    pub numbers: u64,
    /// Sightings of them.
    pub sightings: u64,
    /// Start of the oldest contact, rounded down to the quarter of an hour.
    pub oldest: Option<UnixTime>,
    /// Per UTC day: its start, numbers, sightings.
    pub per_day: Vec<Bucket>,
    /// Measured sightings by attenuation: ≤55, ≤63, ≤73, >73 dB.
    pub attenuation: [u64; 4],
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub start: UnixTime,
    /// Contacts that began in it.
    pub numbers: u64,
    /// Their sightings.
    pub sightings: u64,
}

/// Where a page of contacts begins: behind one that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    quarter: u64,
    tcn: Option<TemporaryContactNumber>,
}

impl Cursor {
    /// Before every contact that began at `from` or later.
    pub const fn since(from: UnixTime) -> Self {
        Self {
            quarter: ContactRow::quarter(from),
            tcn: None,
        }
    }

    /// Behind this contact.
    pub const fn behind(contact: &Contact) -> Self {
        Self {
            quarter: ContactRow::quarter(contact.start),
            tcn: Some(contact.tcn),
        }
    }
}

pub(super) fn write(log: &Log<'_>, batch: &[Contact]) -> rusqlite::Result<()> {
    for growth in batch {
        put(log, growth.tcn, ContactRow::new(growth))?;
    }
    Ok(())
}

/// Writes a row, merged with the one that may be there.
pub(super) fn put(
    transaction: &Transaction<'_>,
    tcn: TemporaryContactNumber,
    row: ContactRow,
) -> rusqlite::Result<()> {
    let quarter = signed(row.start / QUARTER);
    let row = match read(transaction, quarter, tcn)? {
        Some(old) => old.merge(&row),
        None => row,
    };
    transaction
        .prepare_cached(
            "INSERT INTO contact (quarter, tcn, span, rssi_max, rssi_sum, sightings, bridged, unheard) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET span = excluded.span, \
             rssi_max = excluded.rssi_max, rssi_sum = excluded.rssi_sum, \
             sightings = excluded.sightings, bridged = excluded.bridged, unheard = excluded.unheard",
        )?
        .execute(params![
            quarter,
            tcn.as_bytes(),
            signed(row.span()),
            row.signal.max,
            row.signal.sum,
            row.sightings(),
            row.bridged,
            row.unheard(),
        ])?;
    Ok(())
}

fn read(
    transaction: &Transaction<'_>,
    quarter: i64,
    tcn: TemporaryContactNumber,
) -> rusqlite::Result<Option<ContactRow>> {
    transaction
        .prepare_cached(
            "SELECT quarter, span, rssi_max, rssi_sum, sightings, bridged, unheard \
             FROM contact WHERE quarter = ?1 AND tcn = ?2",
        )?
        .query_row(params![quarter, tcn.as_bytes()], row)
        .optional()
}

/// Reads quarter, span, rssi_max, rssi_sum, sightings, bridged, unheard, in this order.
pub(super) fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ContactRow> {
    let (start, end) = times(unsigned(row.get(0)?), unsigned(row.get(1)?));
    let (attenuation, unmeasured) = sightings(row, 4)?;
    Ok(ContactRow {
        start,
        end,
        unheard: unheard(row.get(6)?),
        signal: Signal {
            max: row.get(2)?,
            sum: row.get(3)?,
            attenuation,
            unmeasured,
        },
        bridged: row.get(5)?,
    })
}

pub(super) fn page(log: &Log<'_>, cursor: Cursor, limit: u32) -> rusqlite::Result<Vec<Contact>> {
    let mut query = log.prepare_cached(
        "SELECT quarter, span, rssi_max, rssi_sum, sightings, bridged, unheard, tcn FROM contact \
         WHERE (quarter, tcn) > (?1, ?2) ORDER BY quarter, tcn LIMIT ?3",
    )?;
    // The empty blob is before every number.
    let behind: &[u8] = cursor.tcn.as_ref().map_or(&[], |tcn| tcn.as_bytes());
    let rows = query.query_map(params![signed(cursor.quarter), behind, limit], |columns| {
        let tcn = TemporaryContactNumber::from_bytes(columns.get(7)?);
        Ok(row(columns)?.contact(tcn))
    })?;
    rows.collect()
}

/// Destroys contacts that began in `[from, to)`; says how many.
pub(super) fn erase(log: &Log<'_>, from: UnixTime, to: UnixTime) -> rusqlite::Result<u64> {
    let start = "quarter * 900 + (span & 1023)";
    let erased = log.execute(
        &format!(
            "DELETE FROM contact WHERE quarter BETWEEN ?1 AND ?2 AND {start} >= ?3 AND {start} < ?4"
        ),
        [
            signed(from.0 / QUARTER),
            signed(to.0 / QUARTER),
            signed(from.0),
            signed(to.0),
        ],
    )?;
    Ok(erased as u64)
}

fn sightings(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<([u32; 4], u32)> {
    counts(row.get_ref(column)?.as_blob()?).ok_or_else(|| {
        let name = "sightings".to_owned();
        rusqlite::Error::InvalidColumnType(column, name, rusqlite::types::Type::Blob)
    })
}

/// Destroys contacts that ended before `before`. What began later cannot have
/// ended before, so only the expired rows and those of the border are read.
pub(super) fn forget(log: &Log<'_>, before: UnixTime) -> rusqlite::Result<()> {
    log.execute(
        "DELETE FROM contact WHERE quarter <= ?1 \
         AND quarter * 900 + (span & 1023) + (span >> 10) < ?2",
        [signed(before.0 / QUARTER), signed(before.0)],
    )?;
    Ok(())
}

pub(super) fn summary(log: &Log<'_>, from: UnixTime, to: UnixTime) -> rusqlite::Result<Summary> {
    let mut summary = Summary::default();
    let mut days = BTreeMap::new();
    each(log, from, to, |start, attenuation, count| {
        summary.numbers += 1;
        summary.sightings += count;
        // Rows come by the quarter.
        let quarter = UnixTime(start / QUARTER * QUARTER);
        summary.oldest.get_or_insert(quarter);
        for (sum, more) in summary.attenuation.iter_mut().zip(attenuation) {
            *sum += u64::from(more);
        }
        count_into(&mut days, UnixTime(start).day_start().0, count);
    })?;
    summary.per_day = days.into_values().collect();
    Ok(summary)
}

pub(super) fn histogram(
    log: &Log<'_>,
    from: UnixTime,
    to: UnixTime,
    bucket: Duration,
) -> rusqlite::Result<Vec<Bucket>> {
    let width = bucket.as_secs().max(1);
    let mut bars = BTreeMap::new();
    each(log, from, to, |start, _, count| {
        count_into(&mut bars, from.0 + (start - from.0) / width * width, count);
    })?;
    Ok(bars.into_values().collect())
}

pub(super) fn rows(log: &Log<'_>) -> rusqlite::Result<u64> {
    log.query_row("SELECT count(*) FROM contact", [], |row| {
        row.get(0).map(unsigned)
    })
}

/// Calls `visit` with start, attenuation buckets and count of every contact
/// that began in `[from, to)`, in order of time to the quarter.
fn each(
    log: &Log<'_>,
    from: UnixTime,
    to: UnixTime,
    mut visit: impl FnMut(u64, [u32; 4], u64),
) -> rusqlite::Result<()> {
    let mut query = log.prepare_cached(
        "SELECT quarter, span, sightings FROM contact \
         WHERE quarter BETWEEN ?1 AND ?2 ORDER BY quarter",
    )?;
    let mut rows = query.query([signed(from.0 / QUARTER), signed(to.0 / QUARTER)])?;
    while let Some(row) = rows.next()? {
        let (start, _) = times(unsigned(row.get(0)?), unsigned(row.get(1)?));
        if (from.0..to.0).contains(&start) {
            let (attenuation, unmeasured) = sightings(row, 2)?;
            let measured: u64 = attenuation.iter().map(|n| u64::from(*n)).sum();
            visit(start, attenuation, measured + u64::from(unmeasured));
        }
    }
    Ok(())
}

/// Reads what could be unreadable of every contact in the table.
pub(super) fn check(db: &Connection) -> rusqlite::Result<()> {
    let mut query = db.prepare("SELECT rssi_max, sightings FROM contact")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        row.get::<_, Option<i16>>(0)?;
        sightings(row, 1)?;
    }
    Ok(())
}

fn count_into(bars: &mut BTreeMap<u64, Bucket>, start: u64, sightings: u64) {
    let bar = bars.entry(start).or_insert(Bucket {
        start: UnixTime(start),
        numbers: 0,
        sightings: 0,
    });
    bar.numbers += 1;
    bar.sightings += sightings;
}
