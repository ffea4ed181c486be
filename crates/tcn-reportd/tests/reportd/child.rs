//! The program itself, as a process that can be killed.

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::harness::DEADLINE;

pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Starts it on any port, and waits until it sends READY as to systemd.
pub(crate) fn start(directory: &Path, more: &[&str]) -> Running {
    run(directory, Command::new(PROGRAM), more)
}

/// The same, for a test that limits the size of its files: the process survives the
/// signal at the limit (setrlimit(2), RLIMIT_FSIZE).
pub(crate) fn start_bounded(directory: &Path, more: &[&str]) -> Running {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM]);
    run(directory, shell, more)
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_tcn-reportd");

fn run(directory: &Path, mut program: Command, more: &[&str]) -> Running {
    let socket = directory.join("notify.socket");
    let _ = std::fs::remove_file(&socket);
    let notify = UnixDatagram::bind(&socket).unwrap();
    notify.set_read_timeout(Some(DEADLINE)).unwrap();
    let child = program
        .args(["--listen", "127.0.0.1:0", "--state-dir"])
        .arg(directory.join("state"))
        .args(more)
        .env("NOTIFY_SOCKET", &socket)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut message = [0; 512];
    let length = notify.recv(&mut message).unwrap();
    let message = std::str::from_utf8(&message[..length]).unwrap();
    assert!(message.contains("READY=1"), "{message}");
    let status = message
        .lines()
        .find_map(|line| line.strip_prefix("STATUS=listening on "));
    Running {
        child,
        address: status.unwrap().parse().unwrap(),
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// Its exit status, and its output.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or is no longer needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
