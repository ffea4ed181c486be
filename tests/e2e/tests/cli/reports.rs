//! Reports, exposures and destructive commands: what is shown before, what is asked,
//! and to whom a created file belongs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use serde_json::json;
use tcnd::daemon::{ProblemDetails, Refusal};
use tcnd_client::Problem;

use crate::mock_tcnd::{MockTcnd, busy, mock_driver, run};
use crate::{assert_contains, assert_contains_all, text};

const CREATE: [&str; 4] = ["report", "create", "--symptoms", "dry-cough"];

/// Runs tcnctl on its own terminal, and types a line.
async fn on_a_terminal(it: &MockTcnd, words: &[&str], typed: &str) -> (bool, String) {
    let tcnctl = e2e::program("tcnctl");
    let line = [&[&*tcnctl, "--bus", &it.fixture.address], words]
        .concat()
        .join("' '");
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("'{line}'"), "/dev/null"])
        .env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .expect("script is needed: apt-get install bsdutils");
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{typed}").unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        output
    });
    let output = crate::mock_tcnd::soon(ended).await.unwrap();
    (output.status.success(), text(&output.stdout))
}

#[tokio::test]
async fn a_report_is_shown_before_it_is_made() {
    let mut it = MockTcnd::new(busy()).await;
    let said = it.fails(1, &CREATE).await;
    assert_contains_all(
        &said,
        &[
            "discloses 6 numbers in 2 signed reports: every number that was on the air",
            "It names 8 numbers, of which 2 were never on the air and never will be.",
            "from 1970-01-01 00:16 to 1970-01-01 00:50",
            "It concerns everyone who used this computer in that time",
            "can learn that this computer was there",
            "the report warns no one of",
            "already cover 1 more key",
            "Its memo says: dry cough, reported ",
            "Note: the same symptoms in 2 reports",
            "cannot be taken back",
            "no terminal to ask",
            "--yes",
        ],
    );
    let heard = it.driver.heard();
    assert!(
        heard.iter().all(|asked| asked.starts_with("Preview")),
        "{heard:?}"
    );

    let (done, said) = on_a_terminal(&it, &CREATE, "no").await;
    assert!(!done);
    assert_contains(&said, "nothing was done");
    let heard = it.driver.heard();
    assert!(
        heard.iter().all(|asked| asked.starts_with("Preview")),
        "{heard:?}"
    );

    for typed in ["yes", "y", "Y", "YES"] {
        let (done, said) = on_a_terminal(&it, &CREATE, typed).await;
        assert_contains(&said, "To continue, type y or yes: ");
        assert!(done);
        assert_contains(&said, "Report 3 is made and has not left");
        let heard = it.driver.heard();
        assert!(
            heard.iter().any(|asked| asked.starts_with("Make")),
            "{heard:?}"
        );
    }
}

/// tcnctl refuses before any question what tcnd would refuse in any case.
#[tokio::test]
async fn a_refusal_that_can_be_foreseen_comes_before_the_question() {
    let mut it = MockTcnd::new(busy()).await;
    let long = "x".repeat(257);
    let cases: [(&[&str], i32, &str); 6] = [
        // The mock driver has no number on the air before 1970-01-01 00:00:01.
        (
            &["report", "create", "--symptoms", "none", "--from", "@0"],
            1,
            "nothing of yours was on the air in that time",
        ),
        (
            &["report", "create", "--memo-type", "77", "--memo-hex", "00"],
            1,
            "shows that they are one person's",
        ),
        (
            &["report", "create", "--symptoms", "none", "--note", &long],
            1,
            "256 bytes",
        ),
        (
            &[
                "report",
                "create",
                "--symptoms",
                "other",
                "--since",
                "2100-01-01",
            ],
            2,
            "which is today",
        ),
        (&["report", "delete", "77"], 1, "no report with this id"),
        (
            &["contacts", "erase", "--from", "@2000", "--to", "@1000"],
            1,
            "the time ends before it begins",
        ),
    ];
    for (words, code, why) in cases {
        let (done, said) = on_a_terminal(&it, words, "yes").await;
        assert!(!done && said.contains(why), "{words:?}: {said}");
        assert!(!said.contains("To continue"), "{words:?}: {said}");
        assert_eq!(
            it.tcnctl(words).await.status.code(),
            Some(code),
            "{words:?}"
        );
    }
    let heard = it.driver.heard();
    let acts = |asked: &String| asked.starts_with("Preview") || asked == "List";
    assert!(heard.iter().all(acts), "{heard:?}");

    it.driver.refuse(Some(Refusal::AlreadyPublished));
    let (done, said) = on_a_terminal(&it, &["report", "publish", "3"], "yes").await;
    assert!(!done && !said.contains("To continue"), "{said}");
    assert_contains(&said, "--now");
    it.driver.refuse(Some(Refusal::NoServer));
    let (done, said) = on_a_terminal(&it, &["report", "publish", "3"], "yes").await;
    assert!(!done && !said.contains("To continue"), "{said}");
}

