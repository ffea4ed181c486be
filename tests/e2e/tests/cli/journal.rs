//! Journal entries, field by field: the programs run in a separate mount namespace,
//! with our socket at the path of the journal's.
//!
//! Needs unshare and mount (package util-linux) and busctl (package systemd).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use tcnd::store::DATABASE;
use tcnd_client::notices::{self, Notice};
use tempfile::TempDir;

use crate::{Daemon, Fixture};

/// A mock journal, in a folder that becomes /run.
struct Journal {
    run: TempDir,
    socket: UnixDatagram,
}

/// An entry, field by field.
type Entry = BTreeMap<String, String>;

impl Journal {
    fn new() -> Self {
        let run = TempDir::new().unwrap();
        let systemd = run.path().join("systemd");
        // This marks a running systemd, see sd_booted(3).
        fs::create_dir_all(systemd.join("system")).unwrap();
        fs::create_dir(systemd.join("journal")).unwrap();
        let socket = UnixDatagram::bind(systemd.join("journal/socket")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self { run, socket }
    }

    /// The command, with our journal below /run.
    fn under(&self, command: &Command) -> Command {
        let mut under = Command::new("unshare");
        // Root needs no user namespace, and in a chroot there is none (user_namespaces(7)).
        if !rustix::process::geteuid().is_root() {
            under.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        under.args([
            "--mount",
            "--",
            "sh",
            "-c",
            "mount --bind \"$0\" /run && exec \"$@\"",
        ]);
        under.arg(self.run.path()).arg(command.get_program());
        under.args(command.get_args());
        under
    }

    /// Reads entries until one matches.
    fn until(&self, wanted: impl Fn(&Entry) -> bool) -> Entry {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = self.socket.recv(&mut buffer).expect("an entry comes");
            let entry = parse(&buffer[..length]);
            // A program that opens the journal sends one empty message, to see whether
            // the journal is there.
            if !entry.is_empty() && wanted(&entry) {
                return entry;
            }
        }
    }

    fn notice(&self, notice: Notice) -> Entry {
        self.until(|entry| entry.get("MESSAGE_ID").map(String::as_str) == notice.id)
    }
}

impl Fixture {
    /// As `systemctl service-log-level` and `service-log-target` do.
    fn log_control(&self, property: &str, value: &str) {
        let set = Command::new("busctl")
            .arg(format!("--address={}", self.address))
            .args(["set-property", "org.tcncoalition.Tcnd1"])
            .args([
                "/org/freedesktop/LogControl1",
                "org.freedesktop.LogControl1",
            ])
            .args([property, "s", value])
            .status()
            .expect("busctl is needed: apt-get install systemd");
        assert!(set.success(), "{property} {value}");
    }
}

/// systemd.io/JOURNAL_NATIVE_PROTOCOL: a name, a line end, the length of the
/// value in eight bytes, the value, a line end; or a name, "=", the value.
fn parse(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8(bytes[..end].to_vec()).unwrap();
        bytes = &bytes[end + 1..];
        let (name, value) = if let Some((name, value)) = line.split_once('=') {
            (name.to_owned(), value.to_owned())
        } else {
            let (length, rest) = bytes.split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap());
            let (value, rest) = rest.split_at(usize::try_from(length).unwrap());
            bytes = &rest[1..];
            (line, String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(entry.insert(name, value), None);
    }
    entry
}

#[test]
fn notices_reach_the_journal_with_their_id_priority_and_fields() {
    let (fixture, journal) = (Fixture::new(), Journal::new());
    let daemon = Daemon(journal.under(&fixture.tcnd()).spawn().unwrap());
    fixture.until(|status| status["version"].is_string());

    fixture.ok(&["enable"]);
    let given = journal.notice(notices::CONSENT_GIVEN);
    assert_eq!(given["PRIORITY"], "6");
    assert_eq!(given["SYSLOG_IDENTIFIER"], "tcnd");
    assert_eq!(given["MESSAGE"], notices::CONSENT_GIVEN.sentence);

    fs::write(fixture.folder.path().join("empty.toml"), "flush = 1").unwrap();
    let pid = rustix::process::Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let refused = journal.notice(notices::NOT_APPLIED);
    assert_eq!(refused["PRIORITY"], "3");
    assert!(refused["TCND_FAULT"].contains("empty.toml:1: flush"));

    let registry = fixture.folder.path().join("sources.toml");
    let source = "[[source]]\nname = \"stick\"\nkind = \"folder\"\npath = \"/nonexistent\"\n";
    fs::write(&registry, source).unwrap();
    let mut sync = Command::new(e2e::program("tcnd-sync"));
    sync.args(["--bus", &fixture.address, "--state-dir"]);
    sync.arg(fixture.state()).arg("--sources").arg(registry);
    assert_eq!(journal.under(&sync).status().unwrap().code(), Some(1));
    let failed = journal.notice(notices::SOURCE_FAILED);
    assert_eq!(failed["PRIORITY"], "4");
    assert_eq!(failed["SYSLOG_IDENTIFIER"], "tcnd-sync");
    assert_eq!(failed["TCND_SOURCE"], "stick");
    assert_eq!(failed["TCND_PROBLEM"], "unreadable");

    fixture.ok(&["wipe", "--yes"]);
    journal.notice(notices::WIPED);
    journal.notice(notices::CONSENT_TAKEN);
}

/// Removing a line from the configuration gives no consent.
#[test]
fn what_the_configuration_forbade_is_not_told_as_consent() {
    let (fixture, journal) = (Fixture::new(), Journal::new());
    let daemon = Daemon(journal.under(&fixture.tcnd()).spawn().unwrap());
    let pid = rustix::process::Pid::from_child(&daemon.0);
    let configure = |text: &str| {
        fs::write(fixture.folder.path().join("empty.toml"), text).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    let first = fixture.until(|status| status["version"].is_string());
    assert_eq!(first["consent"], "never");
    fixture.ok(&["enable"]);
    journal.notice(notices::CONSENT_GIVEN);
    configure("enabled = false");
    journal.notice(notices::CONSENT_TAKEN);
    let forbidden = fixture.json(&["status"]);
    assert_eq!(
        (&forbidden["consent"], &forbidden["state"]),
        (&"configured".into(), &"idle".into())
    );
    configure("");
    let restored = journal.until(|entry| {
        let id = entry.get("MESSAGE_ID").map(String::as_str);
        assert_ne!(id, notices::CONSENT_GIVEN.id, "{entry:?}");
        id == notices::CONSENT_RESTORED.id
    });
    assert_eq!(restored["PRIORITY"], "6");
    fixture.ok(&["disable"]);
    assert_eq!(fixture.json(&["status"])["consent"], "withdrawn");
}

#[test]
fn other_fields_are_tcnds_own_and_the_level_can_be_changed() {
    let (fixture, journal) = (Fixture::new(), Journal::new());
    let mut tcnd = journal.under(&fixture.tcnd());
    // No service manager listens there. The log entry has the reason in a field.
    tcnd.env("NOTIFY_SOCKET", "/nonexistent");
    let _daemon = Daemon(tcnd.spawn().unwrap());
    fixture.until(|status| status["version"].is_string());
    // To standard error and back: descriptors opened meanwhile must not matter.
    for (property, value) in [
        ("LogLevel", "debug"),
        ("LogTarget", "console"),
        ("LogTarget", "journal"),
    ] {
        fixture.log_control(property, value);
    }
    fixture.ok(&["enable"]);
    let told = journal.until(|entry| entry.contains_key("TCND_FAULT"));
    assert_eq!(told["PRIORITY"], "7");
    assert!(!told.contains_key("MESSAGE_ID"), "{told:?}");
    let rotated = Some("a new number is on the air");
    journal.until(|entry| entry.get("MESSAGE").map(String::as_str) == rotated);
}

#[test]
fn a_damaged_log_that_is_set_aside_is_a_problem_that_begins() {
    let (fixture, journal) = (Fixture::new(), Journal::new());
    fs::create_dir(fixture.state()).unwrap();
    fs::write(fixture.state().join(DATABASE), [0x55; 8192]).unwrap();
    let _daemon = Daemon(journal.under(&fixture.tcnd()).spawn().unwrap());
    let damaged = *notices::problem("storage-corrupt").unwrap();
    let told = journal.notice(damaged);
    assert_eq!(told["PRIORITY"], "4");
    assert_eq!(told["TCND_PROBLEM"], "storage-corrupt");
    assert_eq!(told["MESSAGE"], damaged.sentence);
}

#[test]
fn consent_of_an_earlier_start_is_no_news() {
    let (fixture, journal) = (Fixture::new(), Journal::new());
    let mut first = fixture.start();
    fixture.ok(&["enable"]);
    first.stop();
    let _second = Daemon(journal.under(&fixture.tcnd()).spawn().unwrap());
    fixture.until(|status| status["advertising"] == true);
    fixture.ok(&["disable"]);
    let is =
        |entry: &Entry, notice: Notice| entry.get("MESSAGE_ID").map(String::as_str) == notice.id;
    journal.until(|entry| {
        assert!(!is(entry, notices::CONSENT_GIVEN), "{entry:?}");
        is(entry, notices::CONSENT_TAKEN)
    });
}
