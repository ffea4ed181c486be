//! A mock bluetoothd: it follows bluetoothd's D-Bus documentation and the order of its
//! signals, and shows its faults on demand.
//!
//! It answers calls by hand ([`answers`]) rather than through an object server, so that every
//! call is seen and any call can be refused or left unanswered. The [`Machine`] outlives it,
//! as a controller outlives bluetoothd.

mod answers;
mod machine;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream, ObjectPath, OwnedObjectPath, Variant};

use super::harness::{self, DEADLINE};
use answers::{answer, forget_the_gone};
use machine::{
    ADAPTER, ADVERTISING, DEVICE, Interfaces, OTHER, Properties, data_of, properties, service_data,
};
pub(crate) use machine::{Adapter, Device, Machine};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";

/// Every call to `org.bluez`, also without an owner of that name.
pub(crate) struct Calls(MessageStream);

impl Calls {
    pub(crate) async fn watch() -> Self {
        let connection = harness::connect().await;
        let rule = MatchRule::builder()
            .msg_type(Type::MethodCall)
            .build()
            .unwrap();
        let monitor = zbus::fdo::MonitoringProxy::new(&connection).await.unwrap();
        monitor.become_monitor(&[rule], 0).await.unwrap();
        Self(MessageStream::from(&connection))
    }

    pub(crate) async fn next(&mut self) -> Option<String> {
        while let Some(Ok(message)) = self.0.next().await {
            let header = message.header();
            if header
                .destination()
                .is_some_and(|to| to.as_str() == "org.bluez")
            {
                return Some(format!("{message:?}"));
            }
        }
        None
    }
}

/// A running bluetoothd.
pub(crate) struct MockBluetoothd {
    connection: Connection,
    machine: watch::Sender<Machine>,
    tasks: Vec<JoinHandle<()>>,
}

impl MockBluetoothd {
    pub(crate) async fn start(machine: Machine) -> Self {
        Self::resume(watch::Sender::new(machine)).await
    }

    async fn resume(machine: watch::Sender<Machine>) -> Self {
        let connection = harness::connect().await;
        let calls = MessageStream::from(&connection);
        let gone = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .build()
            .unwrap();
        let gone = MessageStream::for_match_rule(gone, &connection, None)
            .await
            .unwrap();
        let tasks = vec![
            tokio::spawn(answer(connection.clone(), machine.clone(), calls)),
            tokio::spawn(forget_the_gone(connection.clone(), machine.clone(), gone)),
        ];
        connection.request_name("org.bluez").await.unwrap();
        Self {
            connection,
            machine,
            tasks,
        }
    }

