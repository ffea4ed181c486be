//! The status of the BlueZ radio: problems, adapters and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use bluez_mgmt::Privacy;
use tcnd_client::Problem;

use super::super::{Adapter, AddressKind, Status};
use super::capability::{Capability, Evidence};
use super::reconcile::Plan;
use super::session::{AdapterState, BluezConnection, UsedAdapter};

/// The state of the connection to BlueZ.
#[derive(Clone, Copy)]
pub(super) enum ConnectionState<'a> {
    /// Connecting, without an error so far.
    Connecting,
    /// No `org.bluez`, or no bus.
    Unavailable,
    Connected(&'a BluezConnection),
}

/// Counters and histories since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) adverts_ok: u64,
    pub(super) adverts_failed: u64,
    pub(super) scan_restarts: u64,
    adapters: BTreeMap<[u8; 6], History>,
    /// The adapter used last.
    last: Option<UsedAdapter>,
    problems: BTreeSet<Problem>,
    /// The error of the last call that led to a problem.
    errors: BTreeMap<Problem, String>,
}

#[derive(Debug, Default)]
struct History {
    /// Its name when it was used last. Another adapter may have its address.
    name: String,
    recoveries: u32,
    last_problem: Option<Problem>,
}

impl Counters {
    /// How many adapters are remembered. This bounds the memory however often adapters are
    /// plugged in and out.
    const ADAPTERS: usize = 16;

    /// The adapter is in use from now on. `present` says whether an adapter with this name is
    /// there.
    pub(super) fn note_use(&mut self, used: UsedAdapter, present: impl Fn(&str) -> bool) {
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
            // Another adapter with the same address.
            Some(history) => *history = new,
            None if has_room => {
                self.adapters.insert(used.address, new);
            }
            None => {}
        }
        self.last = Some(used);
    }

    pub(super) fn last(&self) -> Option<&UsedAdapter> {
        self.last.as_ref()
    }

    /// A call failed, which is this problem until one succeeds.
    pub(super) fn note_error(&mut self, problem: Problem, error: &impl Display) {
        let mut text = error.to_string();
        printable::shorten(&mut text);
        self.errors.insert(problem, text);
    }

    /// The complete status, for the chosen adapter.
    pub(super) fn status(
        &mut self,
        connection: ConnectionState<'_>,
        chosen: Option<&str>,
        capability: Capability,
        held: bool,
        plan: &Plan,
    ) -> Status {
        let bluez = match connection {
            ConnectionState::Connected(bluez) => Some(bluez),
            ConnectionState::Connecting | ConnectionState::Unavailable => None,
        };
        let state = bluez.and_then(|bluez| bluez.adapters().get(chosen?));
        let problems = problems(connection, state, capability, held, plan);
        self.remember(&problems);
        self.errors.retain(|problem, _| problems.contains(problem));
        let detail = |problem: &Problem| self.errors.get(problem).cloned().unwrap_or_default();
        let adapters = bluez.into_iter().flat_map(BluezConnection::adapters);
        Status {
            mode: capability.mode,
            simulated: false,
            advertising: plan.is_on_air(),
            scanning: match plan.is_scanning() {
                true => state.is_some_and(|state| state.discovering),
                false => plan.is_discovery_paused(),
            },
            problems: problems
                .into_iter()
                .map(|problem| (problem, detail(&problem)))
                .collect(),
            adapters: adapters
                .map(|(name, state)| {
                    let history = self.history(name, state, |name| {
                        bluez.is_some_and(|bluez| bluez.adapters().contains_key(name))
                    });
                    adapter(name, state, chosen == Some(name), history)
                })
                .collect(),
            adverts_ok: self.adverts_ok,
            adverts_failed: self.adverts_failed,
            scan_restarts: self.scan_restarts,
        }
    }

    /// A new problem becomes the last problem of the adapter used last.
    fn remember(&mut self, problems: &BTreeSet<Problem>) {
        let new = problems.difference(&self.problems).next().copied();
        self.problems.clone_from(problems);
        let last = self.last.as_ref().map(|last| last.address);
        if let Some(history) = last.and_then(|last| self.adapters.get_mut(&last)) {
            history.last_problem = new.or(history.last_problem);
        }
    }

    /// The history of an adapter, and not of another one with its address.
    fn history(
        &self,
        name: &str,
        state: &AdapterState,
        present: impl Fn(&str) -> bool,
    ) -> Option<&History> {
        let history = self.adapters.get(&state.address)?;
        (history.name == name || !present(&history.name)).then_some(history)
    }
}

fn adapter(name: &str, state: &AdapterState, selected: bool, history: Option<&History>) -> Adapter {
    Adapter {
        name: name.to_owned(),
        powered: state.powered,
        selected,
        can_advertise: state.active.is_some(),
        address: match (state.active, state.privacy) {
            (None, _) => AddressKind::Unknown,
            (Some(_), Some(Evidence::Configured(Privacy::On | Privacy::ByController))) => {
                AddressKind::Unknown
            }
            (Some(_), Some(Evidence::Kernel(Privacy::On | Privacy::ByController))) => {
                AddressKind::Resolvable
            }
            (Some(_), _) if state.discoverable => AddressKind::Public,
            (Some(_), _) => AddressKind::NonResolvable,
        },
        instances_free: state.free,
        recoveries: history.map_or(0, |history| history.recoveries),
        last_problem: history.and_then(|history| history.last_problem),
    }
}

fn problems(
    connection: ConnectionState<'_>,
    state: Option<&AdapterState>,
    capability: Capability,
    held: bool,
    plan: &Plan,
) -> BTreeSet<Problem> {
    let one = |problem| BTreeSet::from([problem]);
    let state = match (connection, state) {
        (ConnectionState::Connecting, _) => return BTreeSet::new(),
        (ConnectionState::Unavailable, _) => return one(Problem::BluetoothdMissing),
        (ConnectionState::Connected(_), None) => return one(Problem::AdapterMissing),
        (ConnectionState::Connected(_), Some(state)) if state.blocked => {
            return one(Problem::AdapterBlocked);
        }
        (ConnectionState::Connected(_), Some(state)) if !state.powered => {
            return one(Problem::AdapterOff);
        }
        (ConnectionState::Connected(_), Some(state)) => state,
    };
    let all = [
        (state.active.is_none(), Problem::AdvertiseUnsupported),
        (
            state.discoverable && !capability.is_connectable(),
            Problem::AddressNotPrivate,
        ),
        (plan.is_advert_failing(), Problem::AdvertiseFailed),
        (plan.is_scan_failing(), Problem::ScanFailed),
        (plan.is_serve_failing(), Problem::ConnectFailed),
        (held, Problem::AddressHeld),
    ];
    all.into_iter()
        .filter_map(|(is, problem)| is.then_some(problem))
        .chain(capability.problem)
        .collect()
}
