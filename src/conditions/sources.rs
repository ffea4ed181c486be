//! The conditions, and all services that they come from.
//!
//! Messages go in and come out; there is neither a connection nor a clock. So the tests can
//! give it any messages in any order.

use tcn_engine::ListenConditions;
use zbus::Message;

use super::adapter_use::AdapterWatch;
use super::bus_service::BusService;
use super::power::PowerProperty;

/// The services, and what is known of each.
#[derive(Debug)]
pub(super) struct Sources {
    battery: PowerProperty,
    profile: PowerProperty,
    old_profile: PowerProperty,
    adapter: AdapterWatch,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            battery: PowerProperty::battery(),
            profile: PowerProperty::profile(),
            old_profile: PowerProperty::old_profile(),
            adapter: AdapterWatch::default(),
        }
    }
}

impl Sources {
    /// What is to be sent first.
    pub(super) fn start(&mut self) -> zbus::Result<Vec<Message>> {
        let mut to_send = Vec::new();
        for service in self.services() {
            service.start(&mut to_send)?;
        }
        Ok(to_send)
    }

    /// Takes over what this message says. Returns what is to be sent.
    pub(super) fn receive(&mut self, message: &Message) -> zbus::Result<Vec<Message>> {
        let mut to_send = Vec::new();
        for property in [&mut self.battery, &mut self.profile, &mut self.old_profile] {
            property.receive(message, &mut to_send)?;
        }
        self.adapter.receive(message, &mut to_send)?;
        Ok(to_send)
    }

    /// Whether [`ask`](Self::ask) has something to ask.
    pub(super) fn has_questions(&self) -> bool {
        let power = [&self.battery, &self.profile, &self.old_profile];
        power.iter().any(|property| property.has_question()) || self.adapter.has_question()
    }

    /// Asks every service whose state is not known. Returns what is to be sent.
    pub(super) fn ask(&mut self) -> zbus::Result<Vec<Message>> {
        let mut to_send = Vec::new();
        for service in self.services() {
            service.ask(&mut to_send)?;
        }
        Ok(to_send)
    }

    /// BlueZ is to list its objects again.
    pub(super) fn list_again(&mut self) {
        self.adapter.service().ask_again();
    }

    /// The conditions, as far as they are known.
    pub(super) fn conditions(&self) -> ListenConditions {
        ListenConditions {
            on_battery: self.battery.value(),
            power_saver: self.profile.value() || self.old_profile.value(),
            audio: self.adapter.audio(),
            device: self.adapter.device(),
        }
    }

