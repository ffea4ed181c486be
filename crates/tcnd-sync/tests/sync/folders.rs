//! Folders: a USB stick that people pass on.

use std::fs;
use std::os::unix::fs::symlink;

use tcn_protocol::file::{self, Format};
use tcn_protocol::wire;
use tempfile::TempDir;

use crate::mock_tcnd::{MockTcnd, PartState};
use crate::{Harness, gzip, json, report, reports, sized, stream};

fn stick() -> (TempDir, std::path::PathBuf) {
    let stick = TempDir::new().unwrap();
    let layout = stick.path().join("tcnreport/21600");
    fs::create_dir_all(&layout).unwrap();
    (stick, layout)
}

#[test]
fn intervals_and_whatever_else_is_there_are_read() {
    let (stick, layout) = stick();
    let (first, second, missing) = (MockTcnd::past(3), MockTcnd::past(2), MockTcnd::past(1));
    fs::write(layout.join(format!("{first}.tcn")), stream(&reports(1..4))).unwrap();
    fs::write(layout.join(format!("{second}.json")), json(&reports(4..6))).unwrap();
    fs::write(stick.path().join("one.tcn"), stream(&reports(6..7))).unwrap();
    fs::write(stick.path().join("two.json"), json(&reports(7..9))).unwrap();
    let lines = file::write(Format::Base64, &reports(9..10));
    fs::write(stick.path().join("three.b64"), lines).unwrap();
    fs::write(stick.path().join("photo.jpeg"), "x").unwrap();
    fs::write(
        stick.path().join("broken.tcn"),
        &stream(&reports(10..12))[..200],
    )
    .unwrap();
    let harness = Harness::of("folder", stick.path().to_str().unwrap(), "");
    harness.tcnd.want([first, second, missing]);
    harness.run().is(0);
    harness.tcnd.knows(&reports(1..11));
    harness.tcnd.whole("a", []);
    assert_eq!(harness.tcnd.recorded("a"), "");
}

/// Sticks as they come back from other machines.
#[test]
fn reports_are_found_whatever_they_are_called_and_however_packed() {
    let (stick, layout) = stick();
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    for (name, bytes) in [
        ("report (1).TCN", stream(&reports(1..2))),
        ("Report.JSON.GZ", gzip(&json(&reports(2..3)))),
        ("x.tcn.gz (1)", gzip(&stream(&reports(3..4)))),
        ("y.json.zst", zstd(&json(&reports(4..5)))),
        ("z.base64", file::write(Format::Base64, &reports(5..6))),
        ("photo.jpeg", b"x".to_vec()),
        ("notes", b"x".to_vec()),
    ] {
        fs::write(stick.path().join(name), bytes).unwrap();
    }
    let (first, second) = (MockTcnd::past(3), MockTcnd::past(2));
    let (of_first, of_second) = (json(&reports(6..7)), stream(&reports(7..8)));
    fs::write(layout.join(format!("{first}.json.gz")), gzip(&of_first)).unwrap();
    fs::write(layout.join(format!("{second}.tcn.zst")), zstd(&of_second)).unwrap();
    let harness = Harness::of("folder", stick.path().to_str().unwrap(), "");
    harness.tcnd.want([first, second]);
    let ended = harness.run().is(0);
    harness.tcnd.knows(&reports(1..8));
    ended.says("ignored=2");
    ended.says("jpeg");
    assert!(
        !ended.log.contains("photo"),
        "a file name may name a person"
    );
}

#[test]
fn a_file_that_holds_no_reports_is_said_to() {
    for (bytes, says) in [
        (&b"<html>"[..], "web page"),
        (b"PK\x03\x04", "zip"),
        (b"hello, world", "text without a report"),
    ] {
        let (stick, _) = stick();
        fs::write(stick.path().join("a.tcn"), bytes).unwrap();
        fs::write(stick.path().join("b.tcn"), stream(&reports(1..4))).unwrap();
        let harness = Harness::of("folder", stick.path().to_str().unwrap(), "");
        let ended = harness.run().is(1);
        assert_eq!(harness.tcnd.recorded("a"), "wrong-answer");
        ended.says(says);
        harness.tcnd.knows(&reports(1..4));
    }
}

#[test]
fn nothing_outside_of_it_is_read() {
    let (stick, layout) = stick();
    let outside = TempDir::new().unwrap();
    let secret = outside.path().join("secret.tcn");
    fs::write(&secret, stream(&reports(1..4))).unwrap();
    symlink(&secret, stick.path().join("link.tcn")).unwrap();
    let wanted = MockTcnd::past(1);
    symlink(&secret, layout.join(format!("{wanted}.tcn"))).unwrap();
    let harness = Harness::of("folder", stick.path().to_str().unwrap(), "");
    harness.tcnd.want([wanted]);
    harness.run().is(0);
    harness.tcnd.knows(&[]);
    harness.tcnd.whole("a", []);
}

