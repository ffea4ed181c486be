//! Deliveries of sources, and parts of reports on their way to them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use tcn_engine::KeyId;
use tcn_exchange::help::Help;
use tcn_exchange::interval::Interval;
use tcn_exchange::upload_result::UploadResult;
use tcn_protocol::UnixTime;
use tcnd::store::{
    DATABASE, MOST_REMEMBERED, NewDelivery, NewSource, NewUpload, Store, UploadState, day_bytes,
};
use tempfile::tempdir;

use super::reports::own_report;
use super::{DAY, DAY_ONE, Harness, born};

pub(crate) fn source(name: &str, publish: bool) -> NewSource {
    NewSource {
        name: name.to_owned(),
        label: format!("Server {name}"),
        publish,
        help: Help::default(),
    }
}

pub(crate) fn upload(key: u64, source: &str, due: u64) -> NewUpload {
    NewUpload {
        key: KeyId(key),
        source: source.to_owned(),
        due: UnixTime(due),
        urgent: false,
    }
}

/// A source delivers these bytes for an interval, as complete.
pub(crate) async fn deliver(store: &Store, name: &str, interval: Interval, bytes: &[u8]) {
    let sources = store.sources().await.unwrap();
    let source = sources
        .into_iter()
        .find(|source| source.configured.name == name)
        .unwrap();
    let mut file = store.begin_delivery().await.unwrap();
    file.write_all(bytes).unwrap();
    let delivery = NewDelivery {
        source: source.id,
        label: source.configured.label,
        interval,
        whole: true,
        received: interval.end(),
        file: (!bytes.is_empty()).then_some(file),
    };
    store.keep_delivery(delivery).await.unwrap();
}

/// A report of two parts, queued for the source `one`.
async fn queued(harness: &mut Harness) -> u64 {
    let keys = vec![born(1, DAY_ONE), born(2, DAY_ONE)];
    harness.persist(keys).await;
    let store = &harness.store;
    store.set_sources(vec![source("one", true)]).await.unwrap();
    let id = store.keep_report(own_report(&[1, 2])).await.unwrap();
    let id = id.unwrap();
    let uploads = vec![
        upload(2, "one", DAY_ONE + 2000),
        upload(1, "one", DAY_ONE + 3000),
    ];
    let queued = store.queue(id, uploads, UnixTime(DAY_ONE + 1000)).await;
    assert_eq!(queued.unwrap(), 2);
    id
}

impl Harness {
    /// The part that is due at `at`. It is tried again a quarter of an hour later, and
    /// the next part is due a minute later at the earliest.
    async fn take(&self, source: &str, at: u64) -> Option<u64> {
        let (at, again) = (UnixTime(at), UnixTime(at + 900));
        let next = at.after(Duration::from_secs(60));
        let taken = self.store.take_upload(source.to_owned(), at, again, next);
        taken.await.unwrap().map(|due| due.id)
    }

    /// One that failed is tried again after as many times 499 s as it was tried.
    async fn settle_part(&self, id: u64, result: UploadResult, at: u64) -> bool {
        let wait = |tries, _| Duration::from_secs(499) * tries;
        let settled = self.store.settle_upload(id, result, UnixTime(at), wait);
        settled.await.unwrap()
    }

    async fn accepted(&self, id: u64, at: u64) -> bool {
        self.settle_part(id, UploadResult::Accepted, at).await
    }

    async fn states(&self) -> Vec<(UploadState, Option<u64>, String)> {
        let reports = self.store.own_reports().await.unwrap();
        let uploads = reports.into_iter().flat_map(|report| report.uploads);
        uploads
            .map(|part| (part.state, part.due.map(|due| due.0), part.reason))
            .collect()
    }
}

