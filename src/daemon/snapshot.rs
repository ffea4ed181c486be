//! The public state of the daemon, put together from what radio, engine and store say.
//!
//! Pure: the same input always makes the same snapshot, and the input has nothing
//! secret.

use std::collections::BTreeMap;
use std::time::Duration;

use tcn_engine::{Cadence, CadenceReason, Holds, ListenConditions, Moment, Pause, View};
use tcn_protocol::UnixTime;
use tcnd_client::Problem;
use tcnd_config::Settings;

use super::problem_times::{ProblemDetails, ProblemTimes};
use super::sync_status::SyncStatus;
use crate::radio;

/// All that is public of the daemon at one instant. It holds no number, no
/// key, no contact and no address: whatever is in here may reach everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Consent was given, by `Enable` or by the configuration.
    pub enabled: bool,
    /// How it came to that.
    pub consent: Consent,
    /// The one-word answer.
    pub state: State,
    /// Everything that is wrong now.
    pub problems: BTreeMap<Problem, ProblemDetails>,
    /// The mode in effect.
    pub mode: radio::Mode,
    /// Our advert is on the air, verified.
    pub advertising: bool,
    /// When the number on the air was put there; `None` if none is.
    pub airing_since: Option<UnixTime>,
    /// Discovery runs, verified, or pauses between two windows.
    pub scanning: bool,
    /// How discovery runs while it does, and why.
    pub cadence: (Cadence, CadenceReason),
    /// The neighbourhood is simulated.
    pub simulated: bool,
    /// All adapters, by name.
    pub adapters: Vec<radio::Adapter>,
    /// When the pause ends.
    pub paused: Pause,
    /// Who holds the pause.
    pub holds: Vec<Hold>,
    /// Longest life of one number on the air.
    pub rotation_interval: Duration,
    /// How long contacts are kept.
    pub retention: Duration,
    /// Sources of reports that the last run of tcnd-sync named.
    pub report_sources: usize,
    /// When all sources of reports had been checked without a problem.
    pub checked: Option<UnixTime>,
}

/// Who decided that broadcasting is allowed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// No decision yet.
    Never,
    /// A client allowed it, by `Enable`.
    Given,
    /// A client withdrew it, by `Disable`.
    Withdrawn,
    /// The configuration, with `enabled`.
    Configured,
}

/// The daemon's state in a word. There is none for what cannot mend by itself:
/// then the process ends, see [`Error`](super::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not ready yet.
    Starting,
    /// Broadcasting and listening, nothing wrong.
    Running,
    /// Enabled, but not all of it works; see the problems.
    Degraded,
    /// Paused by a client.
    Paused,
    /// Not enabled, or no adapter to use.
    Idle,
}

/// One of the pauses that are held at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What ends it.
    pub cookie: u32,
    /// When it ends.
    pub until: Pause,
    /// Why, as its holder gave it, at most 256 bytes.
    pub reason: String,
    /// Desktop file name of the holder, at most 256 bytes.
    pub application_id: String,
}

/// What a snapshot is made of.
pub(super) struct SnapshotInput<'a> {
    pub(super) view: View,
    pub(super) consent: Consent,
    /// How long contacts are kept.
    pub(super) retention: Duration,
    /// When the number on the air was put there.
    pub(super) airing_since: Option<UnixTime>,
    /// As it is to be shown, see [`Steady`](super::steady::Steady).
    pub(super) status: &'a radio::Status,
    /// The radio has spoken since the start.
    pub(super) radio_known: bool,
    /// A damaged database was set aside.
    pub(super) corrupt: bool,
    /// The error that the store failed with.
    pub(super) store_error: Option<&'a str>,
    pub(super) holds: &'a Holds,
    pub(super) sync_status: &'a SyncStatus,
    pub(super) now: Moment,
}

pub(super) fn snapshot(input: &SnapshotInput<'_>, since: &mut ProblemTimes) -> Snapshot {
    let problems = since.date(problems(input), input.now);
    Snapshot {
        enabled: input.view.consent,
        consent: input.consent,
        airing_since: input.airing_since.filter(|_| input.status.advertising),
        state: state(input, &problems),
        problems,
        advertising: input.status.advertising,
        scanning: input.status.scanning,
        cadence: input.view.cadence,
        simulated: input.status.simulated,
        adapters: input.status.adapters.clone(),
        paused: input.view.pause,
        holds: input
            .holds
            .iter()
            .map(|(cookie, hold)| Hold {
                cookie,
                until: hold.pause(),
                reason: hold.reason.clone(),
                application_id: hold.application_id.clone(),
            })
            .collect(),
        mode: input.status.mode,
        rotation_interval: input.view.longest_life,
        retention: input.retention,
        report_sources: input.sync_status.sources.len(),
        checked: input.sync_status.checked(),
    }
}

