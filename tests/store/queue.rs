//! Work waits in a bounded queue. Work that does not fit gets a refusal and is not
//! lost, and closing does the waiting work first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tcnd::store::{Error, Event};

use super::{DAY_ONE, Harness, born, look, one, sighting, summary};

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_answered_as_not_stored() {
    const SENT: u64 = 100;
    let (directory, mut harness) = Harness::fresh();
    // Another connection's write transaction stands for a disk that hangs.
    let stranger = look(directory.path());
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Growth does not wait for other connections, a record does.
    harness.store.persist(0, vec![born(1, DAY_ONE)]);
    for n in 1..=SENT {
        harness.store.save(n, vec![sighting(n, DAY_ONE, DAY_ONE)]);
    }
    let first = harness.event().await;
    assert!(
        matches!(first, Event::NotStored(_, Error::Busy)),
        "{first:?}"
    );
    stranger.execute_batch("ROLLBACK").unwrap();
    let (mut stored, mut refused) = (0, 1);
    while stored + refused < SENT {
        match harness.event().await {
            Event::Stored { seq: 0, .. } => {}
            Event::Stored { .. } => stored += 1,
            Event::NotStored(..) => refused += 1,
            Event::RowsChanged | Event::Failed(_) => panic!("not asked for"),
        }
    }
    let totals = summary(&harness.store).await;
    assert_eq!(totals.numbers, stored);
    assert!(
        stored > 0 && refused > 1,
        "{stored} stored, {refused} refused"
    );
}

#[tokio::test]
async fn closing_does_what_is_waiting_and_ends_the_events() {
    let (directory, mut harness) = Harness::fresh();
    for n in 1..=20 {
        harness.store.save(n, vec![sighting(n, DAY_ONE, DAY_ONE)]);
    }
    let other = harness.store.clone();
    harness.store.close().await;
    for n in 1..=20 {
        assert!(matches!(harness.events.recv().await, Some(Event::Stored { seq, .. }) if seq == n));
    }
    assert!(harness.events.recv().await.is_none());
    assert!(matches!(other.size().await, Err(Error::Closed)));
    // Before `look`, which merges the journal when it closes.
    assert!(
        !directory.path().join("tcnd.sqlite-wal").exists(),
        "the journal is left"
    );
    let rows: i64 = one(directory.path(), "SELECT count(*) FROM contact");
    assert_eq!(rows, 20);
}

#[tokio::test]
async fn the_last_clone_dropped_ends_the_thread() {
    let (directory, mut harness) = Harness::fresh();
    harness.store.save(1, vec![sighting(1, DAY_ONE, DAY_ONE)]);
    drop(harness.store);
    assert!(matches!(
        harness.events.recv().await,
        Some(Event::Stored { seq: 1, .. })
    ));
    assert!(harness.events.recv().await.is_none());
    // The lock is free again.
    Harness::new(directory.path());
}

#[tokio::test]
async fn a_way_that_was_stopped_leads_nowhere_and_the_others_go_on() {
    let (_directory, harness) = Harness::fresh();
    let stop = Arc::<AtomicBool>::default();
    let way = harness.store.until(Arc::clone(&stop));
    way.size().await.unwrap();
    stop.store(true, Ordering::Release);
    assert_eq!(way.size().await, Err(Error::Closed));
    harness.store.size().await.unwrap();
}
