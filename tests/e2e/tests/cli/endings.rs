//! tcnd ends when something it needs is gone.

use super::{Daemon, Fixture, assert_contains};

/// How often numbers were heard, by the contact log. The query makes tcnd write what it
/// heard so far.
fn sightings(fixture: &Fixture) -> u64 {
    fixture.json(&["contacts"])["sightings"].as_u64().unwrap()
}

fn age(fixture: &Fixture) -> u64 {
    fixture.json(&["status"])["number_age"]
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn what_was_heard_is_written_when_the_bus_goes_away() {
    let mut fixture = Fixture::new();
    let mut daemon = fixture.start();
    fixture.ok(&["enable"]);
    fixture.until(|status| status["scanning"] == true);
    // The neighbours of the simulated radio are heard every second, once they are near.
    let mut written = 0;
    while written == 0 {
        written = sightings(&fixture);
    }
    // No query for contacts comes meanwhile, so nothing is written.
    let since = age(&fixture);
    while age(&fixture) < since + 5 {}
    fixture.bus.process.kill().unwrap();
    fixture.bus.process.wait().unwrap();
    let ended = daemon.0.wait().unwrap();
    assert_eq!(ended.code(), Some(1), "so that it is started again");
    let log = daemon.log();
    assert_contains(&log, "the message bus closed the connection");
    let journal = fixture.state().join("tcnd.sqlite-wal");
    assert!(!journal.exists(), "the database was not closed: {log}");

    let next = Fixture::new();
    let again = next.tcnd_in(&fixture.state()).spawn().unwrap();
    let _again = Daemon(again);
    next.until(|status| status["version"].is_string());
    let kept = sightings(&next);
    assert!(kept > written, "{kept} of more than {written}: {log}");
}
