//! A street that several daemons share: `--radio fake:PATH`.
//!
//! PATH is a folder. Each daemon binds one Unix datagram socket in it and sends each of its
//! adverts, the 31 bytes that a controller would air, to the sockets of the others. No
//! people are simulated here: every sender is a daemon on this machine that names the same
//! folder.
//!
//! Any process that may write into the folder may send anything. So a datagram counts only
//! if it is an advert of the service, is at most as long as one, and is among the first
//! [`MOST_HEARD`] of its second. Adverts are sent to [`MOST_PEERS`] sockets at most. A
//! socket gets its name after it is bound. So a named socket that refuses a datagram
//! belongs to a dead process, and the sender removes it: unix(7), `ECONNREFUSED`.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tcn_protocol::beacon::{ADVERTISEMENT_LEN, Frame};
use thiserror::Error;
use tokio::net::UnixDatagram;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{self, MissedTickBehavior};

use super::fake_radio::ADVERT_INTERVAL;
use super::rng::SplitMix64;
use super::{Air, Mode, Transmission};
use crate::radio::Radio;

/// Sockets of others that an advert is sent to.
const MOST_PEERS: usize = 64;
/// How many files of the folder are examined for them.
const MOST_FILES: usize = 1024;
/// Adverts heard within a second: four of each peer.
const MOST_HEARD: usize = 4 * MOST_PEERS;
/// How many socket names are tried, where daemons have the same seed.
const MOST_NAMES: usize = 2 * MOST_PEERS;

/// Signal of every sender, and how much it varies: about two metres away, by the signal
/// with which a phone of the coalition is received.
const RSSI_DBM: i16 = -73;
const FADING_DB: u16 = 8;

/// Start of the name of a socket, before 16 hexadecimal digits.
const PREFIX: &str = "tcnd-";
/// The same for a socket that is not bound yet.
const UNNAMED: &str = ".tcnd-";
/// The longest path of a socket, with the byte that ends it: unix(7), `sun_path`.
const LONGEST_PATH: usize = 108;

/// The street cannot be shared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreetError {
    /// There is no folder by this name.
    #[error("{} is no folder; make it first (mkdir), or name another after --radio fake:", .0.display())]
    NoFolder(PathBuf),
    /// A socket in it would have too long a path.
    #[error("{} is too long for the path of a street; name a folder whose path has at most {} bytes", .0.display(), longest_folder())]
    TooLong(PathBuf),
    /// No socket can be made in it.
    #[error("cannot join the street in {}; name a folder that this user may write to", .0.display())]
    Refused(PathBuf, #[source] io::Error),
}

/// A radio in the street shared by all daemons that name this folder. Must be called within
/// a tokio runtime.
///
/// # Errors
/// [`StreetError`] if no socket can be bound in the folder.
pub fn join(folder: &Path, seed: u64, mode: Mode) -> Result<Radio, StreetError> {
    let street = SharedStreet::bind(folder, seed)?;
    let air = Air::new(seed);
    let ether = air.ether.clone();
    let (radio, _) = air.radio_of("fake0", mode);
    let mut second = time::interval(ADVERT_INTERVAL);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(street.carry(ether.subscribe(), ether.downgrade(), second));
    Ok(radio)
}

/// The socket of one daemon in the folder; removed when dropped.
struct SharedStreet {
    socket: UnixDatagram,
    folder: PathBuf,
    name: PathBuf,
    rng: SplitMix64,
}

impl Drop for SharedStreet {
    fn drop(&mut self) {
        // Gone already: the folder was tidied up.
        let _ = fs::remove_file(&self.name);
    }
}

impl SharedStreet {
    fn bind(folder: &Path, seed: u64) -> Result<Self, StreetError> {
        let refused = |error| StreetError::Refused(folder.to_owned(), error);
        if !folder.is_dir() {
            return Err(StreetError::NoFolder(folder.to_owned()));
        }
        if folder.as_os_str().len() > longest_folder() {
            return Err(StreetError::TooLong(folder.to_owned()));
        }
        let mut rng = SplitMix64::of(seed, "street");
        for _ in 0..MOST_NAMES {
            let named = bind_as(folder, rng.id()).map_err(refused)?;
            if let Some((socket, name)) = named {
                return Ok(Self {
                    socket,
                    folder: folder.to_owned(),
                    name,
                    rng,
                });
            }
        }
        Err(refused(io::ErrorKind::AddrInUse.into()))
    }

