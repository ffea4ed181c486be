//! A private dbus-daemon, for tests and benches. Needs dbus-daemon (package dbus).

use std::io::{BufRead, BufReader, Seek};
use std::process::{Child, Command, Stdio};

/// A running dbus-daemon; killed when this is dropped.
pub(crate) struct DbusDaemon {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl DbusDaemon {
    /// Starts it with this option, `--session` or `--config-file=FILE`, and waits until it
    /// listens.
    pub(crate) fn start(configuration: &str) -> Self {
        let mut complaints = tempfile::tempfile().unwrap();
        let mut process = Command::new("dbus-daemon")
            .arg(configuration)
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().unwrap())
            .spawn()
            .expect("dbus-daemon is needed: apt-get install dbus");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if !line.starts_with("unix:") {
            complaints.rewind().unwrap();
            panic!(
                "dbus-daemon: {}",
                std::io::read_to_string(complaints).unwrap()
            );
        }
        let address = line.trim().to_owned();
        Self { process, address }
    }
}

impl Drop for DbusDaemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
