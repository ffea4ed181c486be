//! Redating the log: what moves, what stays, and that nothing is lost.

use std::time::Duration;

use rusqlite::Connection;
use tcn_engine::{BootId, CLOCK_FLOOR, ClockRecord, FutureDates, KeyId, Moment, Redating, Shift};
use tcn_protocol::UnixTime;

use super::{DAY, DAY_ONE, Harness, born, look, open, reserved, retired, sighting};

const HOUR: u64 = 3600;

fn record(wall: u64) -> ClockRecord {
    ClockRecord {
        boot_id: Some(BootId(7)),
        at: Moment::new(Duration::from_secs(500), UnixTime(wall)),
        synchronised: false,
        since: UnixTime(wall),
        keys: KeyId(2),
        at_least: UnixTime(DAY_ONE),
        confirmed: true,
        lead: 9,
        running: Duration::from_secs(12_345),
    }
}

/// A jump that moves all data dated from `since` on.
fn moving(since: u64, by: i64) -> Redating {
    let then = since.saturating_add_signed(by);
    Redating {
        jump: by,
        moved: Some(Shift {
            since: UnixTime(since),
            by,
        }),
        impossible: None,
        keys: KeyId(2),
        then: UnixTime(then),
        record: record(then),
    }
}

/// A boot that begins at this time.
fn beginning(at: u64) -> Redating {
    Redating {
        jump: 0,
        moved: None,
        ..moving(at, 0)
    }
}

