//! bluetoothd, played: what bluetoothd's D-Bus documentation promises, the
//! order of its signals, and its faults on demand.
//!
//! It answers calls by hand rather than through an object server, so that
//! every call is seen and any of them can be refused or left unanswered.
//! The [`Machine`] (adapters, what went on the air, which calls came) outlives
//! it, as a controller outlives bluetoothd.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::message::{Header, Message, Type};
use zbus::{
    Connection, MatchRule, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant, Variant,
};

use super::bench::SOON;

const SERVICE: &str = "0000c019-0000-1000-8000-00805f9b34fb";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
const ADAPTER: &str = "org.bluez.Adapter1";
const ADVERTISING: &str = "org.bluez.LEAdvertisingManager1";
const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";
const DEVICE: &str = "org.bluez.Device1";

pub(crate) type Properties = BTreeMap<String, OwnedVariant>;
type Interfaces = BTreeMap<String, Properties>;

/// A device that BlueZ knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) rssi: Option<i16>,
    /// It is somebody else's: nothing of service 0xC019.
    pub(crate) foreign: bool,
}

/// A controller, and what BlueZ holds on it.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    pub(crate) address: String,
    pub(crate) extended: bool,
    pub(crate) advertises: bool,
    pub(crate) powered: bool,
    pub(crate) power_state: Option<&'static str>,
    pub(crate) discoverable: bool,
    pub(crate) discovering: Option<String>,
    pub(crate) adverts: Vec<(String, OwnedObjectPath)>,
    pub(crate) devices: BTreeMap<String, Device>,
}

impl Adapter {
    pub(crate) fn new(last: u8, extended: bool) -> Self {
        Self {
            address: format!("02:00:00:00:00:{last:02X}"),
            extended,
            advertises: true,
            powered: true,
            power_state: None,
            discoverable: false,
            discovering: None,
            adverts: Vec::new(),
            devices: BTreeMap::new(),
        }
    }

    pub(crate) fn scanning(&self) -> bool {
        self.discovering.is_some()
    }

    pub(crate) fn adverts(&self) -> usize {
        self.adverts.len()
    }

    /// As after bluetoothd began anew.
    fn reset(&mut self) {
        self.discovering = None;
        self.adverts.clear();
        self.devices.clear();
    }

    fn interfaces(&self) -> Interfaces {
        let mut all = BTreeMap::from([(ADAPTER.to_owned(), self.properties())]);
        if self.advertises {
            all.insert(ADVERTISING.to_owned(), self.advertising());
        }
        all
    }

    fn properties(&self) -> Properties {
        let mut all = properties([
            ("Address", Variant::from(self.address.clone())),
            ("Powered", Variant::from(self.powered)),
            ("Discoverable", Variant::from(self.discoverable)),
            ("Discovering", Variant::from(self.scanning())),
        ]);
        if let Some(state) = self.power_state {
            all.extend(properties([("PowerState", Variant::from(state))]));
        }
        all
    }

    fn advertising(&self) -> Properties {
        let active = u8::try_from(self.adverts.len()).unwrap();
        let channels: Vec<&str> = if self.extended {
            vec!["1M", "2M"]
        } else {
            vec![]
        };
        properties([
            ("ActiveInstances", Variant::from(active)),
            ("SupportedInstances", Variant::from(5 - active)),
            ("SupportedSecondaryChannels", Variant::from(channels)),
        ])
    }
}

impl Device {
    fn properties(&self) -> Properties {
        let mut all = Properties::new();
        if !self.foreign {
            all.extend(properties([("UUIDs", Variant::from(vec![SERVICE]))]));
        }
        if let Some(data) = &self.data {
            all.extend(service_data(data));
        }
        if let Some(rssi) = self.rssi {
            all.extend(properties([("RSSI", Variant::from(rssi))]));
        }
        all
    }
}

