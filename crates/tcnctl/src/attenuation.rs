//! Sightings by attenuation, the loss of signal between two devices.

use serde::Serialize;

/// The sightings with at most this attenuation.
#[derive(Debug, Serialize)]
pub(crate) struct AttenuationBucket {
    /// In decibel; `None`: more than all others.
    pub(crate) up_to: Option<u8>,
    pub(crate) sightings: u32,
}

/// The buckets of a reply from tcnd, where 255 is the bound of the last one.
pub(crate) fn buckets(reply: Vec<(u8, u32)>) -> Vec<AttenuationBucket> {
    let buckets = reply.into_iter();
    buckets
        .map(|(bound, sightings)| AttenuationBucket {
            up_to: (bound != u8::MAX).then_some(bound),
            sightings,
        })
        .collect()
}
