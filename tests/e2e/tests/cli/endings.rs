//! tcnd ends when something it needs is gone.

use std::io::Read;

use super::{Daemon, Place};

/// How often numbers were heard, by the contact log. The query makes tcnd write what it
/// heard so far.
fn sightings(place: &Place) -> u64 {
    place.json(&["contacts"])["sightings"].as_u64().unwrap()
}

fn age(place: &Place) -> u64 {
    place.json(&["status"])["number_age"].as_u64().unwrap_or(0)
}

#[test]
fn what_was_heard_is_written_when_the_bus_goes_away() {
    let mut place = Place::new();
    let mut daemon = place.start();
    assert!(place.tcnctl(&["enable"]).status.success());
    place.until(|status| status["scanning"] == true);
    // The neighbours of the simulated radio are heard every second, once they are near.
    let mut written = 0;
    while written == 0 {
        written = sightings(&place);
    }
    // No query for contacts comes meanwhile, so nothing is written.
    let since = age(&place);
    while age(&place) < since + 5 {}
    place.bus.kill().unwrap();
    place.bus.wait().unwrap();
    let ended = daemon.0.wait().unwrap();
    assert_eq!(ended.code(), Some(1), "so that it is started again");
    let mut log = String::new();
    let mut told = daemon.0.stderr.take().unwrap();
    told.read_to_string(&mut log).unwrap();
    assert!(
        log.contains("the message bus closed the connection"),
        "{log}"
    );
    let journal = place.state().join("tcnd.sqlite-wal");
    assert!(!journal.exists(), "the database was not closed: {log}");

    let next = Place::new();
    let again = next.tcnd_in(&place.state()).spawn().unwrap();
    let _again = Daemon(again);
    next.until(|status| status["version"].is_string());
    let kept = sightings(&next);
    assert!(kept > written, "{kept} of more than {written}: {log}");
}
