//! The contact log: batches in, totals out, and what is old destroyed.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::ledger::{signed, unsigned};
use super::row::{QUARTER, Row, unpacked};
use super::totals::{Bucket, Summary};
use crate::engine::{Contact, UnixTime};

const DAY: u64 = 24 * 3600;
const HOUR: u64 = 3600;

pub(super) fn write(transaction: &Transaction<'_>, batch: &[Contact]) -> rusqlite::Result<()> {
    for growth in batch {
        let quarter = signed(Row::quarter(growth.start));
        let row = Row::new(growth);
        let row = read(transaction, quarter, growth)?.map_or(row.clone(), |old| old.merge(&row));
        let base = unsigned(quarter) * QUARTER;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO contact (quarter, tcn, start, duration, rssi_max, \
                 rssi_mean, attenuation, unmeasured, bridged) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                quarter,
                growth.tcn.as_bytes(),
                signed(row.start.saturating_sub(base)),
                signed(row.end - row.start),
                row.rssi_max,
                row.rssi_mean,
                row.packed(),
                row.unmeasured,
                row.bridged,
            ])?;
    }
    Ok(())
}

fn read(
    transaction: &Transaction<'_>,
    quarter: i64,
    growth: &Contact,
) -> rusqlite::Result<Option<Row>> {
    transaction
        .prepare_cached(
            "SELECT start, duration, rssi_max, rssi_mean, attenuation, unmeasured, bridged \
             FROM contact WHERE quarter = ?1 AND tcn = ?2",
        )?
        .query_row(params![quarter, growth.tcn.as_bytes()], |row| {
            let start = unsigned(quarter) * QUARTER + unsigned(row.get(0)?);
            Ok(Row {
                start,
                end: start + unsigned(row.get(1)?),
                rssi_max: row.get(2)?,
                rssi_mean: row.get(3)?,
                attenuation: buckets(row, 4)?,
                unmeasured: row.get(5)?,
                bridged: row.get(6)?,
            })
        })
        .optional()
}

fn buckets(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<[u32; 4]> {
    let bytes: Vec<u8> = row.get(column)?;
    unpacked(&bytes).ok_or(rusqlite::Error::InvalidColumnType(
        column,
        "attenuation".to_owned(),
        rusqlite::types::Type::Blob,
    ))
}

/// Destroys contacts that ended before `before`. Those that began more than a
/// day before that are found by their key alone; a contact lasts as long as
/// its number is heard without a long pause, which is hours at the very most.
pub(super) fn forget(transaction: &Transaction<'_>, before: UnixTime) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM contact WHERE quarter < ?1",
        [signed(before.0.saturating_sub(DAY) / QUARTER)],
    )?;
    transaction.execute(
        "DELETE FROM contact WHERE quarter <= ?1 AND quarter * 900 + start + duration < ?2",
        [signed(before.0 / QUARTER), signed(before.0)],
    )?;
    Ok(())
}

pub(super) fn summary(db: &Connection, from: UnixTime, to: UnixTime) -> rusqlite::Result<Summary> {
    let mut summary = Summary::default();
    let mut days = BTreeMap::new();
    each(db, from, to, |start, attenuation, count| {
        summary.numbers += 1;
        summary.sightings += count;
        summary.oldest.get_or_insert(UnixTime(start / HOUR * HOUR));
        for (sum, more) in summary.attenuation.iter_mut().zip(attenuation) {
            *sum += u64::from(more);
        }
        count_into(&mut days, start / DAY * DAY, count);
    })?;
    summary.per_day = days.into_values().collect();
    Ok(summary)
}

pub(super) fn histogram(
    db: &Connection,
    from: UnixTime,
    to: UnixTime,
    bucket: Duration,
) -> rusqlite::Result<Vec<Bucket>> {
    let width = bucket.as_secs().max(1);
    let mut bars = BTreeMap::new();
    each(db, from, to, |start, _, count| {
        count_into(&mut bars, from.0 + (start - from.0) / width * width, count);
    })?;
    Ok(bars.into_values().collect())
}

pub(super) fn rows(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT count(*) FROM contact", [], |row| {
        row.get(0).map(unsigned)
    })
}

/// Calls `visit` with start, attenuation buckets and count of every contact
/// that began in `[from, to)`, in order of time to the quarter.
fn each(
    db: &Connection,
    from: UnixTime,
    to: UnixTime,
    mut visit: impl FnMut(u64, [u32; 4], u64),
) -> rusqlite::Result<()> {
    let mut query = db.prepare_cached(
        "SELECT quarter * 900 + start, attenuation, unmeasured FROM contact \
         WHERE quarter BETWEEN ?1 AND ?2 ORDER BY quarter",
    )?;
    let mut rows = query.query([signed(from.0 / QUARTER), signed(to.0 / QUARTER)])?;
    while let Some(row) = rows.next()? {
        let start = unsigned(row.get(0)?);
        if (from.0..to.0).contains(&start) {
            let attenuation = buckets(row, 1)?;
            let measured: u64 = attenuation.iter().map(|n| u64::from(*n)).sum();
            visit(start, attenuation, measured + unsigned(row.get(2)?));
        }
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
