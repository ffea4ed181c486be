//! What is known of the wall clock, as it is stored, and how stored dates change.

use std::time::Duration;

use tcn_protocol::UnixTime;

use super::{KeyId, Moment};

/// The earliest wall-clock time that can be true: 2026-11-01, before the first release. A
/// Raspberry Pi without a network starts in 1970.
pub const CLOCK_FLOOR: UnixTime = UnixTime(1_793_491_200);

/// One boot of the machine. The number only tells it from other boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub u64);

/// What has to outlive the process: how contacts and keys were dated, and how far the
/// clock was trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The boot it was written in; `None` if that was not known.
    pub boot_id: Option<BootId>,
    /// When it was written.
    pub at: Moment,
    /// The kernel said that the clock was synchronised.
    pub synchronised: bool,
    /// Dates from this time on move with the next jump of the clock.
    pub since: UnixTime,
    /// The first report key that may have moving dates.
    pub keys: KeyId,
    /// A lower bound of the time at `at`.
    pub at_least: UnixTime,
    /// The kernel or a person confirmed that bound, in this boot or an earlier one.
    pub confirmed: bool,
    /// By how many seconds the clock was ahead of that bound, all through this boot.
    pub lead: u64,
    /// Total running time of the machine, over all boots.
    pub running: Duration,
}

/// Dates from `since` on move by `by` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The first second that moves.
    pub since: UnixTime,
    /// Seconds to add; may be negative.
    pub by: i64,
}

/// The wall clock was set: how the store has to change its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redating {
    /// By how many seconds the clock jumped; 0 if only a new boot begins.
    pub jump: i64,
    /// The dates that this boot wrote and that have to move.
    pub moved: Option<Shift>,
    /// By how many seconds the dates move that this boot wrote before [`CLOCK_FLOOR`].
    pub impossible: Option<i64>,
    /// Only report keys from this one on move.
    pub keys: KeyId,
    /// Existing dates from this time on that do not move now do not move with the next jump
    /// either: they are of other boots.
    pub then: UnixTime,
    /// To be stored together with the new dates.
    pub record: ClockRecord,
}

/// Dates in the future, as a wrong clock wrote them in another boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureDates {
    /// The first second that counts as the future.
    pub from: UnixTime,
    /// Total running time of the machine, over all boots.
    pub running: Duration,
    /// How much running time such data is kept for after it was noticed.
    pub retention: Duration,
}

/// What is wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDoubt {
    /// It shows a time before [`CLOCK_FLOOR`].
    Impossible,
    /// It is ahead of the known lower bound of the time by more than the retention.
    Ahead,
    /// It shows a time that is known to be past.
    Behind,
}
