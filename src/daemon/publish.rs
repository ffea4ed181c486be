//! What everyone may know, put together from what the rooms say of themselves.
//!
//! Pure: the same facts always make the same snapshot, and nothing secret is
//! among the facts.

use std::collections::BTreeSet;

use tcn_engine::{Holds, Pause, View};
use tcn_protocol::UnixTime;
use tcnd_config::Settings;

use super::exchange::Standing;
use super::{Consent, Hold, Problem, Snapshot, State};
use crate::radio::{self, Trouble};

pub(super) struct Facts<'a> {
    pub(super) view: View,
    pub(super) consent: Consent,
    /// When the number on the air was put there.
    pub(super) airing_since: Option<UnixTime>,
    /// As it is to be shown, see [`Steady`](super::steady::Steady).
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
        consent: facts.consent,
        airing_since: facts.airing_since.filter(|_| facts.status.advertising),
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
        consent: Consent::Never,
        airing_since: None,
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
        (facts.view.clock.is_some(), Problem::ClockUnsynchronised),
        (facts.view.store_failing, Problem::StorageFull),
        (facts.corrupt, Problem::StorageCorrupt),
        (facts.view.table_full, Problem::Crowded),
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
    if !problems.is_empty() {
        return State::Degraded;
    }
    // Nothing is wrong and nothing is there: it is on its way.
    if facts.status.advertising || facts.status.scanning {
        State::Running
    } else {
        State::Starting
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tcn_engine::{Engine, KeyId, Moment, Policy};

    use super::*;
    use crate::radio::Status;

    const NOW: Moment = Moment {
        boot: Duration::from_secs(1000),
        wall: UnixTime(2_000_000_000),
    };

    /// The state of a daemon with consent, by what its radio and its store say.
    fn state_of(status: &Status, store_failing: bool) -> State {
        let engine = Engine::new(NOW, Policy::default(), KeyId(1), []);
        let facts = Facts {
            view: View {
                consent: true,
                store_failing,
                ..engine.view(NOW)
            },
            consent: Consent::Given,
            airing_since: None,
            status,
            radio_known: true,
            corrupt: false,
            holds: &Holds::default(),
            standing: &Standing::default(),
            now: NOW.wall,
        };
        snapshot(&facts).state
    }

    #[test]
    fn it_does_not_run_while_nothing_is_there() {
        let nothing = Status::default();
        assert_eq!(state_of(&nothing, false), State::Starting);
        assert_eq!(state_of(&nothing, true), State::Degraded);
        let listening = Status {
            scanning: true,
            ..Status::default()
        };
        assert_eq!(state_of(&listening, false), State::Running);
    }
}
