//! Time, as the rooms know it: always an argument, never asked for.
//!
//! A TCN must not outlive its quarter of an hour because the laptop slept, so
//! durations are measured on the boot-time clock, which counts suspend
//! (`CLOCK_BOOTTIME`, time_namespaces(7)). People and reports speak of
//! calendar time, so a [`Moment`] carries both; neither is derived from the
//! other, because wall clocks jump.

use std::time::Duration;

use tcn_protocol::UnixTime;

/// An instant by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since boot, suspend included; never goes back.
    pub boot: Duration,
    /// The wall clock at that instant; may jump either way.
    pub wall: UnixTime,
}
