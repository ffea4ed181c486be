//! When discovery runs: all the time, or in windows.
//!
//! Discovery costs power, and disturbs sound and the devices that share the adapter. It may
//! pause: a number is on the air for minutes, and is heard within seconds. So discovery runs
//! in windows where that is of use. The pauses are short enough that a contact of a minute is
//! heard at least twice (`tests/simulation`), and random, so that the windows of two machines
//! do not fall into step, and the windows under one number tell nothing of those under the
//! next.
//!
//! A window begins with each number, since a controller needs discovery to start before the
//! advert (`radio::bluez`), and lasts from when the radio says that discovery runs. That ends
//! the windows of the number before: were they to go on, or the first window to wait until a
//! pause is over, the times under one number would follow from those under the other.

use std::time::Duration;

use rand_core::CryptoRng;

use super::{Cadence, Moment, Order, Output};
use crate::rotation::random_up_to;

/// Where the windows are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listening {
    /// Nothing is heard, and nothing is to be.
    #[default]
    Off,
    /// Discovery was ordered, and does not run yet.
    Starting,
    /// Discovery runs since this time.
    Open(Duration),
    /// Discovery pauses until this time.
    Paused(Duration),
}

impl Listening {
    /// The state after the radio was given other orders, or after time passed. `active`: the
    /// radio is to listen now. `ordered`: an order was given that starts discovery.
    pub(super) fn step<R: CryptoRng>(
        self,
        now: Moment,
        (active, ordered): (bool, bool),
        cadence: Cadence,
        rng: &mut R,
        out: &mut Vec<Output>,
    ) -> Self {
        match self {
            _ if !active => Self::Off,
            _ if ordered => Self::Starting,
            Self::Off => Self::Starting,
            Self::Open(_) if self.timeout(cadence).is_some_and(|ends| now.boot >= ends) => {
                out.push(Output::Radio(Order::StopDiscovery));
                let pause = cadence.longest_pause() - random_up_to(cadence.pause_jitter(), rng);
                Self::Paused(now.boot + pause)
            }
            Self::Paused(_) if self.timeout(cadence).is_none_or(|ends| now.boot >= ends) => {
                out.push(Output::Radio(Order::StartDiscovery));
                Self::Starting
            }
            // The cadence may be another by now.
            Self::Paused(until) => Self::Paused(until.min(now.boot + cadence.longest_pause())),
            Self::Starting | Self::Open(_) => self,
        }
    }

