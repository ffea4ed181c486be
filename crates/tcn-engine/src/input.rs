//! The inputs of the engine.

use std::fmt;
use std::time::Duration;

use tcn_protocol::beacon::Frame;
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::{ListenConditions, Moment, Pause, Policy};

/// One thing that happened, passed together with its [`Moment`].
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// A timeout of [`Engine::poll_timeout`](super::Engine::poll_timeout) is
    /// due. Early or spurious ones do nothing.
    Timeout,
    /// The person gave consent to broadcasting, or withdrew it.
    Consent(bool),
    /// Until when to keep off the air.
    Paused(Pause),
    /// The limits changed.
    PolicyChanged(Policy),
    /// Take a new number now.
    Rotate,
    /// The machine slept, or the wall clock was set.
    Resumed,
    /// True: the machine is about to sleep, and nothing may be on the air until it is
    /// awake again. False: it is awake.
    Asleep(bool),
    /// A report is about to disclose the key in use: no further number of it goes on
    /// the air, and the one on the air leaves it.
    EndKey,
    /// Contacts that started in this span, up to but not including its end, were
    /// destroyed. Their runs and deltas go too.
    Erased(UnixTime, UnixTime),
    /// Everything was destroyed: contacts, keys, the memory of our own numbers. Sent only
    /// while nothing is wanted on the air.
    Wiped,
    /// The radio can be used, with these capabilities.
    RadioUp(RadioCapabilities),
    /// The radio cannot be used. None of our frames is on the air.
    RadioDown,
    /// The frame ordered is on the air.
    Aired(Frame),
    /// This frame left the air without an order.
    Withdrawn(Frame),
    /// Discovery runs.
    DiscoveryStarted,
    /// What bears on how much to listen.
    ListenConditions(ListenConditions),
    /// None of our frames is on the air, and the radio does not listen.
    Rested,
    /// A number was heard.
    Heard(Sighting),
    /// A peer connected and wrote its number, which it cannot broadcast.
    Written(Sighting, WriterId),
    /// Everything in this `Persist` or `Save` is durable.
    Stored(Seq),
    /// Nothing in this `Persist` or `Save` was written.
    NotStored(Seq),
    /// Whether the kernel, asked at this moment, said that the wall clock is
    /// synchronised. Valid until the next jump.
    Synchronised(Moment, bool),
    /// A person says that the wall clock is right.
    ClockConfirmed,
}

/// What the radio can do now. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RadioCapabilities {
    /// An advert would be accepted, under an address that no earlier own number had.
    pub can_air: bool,
    /// Each change of the frame gets an address of its own, so that numbers of others
    /// can be carried.
    pub can_carry: bool,
    /// Scanning is possible. Not while it would use an address that belongs to an earlier
    /// number: active scanning sends requests, which others receive.
    pub can_listen: bool,
    /// How long a number stays on the air, in place of the period of the policy: as
    /// long as the addresses that belong to it last. Zero where every number can have
    /// new addresses at any time.
    pub address_lifetime: Duration,
}

/// The peer that wrote a number. The value tells writers apart while one own number is
/// on the air, and means nothing outside this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriterId(pub u64);

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriterId([REDACTED])")
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

/// The longest timeout that the engine asks for. A driver may not wait longer before it
/// passes the time.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);
