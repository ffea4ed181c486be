//! A private bus whose services can be started by it, mocks of these services, and a relay
//! that counts what the bus sends.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use tcn_engine::ListenConditions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::message::Type;
use zbus::{
    Address, Connection, Message, MessageStream, ObjectPath, OwnedVariant, Variant, connection,
};

use crate::dbus_daemon::DbusDaemon;

/// Longer than any wait of what is tested.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until these are the conditions.
pub(crate) async fn until(
    conditions: &mut watch::Receiver<ListenConditions>,
    wanted: ListenConditions,
) {
    let waiting = timeout(DEADLINE, conditions.wait_for(|it| *it == wanted));
    let in_time = waiting.await.map(|found| drop(found.unwrap())).is_ok();
    assert!(in_time, "{:?} instead of {wanted:?}", *conditions.borrow());
}

/// A service, and its property that matters.
#[derive(Clone, Copy)]
pub(crate) struct ServiceNames {
    pub(crate) name: &'static str,
    path: &'static str,
    property: &'static str,
}

pub(crate) const UPOWER: ServiceNames = ServiceNames {
    name: "org.freedesktop.UPower",
    path: "/org/freedesktop/UPower",
    property: "OnBattery",
};
pub(crate) const PROFILES: ServiceNames = ServiceNames {
    name: "org.freedesktop.UPower.PowerProfiles",
    path: "/org/freedesktop/UPower/PowerProfiles",
    property: "ActiveProfile",
};
pub(crate) const OLD_PROFILES: ServiceNames = ServiceNames {
    name: "net.hadess.PowerProfiles",
    path: "/net/hadess/PowerProfiles",
    property: "ActiveProfile",
};
pub(crate) const BLUEZ: ServiceNames = ServiceNames {
    name: "org.bluez",
    path: "/",
    property: "",
};

/// A bus that starts a service when it is called. The program that it starts leaves a file with
/// the name of the service, and fails.
pub(crate) struct Bus {
    directory: TempDir,
    daemon: Option<DbusDaemon>,
}

impl Bus {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let root = directory.path().display();
        let (services, started) = (
            directory.path().join("services"),
            directory.path().join("started"),
        );
        fs::create_dir(&services).unwrap();
        fs::create_dir(&started).unwrap();
        for ServiceNames { name, .. } in [UPOWER, PROFILES, OLD_PROFILES, BLUEZ] {
            let file = format!(
                "[D-BUS Service]\nName={name}\nExec=/bin/sh -c 'touch {}; exit 1'\n",
                started.join(name).display()
            );
            fs::write(services.join(format!("{name}.service")), file).unwrap();
        }
        let configuration = format!(
            "<busconfig><listen>unix:path={root}/bus</listen><auth>EXTERNAL</auth>\
             <servicedir>{root}/services</servicedir>\
             <policy context='default'><allow send_destination='*'/>\
             <allow receive_sender='*'/><allow own='*'/><allow user='*'/></policy></busconfig>"
        );
        fs::write(directory.path().join("bus.conf"), configuration).unwrap();
        let mut bus = Self {
            directory,
            daemon: None,
        };
        bus.restart();
        bus
    }

    /// Ends the bus. [`restart`](Self::restart) starts another at the same address.
    pub(crate) fn stop(&mut self) {
        self.daemon = None;
        // A killed dbus-daemon leaves its socket behind.
        fs::remove_file(self.directory.path().join("bus")).unwrap();
    }

    pub(crate) fn restart(&mut self) {
        let file = self.directory.path().join("bus.conf");
        let option = format!("--config-file={}", file.display());
        let daemon = DbusDaemon::start(&option);
        // The address that it prints ends with a GUID.
        assert!(daemon.address.starts_with(&self.address().to_string()));
        self.daemon = Some(daemon);
    }

    pub(crate) fn address(&self) -> Address {
        address_of(&self.directory, "bus")
    }

    /// A connection of another program.
    pub(crate) async fn connect(&self) -> Connection {
        let builder = connection::Builder::address(self.address());
        builder.build().await.unwrap()
    }

    /// The services that the bus has started.
    pub(crate) fn started(&self) -> Vec<String> {
        let files = fs::read_dir(self.directory.path().join("started")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// Another way to the bus.
    pub(crate) fn relay(&self) -> Relay {
        Relay::start(self.directory.path().join("bus").display().to_string())
    }
}

fn address_of(directory: &TempDir, socket: &str) -> Address {
    let address = format!("unix:path={}/{socket}", directory.path().display());
    Address::try_from(address.as_str()).unwrap()
}

/// A socket that leads to the bus, and counts the bytes that come from it.
pub(crate) struct Relay {
    directory: TempDir,
    received: Arc<AtomicUsize>,
}

impl Relay {
    fn start(bus: String) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(directory.path().join("relay")).unwrap();
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let bus = UnixStream::connect(bus).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_bus, mut to_bus) = bus.into_split();
            let counting = async {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = from_bus.read(&mut buffer).await {
                    count.fetch_add(length, Ordering::SeqCst);
                    to_client.write_all(&buffer[..length]).await.unwrap();
                }
            };
            let _ = tokio::join!(counting, tokio::io::copy(&mut from_client, &mut to_bus));
        });
        Self {
            directory,
            received,
        }
    }

    pub(crate) fn address(&self) -> Address {
        address_of(&self.directory, "relay")
    }

    /// Bytes that came from the bus until now.
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }
}