    /// The state of the machine now.
    pub(crate) fn machine(&self) -> Machine {
        self.machine.borrow().clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Machine)) {
        self.machine.send_modify(change);
    }

    /// Waits until this is true of the machine.
    pub(crate) async fn until(&self, wanted: impl Fn(&Machine) -> bool) {
        let mut machine = self.machine.subscribe();
        let found = timeout(DEADLINE, machine.wait_for(wanted)).await.is_ok();
        assert!(found, "not in time: {:#?}", self.machine().log);
    }

    pub(crate) async fn until_scanning(&self) {
        self.until(|machine| machine.adapter().scanning()).await;
    }

    pub(crate) async fn until_adverts(&self, count: usize) {
        self.until(|machine| machine.adapter().adverts() == count)
            .await;
    }

    /// Waits until this call has come as often.
    pub(crate) async fn until_called(&self, call: &str, times: usize) {
        self.until(|machine| machine.count(call) == times).await;
    }

    pub(crate) fn called(&self, call: &str) -> usize {
        self.machine().count(call)
    }

    /// All changing calls, in order.
    pub(crate) fn calls(&self) -> String {
        self.machine().log.join(" ")
    }

    /// Checks that no changing call comes for a while.
    pub(crate) async fn quiet_for(&self, time: Duration) {
        let calls = self.machine().log.len();
        let mut machine = self.machine.subscribe();
        let called = timeout(time, machine.wait_for(|machine| machine.log.len() > calls)).await;
        assert!(called.is_err(), "called: {:?}", self.machine().log);
    }

    /// bluetoothd crashes silently. The controller stays as it is.
    pub(crate) async fn crash(self) -> watch::Sender<Machine> {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.connection.close().await.unwrap();
        self.machine
    }

    /// bluetoothd is stopped: it releases adverts, removes its objects and exits.
    pub(crate) async fn stop(self) -> watch::Sender<Machine> {
        let names: Vec<_> = self.machine().adapters.into_keys().collect();
        for name in names {
            for (sender, path) in self.own(&name) {
                release(&self.connection, &sender, &path).await.unwrap();
            }
            self.removed(&name).await;
        }
        self.crash().await
    }

    /// bluetoothd starts again on the same machine. Its name comes before its adapters.
    pub(crate) async fn restart(machine: watch::Sender<Machine>) -> Self {
        let mut adapters = BTreeMap::new();
        machine.send_modify(|machine| adapters = std::mem::take(&mut machine.adapters));
        let bluez = Self::resume(machine).await;
        for (name, mut adapter) in adapters {
            adapter.reset();
            bluez.plug(&name, adapter).await;
        }
        bluez
    }

    pub(crate) async fn plug(&self, name: &str, adapter: Adapter) {
        let interfaces = adapter.interfaces();
        self.set(|machine| {
            machine.adapters.insert(name.to_owned(), adapter);
        });
        self.added(&format!("/org/bluez/{name}"), &interfaces).await;
    }

    /// `LEAdvertisingManager1` appears on an adapter that is there already.
    pub(crate) async fn offer_advertising(&self, name: &str) {
        self.set(|machine| machine.adapters.get_mut(name).unwrap().advertises = true);
        let offered = self.machine().adapters[name].advertising();
        let interfaces = [(ADVERTISING.to_owned(), offered)].into();
        self.added(&format!("/org/bluez/{name}"), &interfaces).await;
    }

    pub(crate) async fn unplug(&self, name: &str) -> Adapter {
        let mut gone = None;
        self.set(|machine| gone = machine.adapters.remove(name));
        self.removed(name).await;
        let mut adapter = gone.unwrap();
        adapter.reset();
        adapter
    }

    /// Switches an adapter on or off, as any user may. Discovery ends; adverts stay
    /// registered, as bluetoothd leaves them.
    pub(crate) async fn power(&self, name: &str, powered: bool) {
        self.set(|machine| {
            let adapter = machine.adapters.get_mut(name).unwrap();
            adapter.powered = powered;
            adapter.discovering = None;
        });
        self.changed(
            name,
            ADAPTER,
            properties([("Powered", Variant::from(powered))]),
        )
        .await;
        let discovering = properties([("Discovering", Variant::from(false))]);
        self.changed(name, ADAPTER, discovering).await;
    }

    /// rfkill blocks an adapter: bluetoothd tells the power first.
    pub(crate) async fn block(&self, name: &str) {
        self.power(name, false).await;
        let state = properties([("PowerState", Variant::from("off-blocked"))]);
        self.changed(name, ADAPTER, state).await;
    }

    pub(crate) async fn make_discoverable(&self, name: &str, discoverable: bool) {
        self.set(|machine| {
            machine.adapters.get_mut(name).unwrap().discoverable = discoverable;
        });
        let property = properties([("Discoverable", Variant::from(discoverable))]);
        self.changed(name, ADAPTER, property).await;
    }

    /// Discovery stalls and ends, as seen in the field.
    pub(crate) async fn end_discovery(&self, name: &str) {
        self.set(|machine| machine.adapters.get_mut(name).unwrap().discovering = None);
        let discovering = properties([("Discovering", Variant::from(false))]);
        self.changed(name, ADAPTER, discovering).await;
    }

    /// Another program begins or ends to scan.
    pub(crate) async fn scan_for_others(&self, name: &str, scans: bool) {
        tell_discovering(&self.connection, name, scans).await;
    }

    /// bluetoothd drops all adverts by itself, as at their timeout.
    pub(crate) async fn drop_adverts(&self, name: &str) {
        self.set(|machine| machine.adapters.get_mut(name).unwrap().adverts.clear());
        tell_instances(&self.connection, &self.machine, name).await;
    }

    /// bluetoothd has lost our advert, and says nothing of it but the count. Those
    /// of other programs stay.
    pub(crate) async fn lose_advert(&self, name: &str) {
        self.set(|machine| {
            let adapter = machine.adapters.get_mut(name).unwrap();
            adapter.adverts.retain(|(sender, _)| sender == OTHER);
        });
        tell_instances(&self.connection, &self.machine, name).await;
    }

    /// Another program's advert ends.
    pub(crate) async fn end_another(&self, name: &str) {
        self.set(|machine| {
            let adverts = &mut machine.adapters.get_mut(name).unwrap().adverts;
            let another = adverts.iter().position(|(sender, _)| sender == OTHER);
            adverts.remove(another.unwrap());
        });
        tell_instances(&self.connection, &self.machine, name).await;
    }

    /// bluetoothd drops our advert and says so, while another program's takes its
    /// place in the count.
    pub(crate) async fn release(&self, name: &str) {
        let own = self.own(name);
        self.set(|machine| {
            let adapter = machine.adapters.get_mut(name).unwrap();
            adapter.adverts.retain(|(sender, _)| sender == OTHER);
            *adapter = adapter.clone().beside(own.len());
        });
        for (sender, path) in own {
            release(&self.connection, &sender, &path).await.unwrap();
        }
    }

    /// Another program than bluetoothd calls `Release` on our advert.
    pub(crate) async fn release_by_another(&self, name: &str) -> zbus::Result<()> {
        let another = harness::connect().await;
        let (sender, path) = self.own(name).remove(0);
        release(&another, &sender, &path).await
    }

    fn own(&self, name: &str) -> Vec<(String, OwnedObjectPath)> {
        let adverts = self.machine().adapters[name].adverts.clone();
        let own = adverts.into_iter().filter(|(sender, _)| sender != OTHER);
        own.collect()
    }

    /// `LEAdvertisingManager1` goes, the adapter stays.
    pub(crate) async fn withdraw_advertising(&self, name: &str) {
        self.set(|machine| {
            let adapter = machine.adapters.get_mut(name).unwrap();
            adapter.advertises = false;
            adapter.adverts.clear();
        });
        self.lacks(name, vec![ADVERTISING]).await;
    }

    /// A device is seen for the first time.
    pub(crate) async fn appear(&self, name: &str, last: u16, device: Device) {
        let path = device_path(name, last);
        let interfaces = BTreeMap::from([(DEVICE.to_owned(), device.properties())]);
        self.set(|machine| {
            let adapter = machine.adapters.get_mut(name).unwrap();
            adapter.devices.insert(path.clone(), device);
        });
        self.added(&path, &interfaces).await;
    }

    /// A device known is heard again: one signal for one advert.
    pub(crate) async fn advert(&self, name: &str, last: u16, data: &[u8], rssi: Option<i16>) {
        let mut changed = service_data(data);
        if let Some(rssi) = rssi {
            changed.extend(properties([("RSSI", Variant::from(rssi))]));
        }
        self.tell(&device_path(name, last), DEVICE, changed).await;
    }

    /// Another program sends such a signal to every connection there is. Returns to how
    /// many.
    pub(crate) async fn forged_advert(
        &self,
        name: &str,
        last: u16,
        data: &[u8],
        rssi: i16,
    ) -> usize {
        let mut changed = service_data(data);
        changed.extend(properties([("RSSI", Variant::from(rssi))]));
        let path = device_path(name, last);
        let body = (DEVICE, changed, Vec::<String>::new());
        let forger = harness::connect().await;
        let bus = zbus::fdo::DBusProxy::new(&forger).await.unwrap();
        let names = bus.list_names().await.unwrap();
        let connections = names.iter().filter(|name| name.starts_with(':'));
        let mut sent = 0;
        for connection in connections {
            let to = Some(connection.as_str());
            let sending =
                forger.emit_signal(to, path.as_str(), PROPERTIES, "PropertiesChanged", &body);
            sending.await.unwrap();
            sent += 1;
        }
        // The bus has delivered them when it answers.
        bus.get_id().await.unwrap();
        sent
    }

    /// A device known is heard again, with data of another service.
    pub(crate) async fn foreign_advert(&self, name: &str, last: u16, data: &[u8], rssi: i16) {
        const OTHER: &str = "0000feaa-0000-1000-8000-00805f9b34fb";
        let mut changed = data_of(OTHER, data);
        changed.extend(properties([("RSSI", Variant::from(rssi))]));
        self.tell(&device_path(name, last), DEVICE, changed).await;
    }

    /// A device known is heard again, without service data.
    pub(crate) async fn silent_advert(&self, name: &str, last: u16, rssi: i16) {
        let changed = properties([("RSSI", Variant::from(rssi))]);
        self.tell(&device_path(name, last), DEVICE, changed).await;
    }

    /// A device connects, or leaves.
    pub(crate) async fn connect(&self, name: &str, last: u16, connected: bool) {
        let path = device_path(name, last);
        self.set(|machine| {
            let adapter = machine.adapters.get_mut(name).unwrap();
            adapter.devices.get_mut(&path).unwrap().connected = connected;
        });
        tell_connected(&self.connection, &path, connected).await;
    }

    /// A device reads our characteristic.
    pub(crate) async fn read(&self, name: &str, last: u16) -> zbus::Result<Vec<u8>> {
        let answer = self.use_server(name, last, "ReadValue", None).await?;
        answer.body().deserialize()
    }

    /// A device writes to it.
    pub(crate) async fn write(&self, name: &str, last: u16, value: &[u8]) -> zbus::Result<()> {
        self.use_server(name, last, "WriteValue", Some(value))
            .await
            .map(drop)
    }

    async fn use_server(
        &self,
        name: &str,
        last: u16,
        method: &str,
        value: Option<&[u8]>,
    ) -> zbus::Result<zbus::Message> {
        const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
        let (client, path) = self.machine().server.unwrap();
        let device = ObjectPath::try_from(device_path(name, last)).unwrap();
        let options = properties([
            ("device", Variant::from(device)),
            ("offset", Variant::from(0_u16)),
            ("mtu", Variant::from(517_u16)),
            ("link", Variant::from("LE")),
        ]);
        let (client, interface) = (Some(client), Some(CHARACTERISTIC));
        let bus = &self.connection;
        match value {
            Some(value) => {
                let body = (value, options);
                bus.call_method(client, path, interface, method, &body)
                    .await
            }
            None => {
                bus.call_method(client, path, interface, method, &(options,))
                    .await
            }
        }
    }

    async fn added(&self, path: &str, interfaces: &Interfaces) {
        let body = (ObjectPath::try_from(path).unwrap(), interfaces);
        self.connection
            .emit_signal(None::<&str>, "/", OBJECTS, "InterfacesAdded", &body)
            .await
            .unwrap();
    }

    async fn removed(&self, name: &str) {
        self.lacks(name, vec![ADAPTER, ADVERTISING]).await;
    }

    async fn lacks(&self, name: &str, interfaces: Vec<&str>) {
        let path = ObjectPath::try_from(format!("/org/bluez/{name}")).unwrap();
        let body = (path, interfaces);
        self.connection
            .emit_signal(None::<&str>, "/", OBJECTS, "InterfacesRemoved", &body)
            .await
            .unwrap();
    }

    async fn changed(&self, name: &str, interface: &str, changed: Properties) {
        self.tell(&format!("/org/bluez/{name}"), interface, changed)
            .await;
    }

    async fn tell(&self, path: &str, interface: &str, changed: Properties) {
        tell(&self.connection, path, interface, changed).await;
    }
}

