//! Opens and watches the management socket and HCI sockets, with the unsafe code for
//! that. `tests/house` lists the files that have unsafe code.
//!
//! No safe library has a type for the address of a Bluetooth socket that names a
//! channel. rustix takes any type that promises to be one, and that promise is unsafe.
//!
//! Kernel: include/net/bluetooth/hci_sock.h, `struct sockaddr_hci`.

#![allow(
    unsafe_code,
    reason = "rustix has no sockaddr_hci and its SocketAddrArg is an unsafe trait; so is AsyncFd's \
              way in"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::ptr;

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, Protocol, RawProtocol, SocketFlags, SocketType};
use tokio::io::unix::AsyncFd;

const BTPROTO_HCI: RawProtocol = RawProtocol::new(1).expect("one is not zero");
const HCI_DEV_NONE: u16 = 0xffff;
const HCI_CHANNEL_RAW: u16 = 0;
const HCI_CHANNEL_MONITOR: u16 = 2;
const HCI_CHANNEL_CONTROL: u16 = 3;

/// A socket on which the kernel answers management commands. It does not
/// block.
pub(super) fn open() -> Result<OwnedFd, Errno> {
    bound(HCI_DEV_NONE, HCI_CHANNEL_CONTROL)
}

/// A socket that sends HCI commands to a controller. For root. Nothing is received on
/// it.
///
/// # Errors
/// The refusal of the kernel, which only root does not get.
pub fn open_raw(controller: u16) -> Result<OwnedFd, Errno> {
    bound(controller, HCI_CHANNEL_RAW)
}

/// A socket that receives a copy of all traffic to and from every controller. For root.
///
/// # Errors
/// The refusal of the kernel, which only root does not get.
pub fn open_monitor() -> Result<OwnedFd, Errno> {
    bound(HCI_DEV_NONE, HCI_CHANNEL_MONITOR)
}

fn bound(device: u16, channel: u16) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(
        AddressFamily::BLUETOOTH,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(Protocol::from_raw(BTPROTO_HCI)),
    )?;
    rustix::net::bind(&socket, &Address::of(device, channel))?;
    Ok(socket)
}

/// Registers `socket`, which must not block, with the runtime: it wakes the tasks that
/// wait for the socket.
///
/// # Errors
/// When the runtime cannot watch it.
pub fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, and stays the same and open while it is
    // owned, here by the `AsyncFd`.
    let watched = unsafe { AsyncFd::register(socket) };
    Ok(watched?)
}

/// `struct sockaddr_hci`, in the byte order of the machine.
#[repr(C)]
struct Address {
    family: u16,
    device: u16,
    channel: u16,
}

impl Address {
    fn of(device: u16, channel: u16) -> Self {
        Self {
            family: AddressFamily::BLUETOOTH.as_raw(),
            device,
            channel,
        }
    }
}

/// Six bytes without padding.
const LENGTH: SocketAddrLen = 6;
const _: () = assert!(size_of::<Address>() == LENGTH as usize);

// SAFETY: the pointer handed on is of a live `Address`, all of whose `LENGTH`
// bytes are initialised, and which has the layout of `struct sockaddr_hci`
// with its family in front, as every socket address must.
unsafe impl SocketAddrArg for Address {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(ptr::from_ref(self).cast(), LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_the_kernel_expects() {
        let address = Address::of(HCI_DEV_NONE, HCI_CHANNEL_CONTROL);
        let fields = [address.family, address.device, address.channel];
        assert_eq!(fields, [31, 0xffff, 3]);
        let copied = address.as_any();
        assert_eq!(copied.address_family(), AddressFamily::BLUETOOTH);
        assert_eq!(copied.addr_len(), LENGTH);
    }
}