/// What is known before the driver has looked at anything.
pub fn starting(settings: &Settings) -> Snapshot {
    Snapshot {
        enabled: false,
        consent: Consent::Never,
        airing_since: None,
        state: State::Starting,
        problems: BTreeMap::new(),
        advertising: false,
        scanning: false,
        cadence: settings.policy.listen.cadence(ListenConditions::default()),
        simulated: false,
        adapters: Vec::new(),
        paused: Pause::No,
        holds: Vec::new(),
        mode: radio::Mode::default(),
        rotation_interval: settings.policy.period,
        retention: settings.policy.retention,
        report_sources: 0,
        checked: None,
    }
}

/// Who decided about consent: the configuration, or a client on the bus.
pub(super) fn consent_of(settings: &Settings, decided: Option<bool>) -> Consent {
    match (settings.consent, decided) {
        (Some(_), _) => Consent::Configured,
        (None, None) => Consent::Never,
        (None, Some(true)) => Consent::Given,
        (None, Some(false)) => Consent::Withdrawn,
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

/// The current problems, each with its detail.
fn problems(input: &SnapshotInput<'_>) -> BTreeMap<Problem, String> {
    let own = [
        (input.view.clock.is_some(), Problem::ClockUnsynchronised),
        (input.view.store_failing, Problem::StorageFull),
        (input.corrupt, Problem::StorageCorrupt),
        (input.view.table_full, Problem::Crowded),
        (
            input.sync_status.stale(input.now.wall),
            Problem::ReportsStale,
        ),
        (input.sync_status.failing(), Problem::SyncFailed),
    ];
    let detail = |problem| {
        let error = input
            .store_error
            .filter(|_| problem == Problem::StorageFull);
        error.unwrap_or_default().to_owned()
    };
    let own = own.into_iter().filter(|(is, _)| *is);
    let own = own.map(|(_, problem)| (problem, detail(problem)));
    input
        .status
        .problems
        .clone()
        .into_iter()
        .chain(own)
        .collect()
}

fn state(input: &SnapshotInput<'_>, problems: &BTreeMap<Problem, ProblemDetails>) -> State {
    if !input.view.consent {
        return State::Idle;
    }
    if input.view.pause != Pause::No {
        return State::Paused;
    }
    if !input.radio_known {
        return State::Starting;
    }
    if input
        .status
        .problems
        .keys()
        .any(|problem| without_radio(*problem))
    {
        return State::Idle;
    }
    if !problems.is_empty() {
        return State::Degraded;
    }
    // Nothing is wrong and nothing is there: it is on its way.
    if input.status.advertising || input.status.scanning {
        State::Running
    } else {
        State::Starting
    }
}

/// Whether this problem means that there is no radio to use at all.
const fn without_radio(problem: Problem) -> bool {
    matches!(
        problem,
        Problem::BluetoothdMissing
            | Problem::AdapterMissing
            | Problem::AdapterOff
            | Problem::AdapterBlocked
    )
}

#[cfg(test)]
mod tests {
    use tcn_engine::{Engine, KeyId, Policy};

    use super::*;
    use crate::radio::Status;

    const NOW: Moment = Moment::new(Duration::from_secs(1000), UnixTime(2_000_000_000));

    /// The state of a daemon with consent, by what its radio and its store say.
    fn state_of(status: &Status, store_failing: bool) -> State {
        let engine = Engine::new(NOW, Policy::default(), KeyId(1), []);
        let input = SnapshotInput {
            view: View {
                consent: true,
                store_failing,
                ..engine.view(NOW)
            },
            consent: Consent::Given,
            retention: Policy::default().retention,
            airing_since: None,
            status,
            radio_known: true,
            corrupt: false,
            store_error: None,
            holds: &Holds::default(),
            sync_status: &SyncStatus::default(),
            now: NOW,
        };
        snapshot(&input, &mut ProblemTimes::default()).state
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
