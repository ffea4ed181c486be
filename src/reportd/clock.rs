//! The one door that time comes in by.
//!
//! The server asks for the time again with every batch it writes and every
//! question about an interval, so a clock that is set while it runs is obeyed at
//! once. Tests bring a clock of their own.

use rustix::time::{ClockId, clock_gettime};

use crate::engine::UnixTime;

/// What tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970, now.
    fn now(&self) -> UnixTime;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        UnixTime(u64::try_from(now).unwrap_or(0))
    }
}