#[tokio::test]
async fn who_may_not_is_told_before_the_question() {
    let it = MockTcnd::with(busy(), rustix::process::geteuid().as_raw() + 1).await;
    // Root may always destroy.
    let destroying: &[&[&str]] = match rustix::process::geteuid().is_root() {
        true => &[],
        false => &[&["wipe"], &["contacts", "erase"]],
    };
    let others = [
        &CREATE[..],
        &["report", "publish", "3"],
        &["report", "publish", "3", "--cancel"],
        &["report", "delete", "3"],
    ];
    for words in destroying.iter().copied().chain(others) {
        let (done, said) = on_a_terminal(&it, words, "yes").await;
        assert!(
            !done && said.contains("not authorised"),
            "{words:?}: {said}"
        );
        assert!(!said.contains("To continue"), "{words:?}: {said}");
        assert_eq!(it.tcnctl(words).await.status.code(), Some(4), "{words:?}");
    }
    it.leave().await;
    for words in [
        &["wipe"][..],
        &["contacts", "erase"],
        &["report", "delete", "3"],
    ] {
        let (done, said) = on_a_terminal(&it, words, "yes").await;
        assert!(
            !done && said.contains("tcnd is not running"),
            "{words:?}: {said}"
        );
        assert!(!said.contains("To continue"), "{words:?}: {said}");
    }
}

#[tokio::test]
async fn a_report_is_deleted_after_it_was_asked_for() {
    let mut it = MockTcnd::new(busy()).await;
    let (done, said) = on_a_terminal(&it, &["report", "delete", "5"], "no").await;
    assert!(!done, "{said}");
    assert_contains_all(
        &said,
        &[
            "6 numbers in 2 signed reports",
            "1 signed report is queued for servers, and will not be sent",
            "It left the machine 1970-01-01 01:41, by publish-one; that copy stays",
            "type y or yes",
        ],
    );
    assert_eq!(it.driver.heard(), ["List"]);
    assert_contains(&it.fails(1, &["report", "delete", "3"]).await, "--yes");
    assert_eq!(it.driver.heard(), ["List"]);
    let (done, said) = on_a_terminal(&it, &["report", "delete", "3"], "Y").await;
    assert!(done);
    assert_contains(&said, "Report 3 is deleted on this machine");
    assert_eq!(it.driver.heard(), ["List", "Delete 3", "List"]);
}

#[tokio::test]
async fn what_has_not_left_is_kept_here_without_a_question() {
    let mut it = MockTcnd::new(busy()).await;
    let said = it.text(&["report", "publish", "5", "--cancel"]).await;
    assert_eq!(
        said,
        "one: 1 signed report stays here; 2 signed reports have or may have left.\n\
         two: 3 signed reports stay here; none had left.\n"
    );
    it.text(&["report", "publish", "5", "--cancel", "--to", "one"])
        .await;
    let heard = ["Cancel 5 None", "Cancel 5 Some(\"one\")"];
    assert_eq!(it.driver.heard(), heard);
    let both = ["report", "publish", "5", "--cancel", "--now"];
    assert_eq!(it.tcnctl(&both).await.status.code(), Some(2));
}

