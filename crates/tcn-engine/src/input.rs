//! What the engine is told.

use std::fmt;
use std::time::Duration;

use tcn_protocol::beacon::Frame;
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::{Moment, Pause, Policy};

/// One thing that happened, told with the [`Moment`] of it.
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
    /// The machine is about to sleep, and nothing may be on the air until it is
    /// awake again; or it is.
    Asleep(bool),
    /// A report is about to use the key in use: no number of it goes on the
    /// air from here on, and the one that is there leaves it.
    EndKey,
    /// Contacts that began in this span, up to but not including its end, were
    /// destroyed: what still grows of them goes too.
    Erased(UnixTime, UnixTime),
    /// Everything was destroyed: contacts, keys, the memory of our own numbers.
    /// Told while nothing is wanted on the air.
    Wiped,
    /// The radio can be used, this far.
    RadioUp(RadioCapabilities),
    /// The radio cannot be used; nothing of ours is on the air.
    RadioDown,
    /// The frame ordered is on the air.
    Aired(Frame),
    /// This frame left the air by itself.
    Withdrawn(Frame),
    /// Nothing of ours is on the air, nothing is listened for.
    Rested,
    /// A number was heard.
    Heard(Sighting),
    /// Somebody connected and told their number, which they cannot broadcast.
    Written(Sighting, Writer),
    /// Everything of this `Persist` or `Save` is durable.
    Stored(Seq),
    /// Nothing of this `Persist` or `Save` was written.
    NotStored(Seq),
    /// Whether the kernel said, asked at this moment, that the wall clock is
    /// synchronised. No longer after the next jump.
    Synchronised(Moment, bool),
    /// A person says that the wall clock is right.
    ClockConfirmed,
}

/// What a radio is good for now. By default, for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RadioCapabilities {
    /// An advert would be taken, under an address that no number of ours had.
    pub can_air: bool,
    /// Each change of what is aired gets an address of its own, so that numbers
    /// of others can be carried.
    pub can_carry: bool,
    /// Others can be listened for. Not while that would be done under an address
    /// that goes with an earlier number: scanning asks, and so it is heard.
    pub can_listen: bool,
    /// How long a number stays on the air, whatever the policy says: so long as
    /// the addresses that go with it last. Zero where every number can have new
    /// ones at any time.
    pub address_lifetime: Duration,
}

/// Whoever wrote a number, told apart from others for as long as one number of
/// ours is on the air, and by nobody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writer(pub u64);

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer([REDACTED])")
    }
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
