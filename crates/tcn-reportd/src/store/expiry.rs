//! Destroys expired data in small steps, and returns its pages to the file system.
//!
//! A report is destroyed after 14 days. Its digest stays for 56 days, so that an old
//! report cannot be published again. Digests outlive reports because a forgotten report
//! would look new: an attacker who kept it could broadcast its numbers and upload it
//! again. 56 days are more than twice the longest that tcnd keeps contacts (21 days),
//! so by then no honest log has a number of the report. Of an interval with more than
//! [`MOST_KNOWN`] reports only that many digests are kept, chosen at random. So a flood
//! of reports costs only digests of its own interval.
//!
//! Each step is one transaction and takes some milliseconds, which limits how long
//! uploads wait.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use tcn_exchange::interval::Interval;

use super::number;
use crate::phase;

/// Rows touched in one step.
const ROWS: u32 = 1000;

/// Pages given back in one step.
const PAGES: u32 = 256;

/// Digests kept of one interval. With 168 intervals of digests and some 80 bytes each,
/// digests take 1.3 GB at most.
pub(super) const MOST_KNOWN: u32 = 100_000;

/// Does one step of the work that is due while `open` takes uploads. Returns whether
/// there may be more.
pub(super) fn step(db: &mut Connection, open: Interval, most_known: u32) -> rusqlite::Result<bool> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let more = expire(&transaction, open, most_known)? || forget(&transaction, open)?;
    transaction.commit()?;
    Ok(more || release_pages(db)?)
}

/// Destroys expired reports, and keeps their digests.
fn expire(
    transaction: &Transaction<'_>,
    open: Interval,
    most_known: u32,
) -> rusqlite::Result<bool> {
    let oldest = number(phase::oldest(open));
    let expired: Option<i64> = transaction
        .prepare_cached("SELECT interval FROM report WHERE interval < ?1 LIMIT 1")?
        .query_row([oldest], |row| row.get(0))
        .optional()?;
    let Some(interval) = expired else {
        return Ok(false);
    };
    let known: u32 = transaction
        .prepare_cached("SELECT count(*) FROM known WHERE interval = ?1")?
        .query_row([interval], |row| row.get(0))?;
    let room = most_known.saturating_sub(known).min(ROWS);
    // Both statements use the same random order.
    transaction
        .prepare_cached(
            "INSERT INTO known (interval, digest)
             SELECT interval, digest FROM report WHERE interval = ?1
             ORDER BY place, digest LIMIT ?2 ON CONFLICT DO NOTHING",
        )?
        .execute((interval, room))?;
    transaction
        .prepare_cached(
            "DELETE FROM report WHERE (interval, place, digest) IN
             (SELECT interval, place, digest FROM report WHERE interval = ?1
              ORDER BY place, digest LIMIT ?2)",
        )?
        .execute((interval, ROWS))?;
    Ok(true)
}

/// Destroys digests that are no longer needed.
fn forget(transaction: &Transaction<'_>, open: Interval) -> rusqlite::Result<bool> {
    let oldest = number(phase::oldest_digest(open));
    let forgotten = transaction
        .prepare_cached(
            "DELETE FROM known WHERE (interval, digest) IN
             (SELECT interval, digest FROM known WHERE interval < ?1 LIMIT ?2)",
        )?
        .execute((oldest, ROWS))?;
    Ok(forgotten > 0)
}

/// Returns free pages to the file system. Each step of the pragma frees one.
fn release_pages(db: &Connection) -> rusqlite::Result<bool> {
    let free = |db: &Connection| -> rusqlite::Result<u32> {
        db.pragma_query_value(None, "freelist_count", |row| row.get(0))
    };
    let before = free(db)?;
    if before == 0 {
        return Ok(false);
    }
    let mut vacuum = db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    let after = free(db)?;
    Ok(after > 0 && after < before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::STEPS;

    fn filled(intervals: std::ops::Range<u64>, reports: u64) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")
            .unwrap();
        db.execute_batch(&STEPS.concat()).unwrap();
        for interval in intervals {
            for n in 0..reports {
                let digest = (interval << 32 | n).to_be_bytes();
                db.execute(
                    "INSERT INTO report VALUES (?1, random(), ?2, zeroblob(389))",
                    (number(Interval::new(interval).unwrap()), digest),
                )
                .unwrap();
            }
        }
        db
    }

    fn count(db: &Connection, table: &str) -> u32 {
        let query = format!("SELECT count(*) FROM {table}");
        db.query_row(&query, [], |row| row.get(0)).unwrap()
    }

    fn free_pages(db: &Connection) -> u32 {
        db.pragma_query_value(None, "freelist_count", |row| row.get(0))
            .unwrap()
    }

    fn finish(db: &mut Connection, open: u64, most_known: u32) -> u32 {
        let mut pieces = 1;
        while step(db, Interval::new(open).unwrap(), most_known).unwrap() {
            pieces += 1;
        }
        pieces
    }

    #[test]
    fn every_page_is_given_back() {
        let mut db = filled(1000..1003, 2500);
        let before = db.pragma_query_value(None, "page_count", |row| row.get::<_, u32>(0));
        let pieces = finish(&mut db, 1000 + 57, MOST_KNOWN);
        assert!(pieces > 3, "it is done in {pieces} pieces");
        assert_eq!((count(&db, "report"), count(&db, "known")), (5000, 2500));
        assert_eq!(free_pages(&db), 0);
        finish(&mut db, 1000 + 225 + 2, MOST_KNOWN);
        assert_eq!((count(&db, "report"), count(&db, "known")), (0, 0));
        assert_eq!(free_pages(&db), 0);
        let after = db.pragma_query_value(None, "page_count", |row| row.get::<_, u32>(0));
        assert!(after.unwrap() * 10 < before.unwrap());
    }

    #[test]
    fn digests_outlive_reports_and_are_bounded_by_interval() {
        let mut db = filled(1000..1002, 2500);
        let most = 1700;
        finish(&mut db, 1000 + 58, most);
        assert_eq!((count(&db, "report"), count(&db, "known")), (0, 3400));
        finish(&mut db, 1000 + 224, most);
        assert_eq!(count(&db, "known"), 3400);
        finish(&mut db, 1000 + 225, most);
        assert_eq!(count(&db, "known"), 1700);
    }
}