type Properties = BTreeMap<String, OwnedVariant>;
type Objects = BTreeMap<String, BTreeMap<String, Properties>>;

/// What a mock answers.
struct Answers {
    property: OwnedVariant,
    objects: Objects,
}

/// A mock of a service: it answers each `Get` with its property, and lists its objects.
pub(crate) struct MockService {
    connection: Connection,
    names: ServiceNames,
    answers: Arc<Mutex<Answers>>,
    /// How often it was asked, and who asked last.
    asked: watch::Receiver<(usize, String)>,
}

impl MockService {
    pub(crate) async fn start(bus: &Bus, names: ServiceNames) -> Self {
        Self::named(bus, names, names.name).await
    }

    /// A mock that speaks of these names, but has another.
    pub(crate) async fn named(bus: &Bus, names: ServiceNames, name: &'static str) -> Self {
        let connection = bus.connect().await;
        let answers = Arc::new(Mutex::new(Answers {
            property: owned(false),
            objects: Objects::new(),
        }));
        let (count, asked) = watch::channel((0, String::new()));
        let calls = MessageStream::from(&connection);
        let serving = serve(connection.clone(), calls, Arc::clone(&answers), count);
        tokio::spawn(serving);
        connection.request_name(name).await.unwrap();
        Self {
            connection,
            names,
            answers,
            asked,
        }
    }

    /// Leaves the bus.
    pub(crate) async fn stop(self) {
        self.connection.close().await.unwrap();
    }

