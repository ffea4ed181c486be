//! Asks for the password where there is no desktop to do it.
//!
//! Over ssh or on a bare console nobody has registered a polkit agent, and
//! every question would be answered "no". `pkttyagent` (polkit) asks on the
//! terminal; systemctl starts it for the same reason and in the same way.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// A running agent; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Agent(Child);

/// Longest wait for it to be registered; after that the call goes ahead.
const DEADLINE: Duration = Duration::from_secs(5);

impl Agent {
    /// Starts one that speaks for this process, if no other does (`--fallback`).
    /// Where there is none to start, whoever is asked will say so.
    pub(super) async fn start() -> Option<Self> {
        let (ready, write_end) = io::pipe().ok()?;
        let ready = pipe::Receiver::from_owned_fd(OwnedFd::from(ready)).ok()?;
        // The agent talks on the terminal itself, so its standard input is free
        // to carry the descriptor it closes once it is registered.
        let child = Command::new("pkttyagent")
            .arg("--process")
            .arg(std::process::id().to_string())
            .args(["--notify-fd", "0", "--fallback"])
            .stdin(Stdio::from(OwnedFd::from(write_end)))
            .spawn()
            .ok()?;
        let agent = Self(child);
        // Either way the call goes ahead: it says best what is amiss.
        let _ = timeout(DEADLINE, closed(&ready)).await;
        Some(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Gently: it may have to give the terminal its echo back. It may also
        // have ended by itself already.
        let pid = Pid::from_child(&self.0);
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Waits until the last other end of the pipe is closed.
async fn closed(pipe: &pipe::Receiver) {
    loop {
        let mut byte = [0];
        if pipe.readable().await.is_err() {
            return;
        }
        match pipe.try_read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