    /// Carries adverts of our radio to the others, and theirs to our radio, until our radio is
    /// gone.
    async fn carry(
        mut self,
        mut ours: broadcast::Receiver<Transmission>,
        ether: broadcast::WeakSender<Transmission>,
        mut second: time::Interval,
    ) {
        second.tick().await; // the first one is now
        let mut left = MOST_HEARD;
        // One byte more than an advert has, so that a longer datagram is seen to be one.
        let mut datagram = [0; ADVERTISEMENT_LEN + 1];
        loop {
            tokio::select! {
                aired = ours.recv() => match aired {
                    Ok(aired) if aired.from == OTHERS => {}
                    Ok(aired) => self.tell_others(&aired.frame),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                received = self.socket.recv(&mut datagram), if left > 0 => {
                    left -= 1;
                    let Some(frame) = received.ok().and_then(|len| frame(datagram.get(..len)?)) else {
                        continue;
                    };
                    let Some(ether) = ether.upgrade() else {
                        return;
                    };
                    let rssi = Some(RSSI_DBM + self.rng.fading(FADING_DB));
                    // Without a listener the advert is lost, which is no error.
                    let _ = ether.send(Transmission { from: OTHERS, frame, rssi, writer: None });
                }
                _ = second.tick() => left = MOST_HEARD,
            }
        }
    }

    /// Sends an advert to all other daemons. The folder is local and small, so it is read on
    /// the runtime thread.
    fn tell_others(&self, frame: &Frame) {
        let advert = frame.advertisement();
        // A socket of its own for each advert: unread datagrams fill up the buffer of their
        // sender, and so a slow daemon does not keep the others from hearing it.
        let Ok(sender) = net::UnixDatagram::unbound() else {
            return;
        };
        if sender.set_nonblocking(true).is_err() {
            return;
        }
        for peer in self.others() {
            let sent = sender.send_to(&advert, &peer);
            // A daemon that does not keep up hears the next advert.
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                let _ = fs::remove_file(&peer);
            }
        }
    }

    fn others(&self) -> Vec<PathBuf> {
        // A folder that is gone has no sockets.
        let Ok(files) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let sockets = files.take(MOST_FILES).flatten().filter(|file| {
            // The type of the file itself, not of what a link points at.
            is_name(file.file_name().as_bytes())
                && file.file_type().is_ok_and(|kind| kind.is_socket())
        });
        sockets
            .map(|file| file.path())
            .filter(|path| *path != self.name)
            .take(MOST_PEERS)
            .collect()
    }
}

/// A socket named by this id, which gets its name when it is bound; `None` if the name is
/// taken.
fn bind_as(folder: &Path, id: u64) -> io::Result<Option<(UnixDatagram, PathBuf)>> {
    let unnamed = folder.join(format!("{UNNAMED}{id:016x}"));
    let name = folder.join(format!("{PREFIX}{id:016x}"));
    let socket = match UnixDatagram::bind(&unnamed) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
        bound => bound?,
    };
    match renameat_with(CWD, &unnamed, CWD, &name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Some((socket, name))),
        Err(error) => {
            let _ = fs::remove_file(&unnamed);
            if error == Errno::EXIST {
                Ok(None)
            } else {
                Err(error.into())
            }
        }
    }
}

/// The sender of adverts from other daemons; no radio of this process has this id.
const OTHERS: u64 = 0;

/// The frame of a datagram, if it is an advert of the service.
fn frame(datagram: &[u8]) -> Option<Frame> {
    let is_advert = datagram.len() <= ADVERTISEMENT_LEN;
    is_advert
        .then(|| Frame::from_advertisement(datagram).ok())
        .flatten()
}

/// Whether a socket of this name is one of a daemon.
fn is_name(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX.as_bytes())
        .is_some_and(|id| id.len() == 16 && id.iter().all(u8::is_ascii_hexdigit))
}

