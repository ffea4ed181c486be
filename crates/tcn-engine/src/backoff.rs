//! Pauses that grow while something fails.

use std::time::Duration;

/// The pause after this many failures in a row, from 1: `first`, and twice as long with each
/// further failure, up to `longest`.
#[must_use]
pub fn backoff(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let second = Duration::from_secs(1);
        let pauses = (1..10).map(|failures| backoff(second, 60 * second, failures).as_secs());
        assert!(pauses.eq([1, 2, 4, 8, 16, 32, 60, 60, 60]));
        assert_eq!(backoff(second, 60 * second, 0), second);
        let longest = Duration::from_secs(u64::MAX);
        assert_eq!(backoff(longest, longest, u32::MAX), longest);
    }
}
