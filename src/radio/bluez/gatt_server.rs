//! The GATT service that peers connect for: one characteristic, from which they read our
//! number and to which they write theirs.
//!
//! The [`GattService`] decides which peer may read what. It is open while an epoch is on the
//! air. A peer that was seen to connect in the epoch may read the number of that epoch, and
//! no other peer may: one that stays connected from one epoch into the next would learn two
//! numbers of one device. Nothing can be read over BR/EDR, where the peer knows the device by
//! its real address.
//!
//! A write of at least sixteen bytes at offset 0 is a number, as with the coalition's
//! clients. Any bytes after them are ignored.
//!
//! BlueZ: doc/org.bluez.GattCharacteristic.rst. Clients: tcn-client-ios ea25cb0,
//! tcn-client-android 7d48399, `TcnBluetoothManager.kt`.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bluer::gatt::local::{
    Application, ApplicationHandle, Characteristic, CharacteristicRead, CharacteristicWrite,
    CharacteristicWriteMethod, LinkType, ReqError, Service,
};
use bluer::{Adapter, Address, Uuid};
use futures::FutureExt;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::CHARACTERISTIC_UUID;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::super::Peer;
use super::advert::SERVICE;
use super::{BluezError, call};

/// Time to register: `RegisterApplication` reads our objects one by one.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);

/// Accesses to the characteristic that wait to be handled.
const ACCESS_QUEUE: usize = 64;

/// How long a read waits until the connection of its sender was seen.
const ADMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An access to the characteristic.
pub(super) enum GattAccess {
    Read(Address),
    Written(Address, TemporaryContactNumber),
}

/// Decides which peer may read what.
pub(super) struct GattService {
    epoch: Mutex<Option<Epoch>>,
    /// A peer was admitted, or the epoch changed.
    changed: Notify,
    accesses: mpsc::Sender<GattAccess>,
    peer_ids: RandomState,
}

/// The epoch on the air.
struct Epoch {
    own: Option<TemporaryContactNumber>,
    /// The peers that connected in it.
    peers: BTreeSet<Address>,
}

impl GattService {
    /// A closed service, and the queue of accesses.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<GattAccess>) {
        let (accesses, heard) = mpsc::channel(ACCESS_QUEUE);
        let gatt = Self {
            epoch: Mutex::new(None),
            changed: Notify::new(),
            accesses,
            peer_ids: RandomState::new(),
        };
        (Arc::new(gatt), heard)
    }

    /// Opens the service in an epoch, closes it between two. `None` inside means that there is
    /// no number to read.
    pub(super) fn set_epoch(&self, readable: Option<Option<TemporaryContactNumber>>) {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch.as_ref().map(|epoch| epoch.own) != readable {
            *epoch = readable.map(|own| Epoch {
                own,
                peers: BTreeSet::new(),
            });
            self.changed.notify_waiters();
        }
    }

    /// A peer connected, and may read the number of this epoch.
    pub(super) fn admit(&self, address: Address) {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(epoch) = epoch.as_mut() {
            epoch.peers.insert(address);
            self.changed.notify_waiters();
        }
    }

    /// The identifier of a peer while this process runs.
    pub(super) fn peer(&self, address: Address) -> Peer {
        Peer(self.peer_ids.hash_one(address.0))
    }

    /// The answer to a read.
    async fn read(
        &self,
        address: Address,
        link: Option<LinkType>,
        offset: u16,
    ) -> Result<Vec<u8>, ReqError> {
        let uuid_only_heard = timeout(ADMIT_TIMEOUT, self.number_for(address, link)).await;
        let own = uuid_only_heard
            .unwrap_or(None)
            .ok_or(ReqError::NotPermitted)?;
        let rest = own.as_bytes().get(usize::from(offset)..);
        let rest = rest.ok_or(ReqError::InvalidOffset)?.to_vec();
        // A full queue drops it: the next access is noticed.
        let _ = self.accesses.try_send(GattAccess::Read(address));
        Ok(rest)
    }

    /// The number that a peer may read, as soon as its connection was seen; `None` if there
    /// is none.
    async fn number_for(
        &self,
        address: Address,
        link: Option<LinkType>,
    ) -> Option<TemporaryContactNumber> {
        loop {
            let changed = self.changed.notified();
            {
                let epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
                let epoch = epoch.as_ref().filter(|_| link != Some(LinkType::BrEdr))?;
                let own = epoch.own?;
                if epoch.peers.contains(&address) {
                    return Some(own);
                }
            }
            changed.await;
        }
    }

    /// Checks a write, and returns the number in it.
    fn accept_write(
        &self,
        value: &[u8],
        link: Option<LinkType>,
        offset: u16,
    ) -> Result<TemporaryContactNumber, ReqError> {
        let epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch.is_none() || link == Some(LinkType::BrEdr) {
            return Err(ReqError::NotPermitted);
        }
        if offset != 0 {
            return Err(ReqError::InvalidOffset);
        }
        let number = value.first_chunk().ok_or(ReqError::InvalidValueLength)?;
        Ok(TemporaryContactNumber::from_bytes(*number))
    }

    fn report(&self, access: GattAccess) -> Result<(), ReqError> {
        self.accesses.try_send(access).map_err(|_| ReqError::Failed)
    }
}

