//! Cost of the daemon before any device is heard: time to READY, memory in use, size of
//! the program.
//!
//! `cargo bench --bench footprint` starts the built `tcnd` as systemd would, with the
//! simulated radio on a private dbus-daemon, and listens on its `NOTIFY_SOCKET`. Every
//! round measures, one after the other:
//!
//! 1. `tcnd --check-config` from start to end, the measure for the others: a
//!    process that is loaded, reads its settings and leaves;
//! 2. start to READY in an empty state directory, where the database is made;
//! 3. start to READY in the same directory again, as after every boot.
//!
//! The memory is what the kernel reports for a daemon that broadcasts and scans. Needs
//! dbus-daemon (package dbus).
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

#[path = "../tests/support/dbus_daemon.rs"]
mod dbus_daemon;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use dbus_daemon::DbusDaemon;

const TCND: &str = env!("CARGO_BIN_EXE_tcnd");
const ROUNDS: usize = 21;
/// The longest acceptable time to READY, in seconds.
const AIM: f64 = 0.2;
/// Longer than any start takes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

fn main() {
    let fixture = Fixture::new();
    let (mut checks, mut firsts, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        checks.push(fixture.check());
        let state = TempDir::new_in(fixture.folder.path()).unwrap();
        firsts.push(fixture.ready(state.path()));
        again.push(fixture.ready(state.path()));
    }
    let check = median(&mut checks);
    println!("check-config: {:.1} ms, median of {ROUNDS}", check * 1e3);
    for (what, times) in [
        ("a first start", &mut firsts),
        ("a later start", &mut again),
    ] {
        let middle = median(times);
        println!(
            "READY after {what}: {:.1} ms, at worst {:.1} (aim: {:.0}); {:.1} times check-config",
            middle * 1e3,
            times[ROUNDS - 1] * 1e3,
            AIM * 1e3,
            middle / check,
        );
    }
    fixture.print_memory();
}

/// A private bus, and a folder for all files; both end with this.
struct Fixture {
    bus: DbusDaemon,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("bench.toml"), "enabled = true\n").unwrap();
        Self {
            bus: DbusDaemon::start("--session"),
            folder,
        }
    }

    fn tcnd(&self) -> Command {
        let mut command = Command::new(TCND);
        command
            .arg("--config")
            .arg(self.folder.path().join("bench.toml"));
        command.stderr(Stdio::null());
        command
    }

    /// Seconds that `--check-config` takes.
    fn check(&self) -> f64 {
        let start = Instant::now();
        let checked = self.tcnd().arg("--check-config").status().unwrap();
        let took = start.elapsed();
        assert!(checked.success());
        took.as_secs_f64()
    }

    /// Seconds from start to READY.
    fn ready(&self, state: &Path) -> f64 {
        let start = Instant::now();
        let daemon = Daemon::start(self, state);
        daemon.until(|told| told.lines().any(|line| line == "READY=1"));
        start.elapsed().as_secs_f64()
    }

    /// Prints memory and size of a daemon in operation.
    fn print_memory(&self) {
        let daemon = Daemon::start(self, &self.folder.path().join("state"));
        daemon.until(|told| told.contains("broadcasting and listening"));
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).unwrap();
        let kib = |field: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let number = line.unwrap().trim().trim_end_matches(" kB");
            number.parse().unwrap()
        };
        println!(
            "at work: {:.1} MiB resident, {:.1} MiB of it the process's own; the program {:.1} MiB on disk",
            kib("VmRSS:") / 1024.0,
            kib("RssAnon:") / 1024.0,
            fs::metadata(TCND).unwrap().len() as f64 / f64::from(1 << 20),
        );
    }
}

/// A running daemon and its notifications. It is asked to stop when dropped.
struct Daemon {
    process: Child,
    told: UnixDatagram,
    socket: std::path::PathBuf,
}

impl Daemon {
    fn start(fixture: &Fixture, state: &Path) -> Self {
        let socket = fixture.folder.path().join("notify");
        let told = UnixDatagram::bind(&socket).unwrap();
        told.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        let process = fixture
            .tcnd()
            .args([
                "--radio",
                "fake",
                "--bus",
                &fixture.bus.address,
                "--state-dir",
            ])
            .arg(state)
            .env("NOTIFY_SOCKET", &socket)
            .spawn()
            .unwrap();
        Self {
            process,
            told,
            socket,
        }
    }

    /// Waits until it sends such a notification.
    fn until(&self, wanted: impl Fn(&str) -> bool) {
        let mut message = [0; 4096];
        loop {
            let length = self
                .told
                .recv(&mut message)
                .expect("the daemon tells it in time");
            if wanted(std::str::from_utf8(&message[..length]).unwrap()) {
                return;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.process);
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

/// Sorts the times and returns the median.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
