//! The only source of time and randomness.
//!
//! The server reads the time again for every batch it writes and every query for an
//! interval. So a clock that is set while the server runs takes effect at once. Tests
//! supply their own clock.

use std::time::{Duration, UNIX_EPOCH};

use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use rustix::time::{ClockId, clock_gettime};
use tcn_protocol::UnixTime;

/// The operating system's generator.
pub(super) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970, now.
    fn now(&self) -> UnixTime;

    /// Time since the machine's start, suspend included. This clock cannot be set, so
    /// rates and timeouts use it.
    fn since_start(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// Whether something outside of the server vouches for the time.
    fn is_synchronised(&self) -> bool {
        true
    }
}

/// Touched by systemd-timesyncd whenever it has set the clock by a server
/// (systemd-timesyncd.service(8)).
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Twice the longest time between two polls of systemd-timesyncd (timesyncd.conf(5),
/// PollIntervalMaxSec).
const LOOKS: u64 = 2 * 2048;

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        UnixTime(u64::try_from(now).unwrap_or(0))
    }

    fn is_synchronised(&self) -> bool {
        let touched = std::fs::metadata(SYNCHRONISED).and_then(|file| file.modified());
        let touched = touched
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        touched.is_some_and(|at| is_recent(at.as_secs(), self.now()))
    }
}

/// Whether the file was touched since the clock was last set. A jump of the clock
/// leaves the time of the file behind.
fn is_recent(touched: u64, now: UnixTime) -> bool {
    now.0.abs_diff(touched) < LOOKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_is_not_vouched_for_until_it_is_set_again() {
        let now = UnixTime(1_606_158_000);
        assert!(is_recent(now.0 - 2048, now) && is_recent(now.0 + 1, now));
        assert!(!is_recent(now.0 - 30 * 86_400, now) && !is_recent(now.0 + 30 * 86_400, now));
    }
}
