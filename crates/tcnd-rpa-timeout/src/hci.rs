//! The command that sets a controller's timeout, and the answer.
//!
//! It is sent on a raw socket. What such a socket receives goes through a filter that
//! no safe library can set. So the answer is read from the monitor channel, to which
//! the kernel copies all HCI traffic.
//!
//! Core Specification: Vol 4 Part E 5.4, 7.7.14, 7.7.15, 7.8.45. Kernel:
//! net/bluetooth/hci_sock.c; include/net/bluetooth/hci_mon.h.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bluez_mgmt::socket;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// The longest wait for the controller.
const DEADLINE: Duration = Duration::from_secs(5);

/// `LE Set Resolvable Private Address Timeout`: OGF 0x08, OCF 0x002E.
const SET_TIMEOUT: u16 = 0x202e;
const COMMAND_PACKET: u8 = 0x01;

/// Packet type of the monitor: an HCI event.
const MONITOR_EVENT: u16 = 3;
/// Monitor header: packet type, controller, length of what follows.
const MONITOR_HEADER: usize = 6;
const COMMAND_COMPLETE: u8 = 0x0e;
const COMMAND_STATUS: u8 = 0x0f;

/// Whether a controller accepted the timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandResult {
    /// It has the timeout.
    Applied,
    /// The controller is off. When it is switched on, the kernel gives it the timeout
    /// in debugfs.
    PoweredOff,
}

/// Why the controller did not accept it.
#[derive(Debug, Error)]
pub enum HciError {
    /// It answered with another status of the Core Specification, Vol 1 Part F.
    #[error("it refuses with status {0:#04x}")]
    Refused(u8),
    /// No answer came in time.
    #[error("it does not answer")]
    Late,
    /// There is no HCI socket for this process.
    #[error("its HCI socket cannot be used: {0}")]
    Socket(#[source] io::Error),
}

impl From<Errno> for HciError {
    fn from(error: Errno) -> Self {
        Self::Socket(error.into())
    }
}

/// Sets the timeout in the controller of this index.
pub(super) async fn send_timeout(controller: u16, seconds: u16) -> Result<CommandResult, HciError> {
    let monitor = socket::watch(socket::open_monitor()?).map_err(HciError::Socket)?;
    let raw = socket::open_raw(controller)?;
    match rustix::net::send(&raw, &command(seconds), SendFlags::empty()) {
        Ok(_) => {}
        Err(Errno::NETDOWN) => return Ok(CommandResult::PoweredOff),
        Err(error) => return Err(error.into()),
    }
    let status = timeout(DEADLINE, response(&monitor, controller));
    match status.await.map_err(|_| HciError::Late)?? {
        0 => Ok(CommandResult::Applied),
        status => Err(HciError::Refused(status)),
    }
}

async fn response(monitor: &AsyncFd<OwnedFd>, controller: u16) -> Result<u8, HciError> {
    // Longer packets are cut off; they are no answers to us.
    let mut packet = [0; 64];
    loop {
        let mut ready = monitor.readable().await.map_err(HciError::Socket)?;
        let received = ready.try_io(|fd| {
            let (length, _) = rustix::net::recv(fd, &mut packet[..], RecvFlags::empty())?;
            Ok(length)
        });
        let Ok(received) = received else { continue };
        let length = received.map_err(HciError::Socket)?;
        if let Some(status) = status(controller, &packet[..length]) {
            return Ok(status);
        }
    }
}

fn command(seconds: u16) -> [u8; 6] {
    let ([a, b], [c, d]) = (SET_TIMEOUT.to_le_bytes(), seconds.to_le_bytes());
    [COMMAND_PACKET, a, b, 2, c, d]
}

/// The status in the answer to the command, if this monitor packet is that answer.
fn status(controller: u16, packet: &[u8]) -> Option<u8> {
    let (header, event) = packet.split_first_chunk::<MONITOR_HEADER>()?;
    let [kind, of] = [0, 2].map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
    if (kind, of) != (MONITOR_EVENT, controller) {
        return None;
    }
    let (opcode, status) = match *event {
        [COMMAND_COMPLETE, _, _, low, high, status, ..]
        | [COMMAND_STATUS, _, status, _, low, high, ..] => ([low, high], status),
        _ => return None,
    };
    (u16::from_le_bytes(opcode) == SET_TIMEOUT).then_some(status)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn monitored(kind: u16, controller: u16, event: &[u8]) -> Vec<u8> {
        let length = u16::try_from(event.len()).unwrap();
        let header = [kind, controller, length].map(u16::to_le_bytes).concat();
        [header, event.to_vec()].concat()
    }

    #[test]
    fn the_command_is_six_bytes() {
        assert_eq!(command(60), [0x01, 0x2e, 0x20, 2, 60, 0]);
        assert_eq!(command(900), [0x01, 0x2e, 0x20, 2, 0x84, 0x03]);
    }

    #[test]
    fn the_answer_is_told_from_everything_else() {
        let complete = [0x0e, 4, 1, 0x2e, 0x20, 0];
        let refused = [0x0e, 4, 1, 0x2e, 0x20, 0x12];
        let unknown = [0x0f, 4, 0x01, 1, 0x2e, 0x20];
        let result = |event: &[u8]| status(3, &monitored(3, 3, event));
        assert_eq!(result(&complete), Some(0));
        assert_eq!(result(&refused), Some(0x12));
        assert_eq!(result(&unknown), Some(0x01));
        // Of another command, controller, kind; and a report that contains the bytes.
        assert_eq!(result(&[0x0e, 4, 1, 0x2d, 0x20, 0]), None);
        assert_eq!(result(&[0x3e, 4, 1, 0x2e, 0x20, 0]), None);
        assert_eq!(status(3, &monitored(3, 4, &complete)), None);
        assert_eq!(status(3, &monitored(2, 3, &complete)), None);
        for length in 0..12 {
            assert_eq!(status(3, &monitored(3, 3, &complete)[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_wild(packet in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = status(3, &packet);
        }
    }
}
