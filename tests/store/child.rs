//! This test binary, run again with another role.
//!
//! A role is a test that does nothing unless it was started here: its
//! directory comes by an environment variable, since the test harness leaves
//! no other way in.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const DIRECTORY: &str = "TCND_TESTS_STORE_CHILD";

/// Starts the test named `role` as a process of its own. `limit` runs it under
/// a limit on file sizes, in blocks of 512 bytes, whose signal is ignored.
pub(crate) fn start(
    role: &str,
    directory: &Path,
    limit: Option<u32>,
) -> (Child, BufReader<ChildStdout>) {
    let limit = limit.map_or(String::new(), |blocks| {
        format!("trap '' XFSZ; ulimit -f {blocks}; ")
    });
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("{limit}exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", role, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// Where to work, if this process is a child.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness passes no arguments on"
)]
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Tells the parent a number.
pub(crate) fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{word} {number}").unwrap();
    out.flush().unwrap();
}

/// The next number said with this word; `None` when the child has ended.
pub(crate) fn hear(output: &mut BufReader<ChildStdout>, word: &str) -> Option<u64> {
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some(number) = line.trim().strip_prefix(word) {
            return Some(number.trim().parse().unwrap());
        }
        line.clear();
    }
    None
}
