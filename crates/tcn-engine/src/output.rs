//! The outputs of the engine: what it wants done.

use tcn_protocol::UnixTime;
use tcn_protocol::beacon::Frame;

use super::{ClockRecord, Contact, FutureDates, Record, Redating, Seq};

/// One thing to do. Drain the outputs after every input, and carry them out in order.
#[derive(Debug)]
pub enum Output {
    /// Write these records durably, all or none. Answer with `Stored` or `NotStored`.
    Persist(Seq, Vec<Record>),
    /// Add these deltas to the stored contacts. Answer with `Stored` or `NotStored`.
    Save(Seq, Vec<Contact>),
    /// Destroy contacts and keys that ended before this time.
    Forget(UnixTime),
    /// Destroy what is dated in the future and was noticed longer ago than the retention.
    ForgetFuture(FutureDates),
    /// Change the stored dates, durably, before anything else is written. There is no answer.
    /// Later outputs have the new dates.
    Redate(Redating),
    /// Store this for the next start, durably.
    KeepClock(ClockRecord),
    /// Order this of the radio.
    Radio(Order),
    /// Write a line to the log. It holds no secret.
    Log(LogEvent),
}

/// What the radio has to do from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Broadcast this frame, and listen. Only after `Rested`, or as the first order. A peer
    /// that connects can read the number of the frame, unless the frame is a bridged one.
    Air(Frame),
    /// Broadcast this frame in place of the one on the air, under another address, and keep
    /// listening. Ignored while none is ordered.
    Swap(Frame),
    /// Listen only.
    Listen,
    /// Keep what is on the air, and stop discovery. Void with the next `Air` or `Listen`.
    StopDiscovery,
    /// Start discovery again. Answered with `DiscoveryStarted`, as are `Air` and `Listen`.
    StartDiscovery,
    /// Leave the air. Answered with `Rested`.
    Rest,
}

/// An event for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A number went on the air.
    Rotated,
    /// A new report key is in use.
    NewKey,
    /// The wall clock jumped by this many seconds.
    ClockJumped(i64),
    /// The radio sent an event that is impossible in this state.
    Unexpected(&'static str),
}
