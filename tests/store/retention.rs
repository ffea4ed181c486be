//! Destroyed data are removed not only from the answers but from the bytes.
//!
//! Every file of the directory is searched for the numbers and the seeds while the
//! store is open, journal included. Blocks that the file system frees are out of reach.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tcn_protocol::UnixTime;
use tcnd::store::{DATABASE, Error, Event};
use tempfile::tempdir;

use super::{DAY, DAY_ONE, Harness, begun, look, open, retired, seed, sighting, tcn};

const DAYS: u64 = 4;
/// New numbers a minute; each is heard for a quarter of an hour.
const CROWD: u64 = 3;
/// Minutes of each day that the test simulates.
const MINUTES: u64 = 400;

/// Simulates the days as the engine does: a batch a minute, in which all numbers of the
/// last quarter of an hour grow.
async fn live(harness: &mut Harness) {
    for day in 0..DAYS {
        let midnight = DAY_ONE + day * DAY;
        let key = day + 1;
        harness.persist(begun(key, midnight)).await;
        for minute in 0..MINUTES {
            let now = midnight + minute * 60;
            let batch = (0..CROWD * 15).map(|i| {
                let since = i / CROWD;
                let n = number(day, minute.saturating_sub(since), i % CROWD);
                sighting(n, now - since.min(minute) * 60, now + 59)
            });
            harness.save(batch.collect()).await;
        }
        harness
            .persist(vec![retired(key, 1, midnight + MINUTES * 60)])
            .await;
    }
}

fn number(day: u64, minute: u64, i: u64) -> u64 {
    (day * MINUTES + minute) * CROWD + i
}

fn numbers(days: impl Iterator<Item = u64>) -> BTreeSet<[u8; 16]> {
    let minutes = days.flat_map(|day| (0..MINUTES).map(move |minute| (day, minute)));
    minutes
        .flat_map(|(day, minute)| (0..CROWD).map(move |i| *tcn(number(day, minute, i)).as_bytes()))
        .collect()
}

/// The strings of bytes that occur somewhere in the directory.
fn found<const N: usize>(directory: &Path, wanted: &BTreeSet<[u8; N]>) -> BTreeSet<[u8; N]> {
    let mut found = BTreeSet::new();
    for entry in directory.read_dir().unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let hits = bytes.windows(N).filter_map(|window| wanted.get(window));
        found.extend(hits.copied());
    }
    found
}

#[tokio::test]
async fn forgotten_numbers_and_keys_are_in_no_file() {
    let (directory, mut harness) = Harness::fresh();
    live(&mut harness).await;
    let seeds: BTreeSet<_> = (1..=DAYS)
        .map(|key| seed(u8::try_from(key).unwrap()))
        .collect();
    assert_eq!(
        found(directory.path(), &numbers(0..DAYS)).len(),
        numbers(0..DAYS).len()
    );
    assert_eq!(found(directory.path(), &seeds), seeds);
    // Without the journal, or its end would look like a smaller file.
    harness.store.forget(UnixTime(0));
    let before = harness.store.size().await.unwrap();

    // Half of the second day goes too, so the border lies within pages.
    let border = DAY_ONE + DAY + MINUTES / 2 * 60;
    harness.forget(border).await;

    let gone: BTreeSet<_> = numbers(0..1)
        .into_iter()
        .chain(
            (0..MINUTES / 2 - 15)
                .flat_map(|m| (0..CROWD).map(move |i| *tcn(number(1, m, i)).as_bytes())),
        )
        .collect();
    assert_eq!(found(directory.path(), &gone), BTreeSet::new());
    assert_eq!(found(directory.path(), &[seed(1)].into()), BTreeSet::new());
    let kept = numbers(2..DAYS);
    assert_eq!(found(directory.path(), &kept), kept);
    let after = harness.store.size().await.unwrap();
    assert!(after.rows < before.rows);
    assert!(
        after.bytes < before.bytes * 3 / 4,
        "{} of {} bytes are left",
        after.bytes,
        before.bytes
    );

    harness.forget(DAY_ONE + DAYS * DAY).await;
    assert_eq!(found(directory.path(), &numbers(0..DAYS)), BTreeSet::new());
    assert_eq!(found(directory.path(), &seeds), BTreeSet::new());
    assert_eq!(harness.store.size().await.unwrap().rows, 0);
}

#[tokio::test]
async fn a_contact_goes_by_its_end() {
    let (_directory, mut harness) = Harness::fresh();
    let long = sighting(1, DAY_ONE, DAY_ONE + 3 * DAY);
    let short = sighting(2, DAY_ONE + 100, DAY_ONE + 200);
    let late = sighting(3, DAY_ONE + 201, DAY_ONE + 201);
    harness.save(vec![long, short, late]).await;
    for (before, left) in [(200, 3), (201, 2), (202, 1), (3 * DAY, 1), (3 * DAY + 1, 0)] {
        harness.forget(DAY_ONE + before).await;
        assert_eq!(
            harness.store.size().await.unwrap().rows,
            left,
            "before {before}"
        );
    }
}

