//! When a failed source is asked again.
//!
//! Not at once, for it may be overloaded. Not never, for intervals are kept fourteen days.
//! And not at a fixed delay, for thousands of machines met the same failure at the same
//! time. So the wait doubles with each failure, and a random part of it is left out.

use std::time::Duration;

use rand_core::Rng;
use tcn_protocol::UnixTime;

/// The longest wait after a first failure.
pub const FIRST: Duration = Duration::from_secs(15 * 60);

/// The longest wait of all: short enough that no interval of the fourteen days is missed.
pub const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The longest wait that a server may ask for.
pub const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// The failures of a source, as they are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Failures since the last success.
    pub failures: u32,
    /// The source is not asked before this time.
    pub until: UnixTime,
}

impl Backoff {
    /// After one more failure. `asked` is the wait that the server asked for.
    #[must_use]
    pub fn failed(self, now: UnixTime, asked: Option<Duration>, rng: &mut impl Rng) -> Self {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
        let wait = doubled.min(LONGEST).as_secs();
        let wait = wait - below(wait / 2 + 1, rng);
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED).as_secs();
        Self {
            failures: self.failures.saturating_add(1),
            until: now.after(Duration::from_secs(wait.max(asked))),
        }
    }

    /// Whether the source is left alone at `now`. A clock that was set back must not make
    /// this last for years.
    pub fn holds(self, now: UnixTime) -> bool {
        now < self.until && self.until <= now.after(LONGEST_ASKED)
    }
}

/// A number below `bound`, nearly evenly: the bias is below 2⁻⁴⁰ for an hour's
/// seconds.
fn below(bound: u64, rng: &mut impl Rng) -> u64 {
    let wide = u128::from(rng.next_u64()) * u128::from(bound);
    // The upper half of a product with a number below 2⁶⁴ is below `bound`.
    u64::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_wait_doubles_to_its_bound_and_ends_with_success() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let now = UnixTime(1_000_000_000);
        let mut backoff = Backoff::default();
        assert!(!backoff.holds(now));
        for most in [900, 1800, 3600, 7200, 14_400, 21_600, 21_600, 21_600] {
            backoff = backoff.failed(now, None, &mut rng);
            let wait = backoff.until.0 - now.0;
            assert!((most / 2..=most).contains(&wait), "{wait} of {most}");
            assert!(backoff.holds(now) && !backoff.holds(backoff.until));
        }
    }

    #[test]
    fn two_machines_do_not_wait_alike() {
        let now = UnixTime(0);
        let of = |seed| Backoff::default().failed(now, None, &mut ChaCha8Rng::seed_from_u64(seed));
        let waits: std::collections::BTreeSet<_> = (0..100).map(|seed| of(seed).until).collect();
        assert!(waits.len() > 50, "{} different waits", waits.len());
    }

    proptest! {
        #[test]
        fn no_wait_is_without_end_nor_without_length(
            failures: u32, now in 0..1u64 << 40, asked in proptest::option::of(any::<u64>()), seed: u64,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (now, before) = (UnixTime(now), Backoff { failures, until: UnixTime(0) });
            let after = before.failed(now, asked.map(Duration::from_secs), &mut rng);
            let wait = after.until.0 - now.0;
            prop_assert!(wait >= FIRST.as_secs() / 2);
            prop_assert!(wait <= LONGEST_ASKED.as_secs());
            prop_assert!(wait >= asked.unwrap_or(0).min(LONGEST_ASKED.as_secs()));
            prop_assert!(after.failures > 0);
            prop_assert!(after.holds(now));
            // The clock is set back by years: the wait does not last until then.
            prop_assert!(!after.holds(UnixTime(now.0 / 2)) || now.0 / 2 + LONGEST_ASKED.as_secs() >= after.until.0);
        }
    }
}
