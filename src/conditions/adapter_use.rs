//! Whether paired devices share the Bluetooth adapters, and whether sound is streamed to one.
//!
//! While an adapter listens, BlueZ signals a change of `org.bluez.Device1` for each advert of
//! each device near, and adds and removes objects for them. This module must not be woken by
//! these. So:
//!
//! * Paired devices are read from a list of all objects: when BlueZ appears, when an adapter
//!   does (after its start BlueZ has the name before it has adapters), and every 10 minutes. So
//!   pairing and unpairing are noticed at most 10 minutes later.
//! * A paired LE device counts whether it is connected or not. If there is one, changes of
//!   devices are not asked for at all.
//! * If there is none, the changes of each paired device are asked for by its path. These
//!   devices use BR/EDR, and send no adverts.
//! * Changes of `org.bluez.MediaTransport1` are asked for, which only devices with sound have.
//!   A transport may be removed while it is active, so the removal of each known one is asked
//!   for by its path.
//!
//! Adapters are not told apart: sound or a connection at any of them counts.
//!
//! BlueZ: doc/org.bluez.Device.rst, doc/org.bluez.MediaTransport.rst; src/adapter.c
//! `adapter_register`, which loads the stored devices before the adapter is signalled.

use std::collections::{BTreeMap, BTreeSet};

use zbus::{Message, ObjectPath, Variant};

use super::bus_service::{BusService, News, OBJECT_MANAGER, PROPERTIES, Question, changed_rule};

const DEVICE: &str = "org.bluez.Device1";
/// The path of an adapter is this and its index.
const ADAPTER: &str = "/org/bluez/hci";
const TRANSPORT: &str = "org.bluez.MediaTransport1";

/// Paired BR/EDR devices that are followed: an adapter has at most seven connections of this
/// kind at a time.
const MAX_DEVICES: usize = 32;
/// Transports that are followed. A device has a few.
const MAX_TRANSPORTS: usize = 32;
/// Adapters whose coming and going is noticed: `hci0` and so on. The devices of others are
/// listed all the same.
const MAX_ADAPTERS: u8 = 8;
/// Services of a device that are looked at.
const MAX_SERVICES: usize = 64;

/// Services that are offered over LE alone: HID over GATT (HOGP 1.0, section 3), Audio
/// Stream Control (ASCS 1.0, section 1.4) and hearing aids by ASHA.
const LOW_ENERGY_SERVICES: [&str; 3] = [
    "00001812-0000-1000-8000-00805f9b34fb",
    "0000184e-0000-1000-8000-00805f9b34fb",
    "0000fdf0-0000-1000-8000-00805f9b34fb",
];

type Properties<'m> = BTreeMap<&'m str, Variant<'m>>;
/// The answer to `GetManagedObjects`.
type Objects<'m> = BTreeMap<ObjectPath<'m>, BTreeMap<&'m str, Properties<'m>>>;

/// The use of the adapters, as BlueZ tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct AdapterUse {
    /// An LE device is paired.
    low_energy: bool,
    /// The paired BR/EDR devices by path, and whether each is connected.
    classic: BTreeMap<String, bool>,
    /// The transports of sound by path, and whether each is active.
    transports: BTreeMap<String, bool>,
}

impl AdapterUse {
    /// What a list of objects says.
    fn of_objects(objects: &Objects<'_>) -> Self {
        let mut found = Self::default();
        for (path, interfaces) in objects {
            let path = path.as_str();
            if let Some(transport) = interfaces.get(TRANSPORT) {
                found.set_transport(path, transport);
            }
            let Some(device) = interfaces.get(DEVICE) else {
                continue;
            };
            // BlueZ rejects connections of a blocked device.
            if !is_true(device, "Paired") || is_true(device, "Blocked") {
                continue;
            }
            if is_low_energy(device) {
                found.low_energy = true;
            } else if found.classic.len() < MAX_DEVICES {
                let connected = is_true(device, "Connected");
                found.classic.insert(path.to_owned(), connected);
            }
        }
        found
    }