#[tokio::test]
async fn what_a_kill_left_in_the_journal_goes_at_the_next_start() {
    let (directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    harness.store.close().await;
    // Destroyed, but killed before the journal was truncated: the row's page is still
    // in the database file, its successor in the journal.
    let killed = tempdir().unwrap();
    let db = look(directory.path());
    db.execute_batch("PRAGMA secure_delete = ON; PRAGMA journal_mode = WAL; DELETE FROM contact")
        .unwrap();
    for file in ["tcnd.sqlite", "tcnd.sqlite-wal", "tcnd.lock"] {
        fs::copy(directory.path().join(file), killed.path().join(file)).unwrap();
    }
    let wanted = BTreeSet::from([*tcn(1).as_bytes()]);
    assert_eq!(found(killed.path(), &wanted), wanted);
    let harness = Harness::new(killed.path());
    assert_eq!(found(killed.path(), &wanted), BTreeSet::new());
    drop(harness);
}

#[tokio::test]
async fn a_reader_who_holds_the_journal_is_reported() {
    let (directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    let reader = look(directory.path());
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM contact")
        .unwrap();
    harness.store.forget(UnixTime(DAY_ONE + DAY));
    let event = harness.event().await;
    assert!(matches!(event, Event::Failed(_)), "{event:?}");
    reader.execute_batch("ROLLBACK").unwrap();
    harness.forget(DAY_ONE + DAY).await;
    assert_eq!(
        found(directory.path(), &BTreeSet::from([*tcn(1).as_bytes()])),
        BTreeSet::new()
    );
}

/// A quarantined database, with its journal, dated in seconds since 1970.
fn damaged(directory: &Path, at: u64) -> [PathBuf; 2] {
    let path = directory.join(DATABASE);
    fs::write(&path, [0xa5; 5000]).unwrap();
    let now = modified(&path);
    date(&path, DAY_ONE);
    let aside = open(directory).unwrap().quarantined.unwrap();
    let journal = aside.with_extension(format!(
        "{}-wal",
        aside.extension().unwrap().to_str().unwrap()
    ));
    assert!(modified(&aside) >= now, "its time begins when set aside");
    // SQLite leaves a journal only beside some kinds of damage.
    fs::write(&journal, [0x5a; 500]).unwrap();
    for file in [&aside, &journal] {
        date(file, at);
    }
    [aside, journal]
}

fn date(file: &Path, at: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_modified(time).unwrap();
}

fn modified(file: &Path) -> u64 {
    let time = file.metadata().unwrap().modified().unwrap();
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn what_was_set_aside_goes_when_it_has_lain_there_for_the_retention() {
    let directory = tempdir().unwrap();
    Harness::new(directory.path()).store.close().await;
    let old = damaged(directory.path(), DAY_ONE + 100);
    let young = damaged(directory.path(), DAY_ONE + 200);
    // Quarantined before the clock was set, so the date is unknown.
    let undated = damaged(directory.path(), 0);
    let copy = directory.path().join(format!("{DATABASE}.damaged-1.gz"));
    fs::write(&copy, "a file of another program").unwrap();
    let now = modified(&copy);
    date(&copy, DAY_ONE);
    // A reader still has the file open, and is left with nothing.
    let mut reader = fs::File::open(&old[0]).unwrap();

    let mut harness = Harness::new(directory.path());
    for (before, gone) in [(100, false), (101, true), (200, true)] {
        harness.forget(DAY_ONE + before).await;
        for file in &old {
            assert_eq!(!file.exists(), gone, "{} before {before}", file.display());
        }
    }
    let mut left = Vec::new();
    reader.read_to_end(&mut left).unwrap();
    assert!(left.is_empty(), "{} bytes are left", left.len());
    let kept = [&young[..], &undated, &[copy]].concat();
    for file in kept {
        assert!(file.exists(), "{}", file.display());
    }
    for file in &undated {
        assert!(modified(file) >= now, "its time begins when it is found");
    }
}

/// A directory in the place of a file that is due for removal: it cannot be removed.
#[tokio::test]
async fn what_cannot_be_removed_is_reported() {
    let directory = tempdir().unwrap();
    let aside = directory.path().join(format!("{DATABASE}.damaged-1"));
    let mut harness = Harness::new(directory.path());
    fs::create_dir(aside).unwrap();
    harness.store.forget(UnixTime(DAY_ONE));
    let event = harness.event().await;
    let Event::Failed(fault @ Error::NotRemoved(_)) = event else {
        panic!("{event:?}")
    };
    assert!(fault.to_string().contains("delete"), "{fault}");
}
