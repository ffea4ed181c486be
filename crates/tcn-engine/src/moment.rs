//! Time, as the engine knows it: always an argument, never read from a clock.
//!
//! A TCN must not stay in use beyond its quarter of an hour because the laptop slept. So
//! durations are measured on the boot-time clock, which counts suspend (`CLOCK_BOOTTIME`,
//! time_namespaces(7)). People and reports use calendar time, so a [`Moment`] has both.
//! Neither is derived from the other, because wall clocks jump.

use std::time::Duration;

use tcn_protocol::UnixTime;

/// An instant on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since boot, suspend included; never goes back.
    pub boot: Duration,
    /// The wall clock at that instant; may jump forwards or backwards.
    pub wall: UnixTime,
}

impl Moment {
    /// What the two clocks show at one instant.
    pub const fn new(boot: Duration, wall: UnixTime) -> Self {
        Self { boot, wall }
    }

    /// What they will show after this time, in whole seconds of the wall clock, rounded up.
    #[must_use]
    pub fn later(self, time: Duration) -> Self {
        let seconds = time
            .as_secs()
            .saturating_add(u64::from(time.subsec_nanos() != 0));
        Self {
            boot: self.boot.saturating_add(time),
            wall: self.wall.after(Duration::from_secs(seconds)),
        }
    }
}
