//! A forgotten report is not published again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use tcn_protocol::memo::coepi::{Day, SymptomMemo, Symptoms};

use super::harness::{
    INTERVAL, ManualClock, NOW, TestServer, UnsyncedClock, report, report_with, settings, soon,
};

/// Waits until the expired reports and all their pages are gone.
async fn cleared(server: &TestServer) {
    let db = Connection::open(server.directory.join("reportd.sqlite")).unwrap();
    let count = |query: &str| -> u32 { db.query_row(query, [], |row| row.get(0)).unwrap() };
    let oldest = "(SELECT open FROM state) - 56";
    let done = async {
        while count(&format!(
            "SELECT count(*) FROM report WHERE interval < {oldest}"
        )) > 0
            || count("SELECT * FROM pragma_freelist_count") > 0
        {
            server.get("/openapi.json").await;
        }
    };
    soon(done).await;
}

#[tokio::test]
async fn an_old_report_is_known_for_eight_weeks() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    for later in [57, 120, 224] {
        clock.set(NOW + later * INTERVAL);
        server.upload(&report(1000 + later)).await;
        cleared(&server).await;
        server.upload(&report(1)).await;
        let open = server.interval(74_359 + later).await;
        assert_eq!(open, [report(1000 + later)], "after {later} intervals");
    }
    // By then no log has a number of the report.
    clock.set(NOW + 225 * INTERVAL);
    server.upload(&report(2)).await;
    let forgotten = async {
        loop {
            server.upload(&report(1)).await;
            if server.interval(74_359 + 225).await.len() == 2 {
                return;
            }
        }
    };
    soon(forgotten).await;
    server.stop().await;
}

#[tokio::test]
async fn the_file_shrinks_when_reports_expire() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    for n in 0..1500 {
        server.upload(&report(n)).await;
    }
    let db = Connection::open(server.directory.join("reportd.sqlite")).unwrap();
    let pages = || -> u32 {
        let count = "SELECT * FROM pragma_page_count";
        db.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let before = pages();
    clock.set(NOW + 57 * INTERVAL);
    server.upload(&report(9999)).await;
    cleared(&server).await;
    assert!(pages() * 2 < before, "{} of {before} pages", pages());
    server.stop().await;
}

/// A database as the first release created it, with one report of `bytes`.
fn first_format(directory: &std::path::Path, interval: u64, bytes: &[u8]) {
    let db = Connection::open(directory.join("reportd.sqlite")).unwrap();
    db.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
         CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), open INTEGER NOT NULL) STRICT;
         CREATE TABLE report (interval INTEGER NOT NULL, place INTEGER NOT NULL,
             digest BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL,
             PRIMARY KEY (interval, place, digest)) STRICT, WITHOUT ROWID;
         PRAGMA application_id = 0x54434e72; PRAGMA user_version = 1;",
    )
    .unwrap();
    let parsed = tcn_protocol::wire::parse(bytes).unwrap();
    let digest = parsed.claim().digest();
    let open = i64::try_from(interval).unwrap();
    db.execute("INSERT INTO state VALUES (0, ?1)", [open])
        .unwrap();
    db.execute(
        "INSERT INTO report VALUES (?1, 7, ?2, ?3)",
        (open, digest.as_bytes(), bytes),
    )
    .unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_release_is_carried_on() {
    let directory = tempfile::tempdir().unwrap();
    first_format(directory.path(), 74_359, &report(1));
    let clock = ManualClock::at(NOW);
    let server = TestServer::with(&settings(), directory.path(), clock.clone()).await;
    assert_eq!(server.interval(74_359).await, [report(1)]);
    clock.set(NOW + 57 * INTERVAL);
    server.upload(&report(2)).await;
    cleared(&server).await;
    server.upload(&report(1)).await;
    assert_eq!(server.interval(74_359 + 57).await, [report(2)]);
    server.stop().await;
    // The next run refuses it too.
    let server = TestServer::with(&settings(), directory.path(), clock).await;
    server.upload(&report(1)).await;
    assert_eq!(server.interval(74_359 + 57).await, [report(2)]);
    server.stop().await;
}

fn dated(n: u64, made: u64) -> String {
    let memo = SymptomMemo::new(Day::of(made), None, Symptoms::default());
    STANDARD.encode(report_with(n, 0, &memo.encode()))
}

#[tokio::test]
async fn a_report_is_as_old_as_its_memo_says() {
    let day = 86_400;
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    for (n, made, status, word) in [
        (1, NOW, 200, ""),
        (2, NOW - 14 * day, 200, ""),
        (3, NOW - 16 * day, 400, "14 days ago"),
        (4, NOW + 3 * day, 400, "a day ahead"),
    ] {
        let response = server.post(dated(n, made)).await;
        assert_eq!(response.status, status, "{n}");
        let why = String::from_utf8(response.body.to_vec()).unwrap();
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(server.interval(74_359).await.len(), 2);
    server.stop().await;
}

/// A server whose own clock is in doubt refuses no report permanently.
#[tokio::test]
async fn a_clock_in_doubt_ages_no_report() {
    let clock = UnsyncedClock::at(NOW);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    clock.0.set(NOW + 30 * 86_400);
    assert_eq!(server.post(dated(2, NOW)).await.status, 503);
    clock.0.set(NOW + 60);
    assert_eq!(server.post(dated(2, NOW)).await.status, 200);
    server.stop().await;
}
