//! Reads the property of a controller that only the kernel knows: its privacy setting.
//!
//! Privacy decides which address a connectable advert is sent under. No D-Bus property
//! shows the setting. The kernel reports it over the Bluetooth management interface, a
//! socket by which bluetoothd itself sets it, and which any process may ask. We only
//! ever read.
//!
//! [`wire`] is the packet format, pure; [`socket`] opens the socket and has the unsafe
//! code for that; this module joins them, under one deadline. A process that may not
//! open such a socket can read the file from which bluetoothd takes the setting:
//! [`configured`].
//!
//! BlueZ: doc/mgmt-api.txt, "Read Controller Information Command". Kernel:
//! net/bluetooth/mgmt.c, `mgmt_untrusted_commands`.

pub mod configured;
mod error;
pub mod key_file;
pub mod socket;
pub mod wire;

use std::os::fd::OwnedFd;
use std::time::Duration;

pub use error::MgmtError;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// The longest wait for the kernel. It answers from memory, at once.
const DEADLINE: Duration = Duration::from_secs(2);

/// The kernel's privacy setting of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Connectable adverts show the controller's own address; broadcasts get a
    /// fresh non-resolvable one each.
    Off,
    /// All adverts are sent under resolvable private addresses, which the kernel
    /// replaces. `Privacy = device` and `limited` of main.conf(5) alike: the kernel
    /// does not say which.
    On,
    /// The same, but the controller makes and replaces the addresses, by its own timer
    /// (LL Privacy), or may do so: Linux 6.14 does not say.
    ByController,
}

/// Asks for the privacy setting of an adapter by its kernel name, `hci0`. Needs no
/// privilege, but the network namespace of the host.
///
/// # Errors
/// [`MgmtError`], within two seconds.
pub async fn privacy(adapter: &str) -> Result<Privacy, MgmtError> {
    let controller = index(adapter).ok_or(MgmtError::NoController)?;
    let socket = socket::open().map_err(MgmtError::from)?;
    let uname = rustix::system::uname();
    let hidden = hides_ll_privacy(&uname.release().to_string_lossy());
    ask(socket, controller, DEADLINE, hidden).await
}

/// Whether a kernel of this release leaves addresses to every controller that can make
/// them, and does not report which can. Before 6.14 it does so if the experimental
/// feature is on, and reports that; since 6.15 a setting reports it.
fn hides_ll_privacy(release: &str) -> bool {
    version(release) == Some((6, 14))
}

