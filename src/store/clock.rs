//! What is known of the wall clock, from one start to the next.
//!
//! It stands in the table `setting`, so an older release leaves it alone:
//!
//! * `clock_boot_id`: which boot wrote it, a number without meaning; -1 if that
//!   was not known
//! * `clock_boot`, `clock_wall`: when, in seconds since that boot and unix seconds
//! * `clock_synchronised`: 1 if the kernel said so of the clock
//! * `clock_since`: unix seconds; what is dated from here on moves with the next
//!   jump of the clock
//! * `clock_keys`: the first report key that may have such dates
//! * `clock_mixed`: 1 if some of what is dated from there on is of other boots, so
//!   that no later process can tell it apart
//! * `clock_at_least`: unix seconds; by then it was at least so late
//! * `clock_confirmed`: 1 if a person confirmed that
//! * `clock_lead`: by how many seconds the clock was ahead of it all through that
//!   boot
//! * `clock_running`: seconds that the machine has been running in all
//! * `future_rows`, `future_running`: how much in the database is dated in the
//!   future, and the value of `clock_running` when that was noticed

use std::time::Duration;

use rusqlite::{Connection, Transaction};
use tcn_engine::{BootId, ClockRecord, FutureDates, KeyId, Moment};
use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;

use super::log::Log;
use super::settings::{get, set};
use super::sql::{signed, unsigned};

/// The record, and whether the rows that it is about can be told from others.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<ClockRecord>> {
    let value = |name: &str| get(db, &format!("clock_{name}"));
    let number = |name: &str| value(name).map(|value| value.map_or(0, unsigned));
    let Some(boot_id) = value("boot_id")? else {
        return Ok(None);
    };
    let mixed = number("mixed")? != 0;
    let at = Moment::new(
        Duration::from_secs(number("boot")?),
        UnixTime(number("wall")?),
    );
    // What cannot be told apart does not move any more.
    let since = if mixed { u64::MAX } else { number("since")? };
    Ok(Some(ClockRecord {
        boot_id: u64::try_from(boot_id).ok().map(BootId),
        at,
        synchronised: number("synchronised")? != 0,
        since: UnixTime(since),
        keys: KeyId(number("keys")?),
        at_least: UnixTime(number("at_least")?),
        confirmed: number("confirmed")? != 0,
        lead: number("lead")?,
        running: Duration::from_secs(number("running")?),
    }))
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    record: &ClockRecord,
    mixed: bool,
) -> rusqlite::Result<()> {
    let boot_id = record.boot_id.map_or(-1, |id| signed(id.0));
    let values: [(&str, i64); 11] = [
        ("clock_boot_id", boot_id),
        ("clock_boot", signed(record.at.boot.as_secs())),
        ("clock_wall", signed(record.at.wall.0)),
        ("clock_synchronised", i64::from(record.synchronised)),
        ("clock_since", signed(record.since.0)),
        ("clock_keys", signed(record.keys.0)),
        ("clock_mixed", i64::from(mixed)),
        ("clock_at_least", signed(record.at_least.0)),
        ("clock_confirmed", i64::from(record.confirmed)),
        ("clock_lead", signed(record.lead)),
        ("clock_running", signed(record.running.as_secs())),
    ];
    values
        .into_iter()
        .try_for_each(|(name, value)| set(transaction, name, value))
}

/// The newest date in a database, whose growth may be newer; `None` if nothing in it is
/// dated.
pub(super) fn newest(db: &Connection) -> rusqlite::Result<Option<UnixTime>> {
    let newest: Option<i64> = db.query_row(
        "SELECT max(at) FROM (SELECT (SELECT max(quarter) FROM contact) * 900 AS at \
         UNION ALL SELECT max(born) FROM report_key \
         UNION ALL SELECT max(coalesce(last, first)) FROM broadcast)",
        [],
        |row| row.get(0),
    )?;
    Ok(newest.map(|newest| UnixTime(unsigned(newest))))
}

/// What may be dated in the future, that is at or after the second ?1.
const FUTURE: [(&str, &str); 5] = [
    ("contact", "quarter > ?1 / 900"),
    ("report_key", "born >= ?1"),
    ("seen_report", "day > ?1 / 86400"),
    ("matched_report", "received >= ?1"),
    (
        "own_report",
        "created >= ?1 AND NOT EXISTS (SELECT 1 FROM own_part JOIN report_key \
         ON report_key.id = own_part.key WHERE report = own_report.id)",
    ),
];

/// Destroys what is dated in the future, when the machine has been running for
/// the retention since that was noticed: it is older than that. More of it than
/// before was dated since then, and the time starts again.
pub(super) fn forget_future(log: &Log<'_>, dates: &FutureDates) -> rusqlite::Result<bool> {
    let from = [signed(dates.from.0)];
    let mut rows = 0;
    for (table, future) in FUTURE {
        let sql = format!("SELECT count(*) FROM {table} WHERE {future}");
        let count: i64 = log
            .prepare_cached(&sql)?
            .query_row(from, |row| row.get(0))?;
        rows += count;
    }
    let before = get(log, "future_rows")?.unwrap_or(0);
    let noticed = get(log, "future_running")?.unwrap_or(0);
    let running = signed(dates.running.as_secs());
    if rows != before {
        set(log, "future_rows", rows)?;
    }
    if rows > before {
        set(log, "future_running", running)?;
    }
    let due = noticed.saturating_add(signed(dates.retention.as_secs()));
    if rows == 0 || rows > before || running < due {
        return Ok(false);
    }
    log.execute(
        "UPDATE source SET remembered = max(0, remembered - (SELECT count(*) FROM seen_report \
         WHERE seen_report.source = source.id AND seen_report.day > ?1 / 86400))",
        from,
    )?;
    for (table, future) in FUTURE {
        log.execute(&format!("DELETE FROM {table} WHERE {future}"), from)?;
    }
    super::matched_reports::delete_orphans(log)?;
    set(log, "future_rows", 0)?;
    Ok(true)
}

/// Forgets that intervals were delivered which are not over at this time: a clock
/// that was ahead said that they were.
pub(super) fn forget_unfinished(
    transaction: &Transaction<'_>,
    at: UnixTime,
) -> rusqlite::Result<()> {
    let open = Interval::of(at.before(Interval::MARGIN));
    transaction.execute(
        "DELETE FROM delivered WHERE interval >= ?1",
        [signed(open.number())],
    )?;
    Ok(())
}
