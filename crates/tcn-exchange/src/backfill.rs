//! Which intervals of a source are still to be fetched.
//!
//! Each interval counts by itself. One that was delivered whole is never asked for again.
//! One that failed is asked for until it leaves the window, and does not hold up the
//! others. The window covers the time that reports matter, from the first run on. So a new
//! installation, or a machine that was off for a fortnight, still gets all reports of that
//! time.

use std::collections::BTreeSet;
use std::time::Duration;

use tcn_protocol::UnixTime;

use super::interval::Interval;

/// How far back intervals are asked for: 14 days. After that, servers forget them.
pub const WINDOW: Duration = Duration::from_secs(14 * UnixTime::DAY);

/// The intervals to ask a source for at `now`, the oldest first: those of the window
/// that it did not deliver whole, and the current one.
pub fn pending(delivered: &BTreeSet<Interval>, now: UnixTime) -> Vec<Interval> {
    let first = oldest(now).number();
    let current = Interval::of(now).number();
    (first..=current)
        .filter_map(Interval::new)
        .filter(|interval| !delivered.contains(interval))
        .collect()
}

/// The oldest interval that is asked for at `now`. Older ones need not be remembered.
pub fn oldest(now: UnixTime) -> Interval {
    Interval::of(now.before(WINDOW)).max(Interval::FIRST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2020-11-23 19:00 UTC, in interval 74359.
    const NOW: UnixTime = UnixTime(1_606_158_000);

    fn numbers(intervals: &[Interval]) -> Vec<u64> {
        intervals.iter().map(|interval| interval.number()).collect()
    }

    #[test]
    fn a_first_run_asks_for_a_fortnight() {
        let first = pending(&BTreeSet::new(), NOW);
        let wanted: Vec<u64> = (74_303..=74_359).collect();
        assert_eq!(numbers(&first), wanted);
    }

    #[test]
    fn what_failed_is_asked_for_again_and_what_came_is_not() {
        let delivered = (74_303..74_359).filter(|number| *number != 74_310);
        let delivered = delivered.filter_map(Interval::new).collect();
        assert_eq!(numbers(&pending(&delivered, NOW)), [74_310, 74_359]);
    }

    #[test]
    fn nothing_is_asked_for_from_before_there_were_servers() {
        let start = Interval::FIRST.start();
        assert_eq!(pending(&BTreeSet::new(), start), [Interval::FIRST]);
        assert!(pending(&BTreeSet::new(), UnixTime(0)).is_empty());
    }

    proptest! {
        /// Whatever the clock does between runs, each interval that was over in
        /// the window is delivered once, or is still asked for.
        #[test]
        fn no_interval_is_lost(runs in prop::collection::vec((0u64..40 * 21_600, any::<u64>()), 1..40)) {
            let mut delivered = BTreeSet::new();
            let mut now = NOW;
            for (passed, fails) in runs {
                now = now.after(Duration::from_secs(passed));
                let asked = pending(&delivered, now);
                prop_assert!(asked.len() <= 57);
                prop_assert_eq!(asked.last(), Some(&Interval::of(now)));
                for (place, interval) in asked.iter().enumerate() {
                    prop_assert!(!delivered.contains(interval));
                    if interval.is_over(now) && fails >> (place % 64) & 1 == 0 {
                        delivered.insert(*interval);
                    }
                }
                let owed: BTreeSet<_> = pending(&delivered, now).into_iter().collect();
                let window = oldest(now).number()..=Interval::of(now).number();
                for interval in window.filter_map(Interval::new) {
                    prop_assert!(delivered.contains(&interval) || owed.contains(&interval));
                }
            }
        }
    }
}
