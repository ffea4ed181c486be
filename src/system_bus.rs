//! The system bus: its address, and a socket connected to it.
//!
//! libdbus takes the address from the environment variable `DBUS_SYSTEM_BUS_ADDRESS` alone.
//! The radio on BlueZ leads libdbus to a socket of its own by it, so every other part asks
//! here, where the address stays what it was at the start.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::OnceLock;

use zbus::Address;
use zbus::address::transport::{Transport, UnixSocket};

static ADDRESS: OnceLock<Address> = OnceLock::new();

/// Keeps this address, whatever the environment says from now on.
#[cfg(feature = "bluez")]
pub(crate) fn keep_address(address: Address) {
    // It is kept once in the life of a process.
    let _ = ADDRESS.set(address);
}

/// The address of the system bus.
///
/// # Errors
/// When the environment has no valid address.
pub(crate) fn address() -> zbus::Result<Address> {
    ADDRESS.get().cloned().map_or_else(Address::system, Ok)
}

/// A socket connected to the bus at this address; `None` if it is not behind a Unix socket.
///
/// # Errors
/// When the bus is not there.
pub(crate) fn connect_to(address: &Address) -> io::Result<Option<UnixStream>> {
    let Transport::Unix(unix) = address.transport() else {
        return Ok(None);
    };
    let path = unix.path();
    let socket_addr = if let UnixSocket::File(path) = path {
        SocketAddr::from_pathname(path)
    } else if let UnixSocket::Abstract(name) = path {
        SocketAddr::from_abstract_name(name.as_bytes())
    } else {
        return Ok(None);
    };
    UnixStream::connect_addr(&socket_addr?).map(Some)
}