/// Start, end and sightings of all contacts.
fn contacts(db: &Connection) -> Vec<(u64, u64)> {
    let mut query = db
        .prepare("SELECT quarter * 900 + (span & 1023), span >> 10 FROM contact ORDER BY 1, 2")
        .unwrap();
    let rows = query.query_map([], |row| {
        let (start, length): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((start.unsigned_abs(), (start + length).unsigned_abs()))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn rows_of_this_boot_move_with_the_clock_and_those_of_others_stay() {
    let (directory, mut harness) = Harness::fresh();
    // Of an earlier boot: before this boot's new time, and within it.
    let earlier = vec![
        sighting(1, DAY_ONE, DAY_ONE + 100),
        sighting(2, DAY_ONE + 8 * HOUR, DAY_ONE + 8 * HOUR + 60),
    ];
    harness.save(earlier).await;
    harness.store.redate(beginning(DAY_ONE + 7 * HOUR)).await;
    let now = vec![
        sighting(3, DAY_ONE + 7 * HOUR + 10, DAY_ONE + 7 * HOUR + 500),
        sighting(4, DAY_ONE + 9 * HOUR, DAY_ONE + 9 * HOUR + 30),
    ];
    harness.save(now).await;
    harness.settle().await;
    let before = contacts(&look(directory.path()));
    for by in [-7 * 3600, 31 * 86_400, 45] {
        let shift = by;
        harness
            .store
            .redate(moving(DAY_ONE + 7 * HOUR, shift))
            .await;
        harness.settle().await;
        let moved = |at: u64| at.saturating_add_signed(shift);
        let mut expected = vec![
            (DAY_ONE, DAY_ONE + 100),
            (DAY_ONE + 8 * HOUR, DAY_ONE + 8 * HOUR + 60),
            (
                moved(DAY_ONE + 7 * HOUR + 10),
                moved(DAY_ONE + 7 * HOUR + 500),
            ),
            (moved(DAY_ONE + 9 * HOUR), moved(DAY_ONE + 9 * HOUR + 30)),
        ];
        expected.sort_unstable();
        assert_eq!(contacts(&look(directory.path())), expected, "by {by}");
        let back = moved(DAY_ONE + 7 * HOUR);
        harness.store.redate(moving(back, -shift)).await;
        harness.settle().await;
        assert_eq!(contacts(&look(directory.path())), before, "back by {by}");
    }
}

/// New dates come behind the growth that was saved before them.
#[tokio::test]
async fn growth_that_is_not_folded_moves_too() {
    let (directory, mut harness) = Harness::fresh();
    let (stays, moves) = (DAY_ONE + 10, DAY_ONE + DAY + 20);
    for at in [stays, moves] {
        harness.save(vec![sighting(1, at, at + 5)]).await;
    }
    harness.store.redate(moving(DAY_ONE + DAY, 3600)).await;
    let moved = moves + HOUR;
    harness.save(vec![sighting(1, moved, moved + 60)]).await;
    harness.settle().await;
    let expected = [(stays, stays + 5), (moved, moved + 60)];
    assert_eq!(contacts(&look(directory.path())), expected);
}

#[tokio::test]
async fn a_row_that_moves_onto_another_loses_no_sighting() {
    let (directory, mut harness) = Harness::fresh();
    let (old, new) = (DAY_ONE + 10, DAY_ONE + DAY + 20);
    harness
        .save(vec![sighting(1, old, old + 5), sighting(1, new, new + 400)])
        .await;
    harness.settle().await;
    let db = look(directory.path());
    db.execute_batch(
        "INSERT INTO matched_report (id, digest, published, received, memo_type, memo) \
         VALUES (1, x'01', 0, 0, 0, x'00'); \
         INSERT INTO matched_contact SELECT tcn, quarter, 1, 0, 0 FROM contact",
    )
    .unwrap();
    harness.store.redate(moving(DAY_ONE + DAY, -86_400)).await;
    harness.settle().await;
    assert_eq!(contacts(&db), [(old, DAY_ONE + 420)]);
    let sightings: Vec<u8> = db
        .query_row("SELECT sightings FROM contact", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sightings, [0, 2]);
    let named: (i64, i64) = db
        .query_row(
            "SELECT count(*), max(quarter) FROM matched_contact",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(named, (1, i64::try_from(old / 900).unwrap()));
}

#[tokio::test]
async fn what_was_on_the_air_moves_by_the_keys_of_this_boot() {
    let (directory, mut harness) = Harness::fresh();
    let at = DAY_ONE + DAY;
    let records = vec![
        born(1, at),
        reserved(1, 1, at),
        born(2, at),
        reserved(2, 1, at),
        retired(2, 1, at + 900),
        born(3, 1000),
        reserved(3, 1, 1010),
    ];
    harness.persist(records).await;
    let by = -7 * 3600;
    let redating = Redating {
        impossible: Some(i64::try_from(at).unwrap()),
        ..moving(at, by)
    };
    harness.store.redate(redating).await;
    harness.settle().await;
    let db = look(directory.path());
    let mut query = db
        .prepare("SELECT key, born, first, coalesce(last, 0) FROM broadcast JOIN report_key ON id = key ORDER BY key")
        .unwrap();
    let rows = query.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let rows: Vec<(i64, i64, i64, i64)> = rows.unwrap().map(Result::unwrap).collect();
    let at = i64::try_from(at).unwrap();
    assert_eq!(
        rows,
        [
            (1, at, at, 0),
            (2, at + by, at + by, at + 900 + by),
            (3, at + 1000, at + 1010, 0)
        ]
    );
}

#[tokio::test]
async fn what_is_known_of_the_clock_is_there_at_the_next_start() {
    let (directory, mut harness) = Harness::fresh();
    harness
        .save(vec![sighting(1, DAY_ONE + DAY, DAY_ONE + DAY)])
        .await;
    harness.store.keep_clock(record(DAY_ONE + 5));
    harness.store.close().await;
    let resume = open(directory.path()).unwrap().resume;
    assert_eq!(resume.clock, Some(record(DAY_ONE + 5)));
    assert_eq!(resume.newest, Some(UnixTime(DAY_ONE + DAY)));
    const { assert!(CLOCK_FLOOR.0 < DAY_ONE) };
}

#[tokio::test]
async fn what_is_dated_in_the_future_goes_when_it_was_noticed_long_ago() {
    let (directory, mut harness) = Harness::fresh();
    let future = DAY_ONE + 400 * DAY;
    let rows = vec![
        sighting(1, future, future),
        sighting(2, DAY_ONE, DAY_ONE + 9),
    ];
    harness.save(rows).await;
    let future_dates = |running: u64| FutureDates {
        from: UnixTime(DAY_ONE + 2 * DAY),
        running: Duration::from_secs(running),
        retention: Duration::from_secs(14 * DAY),
    };
    for (running, left) in [(1000, 2), (1000 + 14 * DAY - 1, 2)] {
        harness.store.forget_future(future_dates(running));
        harness.settle().await;
        assert_eq!(harness.store.size().await.unwrap().rows, left);
    }
    // More of the same: the time starts again.
    harness
        .save(vec![sighting(3, future + DAY, future + DAY)])
        .await;
    for (running, left) in [(1000 + 14 * DAY, 3), (1000 + 28 * DAY, 1)] {
        harness.store.forget_future(future_dates(running));
        harness.settle().await;
        assert_eq!(harness.store.size().await.unwrap().rows, left, "{running}");
    }
    assert_eq!(contacts(&look(directory.path())), [(DAY_ONE, DAY_ONE + 9)]);
}

/// A clock that was ahead marked intervals as over that are not.
#[tokio::test]
async fn intervals_that_are_not_over_by_the_new_clock_are_asked_for_again() {
    use tcn_exchange::interval::Interval;
    let (directory, harness) = Harness::fresh();
    let now = UnixTime(DAY_ONE + 5 * HOUR);
    let open_one = Interval::of(now);
    for interval in [open_one.previous(), open_one, open_one.next()] {
        look(directory.path())
            .execute(
                "INSERT INTO delivered (interval, source) VALUES (?1, 'a')",
                [i64::try_from(interval.number()).unwrap()],
            )
            .unwrap();
    }
    harness
        .store
        .redate(moving(now.0 + 7 * HOUR, -7 * 3600))
        .await;
    let delivered = harness.store.delivered("a".to_owned()).await.unwrap();
    assert_eq!(delivered, [open_one.previous()].into());
}

/// A report is public at the end of its interval. If it was public before a contact
/// began, it still names the contact when the contact turns out to be older.
#[tokio::test]
async fn intervals_that_ended_before_contacts_and_end_after_them_now_are_asked_for_again() {
    use tcn_exchange::interval::Interval;
    let (directory, harness) = Harness::fresh();
    // This boot began a day ahead, and continues 40 hours later.
    let since = UnixTime(DAY_ONE + 74 * HOUR);
    let now = UnixTime(since.0 + 40 * HOUR);
    let true_start = Interval::of(UnixTime(since.0 - 24 * HOUR));
    let all = std::iter::successors(Some(true_start.previous()), |last| Some(last.next()));
    for interval in all.take_while(|interval| interval.is_over(now)) {
        look(directory.path())
            .execute(
                "INSERT INTO delivered (interval, source) VALUES (?1, 'a')",
                [i64::try_from(interval.number()).unwrap()],
            )
            .unwrap();
    }
    let mut redating = moving(since.0, -24 * 3600);
    redating.record = record(now.0 - 24 * HOUR);
    harness.store.redate(redating).await;
    let delivered = harness.store.delivered("a".to_owned()).await.unwrap();
    assert_eq!(delivered, [true_start.previous()].into());

    // After a jump ahead, no delivered interval is requested again.
    let ahead = Redating {
        record: record(now.0),
        ..moving(since.0 - 24 * HOUR, 24 * 3600)
    };
    harness.store.redate(ahead).await;
    let delivered = harness.store.delivered("a".to_owned()).await.unwrap();
    assert_eq!(delivered, [true_start.previous()].into());
}
