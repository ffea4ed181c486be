//! What the engine wants done, in this order.

use tcn_protocol::UnixTime;
use tcn_protocol::beacon::Frame;

use super::{ClockRecord, Contact, FutureDates, Record, Redating, Seq};

/// One thing to do. Drain them after every input, and do them in order.
#[derive(Debug)]
pub enum Output {
    /// Write these records durably, all or none; answer with `Stored` or
    /// `NotStored`.
    Persist(Seq, Vec<Record>),
    /// Add this growth to the contact log; answer with `Stored` or
    /// `NotStored`.
    Save(Seq, Vec<Contact>),
    /// Destroy contacts and keys that ended before this time.
    Forget(UnixTime),
    /// Destroy what is dated in the future and was noticed long ago.
    ForgetFuture(FutureDates),
    /// Date anew what stands in the log, durably, before anything else is
    /// written; with no answer. What comes later has the new dates.
    Redate(Redating),
    /// Keep this for the next start, durably.
    KeepClock(ClockRecord),
    /// Put this frame on the air, and listen.
    Air(Frame),
    /// Air this frame in place of the one that is on the air, under another
    /// address, and listen on.
    Swap(Frame),
    /// Listen, without a number of our own.
    Listen,
    /// Leave the air; answer with `Rested`.
    Rest,
    /// Worth a line in the log; holds no secret.
    Log(LogEvent),
}

/// What the engine has to say to whoever reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A number went on the air.
    Rotated,
    /// A new report key is in use.
    NewKey,
    /// The wall clock jumped by this many seconds.
    ClockJumped(i64),
    /// The other side said something that cannot be in this state.
    Unexpected(&'static str),
}