#[tokio::test]
async fn what_is_made_is_what_was_asked_for() {
    let mut it = MockTcnd::new(busy()).await;
    let words = "report create --memo-type 2 --memo-hex 0aff --from @1000 --to @2000 --note mine \
                 --linkable --yes";
    let words: Vec<_> = words.split(' ').collect();
    let output = it.tcnctl(&words).await;
    assert!(output.status.success(), "{output:?}");
    assert!(
        text(&output.stdout).starts_with("Report 3 is made"),
        "{output:?}"
    );
    let made = "Make 1000 2000 MemoType(2, ito v1) [10, 255] \"mine\" true";
    assert_eq!(it.driver.heard(), ["Preview 1000 2000", made]);
}

#[tokio::test]
async fn a_report_goes_to_a_new_file_of_its_owner_alone() {
    let it = MockTcnd::new(busy()).await;
    let path = it.fixture.folder.path().join("report.tcn");
    let file = path.to_str().unwrap();
    let said = it
        .text(&["report", "export", "3", file, "--format", "json"])
        .await;
    assert_contains(&said, "200000 bytes");
    assert_eq!(fs::read(&path).unwrap(), mock_driver::report_bytes());
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    assert_contains(
        &it.fails(1, &["report", "export", "3", file]).await,
        "cannot create",
    );
    assert_eq!(
        fs::read(&path).unwrap(),
        mock_driver::report_bytes(),
        "nothing is lost"
    );

    it.driver.refuse(Some(Refusal::NoSuchReport));
    let other = it.fixture.folder.path().join("other.tcn");
    assert_contains(
        &it.fails(1, &["report", "export", "7", other.to_str().unwrap()])
            .await,
        "no report with this id",
    );
    assert!(!other.exists(), "an empty file is no report");
    it.driver.refuse(None);
    let out = it.tcnctl(&["report", "export", "3", "-"]).await;
    assert_eq!(out.stdout, mock_driver::report_bytes());
}

#[tokio::test]
async fn a_report_is_published_after_it_was_asked_for() {
    let mut it = MockTcnd::new(busy()).await;
    let said = it.fails(1, &["report", "publish", "3"]).await;
    assert_contains_all(
        &said,
        &[
            "Of report 3, 2 signed reports are to be sent to Server one",
            "Of these, 1 signed report is queued already",
            "one by one, in random order over hours",
            "cannot be taken back",
            "--yes",
        ],
    );
    let (done, said) = on_a_terminal(&it, &["report", "publish", "3"], "no").await;
    assert!(!done);
    assert_contains(&said, "nothing was done");
    assert_eq!(it.driver.heard(), ["Look 3 None false"; 2]);

    let (done, said) = on_a_terminal(&it, &["report", "publish", "3"], "yes").await;
    assert!(done, "{said}");
    assert_contains(&said, "2 signed reports are queued for Server one");
    let words = ["report", "publish", "3", "--to", "one", "--now", "--yes"];
    let output = it.tcnctl(&words).await;
    assert!(output.status.success(), "{output:?}");
    let warned = text(&output.stderr);
    assert_contains(&warned, "at once");
    assert_contains(&text(&output.stdout), "to be sent now");
    let heard = [
        "Look 3 None false",
        "Publish 3 None false",
        "Look 3 Some(\"one\") true",
        "Publish 3 Some(\"one\") true",
    ];
    assert_eq!(it.driver.heard(), heard);
    it.driver.refuse(Some(Refusal::NoServer));
    let output = it.tcnctl(&["report", "publish", "3", "--yes"]).await;
    assert_contains(&text(&output.stderr), "/etc/tcnd/sources.d");
}

#[tokio::test]
async fn how_far_each_part_is_can_be_seen() {
    let it = MockTcnd::new(busy()).await;
    let listed = it.text(&["report", "list"]).await;
    let line = listed
        .lines()
        .find(|line| line.contains("published to one:"));
    let line = line.unwrap_or_else(|| panic!("{listed}"));
    assert_contains_all(
        line,
        &[
            "1 accepted, 1 queued, 1 refused, 1 sent",
            "the next one 1970-01-01 01:48 or later",
            "last: unreachable",
        ],
    );
}

#[tokio::test]
async fn a_check_says_what_is_new_and_what_could_not_be_reached() {
    let it = MockTcnd::new(busy()).await;
    let said = it.text(&["report", "check"]).await;
    assert_eq!(
        said,
        "12 new reports.\n\
         This computer was near a person who made a report. See: tcnctl exposures\n\
         Server two could not be checked (unreachable); tcnd-sync tries again.\n"
    );
}

