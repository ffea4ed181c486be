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

/// The time over which the parts of a report are spread: one interval of the servers, so
/// that most parts fall into another interval than the first.
pub const SPREAD: Duration = Duration::from_secs(6 * 3600);

/// The shortest and the longest time between two parts that are both due, as after a
/// night with the lid closed.
pub const GAP: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// How long to wait for the result of an upload before it is tried again: the process
/// that took the part may have been killed.
pub const RESULT_TIMEOUT: Duration = Duration::from_secs(900);

/// The first wait after a failure; each further one doubles it, up to
/// [`LONGEST_WAIT`].
pub const FIRST_WAIT: Duration = Duration::from_secs(300);

/// The longest wait after a failure.
pub const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

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

/// How long to wait after `failures` failed tries; not shorter than the server asked
/// for. Between half and all of the doubled time, so that machines that failed together
/// do not come back together.
pub fn wait(failures: u32, asked: Option<Duration>, rng: &mut impl Rng) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(0);
    let whole = match doubled {
        0 => LONGEST_WAIT,
        times => FIRST_WAIT.saturating_mul(times).min(LONGEST_WAIT),
    };
    let wait = whole / 2 + up_to(whole / 2, rng);
    wait.max(asked.unwrap_or_default().min(LONGEST_WAIT))
}

/// A whole number of seconds from 0 to `most`. The bias of the remainder is below 10⁻¹⁴.
fn up_to(most: Duration, rng: &mut impl Rng) -> Duration {
    Duration::from_secs(rng.next_u64() % (most.as_secs() + 1))
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
            let wait = wait(failures, Some(asked), &mut rng);
            prop_assert!(wait <= LONGEST_WAIT);
            prop_assert!(wait >= asked.min(LONGEST_WAIT));
            let whole = FIRST_WAIT.as_secs_f64() * 2f64.powi(i32::try_from(failures - 1).unwrap());
            let whole = whole.min(LONGEST_WAIT.as_secs_f64());
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