fn device_path(name: &str, last: u16) -> String {
    let [high, low] = last.to_be_bytes();
    format!("/org/bluez/{name}/dev_40_00_00_00_{high:02X}_{low:02X}")
}

async fn tell(connection: &Connection, path: &str, interface: &str, changed: Properties) {
    let body = (interface, changed, Vec::<String>::new());
    // A bluetoothd that is gone tells nothing.
    let _ = connection
        .emit_signal(None::<&str>, path, PROPERTIES, "PropertiesChanged", &body)
        .await;
}

/// Tells a client that its advert was dropped.
async fn release(
    connection: &Connection,
    client: &str,
    path: &OwnedObjectPath,
) -> zbus::Result<()> {
    const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";
    connection
        .call_method(Some(client), path, Some(ADVERTISEMENT), "Release", &())
        .await
        .map(drop)
}

async fn tell_connected(connection: &Connection, path: &str, connected: bool) {
    let changed = properties([("Connected", Variant::from(connected))]);
    tell(connection, path, DEVICE, changed).await;
}

async fn tell_instances(connection: &Connection, machine: &watch::Sender<Machine>, name: &str) {
    let Some(changed) = machine
        .borrow()
        .adapters
        .get(name)
        .map(Adapter::advertising)
    else {
        return;
    };
    tell(
        connection,
        &format!("/org/bluez/{name}"),
        ADVERTISING,
        changed,
    )
    .await;
}

async fn tell_discovering(connection: &Connection, name: &str, discovering: bool) {
    let changed = properties([("Discovering", Variant::from(discovering))]);
    tell(connection, &format!("/org/bluez/{name}"), ADAPTER, changed).await;
}
