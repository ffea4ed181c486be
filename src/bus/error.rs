//! The errors that callers get.
//!
//! The name is for programs and never changes. The text is for people, names the cure,
//! and contains nothing of the contact log, the keys or the files.

use tcnd_client::names;
use thiserror::Error;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use crate::daemon::Refusal;

/// An error reply.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum ErrorReply {
    /// The daemon tried and failed.
    #[error("{0}")]
    Failed(&'static str),
    /// The caller is not allowed to do this.
    #[error("{0}")]
    NotAuthorized(String),
    /// Not possible in this state of the daemon.
    #[error("{0}")]
    NotReady(String),
    /// The configuration decides otherwise, and takes precedence.
    #[error("{0}")]
    Configured(String),
    /// Too many of these at once.
    #[error("{0}")]
    Busy(&'static str),
    /// A span or a bucket out of range.
    #[error("{0}")]
    InvalidRange(&'static str),
    /// The object does not exist.
    #[error("{0}")]
    NotFound(&'static str),
    /// Nothing to report in that time.
    #[error("{0}")]
    NoData(&'static str),
    /// A memo that would link reports to one person.
    #[error("{0}")]
    MemoRefused(String),
    /// A file that holds no reports, or breaks off.
    #[error("{0}")]
    Malformed(&'static str),
    /// Consent of the person is missing.
    #[error("{0}")]
    ConsentRequired(&'static str),
    /// The report is published, or about to be.
    #[error("{0}")]
    AlreadyPublished(&'static str),
    /// An argument that is not understood.
    #[error("{0}")]
    InvalidArgs(String),
    /// Not supported by this program.
    #[error("{0}")]
    NotSupported(&'static str),
}

impl From<Refusal> for ErrorReply {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OffAir => Self::NotReady(format!("{refusal}; see tcnctl doctor")),
            Refusal::Configured => Self::Configured(refusal.to_string()),
            Refusal::InvalidRange(why) => Self::InvalidRange(why),
            Refusal::NotFound => {
                Self::NotFound("no pause with this cookie; resume with 0 to end all pauses")
            }
            Refusal::Busy => Self::Busy("too many pauses are held at once; resume one first"),
            Refusal::InvalidArgument(why) => Self::InvalidArgs(why.to_owned()),
            Refusal::NoData(why) => Self::NoData(why),
            Refusal::Memo(concern) => Self::MemoRefused(concern.to_string()),
            Refusal::NoSuchReport => {
                Self::NotFound("no report with this id; tcnctl report list names those there are")
            }
            Refusal::NoSuchExposure => {
                Self::NotFound("no exposure with this id; tcnctl exposures names those there are")
            }
            Refusal::Unreadable(why) => Self::Malformed(why),
            Refusal::InUse(why) => Self::Busy(why),
            Refusal::Clock => {
                Self::NotReady(format!("{refusal}; set it (timedatectl), then try again"))
            }
            Refusal::Changed => Self::ConsentRequired(
                "by now something else would be given away than was shown; show it again, and ask again",
            ),
            Refusal::NoSuchSource => Self::NotFound(
                "no source with this name; those there are stand in /etc/tcnd/sources.d",
            ),
            Refusal::NoSuchPart => Self::NotFound("no part with this number is on its way"),
            Refusal::NoServer => Self::NotReady(
                "no source takes reports; configure one with publish = true in /etc/tcnd/sources.d, then run: systemctl start tcnd-sync"
                    .to_owned(),
            ),
            Refusal::AlreadyPublished => Self::AlreadyPublished(
                "all of this report is on its way, or was accepted; tcnctl report list shows how far it is, tcnctl report publish --now sends at once what has not left",
            ),
            Refusal::NoSyncTrigger => Self::NotSupported(
                "tcnd was started by hand and cannot call tcnd-sync; run tcnd-sync yourself",
            ),
            Refusal::Stopped => Self::NotReady(format!("{refusal}; import again")),
            Refusal::Storage => Self::Failed(
                "the contact log cannot be read or written now; see tcnctl doctor, and free disk space",
            ),
            Refusal::Gone => Self::NotReady(
                "the daemon is shutting down; try again when it runs (systemctl status tcnd)"
                    .to_owned(),
            ),
        }
    }
}

impl zbus::DBusError for ErrorReply {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&(self.to_string(),))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(match self {
            Self::Failed(_) => names::error::FAILED,
            Self::NotAuthorized(_) => names::error::NOT_AUTHORIZED,
            Self::NotReady(_) => names::error::NOT_READY,
            Self::Configured(_) => names::error::CONFIGURED,
            Self::Busy(_) => names::error::BUSY,
            Self::InvalidRange(_) => names::error::INVALID_RANGE,
            Self::NotFound(_) => names::error::NOT_FOUND,
            Self::NoData(_) => names::error::NO_DATA,
            Self::MemoRefused(_) => names::error::MEMO_REFUSED,
            Self::Malformed(_) => names::error::MALFORMED,
            Self::ConsentRequired(_) => names::error::CONSENT_REQUIRED,
            Self::AlreadyPublished(_) => names::error::ALREADY_PUBLISHED,
            Self::InvalidArgs(_) => names::error::INVALID_ARGS,
            Self::NotSupported(_) => names::error::NOT_SUPPORTED,
        })
    }

    /// Used by zbus for logs only; the reply carries the whole text.
    fn description(&self) -> Option<&str> {
        None
    }
}