/// Registers the service on an adapter, for as long as the handle is held.
pub(super) async fn serve(
    adapter: &Adapter,
    gatt: Arc<GattService>,
) -> Result<ApplicationHandle, BluezError> {
    let service = Service {
        uuid: SERVICE,
        primary: true,
        characteristics: vec![characteristic(gatt)],
        ..Service::default()
    };
    let application = Application {
        services: vec![service],
        ..Application::default()
    };
    call(
        "registering the GATT service",
        REGISTER_TIMEOUT,
        adapter.serve_gatt_application(application),
    )
    .await
}

fn characteristic(gatt: Arc<GattService>) -> Characteristic {
    let reader = Arc::clone(&gatt);
    let read = CharacteristicRead {
        read: true,
        fun: Box::new(move |request| {
            let reader = Arc::clone(&reader);
            async move {
                reader
                    .read(request.device_address, request.link, request.offset)
                    .await
            }
            .boxed()
        }),
        ..CharacteristicRead::default()
    };
    let write = CharacteristicWrite {
        write: true,
        method: CharacteristicWriteMethod::Fun(Box::new(move |value, request| {
            // Answered at once: the peer may be gone in a moment.
            let taken = gatt.accept_write(&value, request.link, request.offset);
            let reported = taken.and_then(|number| {
                gatt.report(GattAccess::Written(request.device_address, number))
            });
            async move { reported }.boxed()
        })),
        ..CharacteristicWrite::default()
    };
    Characteristic {
        uuid: Uuid::from_u128(CHARACTERISTIC_UUID),
        read: Some(read),
        write: Some(write),
        ..Characteristic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Address = Address([0x4a; 6]);
    const BEN: Address = Address([0x4b; 6]);
    const LE: Option<LinkType> = Some(LinkType::Le);

    fn number(byte: u8) -> TemporaryContactNumber {
        TemporaryContactNumber::from_bytes([byte; 16])
    }

    /// A new epoch, in which ANNA came.
    fn open(gatt: &GattService, byte: u8) {
        gatt.set_epoch(None);
        gatt.set_epoch(Some(Some(number(byte))));
        gatt.admit(ANNA);
    }

    fn refused(answer: &Result<Vec<u8>, ReqError>) -> bool {
        matches!(answer, Err(ReqError::NotPermitted))
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_the_epoch_is_told_from_the_offset_on() {
        let (gatt, mut accesses) = GattService::new();
        assert!(refused(&gatt.read(ANNA, LE, 0).await), "closed");
        open(&gatt, 7);
        assert_eq!(gatt.read(ANNA, LE, 0).await.unwrap(), [7; 16]);
        assert_eq!(
            gatt.read(ANNA, None, 0).await.unwrap(),
            [7; 16],
            "no ratchet"
        );
        assert_eq!(gatt.read(ANNA, LE, 10).await.unwrap(), [7; 6]);
        assert!(gatt.read(ANNA, LE, 16).await.unwrap().is_empty());
        let past = gatt.read(ANNA, LE, 17).await;
        assert!(matches!(past, Err(ReqError::InvalidOffset)));
        assert!(matches!(accesses.try_recv(), Ok(GattAccess::Read(ANNA))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_from_one_epoch_into_the_next_is_told_one_number() {
        let (gatt, _accesses) = GattService::new();
        open(&gatt, 1);
        assert!(gatt.read(ANNA, LE, 0).await.is_ok());
        gatt.set_epoch(None);
        gatt.set_epoch(Some(Some(number(2))));
        assert!(refused(&gatt.read(ANNA, LE, 0).await));
        gatt.admit(BEN);
        assert_eq!(gatt.read(BEN, LE, 0).await.unwrap(), [2; 16]);
        // Said again within the epoch, it changes nothing.
        gatt.set_epoch(Some(Some(number(2))));
        assert!(gatt.read(BEN, LE, 0).await.is_ok());
        assert!(refused(&gatt.read(ANNA, LE, 0).await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_waits_until_its_sender_is_seen_to_have_come() {
        let (gatt, _accesses) = GattService::new();
        open(&gatt, 1);
        let (number, ()) = tokio::join!(gatt.read(BEN, LE, 0), async {
            tokio::task::yield_now().await;
            gatt.admit(BEN);
        });
        assert_eq!(number.unwrap(), [1; 16]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_told_where_the_real_address_is_known() {
        let (gatt, _accesses) = GattService::new();
        open(&gatt, 1);
        let classic = Some(LinkType::BrEdr);
        assert!(refused(&gatt.read(ANNA, classic, 0).await));
        let taken = gatt.accept_write(&[9; 16], classic, 0);
        assert!(matches!(taken, Err(ReqError::NotPermitted)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_tells_nothing_and_takes_what_it_is_told() {
        let (gatt, _accesses) = GattService::new();
        gatt.set_epoch(Some(None));
        gatt.admit(ANNA);
        assert!(refused(&gatt.read(ANNA, LE, 0).await));
        assert_eq!(gatt.accept_write(&[9; 16], LE, 0).unwrap(), number(9));
    }

    #[test]
    fn only_sixteen_bytes_from_the_beginning_are_a_number() {
        let (gatt, _accesses) = GattService::new();
        let closed = gatt.accept_write(&[9; 16], LE, 0);
        assert!(matches!(closed, Err(ReqError::NotPermitted)));
        open(&gatt, 1);
        for length in [0, 1, 15] {
            let short = gatt.accept_write(&[9; 16][..length], LE, 0);
            assert!(
                matches!(short, Err(ReqError::InvalidValueLength)),
                "{length}"
            );
        }
        let mut long = [9; 300];
        long[16..].fill(0);
        assert_eq!(gatt.accept_write(&long, LE, 0).unwrap(), number(9));
        let late = gatt.accept_write(&[9; 16], LE, 1);
        assert!(matches!(late, Err(ReqError::InvalidOffset)));
    }

    #[test]
    fn a_thousand_knocks_are_bounded() {
        let (gatt, accesses) = GattService::new();
        open(&gatt, 1);
        let taken = (0..1000).filter(|_| gatt.report(GattAccess::Written(ANNA, number(3))).is_ok());
        assert_eq!(
            (taken.count(), accesses.len()),
            (ACCESS_QUEUE, ACCESS_QUEUE)
        );
    }

    #[test]
    fn peers_are_told_apart_and_their_addresses_kept() {
        let (gatt, _accesses) = GattService::new();
        assert_eq!(gatt.peer(ANNA), gatt.peer(ANNA));
        assert_ne!(gatt.peer(ANNA), gatt.peer(BEN));
        let (other, _accesses) = GattService::new();
        assert_ne!(
            gatt.peer(ANNA),
            other.peer(ANNA),
            "another process, another name"
        );
    }
}