#[test]
fn an_interval_that_breaks_off_is_asked_for_again() {
    let (stick, layout) = stick();
    let wanted = MockTcnd::past(1);
    let file = layout.join(format!("{wanted}.tcn"));
    let whole = stream(&reports(1..4));
    fs::write(&file, &whole[..whole.len() - 7]).unwrap();
    let harness = Harness::of("folder", stick.path().to_str().unwrap(), "");
    harness.tcnd.want([wanted]);
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "wrong-answer");
    harness.tcnd.knows(&[]);
    fs::write(&file, &whole).unwrap();
    harness.run_now().is(0);
    harness.tcnd.knows(&reports(1..4));
}

/// A file may have been copied before its interval was over, and again after it: its
/// time is that of the copy.
#[test]
fn a_file_that_grows_after_its_interval_is_read_again() {
    let (stick, layout) = stick();
    let wanted = MockTcnd::past(1);
    let file = layout.join(format!("{wanted}.tcn"));
    let harness = Harness::of("folder", stick.path().to_str().unwrap(), "");
    harness.tcnd.want([wanted]);
    for end in [3, 6] {
        fs::write(&file, stream(&reports(1..end))).unwrap();
        harness.run().is(0);
        harness.tcnd.knows(&reports(1..end));
        harness.tcnd.whole("a", []);
    }
}

/// A file in a folder is never whole, so each run reads all of them again.
#[test]
fn what_the_bounds_of_a_run_do_not_reach_comes_first_in_the_next() {
    for bound in ["budget = 90_000", "max_bytes = 1024"] {
        let (stick, layout) = stick();
        let by_bytes = bound.contains("bytes");
        let intervals: Vec<_> = (1..=12).rev().map(MockTcnd::past).collect();
        let held = |n: usize| {
            let seeds = 10 * u8::try_from(n).unwrap();
            if by_bytes {
                reports(seeds..seeds + 7)
            } else {
                vec![sized(seeds, 40_000, 0)]
            }
        };
        for (n, interval) in intervals.iter().enumerate() {
            fs::write(layout.join(format!("{interval}.tcn")), stream(&held(n))).unwrap();
        }
        let harness = Harness::of("folder", stick.path().to_str().unwrap(), bound);
        harness.tcnd.want(intervals.iter().copied());
        let runs = if by_bytes { 2 } else { 6 };
        for _ in 0..runs {
            harness.run().is(0);
        }
        let all: Vec<_> = (0..12).flat_map(held).collect();
        harness.tcnd.knows(&all);
    }
}

#[test]
fn a_file_that_is_too_large_does_not_block_the_others() {
    let (stick, _) = stick();
    fs::write(stick.path().join("a.tcn"), vec![b' '; 5000]).unwrap();
    fs::write(stick.path().join("b.tcn"), stream(&reports(1..4))).unwrap();
    let harness = Harness::of("folder", stick.path().to_str().unwrap(), "max_bytes = 4096");
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "too-large");
    harness.tcnd.knows(&reports(1..4));
}

#[test]
fn files_beyond_the_budget_are_named_and_have_their_turn_another_time() {
    let (stick, _) = stick();
    for seed in 1..4 {
        let file = stick.path().join(format!("{seed}.tcn"));
        fs::write(file, stream(&[sized(seed, 40_000, 0)])).unwrap();
    }
    let path = stick.path().to_str().unwrap();
    let harness = Harness::of("folder", path, "budget = 70_000");
    let known = || harness.tcnd.state().known.len();
    harness.run().is(1);
    assert_eq!(
        (known(), harness.tcnd.recorded("a").as_str()),
        (1, "too-large")
    );
    // Each run takes one of three at random.
    for _ in 0..200 {
        if known() == 3 {
            return;
        }
        harness.run_now().is(1);
    }
    panic!("{} files of 3 had their turn", known());
}

#[test]
fn a_part_becomes_a_file_that_the_next_machine_reads() {
    let (stick, _) = stick();
    let path = stick.path().to_str().unwrap();
    let harness = Harness::of("folder", path, "publish = true");
    harness.tcnd.publish("a", report(1));
    harness.tcnd.publish("a", report(2));
    harness.run().is(0);
    let state = harness.tcnd.state();
    assert!(
        state
            .parts
            .iter()
            .all(|part| part.state == PartState::Accepted)
    );
    drop(state);
    let mut files: Vec<_> = fs::read_dir(stick.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let mut bytes: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    bytes.sort();
    let mut expected = [wire::write(&report(1)), wire::write(&report(2))];
    expected.sort();
    assert_eq!(bytes, expected);
    let next = Harness::new();
    next.source("folder", path, "");
    next.run().is(0);
    next.tcnd.knows(&reports(1..3));
}

#[test]
fn a_stick_that_is_not_there_loses_nothing() {
    let harness = Harness::of("folder", "/nonexistent/stick", "publish = true");
    harness.tcnd.publish("a", report(1));
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "unreadable");
    let state = harness.tcnd.state().parts[0].state.clone();
    assert_eq!(state, PartState::Failed(None));
}
