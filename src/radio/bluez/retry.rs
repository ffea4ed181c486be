//! Retries after growing pauses.

use std::time::Duration;

use tcn_engine::backoff;

/// Failures in a row, and the pause before the next try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retry {
    failures: u32,
    paused: bool,
}

impl Retry {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);

    /// Counts a failure. Returns the pause before the next try: 1, 2, 4 … 60 s.
    pub(super) fn fail(&mut self) -> Duration {
        self.failures += 1;
        self.paused = true;
        backoff(Self::FIRST, Self::LONGEST, self.failures)
    }

    pub(super) fn resume(&mut self) {
        self.paused = false;
    }

    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut retry = Retry::default();
        let pauses: Vec<_> = (0..9).map(|_| retry.fail().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        retry.succeed();
        assert_eq!(retry.fail().as_secs(), 1);
    }
}