    /// Takes over changed properties of an object.
    fn change(&mut self, path: &str, interface: &str, changed: &Properties<'_>) {
        if interface == TRANSPORT {
            self.set_transport(path, changed);
        } else if interface == DEVICE
            && changed.contains_key("Connected")
            && let Some(connected) = self.classic.get_mut(path)
        {
            *connected = is_true(changed, "Connected");
        }
    }

    fn set_transport(&mut self, path: &str, properties: &Properties<'_>) {
        let Some(state) = properties.get("State") else {
            return;
        };
        let active = matches!(state, Variant::Str(state) if state.as_str() == "active");
        if let Some(known) = self.transports.get_mut(path) {
            *known = active;
        } else if self.transports.len() < MAX_TRANSPORTS {
            self.transports.insert(path.to_owned(), active);
        }
    }

    /// An object lost interfaces.
    fn remove(&mut self, path: &str, interfaces: &[&str]) {
        if interfaces.contains(&TRANSPORT) {
            self.transports.remove(path);
        }
    }

    fn audio(&self) -> bool {
        self.transports.values().any(|active| *active)
    }

    fn device(&self) -> bool {
        self.low_energy || self.classic.values().any(|connected| *connected)
    }

    /// The match rules of the signals that can change this, sent by `owner`.
    fn rules(&self, owner: &str) -> BTreeSet<String> {
        let objects = |member: &str, path: &str| {
            format!(
                "type='signal',sender='{owner}',interface='{OBJECT_MANAGER}',{member}\
                 arg0path='{path}'"
            )
        };
        let mut rules = BTreeSet::from([changed_rule(owner, TRANSPORT, "")]);
        rules.extend((0..MAX_ADAPTERS).map(|index| objects("", &format!("{ADAPTER}{index}"))));
        if !self.low_energy {
            let of = |path| changed_rule(owner, DEVICE, &format!(",path='{path}'"));
            rules.extend(self.classic.keys().map(of));
        }
        let removed = |path: &String| objects("member='InterfacesRemoved',", path);
        rules.extend(self.transports.keys().map(removed));
        rules
    }
}

/// Whether the device uses LE. `AddressType` is `random` only then. A device that has an
/// `Appearance` (an LE value) and no `Class` (which every BR/EDR device has) uses LE too.
fn is_low_energy(device: &Properties<'_>) -> bool {
    let is_random = matches!(
        device.get("AddressType"),
        Some(Variant::Str(kind)) if kind.as_str() == "random"
    );
    let appears = matches!(device.get("Appearance"), Some(Variant::U16(_)));
    let offers = |service: &Variant<'_>| {
        let known = |it: &&str| matches!(service, Variant::Str(text) if text.as_str() == *it);
        LOW_ENERGY_SERVICES.iter().any(known)
    };
    let services = match device.get("UUIDs") {
        Some(Variant::Array(services)) => services.iter().take(MAX_SERVICES).any(offers),
        Some(_) | None => false,
    };
    is_random || services || (appears && !device.contains_key("Class"))
}

fn is_adapter(path: &str) -> bool {
    let index = path.strip_prefix(ADAPTER);
    index.is_some_and(|index| index.parse::<u16>().is_ok())
}

fn is_true(properties: &Properties<'_>, name: &str) -> bool {
    matches!(properties.get(name), Some(Variant::Bool(true)))
}

/// BlueZ, and the use of its adapters.
#[derive(Debug)]
pub(super) struct AdapterWatch {
    service: BusService,
    adapter_use: AdapterUse,
}

impl Default for AdapterWatch {
    fn default() -> Self {
        Self {
            service: BusService::new("org.bluez", Question::Objects),
            adapter_use: AdapterUse::default(),
        }
    }
}

impl AdapterWatch {
    pub(super) fn audio(&self) -> bool {
        self.adapter_use.audio()
    }

    pub(super) fn device(&self) -> bool {
        self.adapter_use.device()
    }

