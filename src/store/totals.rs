//! What the log says in sum: counts by hour and day, never a row.

use tcn_protocol::UnixTime;

/// Contact totals over a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Contacts: a number heard again after it was away, and in another quarter
    /// of an hour, counts again.
    pub numbers: u64,
    /// Sightings of them.
    pub sightings: u64,
    /// Start of the oldest contact, rounded down to the quarter of an hour.
    pub oldest: Option<UnixTime>,
    /// Per UTC day: its start, numbers, sightings.
    pub per_day: Vec<Bucket>,
    /// Measured sightings by attenuation: ≤55, ≤63, ≤73, >73 dB.
    pub attenuation: [u64; 4],
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub start: UnixTime,
    /// Contacts that began in it.
    pub numbers: u64,
    /// Their sightings.
    pub sightings: u64,
}
