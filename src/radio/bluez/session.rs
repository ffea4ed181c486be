//! The connection to BlueZ, and the adapters seen through it.
//!
//! What is known of an adapter is read once when it appears and kept by
//! signals from then on. A session is cheap to replace, and is replaced
//! whenever it may hold something nobody has a handle to any more.

use std::collections::{BTreeMap, BTreeSet};

use bluer::{Adapter, AdapterEvent, AdapterProperty, Session, SessionEvent};
use futures::stream::{BoxStream, SelectAll, StreamExt};
use zbus::Connection;

use super::super::mgmt::Privacy;
use super::reach::Controller;
use super::{Fault, READ, advert, call, presence};

/// What is known of one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its identity address. It never leaves this room.
    pub(super) address: [u8; 6],
    pub(super) powered: bool,
    pub(super) blocked: bool,
    pub(super) discoverable: bool,
    pub(super) discovering: bool,
    /// Adverts on the air, of all programs; none if it has no LE advertising.
    pub(super) active: Option<u8>,
    pub(super) free: u8,
    pub(super) controller: Controller,
    /// What the kernel says of its privacy; none within if it does not say, and
    /// none at all if it was not asked since the adapter was switched on.
    pub(super) privacy: Option<Option<Privacy>>,
}

/// What changed.
#[derive(Debug)]
pub(super) enum Change {
    Added(String),
    Removed(String),
    Property(String, AdapterProperty),
}

/// A connection to BlueZ.
pub(super) struct Link {
    session: Session,
    changes: SelectAll<BoxStream<'static, Change>>,
    adapters: BTreeMap<String, Facts>,
    /// Appeared and not yet read.
    unread: BTreeSet<String>,
}

/// An adapter read: what is known of it, and what will change.
pub(super) type Survey = (Facts, BoxStream<'static, Change>);

impl Link {
    /// Connects, and reads every adapter there is.
    pub(super) async fn connect(bus: &Connection) -> Result<Self, Fault> {
        let session = call("connecting to BlueZ", READ, Session::new()).await?;
        let changes = call("listening for adapters", READ, session.events()).await?;
        let changes = changes.map(|event| match event {
            SessionEvent::AdapterAdded(name) => Change::Added(name),
            SessionEvent::AdapterRemoved(name) => Change::Removed(name),
        });
        let mut link = Self {
            session,
            changes: SelectAll::new(),
            adapters: BTreeMap::new(),
            unread: BTreeSet::new(),
        };
        link.changes.push(changes.boxed());
        for name in call("listing adapters", READ, link.session.adapter_names()).await? {
            let surveyed = survey(link.adapter(&name)?, bus.clone()).await;
            link.surveyed(name, surveyed);
        }
        Ok(link)
    }

    pub(super) fn adapter(&self, name: &str) -> Result<Adapter, Fault> {
        self.session.adapter(name).map_err(|source| Fault::Failed {
            doing: "naming an adapter",
            source: source.into(),
        })
    }

    /// Takes what [`survey`] found, or remembers that it has to be tried
    /// again.
    pub(super) fn surveyed(&mut self, name: String, survey: Result<Survey, Fault>) {
        match survey {
            Ok((facts, changes)) => {
                self.unread.remove(&name);
                self.adapters.insert(name, facts);
                self.changes.push(changes);
            }
            Err(fault) => {
                tracing::warn!(adapter = name, error = %fault, "cannot read adapter");
                self.unread.insert(name);
            }
        }
    }

    /// An adapter that appeared and has to be read.
    pub(super) fn unread(&self) -> Option<&String> {
        self.unread.first()
    }

    /// The next change. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Change> {
        self.changes.next().await
    }

    /// Takes note of a change. Returns the adapter that went, if one did.
    pub(super) fn note(&mut self, change: Change) -> Option<String> {
        match change {
            Change::Added(name) => {
                if !self.adapters.contains_key(&name) {
                    self.unread.insert(name);
                }
                None
            }
            Change::Removed(name) => {
                self.unread.remove(&name);
                self.adapters.remove(&name).map(|_| name)
            }
            Change::Property(name, property) => {
                if let Some(facts) = self.adapters.get_mut(&name) {
                    facts.note(&property);
                }
                None
            }
        }
    }

    pub(super) fn adapters(&self) -> &BTreeMap<String, Facts> {
        &self.adapters
    }

    pub(super) fn facts_mut(&mut self, name: &str) -> Option<&mut Facts> {
        self.adapters.get_mut(name)
    }
}

impl Facts {
    /// Takes what [`advertising`] found.
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
        } else if let AdapterProperty::ActiveAdvertisingInstances(active) = property {
            self.active = Some(*active);
        } else if let AdapterProperty::SupportedAdvertisingInstances(free) = property {
            self.free = *free;
        }
    }
}

