//! What goes through a shared folder, and what does not.

use std::collections::BTreeSet;
use std::future::Future;
use std::os::unix::net::UnixDatagram as Plain;
use std::time::Duration;

use tempfile::{TempDir, tempdir};
use tokio::time::timeout;

use super::*;
use crate::protocol::TemporaryContactNumber;
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
    // The same seed is nobody's fault.
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
    drop(Plain::bind(at("somebody-elses")).unwrap());
    fs::write(at("tcnd-00000000000000fe"), "no socket").unwrap();
    std::os::unix::fs::symlink(at("somebody-elses"), at("tcnd-00000000000000fd")).unwrap();
    let radio = airing(&street, 1, 1).await;
    let tidied = async {
        while names(&street).contains("tcnd-00000000000000ff") {
            tokio::task::yield_now().await;
        }
    };
    soon(tidied).await;
    let left = names(&street);
    for name in [
        "somebody-elses",
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
    let street = Street::bind(folder.path(), 1).unwrap();
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
    let street = Street::bind(street.path(), 1).unwrap();
    street.tell_others(&frame_of(1));
    let told = peers
        .iter()
        .filter(|peer| peer.recv(&mut [0; 64]).is_ok())
        .count();
    assert_eq!(told, MOST_PEERS);
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
