//! Short interruptions of the radio are not shown as changes of state.
//!
//! At each rotation the radio rests for up to two seconds, and neither the advert
//! nor discovery is there. Where discovery runs in windows, a controller takes a moment to
//! start it. Such an interruption is no fault, and it ends by itself. [`Steady`] shows the radio as it was meanwhile; what takes
//! longer than [`LONGEST`] is shown as it is. [`Complaints`] does the same for the
//! log: a store that refuses a batch every half minute says so once.
//!
//! Pure: time is an argument.

use std::time::Duration;

use tcn_engine::{Cadence, Moment, Pause, View};
use tcn_protocol::UnixTime;

use super::clock;
use crate::radio::{Adapter, Status};

/// How long a handover may be told as no change: the random silence of two
/// seconds, and twice what BlueZ and a slow disk were seen to take.
const LONGEST: Duration = Duration::from_secs(10);

/// Shows the radio without the gap between two numbers.
#[derive(Debug, Default)]
pub(super) struct Steady {
    /// What was shown last.
    shown: Status,
    /// Since when it is shown though it is not so.
    since: Option<Duration>,
}

impl Steady {
    /// The status to show at `boot`, by the boot-time clock.
    pub(super) fn show(&mut self, view: &View, status: &Status, boot: Duration) -> &Status {
        let since = self.since.unwrap_or(boot);
        if is_gap(view, &self.shown, status) && boot < since + LONGEST {
            self.since = Some(since);
            self.shown = bridged(&self.shown, status);
        } else {
            self.since = None;
            self.shown = status.clone();
        }
        &self.shown
    }

    /// When what is shown has to be looked at again.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.since.map(|since| since + LONGEST)
    }
}

/// Whether less is there than was shown, and that is what a handover looks like, or the start
/// of a window.
fn is_gap(view: &View, shown: &Status, status: &Status) -> bool {
    let silent = shown.advertising && !status.advertising;
    let deaf = shown.scanning && !status.scanning;
    let listens = view.consent && view.pause == Pause::No;
    let windows = listens && view.cadence.0 != Cadence::Continuous;
    let passing = view.handover || (windows && !silent);
    // A problem that was there before is no sign of a loss.
    let known = |problem| shown.problems.contains_key(problem);
    (silent || deaf) && passing && status.problems.keys().all(known)
}

/// The status as it is, but for what comes back with the next number.
fn bridged(shown: &Status, status: &Status) -> Status {
    let adapter = |adapter: &Adapter| {
        let before = shown.adapters.iter().find(|a| a.name == adapter.name);
        Adapter {
            instances_free: before.map_or(adapter.instances_free, |a| a.instances_free),
            ..adapter.clone()
        }
    };
    Status {
        advertising: shown.advertising || status.advertising,
        scanning: shown.scanning || status.scanning,
        adapters: status.adapters.iter().map(adapter).collect(),
        ..status.clone()
    }
}

/// When the number on the air was put there, the same each time it is asked.
#[derive(Debug, Default)]
pub(super) struct Airing(Option<(Duration, UnixTime)>);

impl Airing {
    /// By the wall clock; of the number before, until the next one is there.
    pub(super) fn see(&mut self, view: &View, now: Moment) -> Option<UnixTime> {
        self.0 = match (self.0, view.airing_since) {
            (Some(known), Some(since)) if known.0 == since => Some(known),
            (_, Some(since)) => Some((since, clock::wall_at(now, since))),
            (known, None) => known.filter(|_| view.handover),
        };
        self.0.map(|(_, wall)| wall)
    }

    /// The wall clock was set: says the time by the new one.
    pub(super) fn redate(&mut self, now: Moment) {
        if let Some((since, wall)) = &mut self.0 {
            *wall = clock::wall_at(now, *since);
        }
    }
}

/// What the log was told of the store, so that each cause is told once.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    contacts: Option<String>,
    records: Option<String>,
}

impl Complaints {
    /// Whether this fault of a batch of contacts, or of records, is news.
    pub(super) fn is_new(&mut self, contacts: bool, fault: &impl ToString) -> bool {
        let fault = Some(fault.to_string());
        let told = self.of(contacts);
        std::mem::replace(told, fault.clone()) != fault
    }

    /// The last error, of records before contacts.
    pub(super) fn last(&self) -> Option<&str> {
        self.records.as_deref().or(self.contacts.as_deref())
    }

    /// The next fault is news again, once one of this kind succeeded.
    pub(super) fn succeeded(&mut self, contacts: bool) {
        *self.of(contacts) = None;
    }

