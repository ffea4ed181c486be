//! The figures a deployment may choose. Whoever builds a [`Policy`] has
//! checked them; the engine takes them as they are.

use std::time::Duration;

/// By what figures the engine decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Longest time one number stays on the air.
    pub period: Duration,
    /// Each period is shortened by a random time of up to this, so that
    /// rotations cannot be recognised by their rhythm; at most half of `period`.
    pub jitter: Duration,
    /// Longest time one report key derives numbers. Spec: TCN 6b64d09, README
    /// "Report Timespans" (at most 6 h).
    pub key_life: Duration,
    /// How long keys and contacts are kept.
    pub retention: Duration,
    /// Longest time a sighting waits in memory before it is written.
    pub flush: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            period: Duration::from_secs(15 * MINUTE),
            jitter: Duration::from_secs(MINUTE),
            key_life: Duration::from_secs(6 * HOUR),
            retention: Duration::from_secs(14 * 24 * HOUR),
            flush: Duration::from_secs(60),
        }
    }
}