fn properties<const N: usize>(list: [(&str, Variant<'_>); N]) -> Properties {
    list.into_iter()
        .map(|(name, value)| (name.to_owned(), value.try_to_owned().unwrap()))
        .collect()
}

fn service_data(data: &[u8]) -> Properties {
    let map = BTreeMap::from([(SERVICE.to_owned(), Variant::from(data.to_vec()))]);
    properties([("ServiceData", Variant::from(map))])
}

/// The machine: what outlives bluetoothd, and what the test wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) adapters: BTreeMap<String, Adapter>,
    /// Calls that change something, in the order they came.
    pub(crate) log: Vec<String>,
    /// All calls of any kind.
    pub(crate) calls: usize,
    /// What was registered, whole.
    pub(crate) registered: Vec<Properties>,
    pub(crate) filters: Vec<Properties>,
    /// Registrations to refuse from now on.
    pub(crate) refuse_adverts: usize,
    /// Discoveries to refuse from now on.
    pub(crate) refuse_scans: usize,
    /// Registrations put the advert on the air and are never answered.
    pub(crate) swallow_registrations: bool,
    /// Adverts stay, though they were unregistered, until this is false.
    pub(crate) hold_adverts: bool,
}

impl Machine {
    pub(crate) fn extended() -> Self {
        Self::of([("hci0", Adapter::new(1, true))])
    }

    pub(crate) fn legacy() -> Self {
        Self::of([("hci0", Adapter::new(1, false))])
    }

    pub(crate) fn of<const N: usize>(adapters: [(&str, Adapter); N]) -> Self {
        Self {
            adapters: adapters
                .map(|(name, adapter)| (name.to_owned(), adapter))
                .into(),
            ..Self::default()
        }
    }

    /// The only adapter.
    pub(crate) fn adapter(&self) -> &Adapter {
        assert_eq!(self.adapters.len(), 1);
        self.adapters.values().next().unwrap()
    }

    /// The same after bluetoothd began anew.
    pub(crate) fn cleared(mut self) -> Self {
        self.adapters.values_mut().for_each(Adapter::reset);
        self
    }

    /// How often this was called.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.log.iter().filter(|logged| *logged == call).count()
    }
}

/// Every call to `org.bluez`, whether or not anybody is there to answer it.
pub(crate) struct Calls(MessageStream);