    /// Whether discovery runs.
    pub(super) const fn runs(self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// The radio says that discovery runs.
    pub(super) fn started(self, now: Moment) -> Self {
        match self {
            Self::Starting => Self::Open(now.boot),
            Self::Off | Self::Open(_) | Self::Paused(_) => self,
        }
    }

    /// When this has to be evaluated again.
    pub(super) fn timeout(self, cadence: Cadence) -> Option<Duration> {
        match self {
            Self::Off | Self::Starting => None,
            Self::Open(since) => cadence.window().map(|window| since + window),
            Self::Paused(until) => cadence.window().map(|_| until),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use tcn_protocol::UnixTime;

    use super::*;

    fn at(boot: Duration) -> Moment {
        Moment::new(boot, UnixTime(2_000_000_000))
    }

    /// Ends of the windows and of the pauses, for as long, by a controller that needs `slow`
    /// to start.
    fn run(cadence: Cadence, seed: u64, slow: Duration, length: Duration) -> Vec<(bool, Duration)> {
        run_after(Listening::default(), cadence, seed, slow, length)
    }

    /// The same, where a number comes in this state.
    fn run_after(
        mut listening: Listening,
        cadence: Cadence,
        seed: u64,
        slow: Duration,
        length: Duration,
    ) -> Vec<(bool, Duration)> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut changes = Vec::new();
        let (mut now, mut ordered) = (Duration::from_secs(100), true);
        while now < length {
            let mut out = Vec::new();
            listening = listening.step(at(now), (true, ordered), cadence, &mut rng, &mut out);
            ordered = false;
            match out.as_slice() {
                [Output::Radio(Order::StopDiscovery)] => changes.push((false, now)),
                [Output::Radio(Order::StartDiscovery)] => changes.push((true, now)),
                [] => {}
                other => panic!("{other:?}"),
            }
            now = match listening {
                Listening::Starting => {
                    listening = listening.started(at(now + slow));
                    now + slow
                }
                Listening::Off | Listening::Open(_) | Listening::Paused(_) => {
                    match listening.timeout(cadence) {
                        Some(next) => next,
                        None => break,
                    }
                }
            };
        }
        changes
    }

    /// Any state in which a number may come.
    fn states() -> impl Strategy<Value = Listening> {
        let times = || (70_000_u64..130_000).prop_map(Duration::from_millis);
        prop_oneof![
            Just(Listening::Off),
            Just(Listening::Starting),
            times().prop_map(Listening::Open),
            times().prop_map(Listening::Paused),
        ]
    }

    proptest! {
        #[test]
        fn the_windows_under_a_number_do_not_depend_on_those_before(
            before in states(),
            seed: u64,
            short: bool,
        ) {
            let cadence = if short { Cadence::ShortWindows } else { Cadence::Windows };
            let (slow, length) = (Duration::from_millis(200), Duration::from_secs(1000));
            let after = run_after(before, cadence, seed, slow, length);
            prop_assert_eq!(after, run(cadence, seed, slow, length));
        }

        #[test]
        fn windows_and_pauses_are_as_long_as_they_say(seed: u64, slow in 0_u64..4000, short: bool) {
            let cadence = if short { Cadence::ShortWindows } else { Cadence::Windows };
            let slow = Duration::from_millis(slow);
            let changes = run(cadence, seed, slow, Duration::from_secs(2000));
            prop_assert!(changes.len() > 60);
            for pair in changes.windows(2) {
                let ((_, from), (starts, to)) = (pair[0], pair[1]);
                let length = to - from;
                if starts {
                    let longest = cadence.longest_pause();
                    prop_assert!(length <= longest && length >= longest - cadence.pause_jitter());
                } else {
                    prop_assert_eq!(Some(length - slow), cadence.window());
                }
            }
        }
    }

    #[test]
    fn the_pauses_of_two_machines_differ() {
        let length = Duration::from_secs(2000);
        let one = run(Cadence::Windows, 1, Duration::ZERO, length);
        let other = run(Cadence::Windows, 2, Duration::ZERO, length);
        let same = one.iter().filter(|change| other.contains(change)).count();
        // Both begin with the same window.
        assert!(same <= 1, "{same} of {}", one.len());
    }

    #[test]
    fn without_windows_discovery_does_not_pause() {
        let long = Duration::from_secs(1_000_000);
        assert_eq!(run(Cadence::Continuous, 1, Duration::ZERO, long), []);
    }

    #[test]
    fn a_cadence_without_windows_ends_a_pause_at_once() {
        let (mut rng, mut out) = (ChaCha20Rng::seed_from_u64(1), Vec::new());
        let now = at(Duration::from_secs(100));
        let paused = Listening::Paused(now.boot + Duration::from_secs(20));
        let mut step = |listening: Listening, active, cadence| {
            out.clear();
            let next = listening.step(now, (active, false), cadence, &mut rng, &mut out);
            (next, out.len())
        };
        assert_eq!(step(paused, true, Cadence::Windows), (paused, 0));
        let sooner = Listening::Paused(now.boot + Cadence::ShortWindows.longest_pause());
        assert_eq!(step(paused, true, Cadence::ShortWindows), (sooner, 0));
        let started = (Listening::Starting, 1);
        assert_eq!(step(paused, true, Cadence::Continuous), started);
        assert_eq!(
            step(paused, false, Cadence::Continuous),
            (Listening::Off, 0)
        );
    }
}
