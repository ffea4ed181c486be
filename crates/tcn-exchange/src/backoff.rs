//! When a failed source is asked again.
//!
//! Not at once, for it may be overloaded. Not never, for intervals are kept fourteen days.
//! And not at a fixed delay, for thousands of machines met the same failure at the same
//! time. So the wait doubles with each failure, and a random part of it is left out.

use std::time::Duration;

use rand_core::Rng;
use tcn_protocol::UnixTime;

/// Waits that double with each failure. A server may ask for a longer one.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// The longest wait after a first failure.
    pub first: Duration,
    /// The longest wait of all, if the server asks for none.
    pub longest: Duration,
    /// The longest wait that a server may ask for.
    pub longest_asked: Duration,
}

/// The waits of a source. They are short enough that no interval of the fourteen days is
/// missed.
pub const FETCH: Waits = Waits {
    first: Duration::from_secs(15 * 60),
    longest: Duration::from_secs(6 * 3600),
    longest_asked: Duration::from_secs(UnixTime::DAY),
};

impl Waits {
    /// How long to wait after this many failures, from 1; not shorter than the server
    /// `asked` for. A random part of the wait is between half and all of the doubled time.
    pub fn after(self, failures: u32, asked: Option<Duration>, rng: &mut impl Rng) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let most = self.first.saturating_mul(1 << doublings).min(self.longest);
        let wait = most / 2 + up_to(most / 2, rng);
        wait.max(asked.unwrap_or_default().min(self.longest_asked))
    }
}

/// A whole number of seconds from 0 to `most`. The bias of the remainder is below 10⁻¹⁴.
pub(crate) fn up_to(most: Duration, rng: &mut impl Rng) -> Duration {
    Duration::from_secs(rng.next_u64() % (most.as_secs() + 1))
}

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
        let failures = self.failures.saturating_add(1);
        let until = now.after(FETCH.after(failures, asked, rng));
        Self { failures, until }
    }

    /// Whether the source is left alone at `now`. A clock that was set back must not make
    /// this last for years.
    pub fn holds(self, now: UnixTime) -> bool {
        now < self.until && self.until <= now.after(FETCH.longest_asked)
    }
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
            prop_assert!(wait >= FETCH.first.as_secs() / 2);
            prop_assert!(wait <= FETCH.longest_asked.as_secs());
            prop_assert!(wait >= asked.unwrap_or(0).min(FETCH.longest_asked.as_secs()));
            prop_assert!(after.failures > 0);
            prop_assert!(after.holds(now));
            // The clock is set back by years: the wait does not last until then.
            prop_assert!(!after.holds(UnixTime(now.0 / 2)) || now.0 / 2 + FETCH.longest_asked.as_secs() >= after.until.0);
        }
    }
}