    fn services(&mut self) -> [&mut BusService; 4] {
        [
            self.battery.service(),
            self.profile.service(),
            self.old_profile.service(),
            self.adapter.service(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use zbus::message::Builder;
    use zbus::{ObjectPath, OwnedVariant, Variant};

    use super::super::bus_service::{OBJECT_MANAGER, PROPERTIES};
    use super::*;

    const NAMES: [&str; 4] = [
        "org.freedesktop.UPower",
        "org.freedesktop.UPower.PowerProfiles",
        "net.hadess.PowerProfiles",
        "org.bluez",
    ];
    const BLUEZ: usize = 3;
    const BUS: &str = "org.freedesktop.DBus";

    /// What can happen on the bus.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The service appears, or is restarted.
        Appears(usize),
        Vanishes(usize),
        /// A power service changes its property, with or without the value in the signal.
        Power(usize, Value, bool),
        /// A transport has this state.
        Transport(u8, Value),
        TransportGone(u8),
        /// A paired BR/EDR device is connected or not.
        Connected(u8, Value),
        /// A device is paired, an LE device or not. Nothing is signalled.
        Paired(u8, bool),
        /// An adapter is added.
        Adapter,
        /// A second passes.
        Asked,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Value {
        Yes,
        No,
        WrongType,
    }

    impl Value {
        fn variant(self, yes: Variant<'static>, no: Variant<'static>) -> OwnedVariant {
            let value = match self {
                Self::Yes => yes,
                Self::No => no,
                Self::WrongType => Variant::from(vec![1u8, 2]),
            };
            value.try_into().unwrap()
        }

        fn power(self, service: usize) -> OwnedVariant {
            if service == 0 {
                return self.boolean();
            }
            self.variant("power-saver".into(), "balanced".into())
        }

        fn boolean(self) -> OwnedVariant {
            self.variant(true.into(), false.into())
        }

        fn state(self) -> OwnedVariant {
            self.variant("active".into(), "pending".into())
        }
    }

    /// The bus and the services, and the sources that follow them.
    #[derive(Debug)]
    struct World {
        sources: Sources,
        rules: BTreeSet<String>,
        owners: [Option<String>; 4],
        connections: u32,
        power: [Value; 3],
        transports: BTreeMap<u8, Value>,
        /// Whether each paired device is LE, and whether it is connected.
        devices: BTreeMap<u8, (bool, Value)>,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self {
                sources: Sources::default(),
                rules: BTreeSet::new(),
                owners: Default::default(),
                connections: 0,
                power: [Value::No; 3],
                transports: BTreeMap::new(),
                devices: BTreeMap::new(),
            };
            let calls = world.sources.start().unwrap();
            world.take(calls);
            world
        }

        fn take(&mut self, calls: Vec<Message>) {
            for call in calls {
                let header = call.header();
                let body = call.body();
                match header.member().unwrap().as_str() {
                    "AddMatch" => assert!(self.rules.insert(body.deserialize().unwrap())),
                    "RemoveMatch" => {
                        assert!(self.rules.remove(body.deserialize::<&str>().unwrap()));
                    }
                    "GetNameOwner" => {
                        let name: &str = body.deserialize().unwrap();
                        let at = NAMES.iter().position(|it| *it == name).unwrap();
                        let reply = match &self.owners[at] {
                            Some(owner) => {
                                Message::method_return(&header).sender(BUS).build(&(owner,))
                            }
                            None => Message::error(&header, "x.y")
                                .sender(BUS)
                                .build(&("no owner",)),
                        };
                        self.receive(&reply.unwrap());
                    }
                    _ => self.answer(&call),
                }
            }
            assert!(self.rules.len() < 80, "{:#?}", self.rules);
        }

        /// Answers a question, as the service that owns the name.
        fn answer(&mut self, call: &Message) {
            let header = call.header();
            let flags = header.primary().flags();
            assert!(flags.contains(zbus::message::Flags::NO_AUTO_START));
            let asked = header.destination().unwrap().as_str().to_owned();
            let is_asked = |owner: &Option<String>| owner.as_deref() == Some(&asked);
            let at = self.owners.iter().position(is_asked).unwrap();
            let reply = Message::method_return(&header).sender(asked.as_str());
            let reply = match header.member().unwrap().as_str() {
                "Get" => reply.build(&self.power[at].power(at)),
                "GetManagedObjects" => reply.build(&self.objects()),
                other => panic!("{other} is called"),
            };
            self.receive(&reply.unwrap());
        }

        fn objects(&self) -> BTreeMap<ObjectPath<'static>, Object> {
            let transports = self.transports.iter().map(|(at, state)| {
                let state = BTreeMap::from([("State", state.state())]);
                (
                    path("fd", *at),
                    BTreeMap::from([("org.bluez.MediaTransport1", state)]),
                )
            });
            let devices = self.devices.iter().map(|(at, (low_energy, connected))| {
                let kind = if *low_energy { "random" } else { "public" };
                let device = BTreeMap::from([
                    ("Paired", Value::Yes.boolean()),
                    ("Connected", connected.boolean()),
                    ("AddressType", Variant::from(kind).try_into().unwrap()),
                ]);
                (
                    path("dev", *at),
                    BTreeMap::from([("org.bluez.Device1", device)]),
                )
            });
            transports.chain(devices).collect()
        }

        fn receive(&mut self, message: &Message) {
            let calls = self.sources.receive(message).unwrap();
            self.take(calls);
        }

        /// A signal of a service, if it is there and a rule selects the signal.
        fn signal<B: serde::Serialize + zbus::DynamicType>(
            &mut self,
            service: usize,
            signal: Builder<'_>,
            body: &B,
            arg0: &str,
        ) {
            let Some(owner) = self.owners[service].clone() else {
                return;
            };
            let signal = signal.sender(owner.as_str()).build(body).unwrap();
            let header = signal.header();
            let facts = [
                ("type", "signal"),
                ("sender", &owner),
                ("interface", header.interface().unwrap().as_str()),
                ("member", header.member().unwrap().as_str()),
                ("path", header.path().unwrap().as_str()),
                ("arg0", arg0),
                ("arg0path", arg0),
            ];
            let selects = |rule: &String| {
                rule.split(',').all(|term| {
                    let (key, value) = term.split_once('=').unwrap();
                    facts.contains(&(key, value.trim_matches('\'')))
                })
            };
            if self.rules.iter().any(selects) {
                self.receive(&signal);
            }
        }

        fn changed(
            &mut self,
            service: usize,
            object: &str,
            interface: &str,
            values: &[(&str, OwnedVariant)],
            names: &[&str],
        ) {
            let values: BTreeMap<_, _> = values.iter().cloned().collect();
            let signal = Message::signal(object, PROPERTIES, "PropertiesChanged");
            self.signal(service, signal, &(interface, values, names), interface);
        }

        fn owner_change(&mut self, at: usize, owner: Option<String>) {
            let old = std::mem::replace(&mut self.owners[at], owner.clone());
            let body = (
                NAMES[at],
                old.unwrap_or_default(),
                owner.unwrap_or_default(),
            );
            let signal = Message::signal("/org/freedesktop/DBus", BUS, "NameOwnerChanged");
            self.receive(&signal.sender(BUS).build(&body).unwrap());
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Appears(at) => {
                    self.connections += 1;
                    let owner = format!(":1.{}", self.connections);
                    self.owner_change(at, Some(owner));
                }
                Step::Vanishes(at) => self.owner_change(at, None),
                Step::Power(at, value, is_said) => {
                    self.power[at] = value;
                    let (name, path) = (NAMES[at], format!("/{}", NAMES[at].replace('.', "/")));
                    let property = ["OnBattery", "ActiveProfile"][usize::from(at > 0)];
                    match is_said {
                        true => self.changed(at, &path, name, &[(property, value.power(at))], &[]),
                        false => self.changed(at, &path, name, &[], &[property]),
                    }
                }
                Step::Transport(at, value) => {
                    self.transports.insert(at, value);
                    let state = [("State", value.state())];
                    let transport = "org.bluez.MediaTransport1";
                    self.changed(BLUEZ, &path("fd", at), transport, &state, &[]);
                }
                Step::TransportGone(at) => {
                    self.transports.remove(&at);
                    let body = (path("fd", at), vec!["org.bluez.MediaTransport1"]);
                    let signal = Message::signal("/", OBJECT_MANAGER, "InterfacesRemoved");
                    self.signal(BLUEZ, signal, &body, &path("fd", at));
                }
                Step::Connected(at, value) => {
                    if let Some((_, connected)) = self.devices.get_mut(&at) {
                        *connected = value;
                    }
                    let values = [("Connected", value.boolean())];
                    self.changed(BLUEZ, &path("dev", at), "org.bluez.Device1", &values, &[]);
                }
                Step::Paired(at, low_energy) => {
                    self.devices.insert(at, (low_energy, Value::No));
                }
                Step::Adapter => {
                    let adapter = ObjectPath::try_from("/org/bluez/hci3").unwrap();
                    let added = BTreeMap::<&str, BTreeMap<&str, OwnedVariant>>::new();
                    let signal = Message::signal("/", OBJECT_MANAGER, "InterfacesAdded");
                    self.signal(BLUEZ, signal, &(&adapter, added), &adapter);
                }
                Step::Asked => {
                    let calls = self.sources.ask().unwrap();
                    self.take(calls);
                }
            }
        }

        /// What holds on the machine.
        fn truth(&self) -> ListenConditions {
            let is = |at: usize| self.owners[at].is_some() && self.power[at] == Value::Yes;
            let bluez = self.owners[BLUEZ].is_some();
            let yes = |value: &Value| *value == Value::Yes;
            let shares = |(low_energy, connected): &(bool, Value)| *low_energy || yes(connected);
            ListenConditions {
                on_battery: is(0),
                power_saver: is(1) || is(2),
                audio: bluez && self.transports.values().any(yes),
                device: bluez && self.devices.values().any(shares),
            }
        }
    }

