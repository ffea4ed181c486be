//! The states of the broadcast.

use std::time::Duration;

use tcn_protocol::beacon::Frame;

use crate::Seq;
use crate::bridge::Slot;
use crate::rotation::Numbered;

/// What should be on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Nothing,
    Listen,
    Air,
}

/// What is aired from one rotation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// The frame of our number; for a relay the vacant one.
    pub(super) frame: Frame,
    /// Our number with its key and index; a relay has none.
    pub(super) number: Option<Numbered>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BroadcastState {
    Silent,
    Listening,
    Preparing(Prepared),
    Stalled {
        until: Duration,
    },
    Airing(OnAir),
    Resting {
        number: Option<Numbered>,
        since: Duration,
    },
}

/// A number that waits until it is durable and the silence is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    pub(super) durable: bool,
    pub(super) not_before: Duration,
}

/// The epoch on the air, and the frame that is on it now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OnAir {
    pub(super) epoch: Epoch,
    pub(crate) since: Duration,
    pub(super) until: Duration,
    pub(crate) confirmed: bool,
    pub(super) slot: Slot,
}
