//! The format of the database: fixed by fixtures, and reached from every older one.
//!
//! `fixtures/vN.sqlite` is a database as format N was written, with the rows of
//! [`fill`]; it is never written again. After a step to format N + 1 is added,
//! [`this_format_has_its_fixture`] fails and leaves the new file in Cargo's directory
//! for temporary files, to be copied here.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rusqlite::types::Value;
use tcn_engine::{Contact, Pause, Signal};
use tcn_exchange::help::{Help, HelpPhone, HelpUrl};
use tcn_exchange::interval::Interval;
use tcn_exchange::upload_result::UploadResult;
use tcn_protocol::UnixTime;
use tcnd::store::{Cursor, DATABASE, Setting};
use tempfile::{TempDir, tempdir};

use super::exchange::{deliver, source, upload};
use super::reports::{export, found, own_report};
use super::{
    DAY, DAY_ONE, Harness, begun, born, child, dump, look, reserved, retired, sighting, tcn,
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/fixtures");

/// A little of everything that a database of this format can contain.
async fn fill(directory: &Path, format: u32) {
    let mut harness = Harness::new(directory);
    let unmeasured = Contact {
        signal: Signal {
            unmeasured: 300,
            ..Signal::default()
        },
        ..sighting(2, DAY_ONE + 899, DAY_ONE + DAY)
    };
    let mut bridged = Contact {
        signal: Signal {
            max: Some(-30),
            sum: -60 * 16_640,
            attenuation: [1, 127, 128, 16_384],
            unmeasured: 3360,
        },
        bridged: true,
        ..sighting(3, DAY_ONE + 900, DAY_ONE + 1800)
    };
    // Before format 5 discovery did not pause.
    if format >= 5 {
        (bridged.unheard.before, bridged.unheard.after) = (20, 255);
    }
    harness
        .save(vec![sighting(1, DAY_ONE, DAY_ONE), unmeasured, bridged])
        .await;
    harness.persist(begun(1, DAY_ONE)).await;
    harness
        .persist(vec![
            retired(1, 1, DAY_ONE + 900),
            reserved(1, 2, DAY_ONE + 900),
        ])
        .await;
    harness.store.remember(Setting::Consent(true));
    harness
        .store
        .remember(Setting::Pause(Pause::Until(UnixTime(DAY_ONE + DAY))));
    if format >= 2 {
        harness.persist(vec![born(2, DAY_ONE)]).await;
        reports(&harness, format).await;
    }
    if format >= 3 {
        sources(&harness, format).await;
    }
    harness.settle().await;
    harness.store.close().await;
}

/// An own report that left, one that was deleted after it had left, and a match.
async fn reports(harness: &Harness, format: u32) {
    let store = &harness.store;
    for key in [1, 2] {
        let id = store.keep_report(own_report(&[key])).await.unwrap();
        let left = store
            .record_release(id.unwrap(), export(DAY_ONE + 1000))
            .await;
        assert_eq!(left.unwrap().unwrap().len(), 1);
    }
    store
        .delete_report(2, UnixTime(DAY_ONE + 2000))
        .await
        .unwrap();
    let found = found(1, vec![(UnixTime(DAY_ONE), tcn(1))]);
    // Before format 4 the source of a report was not stored, so no source is left.
    if format >= 4 {
        let digests = vec![found.digest];
        store
            .remember_reports(found.source, digests, found.published, found.received)
            .await
            .unwrap();
    }
    store.record_matches(vec![found]).await.unwrap();
    store
        .mark_exposure(1, (UnixTime(DAY_ONE), UnixTime(DAY_ONE)), true)
        .await
        .unwrap();
}

/// A source that failed, an interval it delivered, and a part on its way there.
async fn sources(harness: &Harness, format: u32) {
    let store = &harness.store;
    let now = UnixTime(DAY_ONE + 1000);
    let mut one = source("one", true);
    // Before format 7 no source said where people find help.
    if format >= 7 {
        one.help = Help {
            url: Some(HelpUrl::new("https://a.example.org/help").unwrap()),
            phone: Some(HelpPhone::new("116 117").unwrap()),
        };
    }
    store.set_sources(vec![one]).await.unwrap();
    let one = || "one".to_owned();
    store.record_run(one(), String::new(), now).await.unwrap();
    store
        .record_run(one(), "timed-out".to_owned(), now)
        .await
        .unwrap();
    // Before format 4, an interval that was not over could be marked.
    if format >= 4 {
        deliver(store, "one", Interval::of(now), b"reports").await;
    }
    let uploads = vec![upload(1, "one", DAY_ONE + 1000)];
    store.queue(1, uploads, now).await.unwrap();
    let (again, next) = (UnixTime(DAY_ONE + 1900), UnixTime(DAY_ONE + 1060));
    let taken = store.take_upload(one(), now, again, next).await.unwrap();
    let failed = UploadResult::failed("timed-out", None);
    store
        .settle_upload(taken.unwrap().id, failed, now, |_, _| {
            Duration::from_secs(900)
        })
        .await
        .unwrap();
}

fn pragma(db: &rusqlite::Connection, name: &str) -> String {
    let value = db.pragma_query_value(None, name, |row| row.get(0)).unwrap();
    match value {
        Value::Text(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Null | Value::Real(_) | Value::Blob(_) => panic!("{name} is {value:?}"),
    }
}

/// Everything but the rows.
fn shape(db: &rusqlite::Connection) -> String {
    let mut text = String::new();
    for name in [
        "application_id",
        "user_version",
        "page_size",
        "auto_vacuum",
        "journal_mode",
        "encoding",
    ] {
        text += &format!("-- {name}: {}\n", pragma(db, name));
    }
    let mut query = db
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        .unwrap();
    let tables = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for table in tables {
        text += &format!("{};\n", table.unwrap());
    }
    text
}

/// The fixture of the newest format is not opened by tcnd here, so it has the tables as they
/// were when it was written.
#[tokio::test]
async fn the_schema_is_pinned() {
    let directory = tempdir().unwrap();
    Harness::new(directory.path()).store.close().await;
    let db = look(directory.path());
    let fixture = copies_of_fixtures()
        .into_iter()
        .find(|copy| pragma(&look(copy.path()), "user_version") == pragma(&db, "user_version"))
        .expect("this format has a fixture");
    assert_eq!(
        shape(&db),
        shape(&look(fixture.path())),
        "the format changed: it needs a step and a fixture"
    );
    // None of them is for the address of a device.
    let mut query = db
        .prepare("SELECT name FROM pragma_table_info('contact')")
        .unwrap();
    let columns = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let columns: Vec<_> = columns.map(Result::unwrap).collect();
    assert_eq!(
        columns,
        [
            "quarter",
            "tcn",
            "span",
            "rssi_max",
            "rssi_sum",
            "sightings",
            "bridged",
            "unheard"
        ]
    );
}

#[tokio::test]
async fn this_format_has_its_fixture() {
    let directory = tempdir().unwrap();
    fill(directory.path(), u32::MAX).await;
    let format: u32 = look(directory.path())
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    let name = format!("v{format}.sqlite");
    let fixture = Path::new(FIXTURES).join(&name);
    if !fixture.exists() {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::copy(directory.path().join(DATABASE), &made).unwrap();
        panic!(
            "format {format} has no fixture; look at {} and copy it to {FIXTURES}",
            made.display()
        );
    }
}

/// Every fixture, each copied to a directory of its own. SQLite writes files beside a
/// database that it opens, even to read it, and another test would find them.
fn copies_of_fixtures() -> Vec<TempDir> {
    let copy = |fixture: io::Result<fs::DirEntry>| {
        let directory = tempdir().unwrap();
        fs::copy(fixture.unwrap().path(), directory.path().join(DATABASE)).unwrap();
        directory
    };
    fs::read_dir(FIXTURES).unwrap().map(copy).collect()
}

#[tokio::test]
async fn every_older_format_leads_here_with_all_its_rows() {
    let fixtures = copies_of_fixtures();
    assert!(fixtures.len() > 1);
    for directory in fixtures {
        let format: u32 = pragma(&look(directory.path()), "user_version")
            .parse()
            .unwrap();
        let fresh = tempdir().unwrap();
        fill(fresh.path(), format).await;
        let fresh = look(fresh.path());
        Harness::new(directory.path()).store.close().await;
        let migrated = look(directory.path());
        assert_eq!(shape(&migrated), shape(&fresh));
        assert_eq!(dump(&migrated), dump(&fresh));
    }
}

/// The child: opens a database of any format.
#[tokio::test]
async fn role_opens() {
    let Some(directory) = child::directory() else {
        return;
    };
    child::say("opening", 1);
    let mut harness = Harness::new(&directory);
    harness.save(vec![sighting(9, DAY_ONE, DAY_ONE)]).await;
    child::say("stored", 1);
    std::future::pending::<()>().await;
}

/// Whenever a kill comes, the next start goes on from it, and has each contact once.
#[tokio::test]
async fn a_kill_while_an_older_format_is_brought_here_loses_nothing() {
    for directory in copies_of_fixtures() {
        let count = "SELECT count(*) FROM contact";
        let contacts: u32 = look(directory.path())
            .query_row(count, [], |row| row.get(0))
            .unwrap();
        let mut stored = 0;
        for kill in 0..8 {
            let mut child = child::start("schema::role_opens", directory.path(), None);
            let last_word = if kill % 4 == 3 { "stored" } else { "opening" };
            child.hear(last_word).unwrap();
            child.kill();
            let was_stored = last_word == "stored" || child.hear("stored").is_some();
            stored += u64::from(was_stored);
        }
        let harness = Harness::new(directory.path());
        let size = harness.store.size().await.unwrap();
        assert_eq!(size.rows, u64::from(contacts) + 1);
        let page = harness
            .store
            .contacts(Cursor::since(UnixTime(0)), 100)
            .await
            .unwrap();
        let nine = page.iter().find(|contact| contact.tcn == tcn(9)).unwrap();
        let counted = u64::from(nine.signal.sightings());
        assert!((stored..=8).contains(&counted), "{counted} of {stored}");
    }
}