impl Calls {
    pub(crate) async fn watch() -> Self {
        let connection = Connection::system().await.unwrap();
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
pub(crate) struct Bluez {
    connection: Connection,
    machine: watch::Sender<Machine>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bluez {
    pub(crate) async fn start(machine: Machine) -> Self {
        Self::resume(watch::Sender::new(machine)).await
    }

    async fn resume(machine: watch::Sender<Machine>) -> Self {
        let connection = Connection::system().await.unwrap();
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

    /// What is true of the machine now.
    pub(crate) fn machine(&self) -> Machine {
        self.machine.borrow().clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Machine)) {
        self.machine.send_modify(change);
    }

    /// Waits until this is true of the machine.
    pub(crate) async fn until(&self, wanted: impl Fn(&Machine) -> bool) {
        let mut machine = self.machine.subscribe();
        let found = timeout(SOON, machine.wait_for(wanted)).await.is_ok();
        assert!(found, "not in time: {:#?}", self.machine().log);
    }

    /// Sees that nothing is changed for a while.
    pub(crate) async fn quiet_for(&self, time: Duration) {
        let calls = self.machine().log.len();
        let mut machine = self.machine.subscribe();
        let called = timeout(time, machine.wait_for(|machine| machine.log.len() > calls)).await;
        assert!(called.is_err(), "called: {:?}", self.machine().log);
    }

    /// bluetoothd dies without a word. The controller stays as it is.
    pub(crate) async fn crash(self) -> watch::Sender<Machine> {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.connection.close().await.unwrap();
        self.machine
    }

    /// bluetoothd is stopped: it takes its objects away and goes.
    pub(crate) async fn stop(self) -> watch::Sender<Machine> {
        let names: Vec<_> = self.machine().adapters.into_keys().collect();
        for name in names {
            self.removed(&name).await;
        }
        self.crash().await
    }

    /// bluetoothd begins anew on the same machine. Its name comes before its
    /// adapters.
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

    pub(crate) async fn unplug(&self, name: &str) -> Adapter {
        let mut gone = None;
        self.set(|machine| gone = machine.adapters.remove(name));
        self.removed(name).await;
        let mut adapter = gone.unwrap();
        adapter.reset();
        adapter
    }

    /// Switches an adapter on or off, as anybody may. Discovery ends; adverts
    /// stay registered, as bluetoothd leaves them.
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

    /// bluetoothd drops all adverts by itself, as at their timeout.
    pub(crate) async fn drop_adverts(&self, name: &str) {
        self.set(|machine| machine.adapters.get_mut(name).unwrap().adverts.clear());
        tell_instances(&self.connection, &self.machine, name).await;
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
        let mut told = service_data(data);
        if let Some(rssi) = rssi {
            told.extend(properties([("RSSI", Variant::from(rssi))]));
        }
        self.tell(&device_path(name, last), DEVICE, told).await;
    }

    async fn added(&self, path: &str, interfaces: &Interfaces) {
        let body = (ObjectPath::try_from(path).unwrap(), interfaces);
        self.connection
            .emit_signal(None::<&str>, "/", OBJECTS, "InterfacesAdded", &body)
            .await
            .unwrap();
    }

    async fn removed(&self, name: &str) {
        let path = ObjectPath::try_from(format!("/org/bluez/{name}")).unwrap();
        let body = (path, vec![ADAPTER, ADVERTISING]);
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
    format!("/org/bluez/{name}/dev_C0_00_00_00_{high:02X}_{low:02X}")
}

async fn tell(connection: &Connection, path: &str, interface: &str, changed: Properties) {
    let body = (interface, changed, Vec::<String>::new());
    // A bluetoothd that is gone tells nothing.
    let _ = connection
        .emit_signal(None::<&str>, path, PROPERTIES, "PropertiesChanged", &body)
        .await;
}

async fn tell_instances(connection: &Connection, machine: &watch::Sender<Machine>, name: &str) {
    let Some(told) = machine
        .borrow()
        .adapters
        .get(name)
        .map(Adapter::advertising)
    else {
        return;
    };
    tell(connection, &format!("/org/bluez/{name}"), ADVERTISING, told).await;
}

async fn tell_discovering(connection: &Connection, name: &str, discovering: bool) {
    let told = properties([("Discovering", Variant::from(discovering))]);
    tell(connection, &format!("/org/bluez/{name}"), ADAPTER, told).await;
}

/// Takes away what clients held whose connections ended.
async fn forget_the_gone(
    connection: Connection,
    machine: watch::Sender<Machine>,
    mut gone: MessageStream,
) {
    while let Some(Ok(signal)) = gone.next().await {
        let Ok((name, _, new)) = signal.body().deserialize::<(String, String, String)>() else {
            continue;
        };
        let names: Vec<_> = machine.borrow().adapters.keys().cloned().collect();
        if !new.is_empty() || !name.starts_with(':') {
            continue;
        }
        machine.send_modify(|machine| {
            for adapter in machine.adapters.values_mut() {
                adapter.adverts.retain(|(sender, _)| *sender != name);
                adapter.discovering.take_if(|sender| *sender == name);
            }
        });
        for adapter in names {
            tell_instances(&connection, &machine, &adapter).await;
        }
    }
}

async fn answer(connection: Connection, machine: watch::Sender<Machine>, mut calls: MessageStream) {
    while let Some(Ok(message)) = calls.next().await {
        if message.message_type() != Type::MethodCall {
            continue;
        }
        machine.send_modify(|machine| machine.calls += 1);
        let call = Call {
            connection: connection.clone(),
            machine: machine.clone(),
            message,
        };
        // On its own: one that waits for the client must not hold the others.
        tokio::spawn(call.answer());
    }
}

/// One call to answer.
struct Call {
    connection: Connection,
    machine: watch::Sender<Machine>,
    message: Message,
}

impl Call {
    async fn answer(self) {
        let header = self.message.header();
        let member = header.member().unwrap().to_string();
        let path = header.path().unwrap().to_string();
        match member.as_str() {
            "GetManagedObjects" => self.reply(&self.objects()).await,
            "Get" => self.get(&path).await,
            _ => {
                let name = path.trim_start_matches("/org/bluez/").to_owned();
                self.machine
                    .send_modify(|machine| machine.log.push(member.clone()));
                self.act(&member, &name).await;
            }
        }
    }

    fn header(&self) -> Header<'_> {
        self.message.header()
    }

    fn sender(&self) -> String {
        self.header().sender().unwrap().to_string()
    }

    fn reply<B: serde::Serialize + zbus::wire::DynamicType>(
        &self,
        body: &B,
    ) -> impl Future<Output = ()> {
        let header = self.message.header();
        async move {
            let _ = self.connection.reply(&header, body).await;
        }
    }

    async fn refuse(&self, error: &str) {
        let name = format!("org.bluez.Error.{error}");
        let _ = self
            .connection
            .reply_error(&self.header(), name, &"so ordered")
            .await;
    }

    fn objects(&self) -> HashMap<OwnedObjectPath, Interfaces> {
        let mut objects = HashMap::new();
        for (name, adapter) in &self.machine.borrow().adapters {
            let path = OwnedObjectPath::try_from(format!("/org/bluez/{name}")).unwrap();
            objects.insert(path, adapter.interfaces());
            for (path, device) in &adapter.devices {
                let interfaces = BTreeMap::from([(DEVICE.to_owned(), device.properties())]);
                objects.insert(
                    OwnedObjectPath::try_from(path.as_str()).unwrap(),
                    interfaces,
                );
            }
        }
        objects
    }

    fn object(&self, path: &str) -> Option<Interfaces> {
        let machine = self.machine.borrow();
        let name = path.strip_prefix("/org/bluez/")?;
        let adapter = machine.adapters.get(name.split('/').next()?)?;
        if name.contains('/') {
            let device = adapter.devices.get(path)?;
            return Some(BTreeMap::from([(DEVICE.to_owned(), device.properties())]));
        }
        Some(adapter.interfaces())
    }

    async fn get(&self, path: &str) {
        let (interface, name): (String, String) = self.message.body().deserialize().unwrap();
        let Some(interfaces) = self.object(path) else {
            let unknown = "org.freedesktop.DBus.Error.UnknownObject";
            let _ = self
                .connection
                .reply_error(&self.header(), unknown, &"gone")
                .await;
            return;
        };
        match interfaces.get(&interface).and_then(|all| all.get(&name)) {
            Some(value) => self.reply(value).await,
            None => {
                let invalid = "org.freedesktop.DBus.Error.InvalidArgs";
                let _ = self
                    .connection
                    .reply_error(&self.header(), invalid, &"none")
                    .await;
            }
        }
    }

    async fn act(&self, member: &str, name: &str) {
        let Some(adapter) = self.machine.borrow().adapters.get(name).cloned() else {
            return self.refuse("DoesNotExist").await;
        };
        match member {
            "SetDiscoveryFilter" => {
                let filter: Properties = self.message.body().deserialize().unwrap();
                self.machine
                    .send_modify(|machine| machine.filters.push(filter));
                self.reply(&()).await;
            }
            "StartDiscovery" => self.start_discovery(name, &adapter).await,
            "StopDiscovery" if adapter.discovering == Some(self.sender()) => {
                self.change(name, |adapter| adapter.discovering = None);
                tell_discovering(&self.connection, name, false).await;
                self.reply(&()).await;
            }
            "RegisterAdvertisement" => self.register(name, &adapter).await,
            "UnregisterAdvertisement" => self.unregister(name).await,
            _ => self.refuse("Failed").await,
        }
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Adapter)) {
        self.machine.send_modify(|machine| {
            if let Some(adapter) = machine.adapters.get_mut(name) {
                change(adapter);
            }
        });
    }

    /// Whether one of so many refusals is left.
    fn refused(&self, left: impl Fn(&mut Machine) -> &mut usize) -> bool {
        let mut refused = false;
        self.machine.send_modify(|machine| {
            let left = left(machine);
            refused = *left > 0;
            *left = left.saturating_sub(1);
        });
        refused
    }

    async fn start_discovery(&self, name: &str, adapter: &Adapter) {
        if !adapter.powered {
            return self.refuse("NotReady").await;
        }
        if adapter.scanning() || self.refused(|machine| &mut machine.refuse_scans) {
            return self.refuse("InProgress").await;
        }
        let sender = self.sender();
        self.change(name, |adapter| adapter.discovering = Some(sender));
        tell_discovering(&self.connection, name, true).await;
        self.reply(&()).await;
    }

    async fn register(&self, name: &str, adapter: &Adapter) {
        let (path, _options): (OwnedObjectPath, Properties) =
            self.message.body().deserialize().unwrap();
        let asked = self
            .connection
            .call_method(
                Some(self.sender()),
                path.clone(),
                Some(PROPERTIES),
                "GetAll",
                &(ADVERTISEMENT,),
            )
            .await
            .unwrap();
        let told: Properties = asked.body().deserialize().unwrap();
        // A legacy controller takes no new address while it scans.
        if !adapter.powered
            || (!adapter.extended && adapter.scanning())
            || self.refused(|machine| &mut machine.refuse_adverts)
        {
            return self.refuse("Failed").await;
        }
        self.machine
            .send_modify(|machine| machine.registered.push(told));
        let sender = self.sender();
        self.change(name, |adapter| adapter.adverts.push((sender, path)));
        tell_instances(&self.connection, &self.machine, name).await;
        if !self.machine.borrow().swallow_registrations {
            self.reply(&()).await;
        }
    }

    async fn unregister(&self, name: &str) {
        let (path,): (OwnedObjectPath,) = self.message.body().deserialize().unwrap();
        let mut machine = self.machine.subscribe();
        let _ = machine.wait_for(|machine| !machine.hold_adverts).await;
        self.change(name, |adapter| {
            adapter.adverts.retain(|(_, known)| *known != path)
        });
        tell_instances(&self.connection, &self.machine, name).await;
        self.reply(&()).await;
    }
}
