//! One outbound connection to a peer: connect, read its number, disconnect.
//!
//! This is the only use of btleplug. btleplug asks only about the device that it connects
//! to, where bluer reads the whole object tree. Its scan would power the adapter on and
//! search for all kinds of devices, and is never started. A trait stands in front of it, so
//! that the rest can be tested without a peer.
//!
//! A connection shows the device's own address unless the kernel's privacy is on. The
//! caller checks this first.
//!
//! BlueZ: doc/org.bluez.Device.rst `Connect`, doc/org.bluez.GattCharacteristic.rst
//! `ReadValue`.

use std::error::Error;
use std::time::Duration;

use bluez_async::DeviceId;
use btleplug::api::{Central as _, Manager as _, Peripheral as _};
use btleplug::platform::{Adapter, Manager, Peripheral, PeripheralId};
use futures::FutureExt;
use futures::future::BoxFuture;
use tcn_protocol::beacon::CHARACTERISTIC_UUID;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time;

/// Time to connect and read; an iPhone allows the same for its own connections.
/// tcn-client-ios ea25cb0, `TCNBluetoothServiceImpl.swift`.
const READ_TIME: Duration = Duration::from_secs(8);

/// Time to look up the peer before.
const LOOKUP_TIME: Duration = Duration::from_secs(1);

/// Time to disconnect, which also ends an attempt to connect.
const DISCONNECT_TIME: Duration = Duration::from_secs(3);

/// The three times together.
pub(super) const MAX_CONNECTION_TIME: Duration = Duration::from_secs(12);

/// Connects to peers, reads their number and disconnects.
pub trait Central: Send + Sync {
    /// Reads the characteristic of the peer with this address, most significant byte first,
    /// which this adapter (`hci0`) has just heard. The connection is closed when the future
    /// is ready, and the future is ready within twelve seconds.
    fn read<'a>(
        &'a self,
        adapter: &'a str,
        peer: [u8; 6],
    ) -> BoxFuture<'a, Result<Vec<u8>, CentralError>>;

    /// The bus was restarted: its connection has to be made again.
    fn renew(&self);
}

/// Why the number of a peer was not read. No variant names the peer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CentralError {
    /// BlueZ cannot be asked, or no longer knows the peer.
    #[error("BlueZ does not know the peer")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
    /// No connection, no service, or no answer to the read.
    #[error("the peer did not let itself be read")]
    ReadFailed(#[source] Box<dyn Error + Send + Sync>),
    /// The peer is paired or trusted, or already connected.
    #[error("the peer is not ours to connect to")]
    Excluded,
    /// The peer does not have the characteristic.
    #[error("the peer has no such characteristic")]
    NoCharacteristic,
    /// The peer took too long.
    #[error("the peer did not answer in time")]
    TimedOut,
}

/// The real central.
#[derive(Debug, Default)]
pub(super) struct Btleplug {
    /// Any adapter of BlueZ: only the D-Bus connection behind it is used.
    connection: Mutex<Option<Adapter>>,
}

impl Central for Btleplug {
    fn read<'a>(
        &'a self,
        adapter: &'a str,
        peer: [u8; 6],
    ) -> BoxFuture<'a, Result<Vec<u8>, CentralError>> {
        async move {
            let found = time::timeout(LOOKUP_TIME, self.peer(adapter, peer)).await;
            let peer = found.unwrap_or(Err(CentralError::TimedOut))?;
            let read = time::timeout(READ_TIME, read(&peer)).await;
            // Also ends a connection that is still being made. If this fails, there is none.
            let _ = time::timeout(DISCONNECT_TIME, peer.disconnect()).await;
            read.unwrap_or(Err(CentralError::TimedOut))
        }
        .boxed()
    }

    fn renew(&self) {
        if let Ok(mut connection) = self.connection.try_lock() {
            *connection = None;
        }
    }
}

impl Btleplug {
    async fn peer(&self, adapter: &str, address: [u8; 6]) -> Result<Peripheral, CentralError> {
        let address = address.map(|byte| format!("{byte:02X}")).join("_");
        let id: DeviceId = format!("{adapter}/dev_{address}")
            .parse()
            .map_err(unknown)?;
        let mut connection = self.connection.lock().await;
        let open = match connection.take() {
            Some(open) => open,
            None => open().await?,
        };
        let peer = open.peripheral(&PeripheralId::from(id)).await;
        *connection = Some(open);
        peer.map_err(unknown)
    }
}

async fn open() -> Result<Adapter, CentralError> {
    let manager = Manager::new().await.map_err(unknown)?;
    let adapters = manager.adapters().await.map_err(unknown)?;
    adapters.into_iter().next().ok_or_else(|| {
        let none = btleplug::Error::DeviceNotFound;
        unknown(none)
    })
}

async fn read(peer: &Peripheral) -> Result<Vec<u8>, CentralError> {
    peer.connect().await.map_err(read_failed)?;
    peer.discover_services().await.map_err(read_failed)?;
    let characteristic = peer
        .characteristics()
        .into_iter()
        .find(|characteristic| characteristic.uuid.as_u128() == CHARACTERISTIC_UUID)
        .ok_or(CentralError::NoCharacteristic)?;
    peer.read(&characteristic).await.map_err(read_failed)
}

fn unknown(error: impl Error + Send + Sync + 'static) -> CentralError {
    CentralError::Unknown(Box::new(error))
}

fn read_failed(error: impl Error + Send + Sync + 'static) -> CentralError {
    CentralError::ReadFailed(Box::new(error))
}
