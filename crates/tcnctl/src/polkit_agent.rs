//! Asks for the password where no desktop environment does.
//!
//! Over ssh or on a bare console no polkit agent is registered, and polkit would refuse
//! every request. `pkttyagent` (polkit) asks on the terminal; systemctl starts it for
//! the same reason and in the same way.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// A running agent; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct PolkitAgent(Child);

/// The longest wait for its registration; after that the call goes ahead.
const DEADLINE: Duration = Duration::from_secs(5);

impl PolkitAgent {
    /// Starts an agent for this process, if no other serves it (`--fallback`). If none
    /// can be started, the later call reports the error.
    pub(crate) async fn start() -> Option<Self> {
        let (ready, write_end) = io::pipe().ok()?;
        let ready = pipe::Receiver::from_owned_fd(OwnedFd::from(ready)).ok()?;
        // The agent uses the terminal itself, so its standard input can carry the
        // descriptor that it closes once it is registered.
        let child = Command::new("pkttyagent")
            .arg("--process")
            .arg(std::process::id().to_string())
            .args(["--notify-fd", "0", "--fallback"])
            .stdin(Stdio::from(OwnedFd::from(write_end)))
            .spawn()
            .ok()?;
        let agent = Self(child);
        // In either case the call goes ahead: its error describes the cause best.
        let _ = timeout(DEADLINE, closed(&ready)).await;
        Some(agent)
    }
}

impl Drop for PolkitAgent {
    fn drop(&mut self) {
        // SIGTERM: the agent may have to restore the echo of the terminal. It may also
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
