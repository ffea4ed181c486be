//! Times in which discovery did not run, as far as they bear on contacts.
//!
//! While discovery pauses, tcnd does not notice who comes and who leaves. A number that is
//! heard at once when discovery runs again may have come at any time in the pause, and one
//! that is no longer heard may have left at any time in it. [`Unheard`] keeps these seconds
//! with the contact.
//!
//! A pause counts whatever the reason: a window that ended, or the time between two of our
//! own numbers. One longer than [`LONGEST_PAUSE`] does not: tcnd was then not listening, and
//! claims nothing of that time.

use std::time::Duration;

use super::Moment;

/// The longest pause that counts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Three adverts at the longest interval that phones use, 1285 ms (Apple, Accessory Design
/// Guidelines, "Advertising Interval").
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// Sightings come up to 200 ms late, so shorter times say little.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The time of discovery within which a neighbour is heard that airs at this interval: three
/// adverts. With a tenth of them lost, that fails for one neighbour in a thousand.
pub(super) fn heard_within(interval: Option<Duration>) -> Duration {
    interval.map_or(LONGEST_WAIT, |interval| {
        (3 * interval).clamp(SHORTEST_WAIT, LONGEST_WAIT)
    })
}

/// How much longer than it was heard a number may have been near, in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unheard {
    /// Before the first sighting.
    pub before: u8,
    /// After the last sighting.
    pub after: u8,
}

/// When discovery ran last, and since when it runs.
#[derive(Debug, Default)]
pub(super) struct DiscoveryTimes {
    stopped: Option<Duration>,
    started: Option<Duration>,
}

impl DiscoveryTimes {
    /// Notes whether discovery runs now; true if that is a change.
    pub(super) fn change(&mut self, now: Moment, runs: bool) -> bool {
        match (self.started, runs) {
            (None, true) => self.started = Some(now.boot),
            (Some(_), false) => (self.started, self.stopped) = (None, Some(now.boot)),
            (None, false) | (Some(_), true) => return false,
        }
        true
    }

    /// For how long a number may have been near that was heard first at `first`, by the boot
    /// clock, in this window or this pause, and airs at this interval if that is known.
    pub(super) fn before(&self, first: Duration, interval: Option<Duration>) -> u8 {
        match (self.stopped, self.started) {
            (Some(stopped), None) => pause(stopped, first),
            (Some(stopped), Some(started)) if first < started + heard_within(interval) => {
                match pause(stopped, started) {
                    0 => 0,
                    _ => seconds(first.saturating_sub(stopped)),
                }
            }
            (_, _) => 0,
        }
    }

    /// Whether discovery runs, and ran at this time already.
    pub(super) fn ran_since(&self, time: Duration) -> bool {
        self.started.is_some_and(|started| started <= time)
    }

    /// For how long a number that was heard last at `last` may have been near since, if it is
    /// not heard any more now that discovery runs again, and aired at this interval if that is
    /// known.
    pub(super) fn after(&self, last: Duration, interval: Option<Duration>) -> u8 {
        let (Some(stopped), Some(started)) = (self.stopped, self.started) else {
            return 0;
        };
        match pause(stopped, started) {
            0 => 0,
            _ if last + heard_within(interval) < stopped => 0,
            _ => seconds(started.saturating_sub(last)),
        }
    }
}

/// A pause that counts, in seconds; 0 if it does not.
fn pause(from: Duration, to: Duration) -> u8 {
    let length = to.saturating_sub(from);
    if length > LONGEST_PAUSE {
        return 0;
    }
    seconds(length)
}

/// Whole seconds, rounded.
fn seconds(length: Duration) -> u8 {
    u8::try_from((length + Duration::from_millis(500)).as_secs()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use tcn_protocol::UnixTime;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::new(Duration::from_millis(millis), UnixTime(1_800_000_000))
    }

    /// Discovery ran until 100 s, and again from 120 s on.
    fn paused() -> DiscoveryTimes {
        let mut times = DiscoveryTimes::default();
        times.change(at(50_000), true);
        times.change(at(100_000), false);
        times.change(at(120_000), true);
        times
    }

    #[test]
    fn who_is_heard_at_once_may_have_come_in_the_pause() {
        let before = |millis, interval| paused().before(at(millis).boot, interval);
        assert_eq!(before(120_000, None), 20);
        assert_eq!(before(123_900, None), 24);
        assert_eq!(before(124_000, None), 0, "it came while discovery ran");
        let fast = Some(Duration::from_millis(400));
        assert_eq!(before(121_100, fast), 21);
        assert_eq!(before(121_200, fast), 0);
    }

    #[test]
    fn who_was_heard_to_the_end_may_have_left_in_the_pause() {
        let after = |millis, interval| paused().after(Duration::from_millis(millis), interval);
        assert_eq!(after(100_000, None), 20);
        assert_eq!(after(96_000, None), 24);
        assert_eq!(after(95_999, None), 0, "it left while discovery ran");
        let fast = Some(Duration::from_millis(10));
        assert_eq!((after(99_000, fast), after(98_999, fast)), (21, 0));
    }

    #[test]
    fn what_is_heard_in_a_pause_counts_from_its_start() {
        let mut times = paused();
        times.change(at(125_000), false);
        assert_eq!(times.before(at(125_200).boot, None), 0, "it was on its way");
        assert_eq!(times.before(at(135_000).boot, None), 10);
    }

    #[test]
    fn time_without_listening_claims_nothing() {
        let mut times = DiscoveryTimes::default();
        let before = |times: &DiscoveryTimes, millis| times.before(at(millis).boot, None);
        assert_eq!(before(&times, 1000), 0);
        times.change(at(2000), true);
        assert_eq!(before(&times, 2001), 0, "it never ran before");
        times.change(at(10_000), false);
        assert_eq!(before(&times, 70_001), 0);
        times.change(at(70_001), true);
        assert_eq!(before(&times, 70_002), 0);
        assert_eq!(times.after(Duration::from_secs(10), None), 0);
    }
}
