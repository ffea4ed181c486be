//! This test binary, run again with another role.
//!
//! A role is a test that does nothing unless it was started here. It gets its directory
//! by an environment variable, since the test harness leaves no other way.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::DEADLINE;

const DIRECTORY: &str = "TCND_TESTS_STORE_CHILD";

/// The file in which `power.c` records what is safe.
const DISK: &str = "TCND_TESTS_STORE_DISK";

/// A child process, killed at the latest when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

/// Starts the test named `role` as a process of its own. `limit` runs it under
/// a limit on file sizes, in blocks of 512 bytes, whose signal is ignored.
pub(crate) fn start(role: &str, directory: &Path, limit: Option<u32>) -> Running {
    let limit = limit.map_or(String::new(), |blocks| {
        format!("trap '' XFSZ; ulimit -f {blocks}; ")
    });
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{limit}exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap());
    play(shell, role, directory)
}

/// Starts it on a disk that forgets what was not synced; `power.so` is there.
pub(crate) fn start_on(role: &str, directory: &Path, disk: &Path) -> Running {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .env(DISK, disk)
        .env("LD_PRELOAD", disk.join("power.so"));
    play(program, role, directory)
}

fn play(mut program: Command, role: &str, directory: &Path) -> Running {
    let mut child = program
        .args(["--exact", role, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (heard, lines) = channel();
    std::thread::spawn(move || {
        output
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| heard.send(line))
    });
    Running { child, lines }
}

impl Running {
    /// The next number sent with this word; `None` when the child has ended.
    pub(crate) fn hear(&mut self, word: &str) -> Option<u64> {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => {
                    if let Some(number) = line.trim().strip_prefix(word) {
                        return Some(number.trim().parse().unwrap());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("the child says nothing"),
            }
        }
    }

    /// Kills the child while it is in this round, the first being 1. Returns how many
    /// it had "stored" in the end.
    pub(crate) fn kill_after(&mut self, rounds: u64) -> u64 {
        let mut stored = 0;
        while stored + 1 < rounds {
            stored = self.hear("stored").unwrap();
        }
        self.kill();
        while let Some(n) = self.hear("stored") {
            stored = n;
        }
        stored
    }

    /// Kills the child by SIGKILL and waits until no thread of it runs any more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The exit status of the child, which has closed its output.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory to work in, if this process is a child.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness passes no arguments on"
)]
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Sends a number to the parent.
pub(crate) fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{word} {number}").unwrap();
    out.flush().unwrap();
}
