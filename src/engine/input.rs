//! What the engine is told.

use std::time::Duration;

use super::{Pause, Policy, UnixTime};
use crate::protocol::TemporaryContactNumber;

/// One thing that happened, told with the [`Moment`](super::Moment) of it.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// A timeout of [`Engine::poll_timeout`](super::Engine::poll_timeout) is
    /// due. Early or spurious ones do nothing.
    Timeout,
    /// The person allows, or no longer allows, that anything be broadcast.
    Consent(bool),
    /// Until when to keep off the air.
    Paused(Pause),
    /// The limits changed.
    PolicyChanged(Policy),
    /// Take a new number now.
    Rotate,
    /// The machine slept, or the wall clock was set.
    Resumed,
    /// A report is about to use the key in use: no number of it goes on the
    /// air from here on, and the one that is there leaves it.
    EndKey,
    /// Contacts that began in this span, up to but not including its end, were
    /// destroyed: what still grows of them goes too.
    Erased(UnixTime, UnixTime),
    /// Everything was destroyed: contacts, keys, the memory of our own numbers.
    /// Told while nothing is wanted on the air.
    Wiped,
    /// The radio can be used; `can_air` tells whether for broadcasting too.
    RadioUp {
        /// An advert would be taken and would not show the device's address.
        can_air: bool,
    },
    /// The radio cannot be used; nothing of ours is on the air.
    RadioDown,
    /// The number ordered is on the air.
    Aired(TemporaryContactNumber),
    /// This number left the air by itself.
    Withdrawn(TemporaryContactNumber),
    /// Nothing of ours is on the air, nothing is listened for.
    Rested,
    /// A number was heard.
    Heard(Sighting),
    /// Everything of this `Persist` or `Save` is durable.
    Stored(Seq),
    /// Nothing of this `Persist` or `Save` was written.
    NotStored(Seq),
}

/// The serial number of a request to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// A number heard once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The number.
    pub tcn: TemporaryContactNumber,
    /// Whether another radio than its owner's carried it.
    pub bridged: bool,
    /// Signal in dBm, if measured.
    pub rssi: Option<i16>,
}

/// Longest timeout the engine asks for; a driver may wait no longer than this
/// without telling the time.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);
