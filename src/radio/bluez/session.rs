//! The connection to BlueZ, and the adapters seen through it.
//!
//! The state of an adapter is read once when it appears, and updated by signals from then
//! on. A connection is cheap to replace. It is replaced whenever BlueZ may hold something
//! for it to which no handle exists any more.

use std::collections::{BTreeMap, BTreeSet};

use bluer::{Adapter, AdapterEvent, AdapterProperty, Session, SessionEvent};
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant};

use super::advert::{self, Registrar};
use super::capability::{Controller, Evidence};
use super::off_air::AddressTimer;
use super::{AdapterChoice, BluezError, READ_TIMEOUT, bluez_watch, call};

/// The state of one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AdapterState {
    /// Its identity address. It is never reported.
    pub(super) address: [u8; 6],
    pub(super) powered: bool,
    pub(super) blocked: bool,
    pub(super) discoverable: bool,
    pub(super) discovering: bool,
    /// Active adverts of all programs; `None` if it has no LE advertising.
    pub(super) active: Option<u8>,
    pub(super) free: u8,
    pub(super) controller: Controller,
    /// What is known of its privacy; `None` if that was not read since the adapter was
    /// switched on.
    pub(super) privacy: Option<Evidence>,
    /// The timer by which it changes its addresses itself, if that is known.
    pub(super) timer: Option<AddressTimer>,
}

/// A change of an adapter.
#[derive(Debug)]
pub(super) enum AdapterChange {
    Added(String),
    Removed(String),
    Property(String, AdapterProperty),
    /// Active adverts of all programs, and free advertising instances.
    Adverts(String, Option<u8>, Option<u8>),
    /// The stream of the adapter ended. bluer ends it with any interface that an object
    /// loses, even if the object stays.
    Unwatched(String),
}

/// A connection to BlueZ.
pub(super) struct BluezConnection {
    session: Session,
    registrar: Registrar,
    changes: SelectAll<BoxStream<'static, AdapterChange>>,
    adapters: BTreeMap<String, AdapterState>,
    /// Appeared and not yet read.
    unread: BTreeSet<String>,
}

/// The state of an adapter, and the stream of its changes.
pub(super) type AdapterSnapshot = (AdapterState, BoxStream<'static, AdapterChange>);

impl BluezConnection {
    /// Connects, and reads every adapter there is.
    pub(super) async fn connect(bus: &Connection) -> Result<Self, BluezError> {
        let session = call("connecting to BlueZ", READ_TIMEOUT, Session::new()).await?;
        let changes = call("listening for adapters", READ_TIMEOUT, session.events()).await?;
        let changes = changes.map(|event| match event {
            SessionEvent::AdapterAdded(name) => AdapterChange::Added(name),
            SessionEvent::AdapterRemoved(name) => AdapterChange::Removed(name),
        });
        let registrar = Registrar::connect().await?;
        let adverts = call("listening for adverts", READ_TIMEOUT, adverts(&registrar)).await?;
        let mut bluez = Self {
            session,
            registrar,
            changes: SelectAll::new(),
            adapters: BTreeMap::new(),
            unread: BTreeSet::new(),
        };
        bluez.changes.push(changes.boxed());
        bluez.changes.push(adverts);
        for name in call(
            "listing adapters",
            READ_TIMEOUT,
            bluez.session.adapter_names(),
        )
        .await?
        {
            let registrar = bluez.registrar.clone();
            let snapshot = read_adapter(bluez.adapter(&name)?, bus.clone(), registrar).await;
            bluez.adapter_read(name, snapshot);
        }
        Ok(bluez)
    }

    pub(super) fn adapter(&self, name: &str) -> Result<Adapter, BluezError> {
        self.session
            .adapter(name)
            .map_err(|source| BluezError::Failed {
                action: "naming an adapter",
                source: source.into(),
            })
    }

    pub(super) fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// Takes the result of [`read_adapter`], or remembers that it has to be tried again.
    pub(super) fn adapter_read(
        &mut self,
        name: String,
        snapshot: Result<AdapterSnapshot, BluezError>,
    ) {
        match snapshot {
            Ok((mut state, changes)) => {
                self.unread.remove(&name);
                let before = self.adapters.get(&name);
                // It changes only while the adapter is off.
                if let Some(before) = before.filter(|before| before.powered && state.powered) {
                    (state.privacy, state.timer) = (before.privacy, before.timer);
                }
                self.adapters.insert(name, state);
                self.changes.push(changes);
            }
            Err(error) => {
                tracing::warn!(adapter = name, error = %error, "cannot read adapter");
                self.unread.insert(name);
            }
        }
    }

    /// An adapter that appeared and has to be read.
    pub(super) fn unread(&self) -> Option<&String> {
        self.unread.first()
    }

    /// The next change. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<AdapterChange> {
        self.changes.next().await
    }

    /// Applies a change. Returns the adapter that was removed, if one was.
    pub(super) fn note(&mut self, change: AdapterChange) -> Option<String> {
        match change {
            AdapterChange::Added(name) => {
                if !self.adapters.contains_key(&name) {
                    self.unread.insert(name);
                }
                None
            }
            AdapterChange::Removed(name) => {
                self.unread.remove(&name);
                self.adapters.remove(&name).map(|_| name)
            }
            AdapterChange::Property(name, property) => {
                if let Some(state) = self.adapters.get_mut(&name) {
                    state.note(&property);
                }
                None
            }
            AdapterChange::Adverts(name, active, free) => {
                if let Some(state) = self.adapters.get_mut(&name) {
                    state.active = active.or(state.active);
                    state.free = free.unwrap_or(state.free);
                }
                None
            }
            AdapterChange::Unwatched(name) => {
                // A removed adapter has a signal of its own.
                if self.adapters.contains_key(&name) {
                    self.unread.insert(name);
                }
                None
            }
        }
    }

    pub(super) fn adapters(&self) -> &BTreeMap<String, AdapterState> {
        &self.adapters
    }

    pub(super) fn state_mut(&mut self, name: &str) -> Option<&mut AdapterState> {
        self.adapters.get_mut(name)
    }
}