/// The counts of the mock, in words.
const IMPORT_COUNTS: &str = "1 new, 2 already known, 3 with an invalid signature, \
    though they match contacts, 4 not readable as a report, 5 beyond the work limit";

#[tokio::test]
async fn reports_are_imported_from_files_and_pipes() {
    let mut it = MockTcnd::new(busy()).await;
    let path = it.fixture.folder.path().join("theirs.tcn");
    fs::write(&path, b"bytes of a report").unwrap();
    let said = it.text(&["report", "import", path.to_str().unwrap()]).await;
    assert_contains(&said, IMPORT_COUNTS);
    assert_contains(&said, "6 times");
    let heard = it.driver.heard();
    assert!(heard[0].contains("theirs.tcn"), "{heard:?}");
    let mut command = it.command(&["report", "import", "-", "--source", "a friend"]);
    command.stdin(Stdio::from(fs::File::open(&path).unwrap()));
    assert!(run(command).await.status.success());
    let heard = it.driver.heard();
    assert!(heard[0].contains("a friend"), "{heard:?}");
    let path = path.to_str().unwrap();
    let half = it.tcnctl(&["report", "import", path, "/nonexistent"]).await;
    assert_eq!(half.status.code(), Some(1));
    let said = text(&half.stdout);
    assert!(said.contains("6 times"), "what was found is told: {said}");
    it.driver.heard();
    let (first, last) = ("/nonexistent", path);
    let both = it
        .tcnctl(&["report", "import", first, last, "--json"])
        .await;
    assert_eq!(both.status.code(), Some(1), "one of them failed");
    let both: serde_json::Value = serde_json::from_slice(&both.stdout).unwrap();
    let error = both["files"][0]["error"].as_str().unwrap();
    assert_contains(error, "No such file");
    assert_eq!(both["files"][1]["error"], serde_json::Value::Null);
    assert_eq!(
        (&both["files"][1]["known"], &both["files"][0]["known"]),
        (&8.into(), &0.into())
    );
    assert_eq!(
        it.driver.heard().len(),
        1,
        "the second was imported all the same"
    );

    it.driver
        .refuse(Some(Refusal::Unreadable("no report is in it; get another")));
    let bad = it.tcnctl(&["report", "import", path, path]).await;
    assert_eq!(bad.status.code(), Some(1));
    let said = text(&bad.stdout);
    assert_eq!(
        said.matches("theirs.tcn: not imported: ").count(),
        2,
        "{said}"
    );
    assert_contains(&said, "no report is in it; get another");
    assert_eq!(it.driver.heard().len(), 2);
    it.driver.refuse(None);
    let missing = it.tcnctl(&["report", "import", "/nonexistent"]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(it.driver.heard(), [""; 0]);
}

#[tokio::test]
async fn exposures_are_listed_explained_and_dismissed() {
    let mut it = MockTcnd::new(busy()).await;
    let listed = it.text(&["exposures"]).await;
    assert_contains(
        &listed,
        "8-93600  Fri 1970-01-02 02:00 to 02:35, 20 min near  new",
    );
    assert!(!listed.contains("11-"), "it was dismissed: {listed}");
    let all = it.text(&["exposures", "--all"]).await;
    assert_contains(
        &all,
        "11-93600  Fri 1970-01-02 02:00 to 02:35, between 15 and 25 min near",
    );
    it.driver.heard();
    let shown = it.text(&["exposures", "show", "8-93600"]).await;
    assert_contains_all(
        &shown,
        &[
            "about 1 m away, between 0.3 and 3 m",
            "heard 4 times",
            "From        file",
            "Why ",
        ],
    );
    let heard = it.driver.heard();
    assert!(
        heard
            .iter()
            .any(|asked| asked.starts_with("Mark") && asked.ends_with("false")),
        "{heard:?}"
    );
    it.text(&["exposures", "dismiss", "8-93600"]).await;
    let heard = it.driver.heard();
    assert!(
        heard
            .iter()
            .any(|asked| asked.starts_with("Mark") && asked.ends_with("true")),
        "{heard:?}"
    );
    let complaint = it.fails(1, &["exposures", "show", "x"]).await;
    assert!(complaint.contains("hint: tcnctl exposures --all lists all exposures"));
}

#[tokio::test]
async fn what_was_dismissed_is_marked_and_can_be_restored() {
    let mut it = MockTcnd::new(busy()).await;
    let all = it.text(&["exposures", "--all"]).await;
    assert_contains_all(&all, &["  new\n", "  dismissed\n"]);
    let restored = it.text(&["exposures", "restore", "11-93600"]).await;
    assert_eq!(restored, "Exposure 11-93600 is listed again.\n");
    let heard = it.driver.heard();
    let restore = "Restore ExposureId { report: 11, start: UnixTime(93701) }";
    assert!(heard.iter().any(|asked| asked == restore), "{heard:?}");
}

/// Output for a program does not mark exposures as seen.
#[tokio::test]
async fn a_document_does_not_mark_as_seen() {
    let mut it = MockTcnd::new(busy()).await;
    let shown = it.json(&["exposures", "show", "8-93600"]).await;
    assert_eq!(shown["seen"], false);
    assert_eq!(it.driver.heard(), ["Exposures"]);
}

/// An empty list may mean that no source was checked.
#[tokio::test]
async fn the_list_says_how_far_it_goes() {
    let it = MockTcnd::new(busy()).await;
    let unconfigured = it.text(&["exposures"]).await;
    assert_contains(&unconfigured, "No source of reports is configured");
    // A run of tcnd-sync that reaches one server, and not another.
    it.text(&["report", "check"]).await;
    let failing = it.text(&["exposures"]).await;
    assert_contains(&failing, "Server two could not be checked (unreachable)");
    it.driver.change(|shown| {
        shown.problems = [(Problem::ReportsStale, ProblemDetails::default())].into();
    });
    let stale = it.text(&["exposures"]).await;
    assert_contains(
        &stale,
        "last checked on 2026-11-18: an exposure may be missing",
    );
    let document = it.json(&["exposures"]).await;
    assert_eq!(document["known"], 2);
    assert_eq!(
        (&document["unseen"], &document["dismissed"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&document["sources"], &document["stale"]),
        (&2.into(), &true.into())
    );
}

#[tokio::test]
async fn nothing_is_destroyed_without_being_asked() {
    let mut it = MockTcnd::new(busy()).await;
    for words in [&["wipe"][..], &["contacts", "erase"]] {
        let said = it.fails(1, words).await;
        assert_contains(&said, "destroyed");
        assert_contains_all(&said, &["snapshots", "btrfs", "SSD", "backups"]);
    }
    let (done, said) = on_a_terminal(&it, &["wipe"], "yes").await;
    assert!(!done, "yes is not the phrase: {said}");
    assert_eq!(it.driver.heard(), [""; 0]);
    let (done, said) = on_a_terminal(&it, &["wipe"], "destroy everything").await;
    assert!(done);
    assert_contains(&said, "Everything is destroyed");
    assert_eq!(it.driver.heard(), ["Wipe"]);
    let erased = it
        .json(&[
            "contacts", "erase", "--from", "@1000", "--to", "@2000", "--yes",
        ])
        .await;
    assert_eq!(erased, json!({"erased": 5}));
    assert_eq!(it.driver.heard(), ["Erase 1000 2000"]);
}

#[tokio::test]
async fn rows_are_masked_unless_asked_for_raw() {
    let it = MockTcnd::new(busy()).await;
    let number = "00000001000000000000000000000000";
    for (raw, format) in [
        (false, "csv"),
        (true, "csv"),
        (false, "jsonl"),
        (true, "jsonl"),
    ] {
        let path = it.fixture.folder.path().join(format!("{format}-{raw}"));
        let mut words = vec![
            "contacts",
            "export",
            path.to_str().unwrap(),
            "--format",
            format,
        ];
        words.extend(raw.then_some("--raw"));
        let said = it.text(&words).await;
        assert!(said.starts_with("3600 contacts are in"), "{said}");
        let rows = fs::read_to_string(&path).unwrap();
        assert_eq!(rows.contains(number), raw, "{format}");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }
}
