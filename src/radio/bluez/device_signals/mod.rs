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

use bluez_signals::device::{
    DEVICE, DeviceProperties, DeviceSignal, Interest, OBJECT_MANAGER, PROPERTIES,
};
use zbus::names::BusName;
use zbus::{Connection, connection, fdo};

use self::socket::SignalSocket;
use super::advert::SERVICE;
use super::{BluezError, READ_TIMEOUT, call};
use crate::system_bus;

/// The name, which is also that of its interface, and the object of the bus.
const BUS: (Option<&str>, &str) = (Some("org.freedesktop.DBus"), "/org/freedesktop/DBus");

/// A connection that the signals of one adapter's devices come by. They end when it is
/// dropped.
#[derive(Debug)]
pub(super) struct DeviceSignals {
    connection: Connection,
    interest: Interest,
}

impl DeviceSignals {
    /// Connects, and calls `sink` for each signal about a device of the adapter (`hci0`), at
    /// most 200 ms after it came.
    pub(super) async fn open(
        adapter: &str,
        mut sink: impl FnMut(DeviceSignal<'_>) + Send + Sync + 'static,
    ) -> Result<Self, BluezError> {
        // Known only after the connection is there.
        let interest = Arc::new(OnceLock::<Interest>::new());
        let set = Arc::clone(&interest);
        let take = move |message: &[u8]| {
            let signal = interest.get().and_then(|it| it.device_signal(message));
            signal.map(&mut sink).is_some()
        };
        let opening = async {
            let stream = system_bus::connect_to(&system_bus::address()?)?;
            let not_unix = || zbus::Error::Address("not a Unix socket".to_owned());
            let socket = SignalSocket::new(stream.ok_or_else(not_unix)?, Box::new(take))?;
            let connection = connection::Builder::socket(socket).build().await?;
            let bus = fdo::DBusProxy::new(&connection).await?;
            let bluetoothd = bus.get_name_owner(BusName::try_from("org.bluez")?).await?;
            let interest = Interest {
                sender: bluetoothd.to_string(),
                adapter: format!("/org/bluez/{adapter}"),
                service: SERVICE.to_string(),
            };
            let _ = set.set(interest.clone());
            for rule in rules(&interest) {
                let rule = (rule,);
                let adding = connection.call_method(BUS.0, BUS.1, BUS.0, "AddMatch", &rule);
                adding.await?;
            }
            Ok::<_, zbus::Error>(Self {
                connection: connection.clone(),
                interest,
            })
        };
        call("listening to devices", READ_TIMEOUT, opening).await
    }

    /// Calls `found` for each device of the adapter that BlueZ knows.
    pub(super) async fn known(
        &self,
        found: impl FnMut([u8; 6], DeviceProperties<'_>),
    ) -> Result<(), BluezError> {
        let bluetoothd = Some(self.interest.sender.as_str());
        let interface = Some(OBJECT_MANAGER);
        let listing =
            self.connection
                .call_method(bluetoothd, "/", interface, "GetManagedObjects", &());
        let objects = call("listing devices", READ_TIMEOUT, listing).await?;
        let (body, endian) = (objects.body(), objects.data()[0]);
        // A malformed body lists no more devices.
        let _ = self.interest.managed_devices(body.data(), endian, found);
        Ok(())
    }

    /// Takes the signals that the bus has received by now, then ends.
    pub(super) async fn finish(self) {
        // The reply comes after the signals that the bus received before the call.
        let peer = Some("org.freedesktop.DBus.Peer");
        let ping = self.connection.call_method(BUS.0, BUS.1, peer, "Ping", &());
        // An error means that no more signals come.
        let _ = call("waiting for signals", READ_TIMEOUT, ping).await;
    }
}

/// The matches of the signals about the adapter's devices: D-Bus specification, "Match
/// Rules".
fn rules(interest: &Interest) -> [String; 3] {
    let Interest {
        sender, adapter, ..
    } = interest;
    let signal = |interface, member, rest| {
        format!("type='signal',sender='{sender}',interface='{interface}',member='{member}',{rest}")
    };
    let of_adapter = format!("arg0path='{adapter}/'");
    let changed = format!("path_namespace='{adapter}',arg0='{DEVICE}'");
    [
        signal(PROPERTIES, "PropertiesChanged", &changed),
        signal(OBJECT_MANAGER, "InterfacesAdded", &of_adapter),
        signal(OBJECT_MANAGER, "InterfacesRemoved", &of_adapter),
    ]
}
