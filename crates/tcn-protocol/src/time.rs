//! Calendar time, as reports and their metadata carry it.
//!
//! Time is always an argument: nothing in this crate reads a clock.

use std::time::Duration;

/// Seconds since 1970-01-01 00:00 UTC, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The seconds of a day.
    pub const DAY: u64 = 86_400;

    /// The day of UTC, counted from 1970.
    #[must_use]
    pub const fn day(self) -> u64 {
        self.0 / Self::DAY
    }

    /// The start of the day of UTC.
    #[must_use]
    pub const fn day_start(self) -> Self {
        Self(self.day() * Self::DAY)
    }

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
