//! The settings of the engine: how long a number, a key and a contact live, and how much to
//! listen.

use std::time::Duration;

use super::Listen;

/// The settings that the engine follows. `tcnd-config` checks their ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Longest life of one number on the air. Spec: TCN 6b64d09, README
    /// "TCN Generation", every quarter of an hour.
    pub period: Duration,
    /// Each life is shortened by a random part of this, so that rotations are not regular and
    /// cannot be counted through a silence.
    pub jitter: Duration,
    /// Longest span of numbers that one report links. Spec: TCN 6b64d09,
    /// README "Report Timespans and Key Rotation", six hours or less.
    pub key_life: Duration,
    /// Age at which contacts and keys are destroyed.
    pub retention: Duration,
    /// How often deltas of contacts are written; also the most that a crash can lose.
    pub flush: Duration,
    /// How long a carried number is on the air at a time, and our own between two carried
    /// ones.
    pub slot: Duration,
    /// How much to listen.
    pub listen: Listen,
    /// Carry the numbers of others, and broadcast no number of our own.
    pub relay: bool,
}

impl Default for Policy {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            period: 15 * MINUTE,
            jitter: MINUTE,
            key_life: 6 * 60 * MINUTE,
            retention: 14 * 24 * 60 * MINUTE,
            flush: MINUTE,
            slot: Duration::from_secs(20),
            listen: Listen::Auto,
            relay: false,
        }
    }
}
