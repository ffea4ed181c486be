//! Own keys and settings over restarts.

use std::path::Path;

use tcn_engine::{KeyId, Pause, Record};
use tcn_protocol::{Ratchet, RatchetIndex, ReportAuthorizationKey, UnixTime};
use tcnd::store::{DATABASE, Event, Resume, Setting};
use tempfile::tempdir;

use super::{DAY, DAY_ONE, Harness, begun, born, look, one, open, reserved, retired, seed};

async fn resume(directory: &Path) -> Resume {
    let opened = open(directory).unwrap();
    opened.store.close().await;
    opened.resume
}

#[tokio::test]
async fn what_was_on_the_air_is_known_after_a_restart() {
    let (directory, mut harness) = Harness::fresh();
    harness.persist(begun(1, DAY_ONE)).await;
    harness.persist(vec![retired(1, 1, DAY_ONE + 900)]).await;
    harness.persist(vec![reserved(1, 2, DAY_ONE + 900)]).await;
    // Created, and never broadcast.
    harness.persist(vec![born(2, DAY_ONE + 950)]).await;
    harness.store.close().await;

    let resume = resume(directory.path()).await;
    assert_eq!(resume.next_key, KeyId(3));
    let [broadcast] = &resume.broadcast[..] else {
        panic!("one key was aired")
    };
    assert_eq!((broadcast.key, **broadcast.seed.0), (KeyId(1), seed(1)));
    assert_eq!(broadcast.last.get(), 2);
    let first = ReportAuthorizationKey::from_bytes(&seed(1)).first_temporary_contact_key();
    let first_number = first.temporary_contact_number();
    let Ratchet::Next(second) = first.ratchet() else {
        panic!("a key has more than one number")
    };
    assert_eq!(
        broadcast.numbers(),
        [first_number, second.temporary_contact_number()]
    );
}

#[tokio::test]
async fn a_number_never_aired_leaves_no_trace() {
    let (directory, mut harness) = Harness::fresh();
    let reservations = [reserved(1, 1, DAY_ONE), reserved(1, 2, DAY_ONE + 1)];
    let records = [born(1, DAY_ONE)].into_iter().chain(reservations).collect();
    harness.persist(records).await;
    let unaired = Record::Unaired {
        key: KeyId(1),
        index: RatchetIndex::new(2).unwrap(),
    };
    harness.persist(vec![unaired]).await;
    harness.store.close().await;
    let resume = resume(directory.path()).await;
    assert_eq!(resume.broadcast[0].last, RatchetIndex::FIRST);
}

#[tokio::test]
async fn records_are_written_together_or_not_at_all() {
    let (directory, mut harness) = Harness::fresh();
    // The second reserves a number of a key that was never created.
    let refused = harness
        .try_persist(vec![born(1, DAY_ONE), reserved(7, 1, DAY_ONE)])
        .await;
    refused.unwrap_err();
    harness.store.close().await;
    let rows: i64 = one(directory.path(), "SELECT count(*) FROM report_key");
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_key_lives_as_long_as_one_of_its_numbers_and_its_name_for_ever() {
    let (directory, mut harness) = Harness::fresh();
    harness.persist(begun(1, DAY_ONE)).await;
    harness.persist(vec![retired(1, 1, DAY_ONE + 900)]).await;
    harness
        .persist(vec![born(2, DAY_ONE + 900), reserved(2, 1, DAY_ONE + DAY)])
        .await;
    harness.forget(DAY_ONE + 900).await;
    assert_eq!(
        keys(directory.path()),
        [1, 2],
        "the first was on the air until then"
    );
    harness.forget(DAY_ONE + 901).await;
    assert_eq!(keys(directory.path()), [2]);
    harness.forget(DAY_ONE + 9 * DAY).await;
    assert_eq!(keys(directory.path()), [0; 0]);
    harness.store.close().await;
    assert_eq!(resume(directory.path()).await.next_key, KeyId(3));
}

fn keys(directory: &Path) -> Vec<i64> {
    let db = look(directory);
    let mut query = db.prepare("SELECT id FROM report_key ORDER BY id").unwrap();
    let keys = query.query_map([], |row| row.get(0)).unwrap();
    keys.map(Result::unwrap).collect()
}

#[tokio::test]
async fn decisions_outlive_a_restart() {
    let directory = tempdir().unwrap();
    let fresh = open(directory.path()).unwrap();
    assert_eq!(
        (fresh.resume.consent, fresh.resume.pause),
        (false, Pause::No)
    );
    assert_eq!(fresh.resume.next_key, KeyId(1));
    fresh.store.close().await;
    for (consent, pause) in [
        (true, Pause::UntilResumed),
        (true, Pause::Until(UnixTime(DAY_ONE))),
        (false, Pause::No),
    ] {
        let mut harness = Harness::new(directory.path());
        harness.store.remember(Setting::Consent(consent));
        harness.store.remember(Setting::Pause(pause));
        harness.settle().await;
        harness.store.close().await;
        let resume = resume(directory.path()).await;
        assert_eq!((resume.consent, resume.pause), (consent, pause));
    }
}

/// Consent that was withdrawn while nothing could be written stays withdrawn.
#[tokio::test]
async fn a_decision_that_cannot_be_written_is_written_with_what_comes_next() {
    let (directory, mut harness) = Harness::fresh();
    harness.store.remember(Setting::Consent(true));
    harness.settle().await;

    let other = rusqlite::Connection::open(directory.path().join(DATABASE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for consent in [true, false] {
        harness.store.remember(Setting::Consent(consent));
        let event = harness.event().await;
        assert!(matches!(event, Event::Failed(_)), "{event:?}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    harness.save(Vec::new()).await;
    harness.store.close().await;
    assert!(!resume(directory.path()).await.consent);
}
