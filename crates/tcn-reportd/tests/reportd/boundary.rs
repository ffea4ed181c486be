//! A past interval never changes, whatever uploads and clocks do.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::test_runner::{Config, TestRunner};
use tcn_protocol::UnixTime;
use tcn_reportd::Clock;

use super::harness::{
    END, INTERVAL, ManualClock, NOW, TestServer, base64, report, settings, sorted,
};

#[tokio::test]
async fn a_report_is_in_the_interval_that_is_current_when_it_is_written() {
    let clock = ManualClock::at(END - 1);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    clock.set(END);
    server.upload(&report(2)).await;
    assert_eq!(server.interval(74_359).await, [report(1)]);
    assert_eq!(server.interval(74_360).await, [report(2)]);
    server.stop().await;
}

/// A clock that advances by a second after a number of readings.
struct Ticking {
    told: AtomicU64,
    until: u64,
}

impl Clock for Ticking {
    fn now(&self) -> UnixTime {
        let told = self.told.fetch_add(1, Ordering::SeqCst);
        UnixTime(if told < self.until { END - 1 } else { END })
    }
}

#[tokio::test]
async fn an_interval_that_ends_while_a_batch_is_filled_does_not_get_it() {
    // Wherever the boundary falls among the readings of the clock, the report is in one
    // interval, and the other interval stays as it was served.
    let mut intervals = std::collections::BTreeSet::new();
    for until in 0..12 {
        let directory = tempfile::tempdir().unwrap();
        let told = AtomicU64::new(0);
        let clock = Ticking { told, until };
        let server = TestServer::with(&settings(), directory.path(), clock).await;
        server.upload(&report(1)).await;
        let (before, after) = (server.interval(74_359).await, server.interval(74_360).await);
        assert_eq!([&before[..], &after[..]].concat(), [report(1)], "{until}");
        assert_eq!(server.interval(74_359).await, before);
        intervals.insert(before.len());
        server.stop().await;
    }
    assert_eq!(intervals.len(), 2, "the boundary fell on one side only");
}

#[tokio::test]
async fn what_was_seen_of_an_interval_that_is_over_stays_byte_for_byte() {
    let runtime = tokio::runtime::Handle::current();
    let property = move || {
        let mut runner = TestRunner::new(Config::with_cases(12));
        // Steps of the clock, and the number of reports after each.
        let steps = proptest::collection::vec((0..2 * INTERVAL, 0..4_u64), 1..8);
        runner
            .run(&steps, |steps| {
                runtime.block_on(play(&steps));
                Ok(())
            })
            .unwrap();
    };
    tokio::task::spawn_blocking(property).await.unwrap();
}

/// Uploads, reads everything, and restarts by turns.
async fn play(steps: &[(u64, u64)]) {
    let directory = tempfile::tempdir().unwrap();
    let (mut now, mut next, mut seen) = (NOW, 0, std::collections::BTreeMap::new());
    for (step, uploads) in steps {
        // A clock set back a little is tolerated.
        let clock = ManualClock::at(now.saturating_sub(step % 3000));
        let server = TestServer::with(&settings(), directory.path(), clock.clone()).await;
        for _ in 0..*uploads {
            server.upload(&report(next)).await;
            next += 1;
        }
        now += step;
        clock.set(now);
        let current = now / INTERVAL;
        for number in NOW / INTERVAL..current {
            let path = format!("/tcnreport/21600/{number}.tcn");
            let response = server.get(&path).await;
            assert_eq!(response.status, 200);
            let before = seen.insert(number, response.body.clone());
            assert_eq!(
                before.unwrap_or_else(|| response.body.clone()),
                response.body
            );
        }
        server.stop().await;
    }
    let clock = ManualClock::at(now + INTERVAL);
    let server = TestServer::with(&settings(), directory.path(), clock).await;
    let mut all = Vec::new();
    for number in NOW / INTERVAL..=now / INTERVAL {
        all.extend(server.interval(number).await);
    }
    assert_eq!(sorted(all), sorted((0..next).map(report).collect()));
    server.stop().await;
}

#[tokio::test]
async fn a_clock_set_far_back_stops_uploads_and_changes_nothing() {
    let clock = ManualClock::at(END);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    clock.set(NOW - 2 * INTERVAL);
    let refused = server.post(base64(&report(2))).await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(server.get("/health").await.status, 503);
    assert_eq!(server.interval(74_360).await, [report(1)]);
    clock.set(END + 5);
    server.upload(&report(2)).await;
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.interval(74_360).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_replay_keeps_its_first_interval_and_is_gone_after_fourteen_days() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    for later in [1, 56] {
        clock.set(NOW + later * INTERVAL);
        server.upload(&report(1)).await;
        assert_eq!(server.interval(74_359).await, [report(1)]);
        assert_eq!(server.interval(74_359 + later).await.len(), 0);
    }
    clock.set(NOW + 57 * INTERVAL);
    assert_eq!(server.interval(74_359).await.len(), 0);
    assert_eq!(server.get("/tcnreport/21600/74359").await.status, 410);
    assert_eq!(server.get("/tcnreport/21600/74360").await.status, 200);
    let directory = server.directory.clone();
    // A reply of the writer shows that it finished a round, and so has expired old
    // data.
    server.upload(&report(2)).await;
    server.upload(&report(3)).await;
    for file in ["reportd.sqlite", "reportd.sqlite-wal"] {
        assert!(directory.join(file).exists());
    }
    let db = rusqlite::Connection::open(directory.join("reportd.sqlite")).unwrap();
    let left: u32 = db
        .query_row("SELECT count(*) FROM report", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 2, "the expired report is in the database still");
    server.stop().await;
}

#[tokio::test]
async fn order_says_nothing_about_arrival() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    let came: Vec<_> = (0..40).map(report).collect();
    for report in &came {
        server.upload(report).await;
    }
    let served = server.interval(74_359).await;
    assert_eq!(sorted(served.clone()), sorted(came.clone()));
    assert_ne!(served, came);
    let mut rowids = served.clone();
    rowids.reverse();
    assert_ne!(rowids, came);
    assert_eq!(server.interval(74_359).await, served, "order is drawn once");
    server.stop().await;
}
