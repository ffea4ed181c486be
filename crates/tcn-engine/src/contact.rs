//! A contact: one number, heard from a first to a last moment.

use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::timekeeping::shifted;

/// Upper bounds in dB of the first three attenuation buckets; the fourth is
/// open. They are the levels the exposure-notification apps used, so figures
/// can be compared.
pub const ATTENUATION_BOUNDS_DB: [i16; 3] = [55, 63, 73];

/// Transmit power assumed of a sender, in dBm.
///
/// TCN frames carry none. With the deployed clients' −67 dBm at one metre and
/// free-space loss, −12 dBm puts one metre at the first bound.
pub const ASSUMED_TX_POWER_DBM: i16 = -12;

/// RSSI reported by a controller that could not measure it (Core
/// Specification Vol 4 Part E 7.7.65.2), in dBm.
pub const RSSI_UNAVAILABLE: i16 = 127;

/// What the log keeps of one number: no address, no place, no single sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The number heard.
    pub tcn: TemporaryContactNumber,
    /// First heard.
    pub start: UnixTime,
    /// Last heard; never before `start`.
    pub end: UnixTime,
    /// Strongest signal in dBm; [`RSSI_UNAVAILABLE`] if never measured.
    pub rssi_max: i16,
    /// Mean signal over the measured sightings in dBm, rounded to the
    /// nearest; [`RSSI_UNAVAILABLE`] if never measured.
    pub rssi_mean: i16,
    /// Sightings in total, measured or not.
    pub count: u32,
    /// Measured sightings by attenuation: ≤55, ≤63, ≤73, >73 dB.
    pub attenuation: [u32; 4],
    /// Whether any sighting came through a bridge: then the signal is the
    /// bridge's, not the person's.
    pub bridged: bool,
}

impl Contact {
    /// Moves its times by `seconds`, if it began at `since` or later.
    pub(super) fn redate(&mut self, since: UnixTime, seconds: i64) {
        if self.start >= since {
            self.start = shifted(self.start, seconds);
            self.end = shifted(self.end, seconds);
        }
    }
}
