//! Time, as the rooms know it: always an argument, never asked for.
//!
//! A TCN must not outlive its quarter of an hour because the laptop slept, so
//! durations are measured on the boot-time clock, which counts suspend
//! (`CLOCK_BOOTTIME`, time_namespaces(7)). People and reports speak of
//! calendar time, so a [`Moment`] carries both; neither is derived from the
//! other, because wall clocks jump.

use std::time::Duration;

/// Seconds since 1970-01-01 00:00 UTC, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This time less `span`, stopping at 1970.
    #[must_use]
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// This time plus `span`, stopping at the end of the range.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }
}

/// An instant by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since boot, suspend included; never goes back.
    pub boot: Duration,
    /// The wall clock at that instant; may jump either way.
    pub wall: UnixTime,
}