impl AdapterState {
    /// Takes the result of [`advertising`].
    pub(super) fn advertising(&mut self, found: Option<Advertising>) {
        self.active = found.map(|found| found.active);
        self.free = found.map_or(0, |found| found.free);
        self.controller = found.map_or(Controller::Legacy, |found| found.controller);
    }

    fn note(&mut self, property: &AdapterProperty) {
        if let AdapterProperty::Powered(powered) = property {
            self.powered = *powered;
            self.blocked &= !powered;
            // It changes only while the adapter is off.
            self.privacy = self.privacy.filter(|_| *powered);
        } else if let AdapterProperty::Discoverable(discoverable) = property {
            self.discoverable = *discoverable;
        } else if let AdapterProperty::Discovering(discovering) = property {
            self.discovering = *discovering;
        }
    }
}

/// Reads an adapter. Subscribes first, so that no change is missed.
pub(super) async fn read_adapter(
    adapter: Adapter,
    bus: Connection,
    registrar: Registrar,
) -> Result<AdapterSnapshot, BluezError> {
    let events = call("listening to an adapter", READ_TIMEOUT, adapter.events()).await?;
    let mut state = call("reading an adapter", READ_TIMEOUT, async {
        Ok::<_, bluer::Error>(AdapterState {
            address: adapter.address().await?.0,
            powered: adapter.is_powered().await?,
            blocked: false,
            discoverable: adapter.is_discoverable().await?,
            discovering: adapter.is_discovering().await?,
            active: None,
            free: 0,
            controller: Controller::Legacy,
            privacy: None,
            timer: None,
        })
    })
    .await?;
    state.advertising(advertising(&adapter, &registrar).await);
    if !state.powered {
        state.blocked = bluez_watch::is_blocked(&bus, adapter.name()).await;
    }
    let name = adapter.name().to_owned();
    let changes = events.filter_map(move |event| {
        let change = match event {
            AdapterEvent::PropertyChanged(property) => {
                Some(AdapterChange::Property(name.clone(), property))
            }
            AdapterEvent::DeviceAdded(_) | AdapterEvent::DeviceRemoved(_) => None,
        };
        async move { change }
    });
    let name = adapter.name().to_owned();
    let end = stream::once(async move { AdapterChange::Unwatched(name) });
    Ok((state, changes.chain(end).boxed()))
}

