//! Errors of the management socket.

use std::io;

use rustix::io::Errno;
use thiserror::Error;

/// Why the kernel gave no setting.
#[derive(Debug, Error)]
pub enum MgmtError {
    /// `AF_BLUETOOTH` is not available to this process.
    #[error(
        "no Bluetooth sockets here; run this outside of the container, or load the module \
         (modprobe bluetooth)"
    )]
    Unavailable,
    /// No controller of that name or index.
    #[error("the kernel has no such controller; see: ls /sys/class/bluetooth")]
    NoController,
    /// The kernel answered with another status of mgmt-api.txt, "Error Codes".
    #[error("the kernel refused with status {0:#04x}; see: dmesg | grep -i bluetooth")]
    Refused(u8),
    /// An answer does not follow the protocol.
    #[error("the answer of the kernel is not understood; use a released kernel")]
    Malformed,
    /// No answer came in time.
    #[error("the kernel did not answer; see: dmesg | grep -i bluetooth")]
    Late,
    /// The socket failed otherwise.
    #[error("the kernel's Bluetooth socket cannot be used: {0}")]
    Socket(#[source] io::Error),
}

impl From<Errno> for MgmtError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT => Self::Unavailable,
            other => Self::Socket(other.into()),
        }
    }
}
