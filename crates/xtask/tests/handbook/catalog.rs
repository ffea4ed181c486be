//! The catalog, as journalctl reads it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use tcnd_client::notices::{EVENTS, PROBLEMS};

use crate::{path, said};

#[test]
fn journalctl_knows_every_notice_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&place).unwrap();
    fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).unwrap();
    fs::copy(
        path("packaging/catalog/tcnd.catalog"),
        place.join("tcnd.catalog"),
    )
    .unwrap();
    let journalctl = |what: &str| {
        let mut journalctl = Command::new("journalctl");
        journalctl.arg(format!("--root={}", root.path().display()));
        journalctl.args(["--quiet", "--no-pager", what]);
        said(&mut journalctl)
    };
    journalctl("--update-catalog");

    let listed = journalctl("--list-catalog");
    let listed: BTreeSet<_> = listed.lines().map(str::to_owned).collect();
    let notices = PROBLEMS.iter().chain(EVENTS);
    let expected: BTreeSet<_> = notices
        .filter_map(|notice| {
            let subject = notice.sentence.trim_end_matches('.');
            Some(format!("{} tcnd: {subject}", notice.id?))
        })
        .collect();
    assert_eq!(listed, expected);

    let dumped = journalctl("--dump-catalog");
    for notice in PROBLEMS
        .iter()
        .chain(EVENTS)
        .filter(|notice| notice.id.is_some())
    {
        assert!(dumped.contains(notice.cure), "{}", notice.token);
    }
}
