//! What the edge says of itself: troubles, adapters and counts.

use std::collections::{BTreeMap, BTreeSet};

use bluez_mgmt::Privacy;

use super::super::{Adapter, AddressKind, Status, Trouble};
use super::reach::{Evidence, Reach};
use super::reconcile::Plan;
use super::session::{Facts, Link, Used};

/// How far the way to BlueZ is open.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// On the way, nothing wrong so far.
    Opening,
    /// No `org.bluez`, or no bus.
    Closed,
    Open(&'a Link),
}

/// Counts and histories since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) adverts_ok: u64,
    pub(super) adverts_failed: u64,
    pub(super) scan_restarts: u64,
    adapters: BTreeMap<[u8; 6], History>,
    /// The adapter used last.
    last: Option<Used>,
    troubles: BTreeSet<Trouble>,
}

#[derive(Debug, Default)]
struct History {
    /// Its name when it was used last. Another adapter may have its address.
    name: String,
    recoveries: u32,
    last_trouble: Option<Trouble>,
}

impl Tally {
    /// Adapters remembered. Nobody has as many; it bounds what somebody who
    /// plugs and unplugs can make us keep.
    const ADAPTERS: usize = 16;

    /// The adapter is in use from now on. `present` says whether one of a name
    /// is there.
    pub(super) fn took(&mut self, used: Used, present: impl Fn(&str) -> bool) {
        let new = History {
            name: used.name.clone(),
            ..History::default()
        };
        let has_room = self.adapters.len() < Self::ADAPTERS;
        match self.adapters.get_mut(&used.address) {
            Some(history) if history.name == used.name || !present(&history.name) => {
                history.recoveries = history.recoveries.saturating_add(1);
                history.name.clone_from(&used.name);
            }
            // Another one with its address.
            Some(history) => *history = new,
            None if has_room => {
                self.adapters.insert(used.address, new);
            }
            None => {}
        }
        self.last = Some(used);
    }

    pub(super) fn last(&self) -> Option<&Used> {
        self.last.as_ref()
    }

    /// The whole status, for the adapter chosen.
    pub(super) fn status(
        &mut self,
        way: Way<'_>,
        chosen: Option<&str>,
        reach: Reach,
        held: bool,
        plan: &Plan,
    ) -> Status {
        let link = match way {
            Way::Open(link) => Some(link),
            Way::Opening | Way::Closed => None,
        };
        let facts = link.and_then(|link| link.adapters().get(chosen?));
        let troubles = troubles(way, facts, reach, held, plan);
        self.remember(&troubles);
        let adapters = link.into_iter().flat_map(Link::adapters);
        Status {
            mode: reach.mode,
            simulated: false,
            advertising: plan.is_on_air(),
            scanning: plan.is_scanning() && facts.is_some_and(|facts| facts.discovering),
            troubles,
            adapters: adapters
                .map(|(name, facts)| {
                    let history = self.history(name, facts, |name| {
                        link.is_some_and(|link| link.adapters().contains_key(name))
                    });
                    adapter(name, facts, chosen == Some(name), history)
                })
                .collect(),
            adverts_ok: self.adverts_ok,
            adverts_failed: self.adverts_failed,
            scan_restarts: self.scan_restarts,
        }
    }

    /// A trouble that is new is the last one of the adapter used last.
    fn remember(&mut self, troubles: &BTreeSet<Trouble>) {
        let new = troubles.difference(&self.troubles).next().copied();
        self.troubles.clone_from(troubles);
        let last = self.last.as_ref().map(|last| last.address);
        if let Some(history) = last.and_then(|last| self.adapters.get_mut(&last)) {
            history.last_trouble = new.or(history.last_trouble);
        }
    }

    /// What is remembered of an adapter, and not of another with its address.
    fn history(
        &self,
        name: &str,
        facts: &Facts,
        present: impl Fn(&str) -> bool,
    ) -> Option<&History> {
        let history = self.adapters.get(&facts.address)?;
        (history.name == name || !present(&history.name)).then_some(history)
    }
}

fn adapter(name: &str, facts: &Facts, selected: bool, history: Option<&History>) -> Adapter {
    Adapter {
        name: name.to_owned(),
        powered: facts.powered,
        selected,
        can_advertise: facts.active.is_some(),
        address: match (facts.active, facts.privacy) {
            (None, _) => AddressKind::Unknown,
            (Some(_), Some(Evidence::Configured(Privacy::On | Privacy::ByController))) => {
                AddressKind::Unknown
            }
            (Some(_), Some(Evidence::Kernel(Privacy::On | Privacy::ByController))) => {
                AddressKind::Resolvable
            }
            (Some(_), _) if facts.discoverable => AddressKind::Public,
            (Some(_), _) => AddressKind::NonResolvable,
        },
        instances_free: facts.free,
        recoveries: history.map_or(0, |history| history.recoveries),
        last_trouble: history.and_then(|history| history.last_trouble),
    }
}

fn troubles(
    way: Way<'_>,
    facts: Option<&Facts>,
    reach: Reach,
    held: bool,
    plan: &Plan,
) -> BTreeSet<Trouble> {
    let one = |trouble| BTreeSet::from([trouble]);
    let facts = match (way, facts) {
        (Way::Opening, _) => return BTreeSet::new(),
        (Way::Closed, _) => return one(Trouble::BluetoothdMissing),
        (Way::Open(_), None) => return one(Trouble::AdapterMissing),
        (Way::Open(_), Some(facts)) if facts.blocked => return one(Trouble::AdapterBlocked),
        (Way::Open(_), Some(facts)) if !facts.powered => return one(Trouble::AdapterOff),
        (Way::Open(_), Some(facts)) => facts,
    };
    let all = [
        (facts.active.is_none(), Trouble::AdvertiseUnsupported),
        (
            facts.discoverable && !reach.is_connectable(),
            Trouble::AddressNotPrivate,
        ),
        (plan.is_refused(), Trouble::AdvertiseFailed),
        (plan.is_deaf(), Trouble::ScanFailed),
        (plan.is_unreachable(), Trouble::ConnectFailed),
        (held, Trouble::AddressHeld),
    ];
    all.into_iter()
        .filter_map(|(is, trouble)| is.then_some(trouble))
        .chain(reach.trouble)
        .collect()
}
