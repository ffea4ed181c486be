//! What everyone may know, put together from what the rooms say of themselves.
//!
//! Pure: the same facts always make the same snapshot, and nothing secret is
//! among the facts.

use std::collections::BTreeSet;

use super::exchange::Standing;
use super::{Hold, Problem, Snapshot, State};
use crate::config::Settings;
use crate::engine::{Holds, Pause, UnixTime, View};
use crate::radio::{self, Trouble};

pub(super) struct Facts<'a> {
    pub(super) view: View,
    pub(super) status: &'a radio::Status,
    /// The radio has spoken since the start.
    pub(super) radio_known: bool,
    /// A damaged database was set aside.
    pub(super) corrupt: bool,
    pub(super) holds: &'a Holds,
    pub(super) standing: &'a Standing,
    pub(super) now: UnixTime,
}

pub(super) fn snapshot(facts: &Facts<'_>) -> Snapshot {
    let problems = problems(facts);
    Snapshot {
        enabled: facts.view.consent,
        state: state(facts, &problems),
        problems,
        advertising: facts.status.advertising,
        scanning: facts.status.scanning,
        simulated: facts.status.simulated,
        adapters: facts.status.adapters.clone(),
        paused: facts.view.pause,
        holds: facts
            .holds
            .iter()
            .map(|hold| Hold {
                reason: hold.reason.clone(),
                application_id: hold.application_id.clone(),
            })
            .collect(),
        mode: facts.status.mode,
        rotation_interval: facts.view.longest_life,
        checked: facts.standing.checked(),
    }
}

/// What is known before the driver has looked at anything.
pub fn starting(settings: &Settings) -> Snapshot {
    Snapshot {
        enabled: false,
        state: State::Starting,
        problems: BTreeSet::new(),
        advertising: false,
        scanning: false,
        simulated: false,
        adapters: Vec::new(),
        paused: Pause::No,
        holds: Vec::new(),
        mode: radio::Mode::default(),
        rotation_interval: settings.policy.period,
        checked: None,
    }
}

/// One line for `systemctl status`.
pub(super) fn status_line(snapshot: &Snapshot) -> String {
    let doing = match (snapshot.advertising, snapshot.scanning) {
        (true, true) => "broadcasting and listening",
        (true, false) => "broadcasting",
        (false, true) => "listening",
        (false, false) => "nothing on the air",
    };
    let state = match snapshot.state {
        State::Starting => "Starting",
        State::Running => "Running",
        State::Degraded => "Degraded",
        State::Paused => "Paused",
        State::Idle if !snapshot.enabled => "Idle, not enabled",
        State::Idle => "Idle, no adapter to use",
    };
    let simulated = if snapshot.simulated {
        " (simulated)"
    } else {
        ""
    };
    match snapshot.problems.len() {
        0 => format!("{state}: {doing}{simulated}"),
        1 => format!("{state}: {doing}{simulated}; 1 problem"),
        n => format!("{state}: {doing}{simulated}; {n} problems"),
    }
}

fn problems(facts: &Facts<'_>) -> BTreeSet<Problem> {
    let of_the_house = [
        (!facts.view.clock_trusted, Problem::ClockUnsynchronised),
        (facts.view.store_failing, Problem::StorageFull),
        (facts.corrupt, Problem::StorageCorrupt),
        (facts.view.crowded, Problem::Crowded),
        (facts.standing.stale(facts.now), Problem::ReportsStale),
        (facts.standing.failing(), Problem::SyncFailed),
    ];
    let house = of_the_house
        .into_iter()
        .filter_map(|(is, problem)| is.then_some(problem));
    facts
        .status
        .troubles
        .iter()
        .copied()
        .map(Problem::Radio)
        .chain(house)
        .collect()
}

fn state(facts: &Facts<'_>, problems: &BTreeSet<Problem>) -> State {
    if !facts.view.consent {
        return State::Idle;
    }
    if facts.view.pause != Pause::No {
        return State::Paused;
    }
    if !facts.radio_known {
        return State::Starting;
    }
    if facts.status.troubles.iter().copied().any(without_radio) {
        return State::Idle;
    }
    if problems.is_empty() {
        State::Running
    } else {
        State::Degraded
    }
}

/// Whether this trouble means that there is no radio to use at all.
const fn without_radio(trouble: Trouble) -> bool {
    match trouble {
        Trouble::BluetoothdMissing
        | Trouble::AdapterMissing
        | Trouble::AdapterOff
        | Trouble::AdapterBlocked => true,
        Trouble::AdvertiseUnsupported
        | Trouble::AdvertiseFailed
        | Trouble::AddressNotPrivate
        | Trouble::ScanFailed
        | Trouble::PrivacyOff
        | Trouble::PrivacyUnknown
        | Trouble::AddressHeld
        | Trouble::AddressOutOfStep
        | Trouble::BridgeUnavailable
        | Trouble::ConnectFailed => false,
    }
}
