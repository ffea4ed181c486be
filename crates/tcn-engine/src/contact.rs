//! A contact: one number, from the first to the last sighting of a run.

use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::timekeeping::shifted;

/// Upper bounds of the first three attenuation buckets, in dB; the fourth is open. The
/// exposure-notification apps used the same levels, so figures can be compared.
pub const ATTENUATION_BOUNDS_DB: [i16; 3] = [55, 63, 73];

/// Assumed transmit power of a sender, in dBm.
///
/// TCN frames do not carry it. With the deployed clients' −67 dBm at one metre and
/// free-space loss, −12 dBm puts one metre at the first bound.
pub const ASSUMED_TX_POWER_DBM: i16 = -12;

/// RSSI in dBm that a controller reports if it could not measure the signal (Core
/// Specification Vol 4 Part E 7.7.65.2).
pub const RSSI_UNAVAILABLE: i16 = 127;

/// What is stored of one number heard: no address, no location, no single sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The number heard.
    pub tcn: TemporaryContactNumber,
    /// First heard.
    pub start: UnixTime,
    /// Last heard; never before `start`.
    pub end: UnixTime,
    /// Strongest signal in dBm; [`RSSI_UNAVAILABLE`] if none was measured.
    pub rssi_max: i16,
    /// Mean signal of the measured sightings in dBm, rounded to the nearest integer;
    /// [`RSSI_UNAVAILABLE`] if none was measured.
    pub rssi_mean: i16,
    /// All sightings, measured or not.
    pub count: u32,
    /// Measured sightings by attenuation: ≤55, ≤63, ≤73, >73 dB.
    pub attenuation: [u32; 4],
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