    pub(super) fn service(&mut self) -> &mut BusService {
        &mut self.service
    }

    pub(super) fn has_question(&self) -> bool {
        self.service.has_question()
    }

    /// Takes over what this message says of BlueZ.
    pub(super) fn receive(
        &mut self,
        message: &Message,
        to_send: &mut Vec<Message>,
    ) -> zbus::Result<()> {
        match self.service.receive(message) {
            Some(News::NewOwner) => self.adapter_use = AdapterUse::default(),
            Some(News::Signal) => self.read_signal(message),
            Some(News::Answer) => {
                let body = message.body();
                let objects = body.deserialize::<Objects<'_>>().unwrap_or_default();
                self.adapter_use = AdapterUse::of_objects(&objects);
            }
            Some(News::NoAnswer) => self.adapter_use = AdapterUse::default(),
            None => return Ok(()),
        }
        let owner = self.service.owner();
        let rules = owner.map(|owner| self.adapter_use.rules(owner));
        // What changed before the bus had a new rule is in the next list.
        if self.service.select(rules.unwrap_or_default(), to_send)? {
            self.service.ask_again();
        }
        Ok(())
    }

    fn read_signal(&mut self, message: &Message) {
        let (header, body) = (message.header(), message.body());
        let (Some(path), Some(interface), Some(member)) =
            (header.path(), header.interface(), header.member())
        else {
            return;
        };
        if interface == PROPERTIES && member == "PropertiesChanged" {
            let change = body.deserialize::<(&str, Properties<'_>, Vec<&str>)>();
            if let Ok((interface, changed, _)) = change {
                self.adapter_use.change(path, interface, &changed);
            }
        } else if interface == OBJECT_MANAGER {
            self.read_objects(message);
        }
    }

    /// Takes over that an object gained or lost interfaces.
    fn read_objects(&mut self, message: &Message) {
        let body = message.body();
        if let Ok((path, interfaces)) = body.deserialize::<(ObjectPath<'_>, Vec<&str>)>() {
            self.adapter_use.remove(&path, &interfaces);
        }
        let path = body.deserialize_ignore_signature::<ObjectPath<'_>>();
        if path.is_ok_and(|path| is_adapter(&path)) {
            self.service.ask_again();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/org/bluez/hci0/dev_00_00_00_00_00_01";
    const FD: &str = "/org/bluez/hci0/dev_00_00_00_00_00_01/fd0";

    fn text(text: &str) -> Variant<'_> {
        Variant::from(text)
    }

    fn uuids(count: usize, last: &'static str) -> Variant<'static> {
        let mut uuids = vec!["0000110b-0000-1000-8000-00805f9b34fb"; count];
        uuids.push(last);
        Variant::from(uuids)
    }

    /// One object with these properties.
    fn listed(
        path: &'static str,
        interface: &'static str,
        properties: &[(&'static str, Variant<'static>)],
    ) -> AdapterUse {
        let properties: Properties<'_> = properties.iter().cloned().collect();
        let path = ObjectPath::try_from(path).unwrap();
        let object = BTreeMap::from([(interface, properties)]);
        AdapterUse::of_objects(&BTreeMap::from([(path, object)]))
    }

    /// Whether a paired device with these properties counts, and whether as LE.
    fn paired(properties: &[(&'static str, Variant<'static>)]) -> (bool, bool) {
        let mut all = vec![("Paired", Variant::Bool(true))];
        all.extend(properties.iter().cloned());
        let found = listed(PATH, DEVICE, &all);
        (found.device(), found.low_energy)
    }

    #[test]
    fn a_paired_le_device_counts_and_a_bredr_device_while_connected() {
        let connected = ("Connected", Variant::Bool(true));
        let public = ("AddressType", text("public"));
        let class = ("Class", Variant::U32(0x0024_0404));
        let appearance = ("Appearance", Variant::U16(962));
        assert_eq!(paired(&[]), (false, false));
        assert_eq!(paired(&[public.clone(), class.clone()]), (false, false));
        assert_eq!(paired(&[public.clone(), connected.clone()]), (true, false));
        assert_eq!(paired(&[("AddressType", text("random"))]), (true, true));
        for service in LOW_ENERGY_SERVICES {
            let services = ("UUIDs", uuids(9, service));
            assert_eq!(paired(&[public.clone(), services]), (true, true));
        }
        let many = ("UUIDs", uuids(MAX_SERVICES, LOW_ENERGY_SERVICES[0]));
        assert_eq!(paired(&[many]), (false, false));
        assert_eq!(paired(&[("UUIDs", uuids(3, "180f"))]), (false, false));
        assert_eq!(paired(&[appearance.clone(), class]), (false, false));
        assert_eq!(paired(&[appearance]), (true, true));
        let blocked = ("Blocked", Variant::Bool(true));
        assert_eq!(paired(&[connected.clone(), blocked]), (false, false));
        let peer = listed(PATH, DEVICE, &[connected]);
        assert_eq!(peer, AdapterUse::default(), "a peer is not paired");
    }

    #[test]
    fn wrong_types_count_as_missing() {
        let wrong = [
            ("Paired", Variant::U8(1)),
            ("Connected", text("true")),
            ("AddressType", Variant::Bool(true)),
            ("UUIDs", text(LOW_ENERGY_SERVICES[0])),
            ("Appearance", text("962")),
        ];
        assert_eq!(listed(PATH, DEVICE, &wrong), AdapterUse::default());
        assert_eq!(paired(&wrong[1..]), (false, false));
        let random = ("AddressType", text("random"));
        assert_eq!(paired(&[random, ("Blocked", text("true"))]), (true, true));
        assert!(!listed(FD, TRANSPORT, &[("State", Variant::Bool(true))]).audio());
        assert!(!listed(FD, TRANSPORT, &[]).audio());
        assert!(listed(FD, TRANSPORT, &[("State", text("active"))]).audio());
    }

    #[test]
    fn changes_of_devices_are_asked_for_by_path_and_only_without_an_le_device() {
        let of_devices = |found: &AdapterUse| {
            let rules = found.rules(":1.7").into_iter();
            let of_devices = rules.filter(|rule| rule.contains(DEVICE));
            of_devices.collect::<Vec<_>>()
        };
        let peer = listed(PATH, DEVICE, &[]);
        assert_eq!(of_devices(&peer), [""; 0]);
        let mut paired = listed(PATH, DEVICE, &[("Paired", Variant::Bool(true))]);
        let expected = format!(
            "type='signal',sender=':1.7',interface='org.freedesktop.DBus.Properties',\
             member='PropertiesChanged',arg0='org.bluez.Device1',path='{PATH}'"
        );
        assert_eq!(of_devices(&paired), [expected]);
        paired.low_energy = true;
        assert_eq!(of_devices(&paired), [""; 0]);
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut objects = Objects::default();
        let device = Properties::from([("Paired", Variant::Bool(true))]);
        let transport = Properties::from([("State", text("idle"))]);
        for at in 0..1000 {
            let path = format!("/org/bluez/hci0/dev_{at}");
            let interfaces =
                BTreeMap::from([(DEVICE, device.clone()), (TRANSPORT, transport.clone())]);
            objects.insert(path.try_into().unwrap(), interfaces);
        }
        let mut found = AdapterUse::of_objects(&objects);
        for at in 0..1000 {
            found.change(&format!("/other/{at}"), TRANSPORT, &transport);
            found.change(&format!("/other/{at}"), DEVICE, &device);
        }
        assert_eq!(found.classic.len(), MAX_DEVICES);
        assert_eq!(found.transports.len(), MAX_TRANSPORTS);
        let most = 1 + usize::from(MAX_ADAPTERS) + MAX_DEVICES + MAX_TRANSPORTS;
        assert_eq!(found.rules(":1.7").len(), most);
    }
}
