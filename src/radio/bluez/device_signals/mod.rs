//! The signals that BlueZ sends about devices, at the lowest price.
//!
//! While the adapter listens, BlueZ sends a signal for each advert of each device near. So
//! these signals come by a connection of their own, matched as tightly as the bus can.
//! [`socket`] reads them many at a time, and [`bluez_signals`] looks at them in place:
//! nothing of other people's devices is decoded or kept. bluer does not get them
//! ([`super::bluer_relay`]).
//!
//! Any program may send a signal straight to a connection, whatever that matches. So only
//! signals of the bluetoothd that owned the name are taken. After a restart of bluetoothd a
//! new connection is needed.

mod socket;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bluez_signals::device::{
    DEVICE, DeviceProperties, DeviceSignal, OBJECT_MANAGER, PROPERTIES, SignalFilter,
};
use zbus::names::BusName;
use zbus::{Connection, connection, fdo};

use self::socket::SignalSocket;
use super::advert::SERVICE;
use super::{BluezError, READ_TIMEOUT, call};
use crate::system_bus;

/// The name of the bus, which is also that of its interface.
const BUS_NAME: &str = "org.freedesktop.DBus";
/// The interface that every program on the bus has: D-Bus specification, "Standard
/// Interfaces".
const PEER: &str = "org.freedesktop.DBus.Peer";
/// The object of the bus.
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A connection over which the signals of one adapter's devices come. They end when it is
/// dropped.
#[derive(Debug)]
pub(super) struct DeviceSignals {
    connection: Connection,
    filter: SignalFilter,
}

impl DeviceSignals {
    /// Connects, and calls `sink` for each signal about a device of the adapter (`hci0`), at
    /// most `gather` after it came.
    pub(super) async fn open(
        adapter: &str,
        gather: Duration,
        mut sink: impl FnMut(DeviceSignal<'_>) + Send + Sync + 'static,
    ) -> Result<Self, BluezError> {
        // Known only after the connection is there.
        let filter = Arc::new(OnceLock::<SignalFilter>::new());
        let set = Arc::clone(&filter);
        let take = move |message: &[u8]| {
            let signal = filter.get().and_then(|it| it.device_signal(message));
            signal.into_iter().for_each(&mut sink);
        };
        let opening = async {
            let stream = system_bus::connect_to(&system_bus::address()?)?;
            let not_unix = || zbus::Error::Address("not a Unix socket".to_owned());
            let socket = SignalSocket::new(stream.ok_or_else(not_unix)?, gather, Box::new(take))?;
            let connection = connection::Builder::socket(socket).build().await?;
            let bus = fdo::DBusProxy::new(&connection).await?;
            let bluetoothd = bus.get_name_owner(BusName::try_from("org.bluez")?).await?;
            let filter = SignalFilter {
                sender: bluetoothd.to_string(),
                adapter: format!("/org/bluez/{adapter}"),
                service: SERVICE.to_string(),
            };
            let _ = set.set(filter.clone());
            for rule in rules(&filter) {
                let rule = (rule,);
                let adding = connection.call_method(
                    Some(BUS_NAME),
                    BUS_PATH,
                    Some(BUS_NAME),
                    "AddMatch",
                    &rule,
                );
                adding.await?;
            }
            Ok::<_, zbus::Error>(Self {
                connection: connection.clone(),
                filter,
            })
        };
        call("listening to devices", READ_TIMEOUT, opening).await
    }

    /// Calls `found` for each device of the adapter that BlueZ knows.
    pub(super) async fn known(
        &self,
        found: impl FnMut([u8; 6], DeviceProperties<'_>),
    ) -> Result<(), BluezError> {
        let bluetoothd = Some(self.filter.sender.as_str());
        let interface = Some(OBJECT_MANAGER);
        let listing =
            self.connection
                .call_method(bluetoothd, "/", interface, "GetManagedObjects", &());
        let objects = call("listing devices", READ_TIMEOUT, listing).await?;
        let (body, endian) = (objects.body(), objects.data()[0]);
        // A malformed body lists no more devices.
        let _ = self.filter.managed_devices(body.data(), endian, found);
        Ok(())
    }

    /// Waits until every signal was taken that bluetoothd has sent until now: its answer comes
    /// after them.
    pub(super) async fn catch_up(&self) -> Result<(), BluezError> {
        let bluetoothd = Some(self.filter.sender.as_str());
        let pinging = self
            .connection
            .call_method(bluetoothd, "/", Some(PEER), "Ping", &());
        call("reading the last signals", READ_TIMEOUT, pinging).await?;
        Ok(())
    }

    /// A future that is ready when no more signals come, because the connection ended.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let connection = self.connection.clone();
        async move { connection.closed().await }
    }
}

/// The matches of the signals about the adapter's devices: D-Bus specification, "Match
/// Rules".
fn rules(filter: &SignalFilter) -> [String; 3] {
    let SignalFilter {
        sender, adapter, ..
    } = filter;
    let signal = |interface, member, rest| {
        format!("type='signal',sender='{sender}',interface='{interface}',member='{member}',{rest}")
    };
    let adapter_arg = format!("arg0path='{adapter}/'");
    let changed = format!("path_namespace='{adapter}',arg0='{DEVICE}'");
    [
        signal(PROPERTIES, "PropertiesChanged", &changed),
        signal(OBJECT_MANAGER, "InterfacesAdded", &adapter_arg),
        signal(OBJECT_MANAGER, "InterfacesRemoved", &adapter_arg),
    ]
}