    fn of(&mut self, contacts: bool) -> &mut Option<String> {
        if contacts {
            &mut self.contacts
        } else {
            &mut self.records
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tcn_engine::{CadenceReason, Engine, KeyId, Policy};
    use tcnd_client::Problem;

    use super::*;
    use crate::radio::AddressKind;

    fn view(handover: bool) -> View {
        let now = Moment::new(Duration::ZERO, UnixTime(2_000_000_000));
        let engine = Engine::new(now, Policy::default(), KeyId(1), []);
        View {
            handover,
            ..engine.view(now)
        }
    }

    fn status(on: bool) -> Status {
        let adapter = Adapter {
            name: "hci0".to_owned(),
            powered: true,
            selected: true,
            can_advertise: true,
            address: AddressKind::NonResolvable,
            instances_free: if on { 4 } else { 5 },
            recoveries: 0,
            last_problem: None,
        };
        Status {
            advertising: on,
            scanning: on,
            adapters: vec![adapter],
            ..Status::default()
        }
    }

    const T: Duration = Duration::from_secs(1000);

    #[test]
    fn a_rotation_is_no_change() {
        let mut steady = Steady::default();
        let on = status(true);
        assert_eq!(steady.show(&view(true), &status(false), T), &status(false));
        assert_eq!(steady.show(&view(true), &on, T), &on);
        let second = Duration::from_secs(1);
        assert_eq!(steady.show(&view(true), &status(false), T + second), &on);
        let deaf = Status {
            scanning: false,
            ..status(true)
        };
        assert_eq!(steady.show(&view(true), &deaf, T + 2 * second), &on);
        assert_eq!(steady.show(&view(true), &on, T + 3 * second), &on);
        assert_eq!(steady.next_look(), None);
    }

    #[test]
    fn the_start_of_a_window_is_no_change() {
        let windows = View {
            cadence: (Cadence::Windows, CadenceReason::Battery),
            consent: true,
            ..view(false)
        };
        let mut steady = Steady::default();
        let on = status(true);
        let deaf = Status {
            scanning: false,
            ..status(true)
        };
        steady.show(&windows, &on, T);
        assert_eq!(steady.show(&windows, &deaf, T), &on);
        assert_eq!(steady.show(&windows, &deaf, T + LONGEST), &deaf);
        // A problem that lasts is no sign of a loss, and a pause by a person is no window.
        let hampered = |status: Status| Status {
            problems: BTreeMap::from([(Problem::BridgeUnavailable, String::new())]),
            ..status
        };
        steady.show(&windows, &hampered(on.clone()), T);
        assert!(steady.show(&windows, &hampered(deaf.clone()), T).scanning);
        steady.show(&windows, &on, T);
        let paused = View {
            pause: Pause::UntilResumed,
            ..windows
        };
        assert!(!steady.show(&paused, &deaf, T).scanning);
        // An advert that is lost is told at once.
        assert_eq!(steady.show(&windows, &on, T + LONGEST), &on);
        let silent = status(false);
        assert_eq!(steady.show(&windows, &silent, T + LONGEST), &silent);
    }

    #[test]
    fn what_lasts_is_told() {
        let mut steady = Steady::default();
        let on = status(true);
        steady.show(&view(true), &on, T);
        assert_eq!(steady.show(&view(true), &status(false), T), &on);
        let look = steady.next_look().unwrap();
        assert_eq!(look, T + LONGEST);
        assert_eq!(
            steady.show(&view(true), &status(false), look),
            &status(false)
        );
        assert_eq!(steady.next_look(), None);
    }

    #[test]
    fn a_pause_and_a_trouble_are_told_at_once() {
        let on = status(true);
        let mut steady = Steady::default();
        steady.show(&view(true), &on, T);
        assert_eq!(steady.show(&view(false), &status(false), T), &status(false));
        steady.show(&view(true), &on, T);
        let failed = Status {
            problems: BTreeMap::from([(Problem::AdvertiseFailed, String::new())]),
            ..status(false)
        };
        assert_eq!(steady.show(&view(true), &failed, T), &failed);
    }

    #[test]
    fn the_time_of_a_number_stays_while_it_is_there() {
        let mut airing = Airing::default();
        let at = |seconds| {
            Moment::new(
                T + Duration::from_secs(seconds),
                UnixTime(2_000_000_000 + seconds),
            )
        };
        let on = |since| View {
            airing_since: since,
            ..view(true)
        };
        let first = Some(UnixTime(2_000_000_000));
        assert_eq!(airing.see(&on(Some(T)), at(3)), first);
        // However the clocks drift apart.
        let drifted = Moment {
            wall: UnixTime(2_000_000_009),
            ..at(8)
        };
        assert_eq!(airing.see(&on(Some(T)), drifted), first);
        assert_eq!(
            airing.see(&on(None), at(9)),
            first,
            "until the next is there"
        );
        let second = T + Duration::from_secs(10);
        let next = Some(UnixTime(2_000_000_010));
        assert_eq!(airing.see(&on(Some(second)), at(10)), next);
        let paused = View {
            airing_since: None,
            ..view(false)
        };
        assert_eq!(airing.see(&paused, at(11)), None);
    }

    #[test]
    fn each_cause_is_told_once_until_its_kind_succeeds() {
        let mut complaints = Complaints::default();
        assert!(complaints.is_new(false, &"fsync failed"));
        assert!(!complaints.is_new(false, &"fsync failed"));
        // Contacts need no fsync, so that they are written says nothing of it.
        complaints.succeeded(true);
        assert!(!complaints.is_new(false, &"fsync failed"));
        assert!(complaints.is_new(false, &"no space"));
        assert!(complaints.is_new(true, &"no space"));
        complaints.succeeded(false);
        assert!(complaints.is_new(false, &"no space"));
    }
}
