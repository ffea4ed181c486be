//! Why the daemon did not carry out a request.

use tcn_protocol::memo::MemoConcern;
use thiserror::Error;

use crate::store;

/// A request the daemon did not carry out.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is on the air to rotate: not enabled, paused or no adapter.
    #[error("no number of ours is on the air now")]
    OffAir,
    /// The configuration decides about consent, and says otherwise.
    #[error("consent is set by `enabled` in the configuration; change it there, or remove it")]
    Configured,
    /// `from` is not before `to`, or the bucket is out of range.
    #[error("{0}")]
    InvalidRange(&'static str),
    /// No such cookie, or it belongs to another client.
    #[error("no pause with this cookie")]
    NotFound,
    /// Too many pauses are held.
    #[error("too many pauses are held at once; resume one first")]
    Busy,
    /// An argument is too long or out of range.
    #[error("{0}")]
    InvalidArgument(&'static str),
    /// No own number was on the air then, or all of it is reported already.
    #[error("{0}")]
    NoData(&'static str),
    /// The memo would link reports that nothing else links.
    #[error(transparent)]
    Memo(MemoConcern),
    /// No such own report.
    #[error("no report with this id")]
    NoSuchReport,
    /// No such exposure.
    #[error("no exposure with this id")]
    NoSuchExposure,
    /// What was to be imported could not be read, or holds no report.
    #[error("{0}")]
    Unreadable(&'static str),
    /// Another client does the same just now.
    #[error("{0}")]
    InUse(&'static str),
    /// The wall clock cannot be right, and what is asked depends on it.
    #[error("the wall clock is before this release was made")]
    Clock,
    /// Something else would be given away than the person was shown.
    #[error("by now something else would be given away than was shown")]
    Changed,
    /// No such source of reports.
    #[error("no source with this name")]
    NoSuchSource,
    /// No such part, or it is not on its way.
    #[error("no part with this number is on its way")]
    NoSuchPart,
    /// No source takes reports.
    #[error("no source takes reports")]
    NoServer,
    /// Every part is on its way there, or arrived.
    #[error("all of this report is on its way, or was accepted")]
    AlreadyPublished,
    /// `tcnd-sync` cannot be called from here.
    #[error("tcnd-sync cannot be called from here")]
    NoSyncTrigger,
    /// An import was ended by a wipe, or with the daemon.
    #[error("the import was ended before its end: everything was wiped, or the daemon ends")]
    Stopped,
    /// The store could not answer.
    #[error("the contact log cannot be read or written now")]
    Storage,
    /// The daemon is on its way out.
    #[error("the daemon is shutting down")]
    Gone,
}

impl From<store::Error> for Refusal {
    /// The client is told that it failed; the reason is for the log.
    fn from(fault: store::Error) -> Self {
        tracing::warn!(%fault, "the store could not answer");
        Self::Storage
    }
}
