//! The answers of the mock bluetoothd.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use futures::StreamExt;
use tokio::sync::watch;
use zbus::message::{Header, Message, Type};
use zbus::{Connection, MessageStream, OwnedObjectPath};

use super::machine::{Adapter, DEVICE, Interfaces, Machine, Properties};
use super::{OBJECTS, PROPERTIES, tell_connected, tell_discovering, tell_instances};

const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";

/// Drops what clients held whose connections ended.
pub(super) async fn forget_the_gone(
    connection: Connection,
    machine: watch::Sender<Machine>,
    mut gone: MessageStream,
) {
    while let Some(Ok(signal)) = gone.next().await {
        let Ok((name, _, new)) = signal.body().deserialize::<(String, String, String)>() else {
            continue;
        };
        if !new.is_empty() || !name.starts_with(':') {
            continue;
        }
        let mut fewer = Vec::new();
        machine.send_modify(|machine| {
            for (adapter_name, adapter) in &mut machine.adapters {
                let before = adapter.adverts.len();
                adapter.adverts.retain(|(sender, _)| *sender != name);
                adapter.discovering.take_if(|sender| *sender == name);
                if adapter.adverts.len() != before {
                    fewer.push(adapter_name.clone());
                }
            }
        });
        // Only of these: an adapter without adverts may have no advertising at all.
        for adapter in fewer {
            tell_instances(&connection, &machine, &adapter).await;
        }
    }
}

pub(super) async fn answer(
    connection: Connection,
    machine: watch::Sender<Machine>,
    mut calls: MessageStream,
) {
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
            "Ping" => self.reply(&()).await,
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
        if member == "Disconnect" {
            return self.disconnect(name).await;
        }
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
                // BlueZ: src/adapter.c, stop_discovery_complete: the reply is first.
                self.reply(&()).await;
                tell_discovering(&self.connection, name, false).await;
            }
            "RegisterApplication" => self.serve().await,
            "UnregisterApplication" => {
                self.machine.send_modify(|machine| machine.server = None);
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

    /// Whether a call is refused; counts down the refusals that are left.
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
        let known = (self.sender(), path.clone());
        if adapter.adverts.contains(&known) {
            return self.refuse("AlreadyExists").await;
        }
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
        let kind = String::try_from(told["Type"].clone()).unwrap();
        // A legacy controller takes no new address while it scans.
        if !["broadcast", "peripheral"].contains(&kind.as_str())
            || !adapter.powered
            || !adapter.advertises
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

    /// Reads what the client offers, as bluetoothd does.
    async fn serve(&self) {
        let (root, _options): (OwnedObjectPath, Properties) =
            self.message.body().deserialize().unwrap();
        if self.refused(|machine| &mut machine.refuse_servers) {
            return self.refuse("Failed").await;
        }
        let asked = self.connection.call_method(
            Some(self.sender()),
            root,
            Some(OBJECTS),
            "GetManagedObjects",
            &(),
        );
        let objects: HashMap<OwnedObjectPath, Interfaces> =
            asked.await.unwrap().body().deserialize().unwrap();
        let mut offered = objects.into_iter();
        let (path, _) = offered
            .find(|(_, interfaces)| interfaces.contains_key(CHARACTERISTIC))
            .unwrap();
        let server = Some((self.sender(), path));
        self.machine.send_modify(|machine| machine.server = server);
        self.reply(&()).await;
    }

    async fn disconnect(&self, name: &str) {
        let path = format!("/org/bluez/{name}");
        self.machine.send_modify(|machine| {
            let adapters = machine.adapters.values_mut();
            for adapter in adapters {
                if let Some(device) = adapter.devices.get_mut(&path) {
                    device.connected = false;
                }
            }
        });
        tell_connected(&self.connection, &path, false).await;
        self.reply(&()).await;
    }

    async fn unregister(&self, name: &str) {
        let (path,): (OwnedObjectPath,) = self.message.body().deserialize().unwrap();
        let known = (self.sender(), path.clone());
        let registered = self.machine.borrow().adapters[name]
            .adverts
            .contains(&known);
        if !registered {
            return self.refuse("DoesNotExist").await;
        }
        let mut machine = self.machine.subscribe();
        let _ = machine.wait_for(|machine| !machine.hold_adverts).await;
        self.change(name, |adapter| {
            adapter.adverts.retain(|(_, known)| *known != path)
        });
        tell_instances(&self.connection, &self.machine, name).await;
        self.reply(&()).await;
    }
}