    type Object = BTreeMap<&'static str, BTreeMap<&'static str, OwnedVariant>>;

    fn path(kind: &str, at: u8) -> ObjectPath<'static> {
        ObjectPath::try_from(format!("/org/bluez/hci0/{kind}{at}")).unwrap()
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let value = || prop_oneof![Just(Value::Yes), Just(Value::No), Just(Value::WrongType)];
        let step = prop_oneof![
            (0..4usize).prop_map(Step::Appears),
            (0..4usize).prop_map(Step::Vanishes),
            (0..3usize, value(), any::<bool>()).prop_map(|(at, v, said)| Step::Power(at, v, said)),
            (0..3u8, value()).prop_map(|(at, value)| Step::Transport(at, value)),
            (0..3u8).prop_map(Step::TransportGone),
            (0..3u8, value()).prop_map(|(at, value)| Step::Connected(at, value)),
            (0..3u8, any::<bool>()).prop_map(|(at, low_energy)| Step::Paired(at, low_energy)),
            Just(Step::Adapter),
            Just(Step::Asked),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// All but pairing is known when what is to be asked was asked: no signal is missed.
        #[test]
        fn the_conditions_are_those_of_the_machine(steps in steps()) {
            let mut world = World::new();
            for step in steps {
                let unsignalled = matches!(step, Step::Paired(..));
                world.step(step);
                if unsignalled {
                    world.sources.list_again();
                }
                // A list may lead to rules, and these to one more list.
                for _ in 0..2 {
                    world.step(Step::Asked);
                }
                prop_assert!(!world.sources.has_questions());
                prop_assert_eq!(world.sources.conditions(), world.truth());
            }
        }

        /// The same where signals come between appearing and asking.
        #[test]
        fn the_order_of_signals_and_questions_does_not_matter(steps in steps()) {
            let mut world = World::new();
            steps.into_iter().for_each(|step| world.step(step));
            world.sources.list_again();
            for _ in 0..2 {
                world.step(Step::Asked);
            }
            prop_assert_eq!(world.sources.conditions(), world.truth());
            (0..4).for_each(|at| world.step(Step::Vanishes(at)));
            prop_assert_eq!(world.sources.conditions(), ListenConditions::default());
            prop_assert_eq!(world.rules.len(), 4, "rules of services that are gone remain");
        }
    }
}
