//! Kills the process, or removes its disk space. Everything that was answered as stored
//! is there, and of anything not answered all or nothing.
//!
//! So a crash costs the growth the engine has not sent yet and the batch in progress.
//! The engine sends every minute.

use std::ops::RangeInclusive;
use std::path::Path;

use tcnd::store::Error;
use tempfile::tempdir;

use super::{DAY_ONE, Harness, born, child, open, reserved, sighting, summary};

/// Contacts of one batch.
const BATCH: u64 = 5;

fn batch(n: u64) -> Vec<tcn_engine::Contact> {
    let at = DAY_ONE + n;
    let mut batch: Vec<_> = (1..BATCH)
        .map(|i| sighting(n * BATCH + i, at, at))
        .collect();
    // One neighbour grows with every batch.
    batch.push(sighting(0, DAY_ONE, at));
    batch
}

/// The child: a batch and a key record alternately, each reported when stored.
#[tokio::test]
async fn role_saves_for_ever() {
    save_for_ever(async |_| {}).await;
}

/// The child: the same, and the growth is folded before each record. A fold writes as
/// much as all else, so a kill often comes in the middle of one.
#[tokio::test]
async fn role_saves_and_folds_for_ever() {
    save_for_ever(async |harness| {
        harness.store.size().await.unwrap();
    })
    .await;
}

async fn save_for_ever(then: impl AsyncFn(&Harness)) {
    let Some(directory) = child::directory() else {
        return;
    };
    let mut harness = Harness::new(&directory);
    harness.persist(vec![born(1, DAY_ONE)]).await;
    for n in 1.. {
        harness.save(batch(n)).await;
        then(&harness).await;
        let entry = reserved(1, u16::try_from(n).unwrap(), DAY_ONE);
        harness.persist(vec![entry]).await;
        child::say("stored", n);
    }
}

/// The roles that save for ever.
pub(crate) const SAVERS: [&str; 2] = [
    "kill::role_saves_for_ever",
    "kill::role_saves_and_folds_for_ever",
];

#[tokio::test]
async fn a_kill_loses_nothing_that_was_stored() {
    for role in SAVERS {
        for rounds in [1, 2, 7, 40, 400] {
            let directory = tempdir().unwrap();
            let mut child = child::start(role, directory.path(), None);
            let stored = child.kill_after(rounds);
            audit(directory.path(), stored..=stored + 1, stored..=stored + 1).await;
        }
    }
}

/// The child: batches until one does not fit.
#[tokio::test]
async fn role_saves_until_the_disk_is_full() {
    let Some(directory) = child::directory() else {
        return;
    };
    let mut harness = Harness::new(&directory);
    for n in 1.. {
        match harness.try_save(batch(n)).await {
            Ok(_) => {}
            Err(Error::Full(_)) => {
                // What cannot be folded is in the answers all the same.
                let counted = summary(&harness.store).await.sightings;
                assert_eq!(counted, BATCH * (n - 1));
                child::say("full", n - 1);
                return;
            }
            Err(fault) => panic!("not full, but {fault:?}"),
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_loses_nothing_that_was_stored() {
    let directory = tempdir().unwrap();
    let role = "kill::role_saves_until_the_disk_is_full";
    let mut child = child::start(role, directory.path(), Some(512));
    let stored = child.hear("full").expect("the child says when it is full");
    assert!(child.wait().success());
    assert!(stored > 10, "{stored} batches fitted");
    audit(directory.path(), stored..=stored, 0..=0).await;
}

/// This many batches are in the log, each whole, and this many numbers are known to
/// have been on the air.
pub(crate) async fn audit(
    directory: &Path,
    batches: RangeInclusive<u64>,
    numbers: RangeInclusive<u64>,
) {
    let opened = open(directory).unwrap();
    assert_eq!(opened.quarantined, None);
    let key = opened.resume.broadcast.first();
    let aired = key.map_or(0, |key| u64::from(key.last.get()));
    assert!(numbers.contains(&aired), "{aired} of {numbers:?} numbers");
    let mut harness = Harness::of(opened);
    let totals = summary(&harness.store).await;
    let found = totals.sightings / BATCH;
    assert!(batches.contains(&found), "{found} of {batches:?} batches");
    assert_eq!(totals.sightings % BATCH, 0, "a batch is there in part");
    let neighbours = if found == 0 {
        0
    } else {
        1 + found * (BATCH - 1)
    };
    assert_eq!(totals.numbers, neighbours);
    // The store still works.
    harness.save(batch(batches.end() + 1)).await;
}