/// Length of the longest folder in bytes. A slash, the name of a socket that is not bound
/// yet, and the terminating byte follow it.
const fn longest_folder() -> usize {
    LONGEST_PATH - UNNAMED.len() - 16 - 2
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::Future;
    use std::os::unix::net::UnixDatagram as Plain;
    use std::time::Duration;

    use tcn_protocol::TemporaryContactNumber;
    use tempfile::{TempDir, tempdir};
    use tokio::time::timeout;

    use super::*;
    use crate::radio::{Event, Order};

    fn frame_of(byte: u8) -> Frame {
        Frame::own(TemporaryContactNumber::from_bytes([byte; 16]))
    }

    async fn soon<T>(event: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(30), event)
            .await
            .expect("it happens within thirty seconds")
    }

    /// A radio in this street that is on the air.
    async fn airing(street: &TempDir, seed: u64, byte: u8) -> Radio {
        let radio = join(street.path(), seed, Mode::Broadcast).unwrap();
        radio.orders.send(Order::Air(frame_of(byte))).await.unwrap();
        radio
    }

    async fn next_heard(radio: &mut Radio) -> (Frame, i16) {
        let wait = async {
            loop {
                if let Some(Event::Heard { frame, rssi }) = radio.events.recv().await {
                    return (frame, rssi.unwrap());
                }
            }
        };
        soon(wait).await
    }

    fn names(street: &TempDir) -> BTreeSet<String> {
        let files = fs::read_dir(street.path()).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// The socket of the one radio that is in this street.
    fn only(street: &TempDir) -> PathBuf {
        let names = names(street);
        assert_eq!(names.len(), 1, "{names:?}");
        street.path().join(names.first().unwrap())
    }

    #[tokio::test]
    async fn who_shares_a_folder_is_heard_and_leaves_nothing() {
        let (street, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
        let far = airing(&elsewhere, 1, 3).await;
        // Two daemons may have the same seed.
        let mut anna = airing(&street, 1, 1).await;
        let mut ben = airing(&street, 1, 2).await;
        for _ in 0..2 {
            for (radio, other) in [(&mut anna, 2), (&mut ben, 1)] {
                let (frame, rssi) = next_heard(radio).await;
                assert_eq!(frame, frame_of(other));
                assert!((-81..=-65).contains(&rssi), "{rssi} dBm");
            }
        }
        drop((anna, ben, far));
        let tidied = async {
            while !names(&street).is_empty() || !names(&elsewhere).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        soon(tidied).await;
    }

    #[tokio::test]
    async fn the_dead_are_removed_and_no_other_file_is() {
        let street = tempdir().unwrap();
        let at = |name: &str| street.path().join(name);
        drop(Plain::bind(at("tcnd-00000000000000ff")).unwrap());
        drop(Plain::bind(at("another-users")).unwrap());
        fs::write(at("tcnd-00000000000000fe"), "no socket").unwrap();
        std::os::unix::fs::symlink(at("another-users"), at("tcnd-00000000000000fd")).unwrap();
        let radio = airing(&street, 1, 1).await;
        let tidied = async {
            while names(&street).contains("tcnd-00000000000000ff") {
                tokio::task::yield_now().await;
            }
        };
        soon(tidied).await;
        let left = names(&street);
        for name in [
            "another-users",
            "tcnd-00000000000000fe",
            "tcnd-00000000000000fd",
        ] {
            assert!(left.contains(name), "{name} is gone: {left:?}");
        }
        drop(radio);
    }

    #[tokio::test]
    async fn what_is_no_advert_is_not_heard() {
        let street = tempdir().unwrap();
        let mut radio = join(street.path(), 1, Mode::Broadcast).unwrap();
        radio.orders.send(Order::Listen).await.unwrap();
        let it = only(&street);
        let advert = frame_of(7).advertisement();
        let mut longer = advert.to_vec();
        longer.push(0);
        let mut other_service = advert;
        (other_service[5], other_service[9]) = (0x6F, 0x6F);
        let hostile = [
            &b""[..],
            b"hello",
            &[0xFF; 31],
            &[0xFF; 4096],
            &longer,
            &other_service,
            &advert[..20],
        ];
        let stranger = UnixDatagram::unbound().unwrap();
        for datagram in hostile {
            soon(stranger.send_to(datagram, &it)).await.unwrap();
        }
        let honest = frame_of(8).advertisement();
        soon(stranger.send_to(&honest, &it)).await.unwrap();
        assert_eq!(next_heard(&mut radio).await.0, frame_of(8));
    }

    /// Seconds are hours here, so that none passes.
    #[tokio::test]
    async fn a_flood_is_heard_no_further_than_its_bound() {
        let folder = tempdir().unwrap();
        let street = SharedStreet::bind(folder.path(), 1).unwrap();
        let it = only(&folder);
        let ether = broadcast::Sender::new(2 * MOST_HEARD);
        let mut heard = ether.subscribe();
        let second = time::interval(Duration::from_secs(3600));
        tokio::spawn(street.carry(ether.subscribe(), ether.downgrade(), second));
        let flood = tokio::spawn(async move {
            let stranger = UnixDatagram::unbound().unwrap();
            let advert = frame_of(7).advertisement();
            for _ in 0..2 * MOST_HEARD {
                stranger.send_to(&advert, &it).await.unwrap();
            }
        });
        for _ in 0..MOST_HEARD {
            soon(heard.recv()).await.unwrap();
        }
        let more = timeout(Duration::from_millis(300), heard.recv()).await;
        assert!(more.is_err(), "heard {more:?} beyond the bound");
        flood.abort();
    }

    #[tokio::test]
    async fn no_more_are_sent_to_than_the_bound() {
        let street = tempdir().unwrap();
        let peers: Vec<_> = (0..2 * MOST_PEERS)
            .map(|n| {
                let peer = Plain::bind(street.path().join(format!("tcnd-{n:016x}"))).unwrap();
                peer.set_nonblocking(true).unwrap();
                peer
            })
            .collect();
        let street = SharedStreet::bind(street.path(), 1).unwrap();
        street.tell_others(&frame_of(1));
        let received = peers
            .iter()
            .filter(|peer| peer.recv(&mut [0; 64]).is_ok())
            .count();
        assert_eq!(received, MOST_PEERS);
    }

    #[tokio::test]
    async fn a_bad_folder_is_refused_with_its_cure() {
        let street = tempdir().unwrap();
        let file = street.path().join("file");
        fs::write(&file, "").unwrap();
        let long = street.path().join("x".repeat(100));
        fs::create_dir(&long).unwrap();
        for (folder, cure) in [
            (street.path().join("none"), "mkdir"),
            (file, "mkdir"),
            (long, "has at most 84 bytes"),
            ("/proc".into(), "may write to"),
        ] {
            let error = join(&folder, 1, Mode::Broadcast).unwrap_err().to_string();
            assert!(error.contains(cure), "{error}");
            assert!(error.contains(folder.to_str().unwrap()), "{error}");
        }
    }
}
