//! The real `tcnd-sync` between a mock tcnd, which keeps honest records, and mock
//! servers, which need not be.
//!
//! Needs dbus-daemon (package dbus); without it every test here fails. Nothing
//! sleeps: each wait is for an event, with a deadline.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod clocks;
#[path = "../../../../tests/support/dbus_daemon.rs"]
mod dbus_daemon;
mod fetching;
mod folders;
mod hostile;
mod kills;
mod mock_server;
mod mock_tcnd;
mod oversized;
mod switches;
mod transport;
mod uploads;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tcn_protocol::file::{self, Format};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
};
use tempfile::TempDir;

use crate::mock_server::MockServer;
use crate::mock_tcnd::MockTcnd;

/// The deadline of anything that must happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// A mock tcnd, and a folder for the registry and the state of the program.
struct Harness {
    tcnd: MockTcnd,
    folder: TempDir,
}

impl Harness {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        Self {
            tcnd: MockTcnd::new(),
            folder,
        }
    }

    /// The same, with one source in the registry.
    fn of(kind: &str, url: &str, more: &str) -> Self {
        let harness = Self::new();
        harness.source(kind, url, more);
        harness
    }

    /// The same of this server, for reports of these intervals besides the current one.
    fn wanting(kind: &str, server: &MockServer, intervals: impl IntoIterator<Item = u64>) -> Self {
        let harness = Self::of(kind, &server.url(), "");
        harness.tcnd.want(intervals);
        harness
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Writes the registry.
    fn sources(&self, sources: &[String]) {
        fs::write(self.folder.path().join("sources.toml"), sources.concat()).unwrap();
    }

    /// The registry of one source, with these further lines.
    fn source(&self, kind: &str, url: &str, more: &str) {
        self.sources(&[source("a", kind, url, more)]);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcnd-sync"));
        command
            .args(["--bus", self.tcnd.address(), "--state-dir"])
            .arg(self.state())
            .arg("--sources")
            .arg(self.folder.path().join("sources.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Only the tests of proxies use proxies.
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
    }

    /// One run, to its end.
    fn run(&self) -> RunOutput {
        RunOutput::of(&run(self.command()))
    }

    /// One run with these variables in its environment.
    fn run_with<V: AsRef<OsStr>>(&self, variables: &[(&str, V)]) -> RunOutput {
        let mut command = self.command();
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        RunOutput::of(&run(command))
    }

    /// One run for a user who waits, to its end.
    fn run_now(&self) -> RunOutput {
        let mut command = self.command();
        command.arg("--now");
        RunOutput::of(&run(command))
    }
}

/// How a run ended.
#[derive(Debug)]
struct RunOutput {
    status: i32,
    log: String,
}

impl RunOutput {
    fn of(output: &Output) -> Self {
        assert!(output.stdout.is_empty(), "{output:?}");
        Self {
            status: output.status.code().expect("it ended by itself"),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit status.
    #[track_caller]
    fn is(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}", self.log);
        self
    }

    /// Checks that the log has these words.
    #[track_caller]
    fn says(&self, words: &str) {
        assert!(self.log.contains(words), "{words}: {}", self.log);
    }
}

/// Runs a command, which must end before the deadline.
fn run(mut command: Command) -> Output {
    let child = command.spawn().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let (sender, received) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    received.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        panic!("it did not end: {:?}", received.recv());
    })
}

/// A running `tcnd-sync`. It is killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(harness: &Harness) -> Self {
        Self(harness.command().spawn().unwrap())
    }

    /// Sends SIGKILL, and waits until the process is gone.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end; returns its status and its log.
    fn wait(&mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (self.0.wait().unwrap().code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a message of another thread.
#[track_caller]
fn soon<T>(received: &Receiver<T>) -> T {
    received
        .recv_timeout(DEADLINE)
        .expect("it happens within a minute")
}

/// The registry lines of one source.
fn source(name: &str, kind: &str, location: &str, more: &str) -> String {
    let key = if kind == "folder" { "path" } else { "url" };
    format!("[[source]]\nname = \"{name}\"\nkind = \"{kind}\"\n{key} = \"{location}\"\n{more}\n")
}

/// A report of two dozen numbers.
fn report(seed: u8) -> SignedReport {
    sized(seed, 24, 0)
}

/// A report of this many numbers, with a memo of this type.
fn sized(seed: u8, numbers: u16, kind: u8) -> SignedReport {
    let rak = ReportAuthorizationKey::from_bytes(&[seed; 32]);
    let index = |n| RatchetIndex::new(n).unwrap();
    let span = ReportSpan::new(index(1), index(numbers)).unwrap();
    let memo = Memo::new(MemoType::new(kind), vec![seed; 5]).unwrap();
    SignedReport::create(&rak, span, memo)
}

fn reports(seeds: std::ops::Range<u8>) -> Vec<SignedReport> {
    seeds.map(report).collect()
}

fn json(reports: &[SignedReport]) -> Vec<u8> {
    file::write(Format::Json, reports)
}

fn stream(reports: &[SignedReport]) -> Vec<u8> {
    file::write(Format::Tcn, reports)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