/// Changes of the adverts of any adapter, on the connection that registers ours: so they
/// come before the answers of BlueZ that they belong to.
async fn adverts(registrar: &Registrar) -> zbus::Result<BoxStream<'static, AdapterChange>> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.bluez")
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .add_arg(advert::MANAGER)
        .build()?;
    let signals = MessageStream::for_match_rule(rule, registrar.connection(), None).await?;
    let changes = signals.filter_map(|signal| async move { adverts_of(&signal.ok()?) });
    Ok(changes.boxed())
}

fn adverts_of(signal: &Message) -> Option<AdapterChange> {
    let header = signal.header();
    let adapter = header.path()?.as_str().strip_prefix("/org/bluez/")?;
    let body = signal.body();
    let (_interface, changed, _gone): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    let number = |name| u8::try_from(changed.get(name)?.clone()).ok();
    let (active, free) = (number("ActiveInstances"), number("SupportedInstances"));
    Some(AdapterChange::Adverts(adapter.to_owned(), active, free))
}

/// The advertising state of an adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advertising {
    /// Active adverts of all programs.
    active: u8,
    /// Free advertising instances.
    free: u8,
    controller: Controller,
}

/// `None` where there is no `LEAdvertisingManager1`, or not yet: BlueZ may add it a moment
/// after the adapter, and bluer reports new adapters only.
pub(super) async fn advertising(adapter: &Adapter, registrar: &Registrar) -> Option<Advertising> {
    let name = adapter.name();
    Some(Advertising {
        active: registrar.count(name).await.ok()?,
        free: registrar.read(name, "SupportedInstances").await.ok()?,
        controller: advert::controller(adapter).await.ok()?,
    })
}

/// An adapter that was in use. Cheap adapters share an address, and a name goes to another
/// adapter when adapters are plugged in again, so both are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsedAdapter {
    pub(super) name: String,
    pub(super) address: [u8; 6],
}

/// Which adapter to use, of those that the choice allows. One that is on goes before one
/// that is off. Then one that can advertise, since another may have the same address and
/// cannot. Then the one used last, by its address and, of those, by its name. Then the
/// first by name.
pub(super) fn choose<'a>(
    adapters: &'a BTreeMap<String, AdapterState>,
    choice: Option<AdapterChoice>,
    last: Option<&UsedAdapter>,
) -> Option<&'a String> {
    let rank = |name: &str, state: &AdapterState| {
        let same = last.filter(|last| last.address == state.address);
        let very_same = same.is_some_and(|last| last.name == name);
        let advertises = state.active.is_some();
        (state.powered, advertises, same.is_some(), very_same)
    };
    adapters
        .iter()
        .filter(|(name, state)| is_allowed(choice, name, state))
        // Reversed, since `max_by_key` takes the last of equals.
        .rev()
        .max_by_key(|(name, state)| rank(name, state))
        .map(|(name, _)| name)
}

