//! The two programs as a user runs them: the real `tcnd` with the simulated radio on a
//! private bus, and the real `tcnctl` as its client.
//!
//! Needs dbus-daemon (package dbus); without it every test here fails. The tests do not
//! sleep: they poll until a state is reached.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../../support/dbus_daemon.rs"]
mod dbus_daemon;
mod doctor;
mod documents;
mod endings;
mod endless;
mod indicator;
mod journal;
mod kiosk;
mod memory;
mod mock_tcnd;
mod progress;
mod reports;
mod street;
mod switches;
mod transcripts;
mod watching;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use dbus_daemon::DbusDaemon;

/// A private bus and a folder for one test. Both end when this is dropped.
struct Fixture {
    bus: DbusDaemon,
    address: String,
    folder: TempDir,
}

/// A running daemon; killed if the test ends before it.
struct Daemon(Child);

impl Daemon {
    /// Ends it by SIGTERM.
    fn stop(&mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).unwrap();
        self.0.wait().unwrap()
    }

    /// Its log, to its end.
    fn log(&mut self) -> String {
        let mut log = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Fixture {
    fn new() -> Self {
        Self::on(TempDir::new().unwrap(), "--session")
    }

    /// On a bus that would activate tcnd; the activated command creates the file
    /// `started`.
    fn with_activation() -> Self {
        let folder = TempDir::new().unwrap();
        let (services, config) = (
            folder.path().join("services"),
            folder.path().join("bus.conf"),
        );
        fs::create_dir(&services).unwrap();
        let service = format!(
            "[D-BUS Service]\nName=org.tcncoalition.Tcnd1\nExec=/usr/bin/touch {}\n",
            folder.path().join("started").display()
        );
        fs::write(services.join("org.tcncoalition.Tcnd1.service"), service).unwrap();
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen>\
             <servicedir>{}</servicedir><policy context='default'>\
             <allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>\
             <allow own='*'/></policy></busconfig>",
            folder.path().join("socket").display(),
            services.display()
        );
        fs::write(&config, text).unwrap();
        Self::on(folder, &format!("--config-file={}", config.display()))
    }

    fn on(folder: TempDir, configuration: &str) -> Self {
        let bus = DbusDaemon::start(configuration);
        Self {
            address: bus.address.clone(),
            bus,
            folder,
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn tcnd(&self) -> Command {
        self.tcnd_in(&self.state())
    }

    fn tcnd_in(&self, state: &Path) -> Command {
        let config = self.folder.path().join("empty.toml");
        fs::write(&config, "").unwrap();
        let mut command = Command::new(e2e::program("tcnd"));
        command.args(["--radio", "fake", "--bus", &self.address, "--state-dir"]);
        command.arg(state).arg("--config").arg(config);
        command.stderr(Stdio::piped());
        command
    }

    /// Starts the daemon and waits until it answers.
    fn start(&self) -> Daemon {
        let daemon = Daemon(self.tcnd().spawn().unwrap());
        self.until(|status| status["version"].is_string());
        daemon
    }

    fn tcnctl(&self, words: &[&str]) -> Output {
        Command::new(e2e::program("tcnctl"))
            .args(["--bus", &self.address])
            .args(words)
            .output()
            .unwrap()
    }

    /// The output of a command that succeeds.
    fn ok(&self, words: &[&str]) -> Vec<u8> {
        let output = self.tcnctl(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        output.stdout
    }

    fn json(&self, words: &[&str]) -> Value {
        let document = self.ok(&[words, &["--json"]].concat());
        serde_json::from_slice(&document).unwrap()
    }

    /// Polls the status until it is right. Each query is a process, so the count is a
    /// deadline of some seconds at least.
    fn until(&self, right: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1000 {
            let output = self.tcnctl(&["status", "--json"]);
            last = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            if right(&last) {
                return last;
            }
        }
        panic!("the state was not reached; the last was {last}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in: {text}");
}

#[track_caller]
fn assert_contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert_contains(text, part);
    }
}

#[test]
fn nothing_is_on_the_air_before_consent_and_after_it_is() {
    let fixture = Fixture::new();
    let _daemon = fixture.start();
    let status = fixture.json(&["status"]);
    assert_eq!(
        (&status["state"], &status["enabled"]),
        (&"idle".into(), &false.into())
    );
    assert_eq!(
        (&status["advertising"], &status["simulated"]),
        (&false.into(), &true.into())
    );
    fixture.ok(&["enable"]);
    fixture.until(|status| status["advertising"] == true && status["scanning"] == true);
    fixture.ok(&["rotate"]);
    fixture.ok(&["pause", "--reason", "a test"]);
    let paused = fixture.json(&["status"]);
    assert_eq!(
        (&paused["state"], &paused["advertising"]),
        (&"paused".into(), &false.into())
    );
    fixture.ok(&["resume"]);
    fixture.until(|status| status["advertising"] == true);
    fixture.ok(&["disable"]);
    assert_eq!(fixture.json(&["status"])["enabled"], false);
}

#[test]
fn consent_and_a_pause_outlive_a_restart() {
    let fixture = Fixture::new();
    let mut daemon = fixture.start();
    fixture.ok(&["enable"]);
    fixture.ok(&["pause"]);
    let ended = daemon.stop();
    let log = daemon.log();
    assert!(ended.success(), "{ended}: {log}");
    assert!(
        !fixture.state().join("tcnd.sqlite-wal").exists(),
        "the journal was not folded in"
    );
    let _daemon = Daemon(fixture.tcnd().spawn().unwrap());
    let status = fixture.until(|status| status["version"].is_string());
    assert_eq!(
        (&status["state"], &status["enabled"]),
        (&"paused".into(), &true.into())
    );
}

#[test]
fn a_second_daemon_is_refused_with_the_cure() {
    let fixture = Fixture::new();
    let _daemon = fixture.start();
    let same_folder = fixture.tcnd().output().unwrap();
    assert_eq!(same_folder.status.code(), Some(1));
    assert_contains(&text(&same_folder.stderr), "--state-dir");
    let elsewhere = TempDir::new().unwrap();
    let mut same_bus = Daemon(fixture.tcnd_in(elsewhere.path()).spawn().unwrap());
    // It ends with the process. A daemon that got the name would go on and block here.
    let log = same_bus.log();
    assert_eq!(same_bus.0.wait().unwrap().code(), Some(1), "{log}");
    assert_contains(&log, "--bus");
}

#[test]
fn a_faulty_configuration_ends_the_start_with_78() {
    let fixture = Fixture::new();
    let file = fixture.folder.path().join("bad.toml");
    fs::write(&file, "enabled = true\ntcn_perod = \"15min\"\n").unwrap();
    let started = fixture.tcnd().arg("--config").arg(&file).output().unwrap();
    assert_eq!(started.status.code(), Some(78), "{}", text(&started.stderr));
}

#[test]
fn by_hand_tcnd_says_when_it_is_ready() {
    let fixture = Fixture::new();
    let mut daemon = Daemon(fixture.tcnd().spawn().unwrap());
    let mut said = BufReader::new(daemon.0.stderr.take().unwrap()).lines();
    let ready = said.find_map(|line| line.ok().filter(|line| line.contains("ready")));
    let ask = format!("tcnctl --bus '{}' status", fixture.address);
    assert!(ready.unwrap().contains(&ask));
    fixture.ok(&["status"]);
}