#[tokio::test]
async fn sources_are_those_of_the_last_run_and_remember_how_they_went() {
    let (_directory, Harness { store, .. }) = Harness::fresh();
    let both = vec![source("one", true), source("two", false)];
    store.set_sources(both.clone()).await.unwrap();
    let now = UnixTime(DAY_ONE);
    let record = |name: &str, problem: &str| {
        let (name, problem) = (name.to_owned(), problem.to_owned());
        store.record_run(name, problem, now)
    };
    assert!(record("one", "").await.unwrap());
    assert!(record("two", "unreachable").await.unwrap());
    assert!(record("two", "timed-out").await.unwrap());
    assert!(!record("three", "").await.unwrap());
    store.set_sources(both).await.unwrap();
    let sources = store.sources().await.unwrap();
    let told: Vec<_> = sources
        .iter()
        .map(|s| (s.checked, s.failures, s.problem.as_str()))
        .collect();
    assert_eq!(told, [(Some(now), 0, ""), (None, 2, "timed-out")]);
    assert!(record("two", "").await.unwrap());
    let two = store.sources().await.unwrap().remove(1);
    assert_eq!((two.failures, two.problem.as_str()), (0, ""));

    let interval = Interval::of(now);
    deliver(&store, "two", interval, b"").await;
    store.set_sources(vec![source("one", true)]).await.unwrap();
    assert_eq!(store.sources().await.unwrap().len(), 1);
    assert!(store.delivered("two".to_owned()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_interval_is_delivered_by_a_source_until_it_is_forgotten() {
    let (directory, mut harness) = Harness::fresh();
    let one = || "one".to_owned();
    let sources = vec![source("one", true)];
    harness.store.set_sources(sources).await.unwrap();
    let intervals = [DAY_ONE, DAY_ONE + DAY].map(|at| Interval::of(UnixTime(at)));
    for interval in intervals {
        deliver(&harness.store, "one", interval, b"").await;
        deliver(&harness.store, "one", interval, b"").await;
    }
    let delivered = harness.store.delivered(one()).await.unwrap();
    assert_eq!(delivered, BTreeSet::from(intervals));
    assert!(
        harness
            .store
            .delivered("two".to_owned())
            .await
            .unwrap()
            .is_empty()
    );
    // Kept over a restart.
    harness.settle().await;
    harness.store.close().await;
    let harness = Harness::new(directory.path());
    harness.store.forget(UnixTime(DAY_ONE + DAY));
    let delivered = harness.store.delivered(one()).await.unwrap();
    assert_eq!(delivered, BTreeSet::from([intervals[1]]));
}

#[tokio::test]
async fn parts_leave_when_they_are_due_one_at_a_time() {
    let (_directory, mut harness) = Harness::fresh();
    queued(&mut harness).await;
    assert_eq!(harness.take("one", DAY_ONE + 1999).await, None);
    assert_eq!(harness.take("two", DAY_ONE + 9000).await, None);
    // Both are due by now; the second keeps its interval to the first.
    let first = harness.take("one", DAY_ONE + 4000).await.unwrap();
    assert_eq!(harness.take("one", DAY_ONE + 4059).await, None);
    let second = harness.take("one", DAY_ONE + 4060).await.unwrap();
    assert_ne!(first, second);
    assert!(harness.accepted(first, DAY_ONE + 4001).await);
    let refused = UploadResult::Refused {
        reason: "too large".to_owned(),
    };
    assert!(harness.settle_part(second, refused, DAY_ONE + 4061).await);
    assert_eq!(harness.take("one", DAY_ONE + DAY).await, None);
    let states = harness.states().await;
    assert_eq!(states[0], (UploadState::Accepted, None, String::new()));
    assert_eq!(
        states[1],
        (UploadState::Refused, None, "too large".to_owned())
    );
    // A settled outcome does not change.
    assert!(!harness.accepted(first, DAY_ONE + 5000).await);
}

#[tokio::test]
async fn a_part_is_recorded_as_gone_before_it_is_handed_out() {
    let (directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    assert!(
        harness.store.own_reports().await.unwrap()[0]
            .releases
            .is_empty()
    );
    let part = harness.take("one", DAY_ONE + 4000).await.unwrap();
    // The process that took it is killed, and so is the store's.
    harness.settle().await;
    harness.store.close().await;
    let harness = Harness::new(directory.path());
    let report = harness.store.own_reports().await.unwrap().remove(0);
    assert_eq!(report.releases.len(), 1);
    assert_eq!(report.releases[0].how, "publish-one");
    assert_eq!(report.uploads[0].state, UploadState::Sent);
    // It is tried again, as the same part, and recorded as gone once.
    let next = harness.take("one", DAY_ONE + 4100).await.unwrap();
    assert_ne!(next, part);
    assert_eq!(harness.take("one", DAY_ONE + 4899).await, None);
    assert_eq!(harness.take("one", DAY_ONE + 4900).await, Some(part));
    let report = harness.store.own_reports().await.unwrap().remove(0);
    assert_eq!((report.id, report.releases.len()), (id, 1));
    // It failed for the second time.
    let failed = UploadResult::failed("unreachable", None);
    assert!(harness.settle_part(part, failed, DAY_ONE + 4901).await);
    assert_eq!(harness.states().await[0].1, Some(DAY_ONE + 4901 + 2 * 499));
}

#[tokio::test]
async fn a_failure_is_tried_again_when_told() {
    let (_directory, mut harness) = Harness::fresh();
    queued(&mut harness).await;
    let part = harness.take("one", DAY_ONE + 2000).await.unwrap();
    let failed = UploadResult::failed("unreachable", None);
    assert!(harness.settle_part(part, failed, DAY_ONE + 2001).await);
    assert_eq!(
        harness.states().await[0],
        (
            UploadState::Sent,
            Some(DAY_ONE + 2500),
            "unreachable".to_owned()
        )
    );
    assert_eq!(harness.take("one", DAY_ONE + 2499).await, None);
    assert_eq!(harness.take("one", DAY_ONE + 2500).await, Some(part));
}

#[tokio::test]
async fn a_report_is_queued_once_for_each_source_and_again_where_it_was_refused() {
    let (_directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    assert_eq!(harness.store.parts(id).await.unwrap().len(), 2);
    assert!(harness.store.parts(id + 1).await.unwrap().is_empty());
    let again = |source: &str| vec![upload(1, source, DAY_ONE), upload(2, source, DAY_ONE)];
    let now = UnixTime(DAY_ONE + 1000);
    assert_eq!(harness.store.queue(id, again("one"), now).await.unwrap(), 0);
    assert_eq!(harness.store.queue(id, again("two"), now).await.unwrap(), 2);
    assert_eq!(
        harness
            .store
            .queue(id + 1, again("two"), now)
            .await
            .unwrap(),
        0
    );
    let part = harness.take("one", DAY_ONE + 2000).await.unwrap();
    let refused = UploadResult::Refused {
        reason: String::new(),
    };
    assert!(harness.settle_part(part, refused, DAY_ONE + 2000).await);
    assert_eq!(harness.store.queue(id, again("one"), now).await.unwrap(), 1);
}

#[tokio::test]
async fn urgent_parts_do_not_wait_for_each_other() {
    let (_directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    let urgent = |key| NewUpload {
        urgent: true,
        ..upload(key, "two", DAY_ONE)
    };
    let uploads = vec![urgent(1), urgent(2)];
    let queued = harness.store.queue(id, uploads, UnixTime(DAY_ONE)).await;
    assert_eq!(queued.unwrap(), 2);
    assert!(harness.take("two", DAY_ONE).await.is_some());
    assert!(harness.take("two", DAY_ONE).await.is_some());
    assert!(harness.take("two", DAY_ONE).await.is_none());
}

#[tokio::test]
async fn what_waits_is_hurried_and_what_was_sent_is_tried_again_at_once() {
    let (_directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    let now = UnixTime(DAY_ONE + 2000);
    assert!(harness.take("one", now.0).await.is_some());
    let sendable = || async {
        let sources = vec!["one".to_owned(), "two".to_owned()];
        let sendable = harness.store.sendable(id, sources, now).await.unwrap();
        sendable
            .iter()
            .map(|of| (of.new, of.waiting))
            .collect::<Vec<_>>()
    };
    assert_eq!(sendable().await, [(0, 2), (2, 0)]);
    let urgent = |key| NewUpload {
        urgent: true,
        ..upload(key, "one", now.0)
    };
    let hurried = harness
        .store
        .queue(id, vec![urgent(1), urgent(2)], now)
        .await;
    assert_eq!(hurried.unwrap(), 2);
    assert_eq!(sendable().await, [(0, 0), (2, 0)]);
    assert!(harness.take("one", now.0).await.is_some());
    assert!(harness.take("one", now.0).await.is_some());
    assert!(harness.take("one", now.0).await.is_none());
}

#[tokio::test]
async fn what_is_cancelled_leaves_no_more_and_what_left_is_counted() {
    let (_directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    let part = harness.take("one", DAY_ONE + 2000).await.unwrap();
    let elsewhere = harness
        .store
        .cancel_uploads(id, Some("two".to_owned()))
        .await;
    assert_eq!(elsewhere.unwrap(), []);
    let cancelled = harness.store.cancel_uploads(id, None).await.unwrap();
    let counts: Vec<_> = cancelled.iter().map(|of| (of.cancelled, of.left)).collect();
    assert_eq!(counts, [(1, 1)]);
    assert_eq!(
        harness.take("one", DAY_ONE + DAY).await,
        None,
        "nor tried again"
    );
    let states = harness.states().await;
    assert_eq!(states, [(UploadState::Cancelled, None, String::new())]);
    let outcome = UploadResult::Accepted;
    assert!(harness.settle_part(part, outcome, DAY_ONE + 2100).await);
    let states = harness.states().await;
    assert_eq!(states, [(UploadState::Accepted, None, String::new())]);
}

#[tokio::test]
async fn a_deleted_report_leaves_no_more() {
    let (_directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    let part = harness.take("one", DAY_ONE + 2000).await.unwrap();
    let deleted = harness
        .store
        .delete_report(id, UnixTime(DAY_ONE + 2100))
        .await;
    assert!(deleted.unwrap());
    assert_eq!(harness.take("one", DAY_ONE + DAY).await, None);
    // The part that left may still be settled, and stays as the record.
    assert!(harness.accepted(part, DAY_ONE + 2200).await);
    let states = harness.states().await;
    assert_eq!(states, [(UploadState::Accepted, None, String::new())]);
}

#[tokio::test]
async fn a_report_that_never_left_takes_its_queue_with_it() {
    let (_directory, mut harness) = Harness::fresh();
    let id = queued(&mut harness).await;
    assert!(harness.delete(id, DAY_ONE).await);
    assert!(harness.store.own_reports().await.unwrap().is_empty());
    assert_eq!(harness.take("one", DAY_ONE + DAY).await, None);
}

/// Files of deliveries in a directory.
fn files(directory: &Path) -> usize {
    let names = std::fs::read_dir(directory).unwrap();
    names
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("delivery")
        })
        .count()
}

#[tokio::test]
async fn a_delivery_waits_until_it_is_matched_and_outlives_a_restart() {
    let directory = tempdir().unwrap();
    let interval = Interval::of(UnixTime(DAY_ONE));
    {
        let store = Harness::new(directory.path()).store;
        store.set_sources(vec![source("one", true)]).await.unwrap();
        deliver(&store, "one", interval, b"first").await;
        deliver(&store, "one", interval.next(), b"second").await;
        let delivered = store.delivered("one".to_owned()).await.unwrap();
        assert_eq!(delivered, BTreeSet::from([interval, interval.next()]));
        // This one was not kept: its run broke off.
        let left = store.begin_delivery().await.unwrap();
        std::mem::forget(left);
        store.close().await;
    }
    assert_eq!(files(directory.path()), 3);
    let store = Harness::new(directory.path()).store;
    assert_eq!(
        files(directory.path()),
        2,
        "a file without a row is removed"
    );
    for (text, told) in [("first", interval), ("second", interval.next())] {
        let mut next = store.next_delivery().await.unwrap().unwrap();
        let mut bytes = String::new();
        next.file.read_to_string(&mut bytes).unwrap();
        assert_eq!((bytes.as_str(), next.published), (text, told.end()));
        assert_eq!(next.label, "Server one");
        store.end_delivery(next.id).await.unwrap();
    }
    assert!(store.next_delivery().await.unwrap().is_none());
    assert_eq!(files(directory.path()), 0);
    store.close().await;
}

#[tokio::test]
async fn a_source_has_so_many_bytes_a_day_and_no_other_loses_by_it() {
    let (_directory, Harness { store, .. }) = Harness::fresh();
    let both = vec![source("one", true), source("two", true)];
    store.set_sources(both).await.unwrap();
    let interval = Interval::of(UnixTime(DAY_ONE));
    let sources = store.sources().await.unwrap();
    let room = async |at: UnixTime| {
        let one = store.delivery_room(sources[0].id, at).await.unwrap();
        let two = store.delivery_room(sources[1].id, at).await.unwrap();
        (one, two)
    };
    let most = day_bytes(2);
    let now = interval.end();
    assert_eq!(room(now).await, (most, most));
    for left in [5, 10] {
        deliver(&store, "one", interval, b"bytes").await;
        assert_eq!(room(now).await, (most - left, most));
    }
    assert_eq!(
        room(now.after(Duration::from_secs(DAY))).await,
        (most, most)
    );
    // Eight sources have smaller quotas each, and together at most four times the quota
    // of one.
    assert!(day_bytes(8) < day_bytes(1) && 8 * day_bytes(8) <= 4 * day_bytes(1));
    store.close().await;
}

#[tokio::test]
async fn a_source_that_floods_is_remembered_so_far_and_no_further() {
    let (directory, mut harness) = Harness::fresh();
    let both = vec![source("one", true), source("two", true)];
    harness.store.set_sources(both).await.unwrap();
    let sources = harness.store.sources().await.unwrap();
    let one = sources[0].id;
    look_write(
        directory.path(),
        &format!("UPDATE source SET remembered = {}", MOST_REMEMBERED - 1),
    );
    let now = UnixTime(DAY_ONE);
    let digest = |key| super::reports::found(key, Vec::new()).digest;
    let remember = |digests| harness.store.remember_reports(one, digests, now, now);
    let told = remember(vec![digest(1), digest(2)]).await.unwrap();
    assert_eq!(told, [None, None]);
    let told = remember(vec![digest(1), digest(2)]).await.unwrap();
    assert_eq!(told, [Some(now), None], "there is room for one");
    // The day is over, and its quota is free again.
    harness.store.forget(UnixTime(DAY_ONE + DAY));
    let told = harness
        .store
        .earliest_published(one, vec![digest(1)])
        .await
        .unwrap();
    assert_eq!(told, [None]);
    let left: i64 = super::one(
        directory.path(),
        "SELECT remembered FROM source WHERE name = 'one'",
    );
    assert_eq!(left, i64::try_from(MOST_REMEMBERED - 1).unwrap());
    harness.settle().await;
}

/// Changes a database that is in use.
fn look_write(directory: &Path, sql: &str) {
    let db = rusqlite::Connection::open(directory.join(DATABASE)).unwrap();
    db.execute(sql, []).unwrap();
}