/// Whether a kernel of this release leaves addresses to every controller that can
/// make them (LL Privacy and extended advertising).
pub fn leaves_addresses(release: &str) -> bool {
    version(release).is_some_and(|version| version >= (6, 14))
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn index(adapter: &str) -> Option<u16> {
    adapter.strip_prefix("hci")?.parse().ok()
}

/// Asks over a non-blocking socket. `hidden` is whether the answers do not say whose
/// timer replaces the addresses.
async fn ask(
    socket: OwnedFd,
    controller: u16,
    limit: Duration,
    hidden: bool,
) -> Result<Privacy, MgmtError> {
    let socket = socket::watch(socket).map_err(MgmtError::Socket)?;
    let questions = async {
        send(&socket, &wire::read_information(controller))?;
        let read = |packet: &[u8]| wire::information(controller, packet);
        let info = answer(&socket, read).await?;
        if info.current & wire::SETTING_PRIVACY == 0 {
            return Ok(Privacy::Off);
        }
        if hidden || (info.current | info.supported) & wire::SETTING_LL_PRIVACY != 0 {
            return Ok(Privacy::ByController);
        }
        send(&socket, &wire::read_features(controller))?;
        let read = |packet: &[u8]| wire::has_ll_privacy(controller, packet);
        Ok(match answer(&socket, read).await? {
            true => Privacy::ByController,
            false => Privacy::On,
        })
    };
    timeout(limit, questions)
        .await
        .map_err(|_| MgmtError::Late)?
}

fn send(socket: &AsyncFd<OwnedFd>, command: &[u8]) -> Result<(), MgmtError> {
    rustix::net::send(socket, command, SendFlags::empty())?;
    Ok(())
}

/// The answer that `read` finds, after skipping all packets that every listener gets.
async fn answer<T>(
    socket: &AsyncFd<OwnedFd>,
    read: impl Fn(&[u8]) -> Result<Option<T>, MgmtError>,
) -> Result<T, MgmtError> {
    let mut packet = [0; wire::LONGEST_ANSWER];
    loop {
        let mut ready = socket.readable().await.map_err(MgmtError::Socket)?;
        let received = ready.try_io(|fd| {
            let (length, _) = rustix::net::recv(fd, &mut packet[..], RecvFlags::empty())?;
            Ok(length)
        });
        let Ok(received) = received else { continue };
        let length = received.map_err(MgmtError::Socket)?;
        if let Some(told) = read(&packet[..length])? {
            return Ok(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use rustix::io::Errno;

    use super::*;

    /// A socket pair with the test in the place of the kernel.
    fn kernel() -> (UnixDatagram, OwnedFd) {
        let (kernel, ours) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (kernel, ours.into())
    }

    /// The setting, from a kernel that sends these packets.
    async fn asked(packets: &[Vec<u8>]) -> Result<Privacy, MgmtError> {
        asked_of(packets, false).await
    }

    /// The same from a kernel that may hide whose timer it is.
    async fn asked_of(packets: &[Vec<u8>], hidden: bool) -> Result<Privacy, MgmtError> {
        let (kernel, ours) = kernel();
        for packet in packets {
            kernel.send(packet).unwrap();
        }
        let told = ask(ours, 3, Duration::from_millis(50), hidden).await;
        let mut question = [0; 16];
        assert_eq!(kernel.recv(&mut question).unwrap(), 6);
        assert_eq!(question[..6], [0x04, 0, 3, 0, 0, 0]);
        told
    }

    #[test]
    fn kernels_since_6_14_leave_addresses_to_controllers() {
        for release in ["6.14.0-27-generic", "6.15.1", "7.2.12+deb14-amd64", "10.0"] {
            assert!(leaves_addresses(release), "{release}");
        }
        for release in [
            "6.1.0-28-amd64",
            "6.12.48+deb13-amd64",
            "6.13.9",
            "5.15",
            "",
        ] {
            assert!(!leaves_addresses(release), "{release}");
        }
    }

    #[tokio::test]
    async fn the_bit_of_the_controller_is_told() {
        // As seen on Linux 6.1 with Privacy = off and Privacy = device.
        let off = wire::tests::told(3, 0x0a01);
        let on = wire::tests::told(3, 0x2a01);
        assert_eq!(asked(&[off]).await.unwrap(), Privacy::Off);
        let unknown = wire::tests::features_refused(3, 0x01);
        assert_eq!(asked(&[on, unknown]).await.unwrap(), Privacy::On);
    }

    #[tokio::test]
    async fn where_the_kernel_hides_it_it_is_taken_for_the_controller_s() {
        let on = wire::tests::told(3, 0x2a01);
        let told = asked_of(&[on], true).await;
        assert_eq!(told.unwrap(), Privacy::ByController);
    }

    #[tokio::test]
    async fn the_experimental_feature_gives_the_clock_away() {
        let on = || wire::tests::told(3, 0x2a01);
        for (flags, privacy) in [(2, Privacy::On), (3, Privacy::ByController)] {
            let features = wire::tests::featured(3, flags);
            assert_eq!(asked(&[on(), features]).await.unwrap(), privacy);
        }
        let refused = wire::tests::features_refused(3, 0x0a);
        let told = asked(&[on(), refused]).await;
        assert!(matches!(told, Err(MgmtError::Refused(0x0a))));
        assert!(matches!(asked(&[on()]).await, Err(MgmtError::Late)));
    }

    #[tokio::test]
    async fn a_controller_with_a_clock_of_its_own_is_told_apart() {
        let capable = wire::tests::told_of(3, 1 << 22, 0x0a01);
        assert_eq!(asked(&[capable]).await.unwrap(), Privacy::Off);
        for supported in [0, 1 << 22] {
            let current = 0x2a01 | if supported == 0 { 1 << 22 } else { 0 };
            let own_clock = wire::tests::told_of(3, supported, current);
            assert_eq!(asked(&[own_clock]).await.unwrap(), Privacy::ByController);
        }
    }

    #[test]
    fn kernels_that_do_not_tell_whose_clock_it_is() {
        for release in ["6.14.0-27-generic", "6.14-rc1", "6.14"] {
            assert!(hides_ll_privacy(release), "{release}");
        }
        for release in [
            "6.1.0-28-amd64",
            "6.12.48+deb13-amd64",
            "6.13.0",
            "6.15.1",
            "6.140.0",
            "7.14.0",
            "",
        ] {
            assert!(!hides_ll_privacy(release), "{release}");
        }
    }

    #[tokio::test]
    async fn what_is_told_to_everybody_is_read_past() {
        let other = wire::tests::told(4, 0x0a01);
        // Index Added, and a Device Found longer than any answer to us.
        let added = vec![0x04, 0, 9, 0, 0, 0];
        let mut found = vec![0x12, 0, 3, 0, 0x00, 0x02];
        found.resize(6 + 0x200, 0);
        let on = wire::tests::told(3, 0x2a01);
        let features = wire::tests::featured(3, 0);
        let packets = [other, added, found, on, features];
        assert_eq!(asked(&packets).await.unwrap(), Privacy::On);
    }

    #[tokio::test]
    async fn silence_ends_at_the_deadline() {
        assert!(matches!(asked(&[]).await, Err(MgmtError::Late)));
        let other = wire::tests::told(4, 0x0a01);
        assert!(matches!(asked(&[other]).await, Err(MgmtError::Late)));
    }

    #[tokio::test]
    async fn refusals_and_nonsense_are_told_apart() {
        let gone = wire::tests::refused(3, 0x11);
        assert!(matches!(asked(&[gone]).await, Err(MgmtError::NoController)));
        let busy = wire::tests::refused(3, 0x0a);
        assert!(matches!(
            asked(&[busy]).await,
            Err(MgmtError::Refused(0x0a))
        ));
        let short = vec![1, 0, 3];
        assert!(matches!(asked(&[short]).await, Err(MgmtError::Malformed)));
    }

    #[tokio::test]
    async fn only_names_of_controllers_are_asked_for() {
        for name in ["", "hci", "hci-1", "hci65536", "fake0", "0"] {
            let told = privacy(name).await;
            assert!(matches!(told, Err(MgmtError::NoController)), "{name}");
        }
        assert_eq!(index("hci12"), Some(12));
    }

    #[test]
    fn a_machine_without_bluetooth_is_no_fault() {
        for errno in [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT] {
            assert!(matches!(errno.into(), MgmtError::Unavailable));
        }
        assert!(matches!(Errno::PERM.into(), MgmtError::Socket(_)));
    }
}
