//! Why the daemon did not carry out a request.
//!
//! The texts are for people: the reason, a semicolon, and the cure. The bus sends them as
//! they are, and tcnctl shows the cure as its hint.

use tcn_protocol::memo::MemoConcern;
use tcnd_client::failure;
use thiserror::Error;

use crate::store;

/// A request the daemon did not carry out.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is on the air to rotate: not enabled, paused or no adapter.
    #[error("no number of this machine is on the air; see tcnctl doctor")]
    OffAir,
    /// The configuration decides about consent, and says otherwise.
    #[error(
        "consent is set by `enabled` in the configuration; change it there (/etc/tcnd/config.d) or remove it, then: systemctl reload tcnd"
    )]
    Configured,
    /// `from` is not before `to`, or the bucket is out of range.
    #[error("{0}")]
    InvalidRange(&'static str),
    /// No such cookie, or it belongs to another client.
    #[error("there is no pause with this cookie; resume with 0 to end all pauses")]
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
    #[error("{}", failure::NO_SUCH_REPORT)]
    NoSuchReport,
    /// No such exposure.
    #[error("there is no exposure with this id; tcnctl exposures --all lists all exposures")]
    NoSuchExposure,
    /// What was to be imported could not be read, or holds no report.
    #[error("{0}")]
    Unreadable(&'static str),
    /// Another client does the same just now.
    #[error("{0}")]
    InUse(&'static str),
    /// The wall clock cannot be right, and what is asked depends on it.
    #[error("the clock is before the date of this release; set it (timedatectl), then try again")]
    Clock,
    /// The report would disclose something else than the person was shown.
    #[error(
        "the report would now disclose something else than the person was shown; show it again, and ask again"
    )]
    Changed,
    /// No such source of reports.
    #[error("there is no source with this name; sources are configured in /etc/tcnd/sources.d")]
    NoSuchSource,
    /// No such part, or it is not on its way.
    #[error("no part with this number is on its way; take the next part")]
    NoSuchPart,
    /// No source takes reports.
    #[error(
        "no source takes reports; configure one with publish = true in /etc/tcnd/sources.d, then run: systemctl start tcnd-sync"
    )]
    NoServer,
    /// Every part is on its way there, or arrived.
    #[error(
        "all of this report is on its way, or was accepted; tcnctl report list shows its progress, tcnctl report publish --now sends the remaining parts at once"
    )]
    AlreadyPublished,
    /// `tcnd-sync` cannot be called from here.
    #[error("tcnd was started by hand and cannot start tcnd-sync; run tcnd-sync yourself")]
    NoSyncTrigger,
    /// An import was ended by a wipe, or with the daemon.
    #[error(
        "the import stopped early, because all data was wiped or the daemon is shutting down; import again"
    )]
    Stopped,
    /// The store could not answer.
    #[error(
        "the contact log cannot be read or written now; see tcnctl doctor, and free disk space"
    )]
    Storage,
    /// The daemon is on its way out.
    #[error("the daemon is shutting down; try again when it runs (systemctl status tcnd)")]
    Gone,
}

impl From<store::Error> for Refusal {
    /// The client is told that it failed; the reason is for the log.
    fn from(fault: store::Error) -> Self {
        tracing::warn!(%fault, "the store could not answer");
        Self::Storage
    }
}