/// Reads an adapter. Subscribed first, so that nothing falls in between.
pub(super) async fn survey(adapter: Adapter, bus: Connection) -> Result<Survey, Fault> {
    let events = call("listening to an adapter", READ, adapter.events()).await?;
    let mut facts = call("reading an adapter", READ, async {
        Ok::<_, bluer::Error>(Facts {
            address: adapter.address().await?.0,
            powered: adapter.is_powered().await?,
            blocked: false,
            discoverable: adapter.is_discoverable().await?,
            discovering: adapter.is_discovering().await?,
            active: None,
            free: 0,
            controller: Controller::Legacy,
            privacy: None,
        })
    })
    .await?;
    facts.advertising(advertising(&adapter).await);
    if !facts.powered {
        facts.blocked = presence::is_blocked(&bus, adapter.name()).await;
    }
    let name = adapter.name().to_owned();
    let changes = events.filter_map(move |event| {
        let change = match event {
            AdapterEvent::PropertyChanged(property) => {
                Some(Change::Property(name.clone(), property))
            }
            AdapterEvent::DeviceAdded(_) | AdapterEvent::DeviceRemoved(_) => None,
        };
        async move { change }
    });
    Ok((facts, changes.boxed()))
}

/// Adverts of an adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advertising {
    /// On the air, of all programs.
    active: u8,
    /// Still to be had.
    free: u8,
    controller: Controller,
}

/// None where there is no `LEAdvertisingManager1`, or not yet: BlueZ may offer
/// it a moment after the adapter, and bluer tells of new adapters only.
pub(super) async fn advertising(adapter: &Adapter) -> Option<Advertising> {
    let read = call("reading adverts", READ, async {
        let active = adapter.active_advertising_instances().await?;
        let free = adapter.supported_advertising_instances().await?;
        Ok::<_, bluer::Error>((active, free))
    });
    let (active, free) = read.await.ok()?;
    Some(Advertising {
        active,
        free,
        controller: advert::controller(adapter).await.ok()?,
    })
}

/// Which adapter to use: the one configured and no other; else, of those that
/// can be used, the one used last; else the first of the others by name; and
/// where none can be used, the one used last again, to name its trouble.
pub(super) fn choose(
    adapters: &BTreeMap<String, Facts>,
    configured: Option<[u8; 6]>,
    last: Option<[u8; 6]>,
) -> Option<&String> {
    let by_address = |address: [u8; 6], usable: bool| {
        adapters
            .iter()
            .find(|(_, facts)| facts.address == address && (facts.powered || !usable))
            .map(|(name, _)| name)
    };
    let first = |fits: fn(&Facts) -> bool| {
        adapters
            .iter()
            .find(|(_, facts)| fits(facts))
            .map(|(name, _)| name)
    };
    if let Some(address) = configured {
        return by_address(address, false);
    }
    last.and_then(|address| by_address(address, true))
        .or_else(|| first(|facts| facts.powered && facts.active.is_some()))
        .or_else(|| last.and_then(|address| by_address(address, false)))
        .or_else(|| first(|facts| facts.active.is_some()))
        .or_else(|| first(|_| true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(address: u8, powered: bool) -> Facts {
        Facts {
            address: [address; 6],
            powered,
            blocked: false,
            discoverable: false,
            discovering: false,
            active: Some(0),
            free: 5,
            controller: Controller::Extended,
            privacy: None,
        }
    }

    fn adapters(list: &[(&str, Facts)]) -> BTreeMap<String, Facts> {
        list.iter()
            .map(|(name, facts)| ((*name).to_owned(), facts.clone()))
            .collect()
    }

    fn chosen(list: &[(&str, Facts)], configured: Option<u8>, last: Option<u8>) -> Option<String> {
        let address = |byte: u8| [byte; 6];
        choose(&adapters(list), configured.map(address), last.map(address)).cloned()
    }

    #[test]
    fn an_adapter_configured_is_the_only_one_used() {
        let two = [("hci0", facts(1, true)), ("hci1", facts(2, false))];
        assert_eq!(chosen(&two, Some(2), None).as_deref(), Some("hci1"));
        assert_eq!(chosen(&two, Some(9), Some(1)), None);
    }

    #[test]
    fn the_one_used_last_is_found_under_another_name() {
        let two = [("hci0", facts(1, true)), ("hci7", facts(2, true))];
        assert_eq!(chosen(&two, None, Some(2)).as_deref(), Some("hci7"));
    }

    #[test]
    fn one_that_is_on_goes_before_one_that_is_off() {
        let two = [("hci0", facts(1, false)), ("hci1", facts(2, true))];
        assert_eq!(chosen(&two, None, None).as_deref(), Some("hci1"));
        assert_eq!(chosen(&two, None, Some(1)).as_deref(), Some("hci1"));
    }

    #[test]
    fn one_that_can_advertise_goes_before_one_that_cannot() {
        let dumb = Facts {
            active: None,
            ..facts(1, true)
        };
        let two = [("hci0", dumb.clone()), ("hci1", facts(2, true))];
        assert_eq!(chosen(&two, None, None).as_deref(), Some("hci1"));
        assert_eq!(
            chosen(&[("hci0", dumb)], None, None).as_deref(),
            Some("hci0")
        );
    }

    #[test]
    fn where_all_are_off_the_one_used_last_is_named() {
        let two = [("hci0", facts(1, false)), ("hci1", facts(2, false))];
        assert_eq!(chosen(&two, None, Some(2)).as_deref(), Some("hci1"));
        assert_eq!(chosen(&[], None, Some(2)), None);
    }
}
