//! For each command: the call to the daemon, the text for the reply, and the exit
//! status if the reply is a refusal.

use std::process::Stdio;

use serde_json::json;
use tcnd::daemon::{Consent, Hold, Pause, Refusal, State};
use tcnd::radio::Mode;

use crate::mock_tcnd::{MockTcnd, busy, idle, run};
use crate::{assert_contains, text};

#[tokio::test]
async fn every_switch_asks_for_what_it_says() {
    let mut it = MockTcnd::new(busy()).await;
    let cases: &[(&[&str], &str, &str)] = &[
        (&["enable"], "Enable", "tcnd is enabled"),
        (&["disable"], "Disable", "tcnd is disabled"),
        (&["pause"], r#"Pause 0s "" "" None"#, "until it is resumed"),
        (
            &["pause", "1h 30min", "--reason", "a meeting"],
            r#"Pause 5400s "a meeting" "" None"#,
            "tcnd is paused until ",
        ),
        (&["pause", "0s"], r#"Pause 1s "" "" None"#, "tcnd is paused"),
        (&["resume"], "Resume 0", "tcnd continues"),
        (&["rotate"], "Rotate", "a new number and a new address"),
        (
            &["clock", "confirm"],
            "ConfirmClock",
            "tcnd now trusts the clock",
        ),
    ];
    for (words, asked, said) in cases {
        let text = it.text(words).await;
        assert!(text.contains(said), "{words:?}: {text}");
        assert_eq!(it.driver.heard(), [*asked], "{words:?}");
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the end of a pause is compared with the clock"
)]
async fn a_pause_tells_scripts_its_cookie_and_end() {
    let it = MockTcnd::new(busy()).await;
    let endless = it.json(&["pause"]).await;
    assert_eq!(endless, json!({"paused": true, "cookie": 7, "until": null}));
    let before = jiff::Timestamp::now().as_second();
    let ending = it.json(&["pause", "1h"]).await;
    let after = jiff::Timestamp::now().as_second();
    let until = ending["until"].as_i64().unwrap();
    assert!((before + 3600..=after + 3600).contains(&until), "{until}");
}

#[tokio::test]
async fn a_refusal_ends_with_1_and_the_cure() {
    let it = MockTcnd::new(idle()).await;
    let cases = [
        (Refusal::OffAir, "on the air", "tcnctl doctor"),
        (
            Refusal::Configured,
            "error: consent is set by `enabled`",
            "change it there",
        ),
        (Refusal::Busy, "too many pauses", "resume one first"),
        (
            Refusal::InvalidRange("from is late; begin earlier"),
            "from is late",
            "begin earlier",
        ),
        (
            Refusal::InvalidArgument("too long"),
            "too long",
            "journalctl -u tcnd",
        ),
        (Refusal::Storage, "contact log", "free disk space"),
    ];
    for (refusal, said, cure) in cases {
        it.driver.refuse(Some(refusal.clone()));
        let output = it.tcnctl(&["rotate", "--json"]).await;
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{refusal:?}");
        assert!(output.stdout.is_empty(), "{refusal:?}");
        let lines: Vec<_> = complaint.lines().collect();
        assert!(
            lines[0].starts_with("error: ") && lines[0].contains(said),
            "{complaint}"
        );
        assert!(
            lines[1].starts_with("hint: ") && lines[1].contains(cure),
            "{complaint}"
        );
        assert_eq!(lines.len(), 2, "{complaint}");
    }
}

#[tokio::test]
async fn who_may_not_is_told_with_4_and_may_still_see_the_status() {
    let another_user = rustix::process::geteuid().as_raw() + 1;
    let mut it = MockTcnd::with(busy(), another_user).await;
    for words in [&["enable"][..], &["pause"], &["contacts"]] {
        let complaint = it.fails(4, words).await;
        assert!(
            complaint.starts_with("error: not authorised"),
            "{complaint}"
        );
        assert_contains(&complaint, "\nhint: run it as the user who started tcnd");
    }
    assert!(it.driver.heard().is_empty(), "nothing got through");
    assert!(it.tcnctl(&["status"]).await.status.success());
}

#[tokio::test]
async fn the_status_can_be_read_by_a_newcomer() {
    let it = MockTcnd::new(idle()).await;
    let expected = "\
tcnd is idle: consent has not been given yet, so nothing is broadcast.
  Exposures    1 new exposure; see: tcnctl exposures
  On the air   no
  Listening    no
  Next         consent with: tcnctl enable
";
    assert_eq!(it.text(&["status"]).await, expected);
    it.driver.change(|shown| {
        *shown = busy();
        shown.paused = Pause::No;
        shown.holds.clear();
    });
    let expected = "\
tcnd is running, but not all of it works.
This is a simulation: the devices nearby are not real.
  Mode         full: other devices can connect
  Exposures    1 new exposure; see: tcnctl exposures
  On the air   yes, a number that is 1 minute old; each is replaced within 10 minutes
  Listening    yes, for 5 s at a time, because this computer runs on battery
  Adapter      hci0, on, in use
  Reports      last fetched on 2026-11-18
  Problem      Bluetooth refuses to listen; tcnd keeps trying.
    error      starting discovery: org.bluez.Error.NotReady
    since      2026-11-18 11:06
    cure       systemctl restart bluetooth
  Problem      tcnd heard more numbers than it can keep; some were dropped.
    since      2026-11-18 11:07
    cure       no action is needed in a crowd; otherwise a device floods the air
";
    assert_eq!(it.text(&["status"]).await, expected);
}

#[tokio::test]
async fn the_status_tells_who_paused_until_when() {
    let it = MockTcnd::new(busy()).await;
    it.driver.change(|shown| {
        *shown = idle();
        shown.enabled = true;
        shown.state = State::Paused;
        shown.paused = Pause::Until(tcn_protocol::UnixTime(4_102_444_800));
        shown.holds = vec![Hold {
            cookie: 1,
            until: Pause::UntilResumed,
            reason: "exam\u{1b}[2J".to_owned(),
            application_id: "org.example.Diary".to_owned(),
        }];
    });
    let expected = "\
tcnd is paused until 2100-01-01 00:00: no number of yours is on the air.
  Exposures    1 new exposure; see: tcnctl exposures
  On the air   no
  Listening    no
  Paused for   exam [2J (org.example.Diary)
  Next         resume it with: tcnctl resume
";
    assert_eq!(it.text(&["status"]).await, expected);
}

/// The first line of the status, for a daemon in this state.
async fn sentence(it: &MockTcnd, change: impl FnOnce(&mut tcnd::daemon::Snapshot)) -> String {
    it.driver.change(change);
    let said = it.text(&["status"]).await;
    said.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_state_is_told_from_what_is() {
    let it = MockTcnd::new(idle()).await;
    let withdrawn = sentence(&it, |shown| shown.consent = Consent::Withdrawn).await;
    assert_eq!(
        withdrawn,
        "tcnd is idle: consent was withdrawn, so nothing is broadcast."
    );
    let configured = sentence(&it, |shown| shown.consent = Consent::Configured).await;
    assert_eq!(
        configured,
        "tcnd is idle: the configuration says enabled = false, so nothing is broadcast."
    );
    let cure = it.text(&["status"]).await;
    assert_contains(&cure, "remove `enabled` from");
    let resumed = it.text(&["resume"]).await;
    assert!(
        resumed.starts_with("All pauses are ended. tcnd is idle"),
        "{resumed}"
    );
    let relay = sentence(&it, |shown| {
        shown.enabled = true;
        shown.state = State::Running;
        shown.mode = Mode::Relay;
        (shown.advertising, shown.scanning) = (true, true);
    });
    assert!(relay.await.contains("It has no number of its own"));
    let listening = sentence(&it, |shown| {
        shown.mode = Mode::Broadcast;
        shown.advertising = false;
    });
    assert!(listening.await.contains("broadcasts none at the moment"));
    let silent = sentence(&it, |shown| {
        shown.state = State::Degraded;
        shown.scanning = false;
    });
    assert!(silent.await.contains("neither broadcasts nor listens"));
}

#[tokio::test]
async fn a_pause_that_is_shorter_than_another_is_not_told_as_the_end() {
    let it = MockTcnd::new(busy()).await;
    let said = it.text(&["pause", "1h"]).await;
    assert!(
        said.starts_with("tcnd is paused until 2027-01-15"),
        "{said}"
    );
    assert_contains(&said, "Another pause lasts longer than this one");
    it.driver.change(|shown| shown.paused = Pause::UntilResumed);
    let said = it.text(&["pause", "1h"]).await;
    assert!(
        said.starts_with("tcnd is paused until it is resumed."),
        "{said}"
    );
    let enabled = it.text(&["enable"]).await;
    assert_contains(&enabled, "But it is paused until it is resumed");
}

/// Characters that control a terminal, reverse text, hide, or end a line.
const HOSTILE: &str = "a\u{1b}]0;b\u{7}\u{9b}2J\u{202e}c\u{2066}d\u{200b}e\nhint: f\u{2028}g";

#[tokio::test]
async fn foreign_text_steers_no_terminal() {
    let it = MockTcnd::new(busy()).await;
    it.driver.change(|shown| {
        shown.holds[0].reason = HOSTILE.to_owned();
        shown.holds[0].application_id = HOSTILE.to_owned();
        shown.adapters[0].name = HOSTILE.to_owned();
    });
    let odd = it.fixture.folder.path().join(HOSTILE);
    std::fs::write(&odd, "tcn_perod = 1").unwrap();
    let odd = odd.to_str().unwrap();
    let missing = format!("{odd}.tcn");
    let commands: &[(&[&str], usize)] = &[
        (&["status"], 15),
        (&["status", "--json"], 1),
        (&["config", "check", odd], 3),
        (&["config", "check", odd, "--json"], 1),
        (&["report", "inspect", &missing], 2),
        (&["report", "import", &missing], 1),
        (
            &["report", "export", "3", "/nonexistent/\u{1b}]0;x\n\u{202e}"],
            2,
        ),
        (&["exposures", "show", HOSTILE], 2),
    ];
    for (words, lines) in commands {
        let output = it.tcnctl(words).await;
        let said = text(&output.stdout) + &text(&output.stderr);
        for line in said.lines() {
            assert!(printable::is_line(line), "{words:?}: {line:?}");
        }
        assert_eq!(said.lines().count(), *lines, "{words:?}: {said}");
    }
}

#[tokio::test]
async fn a_terminal_without_utf_8_gets_no_blocks() {
    let it = MockTcnd::new(busy()).await;
    for (locale, bar) in [("C", "#"), ("POSIX", "#"), ("C.UTF-8", "█")] {
        let mut command = it.command(&["contacts", "--to", "@100000"]);
        command.env("LC_ALL", locale);
        let output = run(command).await;
        let said = text(&output.stdout);
        assert_eq!(said.is_ascii(), bar == "#", "{locale}: {said}");
        assert!(said.trim_end().ends_with(bar), "{locale}: {said}");
    }
}

#[tokio::test]
async fn tcnd_looks_at_itself_and_counts() {
    let mut it = MockTcnd::new(busy()).await;
    let output = it.tcnctl(&["self-test"]).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "a check failed: {said}");
    assert_contains(&said, "ok    advert-alive   on hci0");
    assert_contains(&said, "FAIL  clock          before this release");
    let counted = it.text(&["statistics"]).await;
    assert_contains(&counted, "8  contacts in the log");
    assert_eq!(it.driver.heard(), ["SelfTest", "Statistics"]);
}

#[tokio::test]
async fn contacts_are_summed_up_by_day_and_hour() {
    let mut it = MockTcnd::new(busy()).await;
    let expected = "\
3 numbers since 1970-01-01 02:00, heard 4294967295 times.
How close (signal loss), from very near to far:
  up to 55 dB        1
  up to 63 dB        2
  up to 73 dB        3
  over 73 dB         4
Day         Numbers  Sightings  Hours 0 to 23
1970-01-02        3          9  █
";
    assert_eq!(it.text(&["contacts", "--to", "@100000"]).await, expected);
    let asked = it.driver.heard();
    assert_eq!(asked, ["Summary 0 100800", "Histogram 86400 100800 900"]);
    it.text(&["contacts", "--from", "1970-01-02", "--to", "1970-01-03"])
        .await;
    let asked = it.driver.heard();
    assert_eq!(
        asked,
        ["Summary 86400 259200", "Histogram 86400 172800 900"]
    );
}

#[tokio::test]
async fn a_contact_dated_by_a_wrong_clock_does_not_stop_the_summary() {
    let mut it = MockTcnd::new(busy()).await;
    it.text(&["contacts"]).await;
    let end = i64::MAX.unsigned_abs() / 900 * 900;
    let asked = [&format!("Summary 0 {end}"), "Histogram 86400 172800 900"];
    assert_eq!(
        it.driver.heard(),
        asked,
        "all there is, and no year without contacts"
    );
}

#[tokio::test]
async fn a_reader_that_left_is_no_error_and_a_full_disk_is_one() {
    let it = MockTcnd::new(busy()).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = it.command(&["status"]);
    command.stdout(writer).stderr(Stdio::piped());
    let output = run_kept(command).await;
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );

    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = it.command(&["status"]);
    command.stdout(full).stderr(Stdio::piped());
    let output = run_kept(command).await;
    assert_eq!(output.status.code(), Some(1));
    assert_contains(&text(&output.stderr), "\nhint: free space");
}

/// `Command::output` would replace our pipe with its own.
async fn run_kept(mut command: std::process::Command) -> std::process::Output {
    let child = command.spawn().unwrap();
    drop(command);
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    crate::mock_tcnd::soon(ended).await.unwrap()
}

#[tokio::test]
async fn without_the_daemon_or_the_bus_it_ends_with_3() {
    let it = MockTcnd::new(idle()).await;
    it.leave().await;
    for words in [&["status"][..], &["enable"], &["contacts"]] {
        let complaint = it.fails(3, words).await;
        let expected = format!(
            "error: tcnd is not running\nhint: start it with: tcnd --bus '{}'\n",
            it.fixture.address
        );
        assert_eq!(complaint, expected, "{words:?}");
    }
    let mut command = std::process::Command::new(e2e::program("tcnctl"));
    command.arg("status");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        text(&output.stderr),
        "error: cannot connect to the system bus: No such file or directory (os error 2)\n\
         hint: start it with: systemctl start dbus\n"
    );
}
