//! When the parts of a report are uploaded.
//!
//! A report of a fortnight has up to 56 signed parts, and nothing in them says that they
//! belong to one person. Sent at once, from one address in one minute, they would reveal
//! that to the server and to any observer of the network. So the parts leave one at a time,
//! in random order, at random times over hours. They leave together only if the person asks
//! for it.

use std::time::Duration;

use rand_core::Rng;
use tcn_protocol::UnixTime;

use super::backoff::{Waits, up_to};

/// The time over which the parts of a report are spread: one interval of the servers, so
/// that most parts fall into another interval than the first.
pub const SPREAD: Duration = Duration::from_secs(6 * 3600);

/// The shortest and the longest time between two parts that are both due, as after a
/// night with the lid closed.
pub const GAP: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// How long to wait for the result of an upload before it is tried again: the process
/// that took the part may have been killed.
pub const RESULT_TIMEOUT: Duration = Duration::from_secs(900);

/// The waits after failures of an upload.
pub const RETRY: Waits = Waits {
    first: Duration::from_secs(300),
    longest: Duration::from_secs(6 * 3600),
    longest_asked: Duration::from_secs(6 * 3600),
};

/// No part is due later than this from now, unless the clock was ahead when it was
/// scheduled.
pub const LATEST_DUE: Duration = Duration::from_secs(SPREAD.as_secs() + GAP.1.as_secs());

/// Times for this number of parts, in ascending order: independent of each other, and
/// uniform over [`SPREAD`].
pub fn schedule(parts: usize, now: UnixTime, rng: &mut impl Rng) -> Vec<UnixTime> {
    let mut times: Vec<UnixTime> = (0..parts).map(|_| now.after(up_to(SPREAD, rng))).collect();
    times.sort_unstable();
    times
}

/// How long the next part waits after the one that has just left.
pub fn gap(rng: &mut impl Rng) -> Duration {
    let (least, most) = GAP;
    least + up_to(most - least, rng)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const NOW: UnixTime = UnixTime(1_795_000_000);

    proptest! {
        #[test]
        fn parts_leave_in_order_within_the_spread(seed: u64, parts in 0usize..200) {
            let times = schedule(parts, NOW, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert_eq!(times.len(), parts);
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|time| *time >= NOW && *time <= NOW.after(SPREAD)));
        }

        #[test]
        fn waits_grow_and_are_bounded(seed: u64, failures in 1u32..200, asked in 0u64..100_000) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let asked = Duration::from_secs(asked);
            let wait = RETRY.after(failures, Some(asked), &mut rng);
            prop_assert!(wait <= RETRY.longest);
            prop_assert!(wait >= asked.min(RETRY.longest));
            let whole = RETRY.first.as_secs_f64() * 2f64.powi(i32::try_from(failures - 1).unwrap());
            let whole = whole.min(RETRY.longest.as_secs_f64());
            prop_assert!(wait.as_secs_f64() >= (whole / 2.0).floor());
        }

        #[test]
        fn gaps_keep_their_bounds(seed: u64) {
            let gap = gap(&mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(GAP.0 <= gap && gap <= GAP.1);
        }
    }

    /// Of many parts about as many leave in each hour.
    #[test]
    fn no_hour_is_more_likely_than_another() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let times = schedule(60_000, NOW, &mut rng);
        for hour in 0..6 {
            let (from, to) = (NOW.0 + hour * 3600, NOW.0 + (hour + 1) * 3600);
            let count = times.iter().filter(|t| (from..to).contains(&t.0)).count();
            assert!((9_500..10_500).contains(&count), "{hour}: {count}");
        }
    }
}