    /// Sets the property without a signal.
    pub(crate) fn set<'v>(&self, value: impl Into<Variant<'v>>) {
        self.answers.lock().unwrap().property = owned(value);
    }

    /// Changes the property, with a signal.
    pub(crate) async fn change<'v>(&self, value: impl Into<Variant<'v>>) {
        let value = owned(value);
        self.set(Variant::from(value.clone()));
        let body = change(self.names.name, &[(self.names.property, value.into())]);
        self.properties_changed(None, self.names.path, &body).await;
    }

    /// Sends a signal with a body of another type.
    pub(crate) async fn malformed(&self) {
        let body = (self.names.name, 7u32);
        self.properties_changed(None, self.names.path, &body).await;
    }

    /// Sends a change of the property to this connection, which did not ask for it. The bus has
    /// passed it on when this returns.
    pub(crate) async fn forge<'v>(&self, to: &str, value: impl Into<Variant<'v>>) {
        let body = change(self.names.name, &[(self.names.property, value.into())]);
        let path = self.names.path;
        self.properties_changed(Some(to), path, &body).await;
        let bus = Some("org.freedesktop.DBus");
        let answer = self.connection.call_method(bus, "/", bus, "GetId", &());
        answer.await.unwrap();
    }

    /// Has an object of BlueZ with this interface.
    pub(crate) fn object(&self, path: &str, interface: &str, properties: &[(&str, Variant<'_>)]) {
        let interface = format!("org.bluez.{interface}");
        let object = BTreeMap::from([(interface, properties_of(properties))]);
        let objects = &mut self.answers.lock().unwrap().objects;
        objects.insert(path.to_owned(), object);
    }

    /// Changes properties of an object of BlueZ, with a signal. An object that is not listed
    /// stays so.
    pub(crate) async fn changed(
        &self,
        path: &str,
        interface: &str,
        changed: &[(&str, Variant<'_>)],
    ) {
        let interface = format!("org.bluez.{interface}");
        if let Some(object) = self.answers.lock().unwrap().objects.get_mut(path) {
            let listed = object.entry(interface.clone()).or_default();
            listed.extend(properties_of(changed));
        }
        let body = change(&interface, changed);
        self.properties_changed(None, path, &body).await;
    }

    /// Signals that an object was added.
    pub(crate) async fn announce(&self, path: &str) {
        let path = ObjectPath::try_from(path).unwrap();
        let body = (path, BTreeMap::<String, Properties>::new());
        self.signal(None, "/", OBJECT_MANAGER, "InterfacesAdded", &body)
            .await;
    }

    /// Removes an object that has this interface, with a signal.
    pub(crate) async fn remove(&self, path: &str, interface: &str) {
        self.answers.lock().unwrap().objects.remove(path);
        let path = ObjectPath::try_from(path).unwrap();
        let body = (path, vec![format!("org.bluez.{interface}")]);
        self.signal(None, "/", OBJECT_MANAGER, "InterfacesRemoved", &body)
            .await;
    }

    async fn properties_changed<B: serde::Serialize + zbus::DynamicType>(
        &self,
        to: Option<&str>,
        path: &str,
        body: &B,
    ) {
        self.signal(to, path, PROPERTIES, "PropertiesChanged", body)
            .await;
    }

    async fn signal<B: serde::Serialize + zbus::DynamicType>(
        &self,
        to: Option<&str>,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) {
        let sending = self
            .connection
            .emit_signal(to, path, interface, member, body);
        sending.await.unwrap();
    }

    /// Waits until it was asked this often.
    pub(crate) async fn until_asked(&self, count: usize) {
        let mut asked = self.asked.clone();
        let waiting = asked.wait_for(|(asked, _)| *asked >= count);
        timeout(DEADLINE, waiting).await.unwrap().unwrap();
    }

    /// The connection that asked last.
    pub(crate) fn asker(&self) -> String {
        self.asked.borrow().1.clone()
    }

    /// Waits until this connection has left the bus.
    pub(crate) async fn until_gone(&self, name: &str) {
        let bus = zbus::fdo::DBusProxy::new(&self.connection).await.unwrap();
        let leaves = [(0, name), (2, "")];
        let changes = bus.receive_name_owner_changed_with_args(&leaves);
        let mut changes = changes.await.unwrap();
        if bus.name_has_owner(name.try_into().unwrap()).await.unwrap() {
            timeout(DEADLINE, changes.next()).await.unwrap().unwrap();
        }
    }
}

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

fn owned<'v>(value: impl Into<Variant<'v>>) -> OwnedVariant {
    value.into().try_to_owned().unwrap()
}

fn properties_of(properties: &[(&str, Variant<'_>)]) -> Properties {
    let owned =
        |(name, value): &(&str, Variant<'_>)| ((*name).to_owned(), value.try_to_owned().unwrap());
    properties.iter().map(owned).collect()
}

fn with_paths(objects: &Objects) -> BTreeMap<ObjectPath<'_>, &BTreeMap<String, Properties>> {
    let with_path = |(path, object)| (ObjectPath::try_from(path).unwrap(), object);
    let objects = objects.iter().map(|(path, object)| (path.as_str(), object));
    objects.map(with_path).collect()
}

/// The body of a signal of changed properties.
fn change(interface: &str, changed: &[(&str, Variant<'_>)]) -> (String, Properties, Vec<String>) {
    (interface.to_owned(), properties_of(changed), Vec::new())
}

async fn serve(
    connection: Connection,
    mut calls: MessageStream,
    answers: Arc<Mutex<Answers>>,
    count: watch::Sender<(usize, String)>,
) {
    while let Some(Ok(call)) = calls.next().await {
        if call.message_type() != Type::MethodCall {
            continue;
        }
        let header = call.header();
        let reply = Message::method_return(&header);
        let reply = {
            let answers = answers.lock().unwrap();
            match header.member().unwrap().as_str() {
                "Get" => reply.build(&answers.property),
                "GetManagedObjects" => reply.build(&with_paths(&answers.objects)),
                other => panic!("{other} is called"),
            }
        };
        let asker = header.sender().unwrap().to_string();
        count.send_modify(|(asked, last)| {
            *asked += 1;
            *last = asker;
        });
        // A bus that is gone needs no answer.
        let _ = connection.send(&reply.unwrap()).await;
    }
}