fn is_allowed(choice: Option<AdapterChoice>, name: &str, state: &AdapterState) -> bool {
    match choice {
        None => true,
        Some(AdapterChoice::Address(address)) => state.address == address,
        Some(AdapterChoice::Name(index)) => {
            name.strip_prefix("hci") == Some(index.to_string().as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(address: u8, powered: bool) -> AdapterState {
        AdapterState {
            address: [address; 6],
            powered,
            blocked: false,
            discoverable: false,
            discovering: false,
            active: Some(0),
            free: 5,
            controller: Controller::Extended,
            privacy: None,
            timer: None,
        }
    }

    fn adapters(list: &[(&str, AdapterState)]) -> BTreeMap<String, AdapterState> {
        list.iter()
            .map(|(name, state)| ((*name).to_owned(), state.clone()))
            .collect()
    }

    fn used(name: &str, address: u8) -> UsedAdapter {
        UsedAdapter {
            name: name.to_owned(),
            address: [address; 6],
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "shorter where it is called")]
    fn chosen(
        list: &[(&str, AdapterState)],
        choice: Option<AdapterChoice>,
        last: Option<UsedAdapter>,
    ) -> Option<String> {
        choose(&adapters(list), choice, last.as_ref()).cloned()
    }

    fn address(byte: u8) -> Option<AdapterChoice> {
        Some(AdapterChoice::Address([byte; 6]))
    }

    /// One that cannot advertise.
    fn without_advertising(address: u8, powered: bool) -> AdapterState {
        AdapterState {
            active: None,
            ..state(address, powered)
        }
    }

    #[test]
    fn an_adapter_configured_is_the_only_one_used() {
        let two = [("hci0", state(1, true)), ("hci1", state(2, false))];
        let one = |name, address| Some(used(name, address));
        assert_eq!(chosen(&two, address(2), None).as_deref(), Some("hci1"));
        assert_eq!(chosen(&two, address(9), one("hci0", 1)), None);
        let by_name = |index| chosen(&two, Some(AdapterChoice::Name(index)), one("hci0", 1));
        assert_eq!(by_name(1).as_deref(), Some("hci1"));
        assert_eq!(by_name(2), None);
    }

    #[test]
    fn the_one_used_last_is_found_under_another_name() {
        let two = [("hci0", state(1, true)), ("hci7", state(2, true))];
        let last = Some(used("hci3", 2));
        assert_eq!(chosen(&two, None, last).as_deref(), Some("hci7"));
    }

    #[test]
    fn one_that_is_on_goes_before_one_that_is_off() {
        let two = [("hci0", state(1, false)), ("hci1", state(2, true))];
        assert_eq!(chosen(&two, None, None).as_deref(), Some("hci1"));
        let last = Some(used("hci0", 1));
        assert_eq!(chosen(&two, None, last).as_deref(), Some("hci1"));
    }

    #[test]
    fn one_that_can_advertise_goes_before_one_that_cannot() {
        let two = [
            ("hci0", without_advertising(1, true)),
            ("hci1", state(2, true)),
        ];
        assert_eq!(chosen(&two, None, None).as_deref(), Some("hci1"));
        let last = Some(used("hci0", 1));
        assert_eq!(chosen(&two, None, last).as_deref(), Some("hci1"));
        let alone = [("hci0", without_advertising(1, true))];
        assert_eq!(chosen(&alone, None, None).as_deref(), Some("hci0"));
    }

    /// Whichever is first, was used last, is configured by the address or is off.
    #[test]
    fn of_two_with_one_address_the_one_that_can_advertise_is_used() {
        for (names, able) in [(["hci0", "hci1"], "hci1"), (["hci1", "hci0"], "hci0")] {
            let twins = [
                (names[0], without_advertising(1, true)),
                (names[1], state(1, true)),
            ];
            for choice in [None, address(1)] {
                for last in [None, Some(used(names[0], 1)), Some(used(names[1], 1))] {
                    let chosen = chosen(&twins, choice, last.clone());
                    assert_eq!(chosen.as_deref(), Some(able), "{choice:?} {last:?}");
                }
            }
            let index = names[0].trim_start_matches("hci").parse().unwrap();
            let by_name = chosen(&twins, Some(AdapterChoice::Name(index)), None);
            assert_eq!(by_name.as_deref(), Some(names[0]));
        }
    }

    #[test]
    fn of_two_alike_the_one_in_use_stays_in_use() {
        let twins = [("hci0", state(1, true)), ("hci1", state(1, true))];
        let last = Some(used("hci1", 1));
        assert_eq!(chosen(&twins, None, last).as_deref(), Some("hci1"));
        let last = Some(used("hci5", 1));
        assert_eq!(chosen(&twins, address(1), last).as_deref(), Some("hci0"));
    }

    #[test]
    fn where_all_are_off_the_one_used_last_is_named() {
        let two = [("hci0", state(1, false)), ("hci1", state(2, false))];
        let last = Some(used("hci1", 2));
        assert_eq!(chosen(&two, None, last.clone()).as_deref(), Some("hci1"));
        assert_eq!(chosen(&[], None, last), None);
    }
}
