//! A contact: one number, from the first to the last sighting of a run.

use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::signal::Signal;
use super::timekeeping::shifted;
use super::unheard::Unheard;

/// What is stored of one number heard: no address, no location, no single sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The number heard.
    pub tcn: TemporaryContactNumber,
    /// First heard.
    pub start: UnixTime,
    /// Last heard; never before `start`.
    pub end: UnixTime,
    /// For how long it may have been near before and after, while discovery paused.
    pub unheard: Unheard,
    /// The sightings and their signals.
    pub signal: Signal,
    /// Whether any sighting came through a bridge. Then the signal is that of the bridge, not
    /// of the person.
    pub bridged: bool,
}

impl Contact {
    /// Moves its times by `seconds`, if it started at `since` or later.
    pub(super) fn redate(&mut self, since: UnixTime, seconds: i64) {
        if self.start >= since {
            self.start = shifted(self.start, seconds);
            self.end = shifted(self.end, seconds);
        }
    }
}
