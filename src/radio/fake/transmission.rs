//! What simulated radios send to each other.

use tcn_protocol::beacon::Frame;

use super::super::Peer;

/// One advert on the air.
#[derive(Clone, Debug)]
pub(super) struct Transmission {
    /// The radio that sent it, which does not hear itself.
    pub(super) from: u64,
    pub(super) frame: Frame,
    /// Signal at every receiver in dBm, if the position of the sender is known.
    pub(super) rssi: Option<i16>,
    /// Set if the number is not broadcast, but written to a connectable radio by this peer.
    pub(super) writer: Option<Peer>,
}
