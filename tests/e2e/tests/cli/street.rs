//! Two daemons whose simulated radios hear each other through a shared folder, from the
//! first advert to the exposure; and a folder that does not exist.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Daemon, Fixture, assert_contains_all, text};

fn tcnd(fixture: &Fixture, street: &Path) -> Command {
    let mut command = Command::new(e2e::program("tcnd"));
    command.args(["--bus", &fixture.address, "--state-dir"]);
    command.arg(fixture.state());
    command
        .arg("--radio")
        .arg(format!("fake:{}", street.display()));
    let config = fixture.folder.path().join("on.toml");
    fs::write(&config, "enabled = true\n").unwrap();
    command.arg("--config").arg(config);
    command
}

/// Waits until `fixture` has a contact. Each query is a process, so the count is a
/// deadline of some seconds at least.
fn has_a_contact(fixture: &Fixture) {
    let mut last = Value::Null;
    for _ in 0..1000 {
        last = fixture.json(&["contacts"]);
        if last["numbers"].as_u64().is_some_and(|numbers| numbers > 0) {
            return;
        }
    }
    panic!("no contact; the last was {last}");
}

#[test]
fn who_share_a_street_meet_and_the_report_of_one_warns_the_other() {
    let street = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    let mut daemons: Vec<_> = [&ours, &theirs]
        .map(|fixture| Daemon(tcnd(fixture, street.path()).spawn().unwrap()))
        .into();
    for fixture in [&ours, &theirs] {
        let status = fixture.until(|status| status["advertising"] == true);
        assert_eq!(status["simulated"], true);
    }
    has_a_contact(&ours);
    has_a_contact(&theirs);
    let words = ["report", "create", "--symptoms", "dry-cough", "--yes"];
    theirs.ok(&words);
    let file = theirs.folder.path().join("report.tcn");
    let file = file.to_str().unwrap();
    theirs.ok(&["report", "export", "1", file]);
    assert_eq!(ours.json(&["exposures"])["known"], 0);
    ours.ok(&["report", "import", file]);
    let warned = ours.json(&["exposures"]);
    assert_eq!(warned["known"], 1, "{warned}");
    for daemon in &mut daemons {
        assert!(daemon.stop().success());
    }
    let left = fs::read_dir(street.path()).unwrap().count();
    assert_eq!(left, 0, "sockets are left in the street");
}

/// `watch` gets a signal for every new number, and with each reads how many are near.
#[test]
fn who_comes_is_told_with_the_next_number() {
    let street = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    let _our_daemon = Daemon(tcnd(&ours, street.path()).spawn().unwrap());
    ours.until(|status| status["advertising"] == true);
    let mut watch = Command::new(e2e::program("tcnctl"));
    watch.args(["--bus", &ours.address, "watch", "--format", "json"]);
    let mut watch = Daemon(watch.stdout(Stdio::piped()).spawn().unwrap());
    let mut documents = BufReader::new(watch.0.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(documents.next().unwrap()["nearby"], 0);
    let _their_daemon = Daemon(tcnd(&theirs, street.path()).spawn().unwrap());
    has_a_contact(&ours);
    ours.ok(&["rotate"]);
    let with_a_number = documents.find(|document| {
        let events = document["events"].as_array().unwrap();
        events.iter().any(|event| event["event"] == "new-number")
    });
    assert_eq!(with_a_number.unwrap()["nearby"], 1);
}

#[test]
fn a_street_that_is_no_folder_is_refused_with_the_cure() {
    let fixture = Fixture::new();
    let street = fixture.folder.path().join("nowhere");
    let refused = tcnd(&fixture, &street).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert_contains_all(&said, &["nowhere", "mkdir"]);
    assert_eq!(said.lines().count(), 1, "{said}");
}
