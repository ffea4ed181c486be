//! The errors that callers get.
//!
//! The name is for programs and never changes. The text is for people, names the cure,
//! and contains nothing of the contact log, the keys or the files. The texts of the
//! daemon's refusals are those of [`Refusal`].

use std::borrow::Cow;

use tcnd_client::names::error;
use thiserror::Error;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use crate::daemon::Refusal;

/// An error reply.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text}")]
pub(super) struct ErrorReply {
    name: &'static str,
    text: Cow<'static, str>,
}

impl ErrorReply {
    /// `name` is one of [`error`].
    pub(super) fn new(name: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { name, text }
    }

    pub(super) fn busy(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(error::BUSY, text)
    }

    pub(super) fn failed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(error::FAILED, text)
    }

    pub(super) fn invalid_args(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(error::INVALID_ARGS, text)
    }

    pub(super) fn invalid_range(text: &'static str) -> Self {
        Self::new(error::INVALID_RANGE, text)
    }

    pub(super) fn not_authorized(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(error::NOT_AUTHORIZED, text)
    }
}

impl From<Refusal> for ErrorReply {
    fn from(refusal: Refusal) -> Self {
        let name = match &refusal {
            Refusal::OffAir
            | Refusal::Clock
            | Refusal::NoServer
            | Refusal::Stopped
            | Refusal::Gone => error::NOT_READY,
            Refusal::Configured => error::CONFIGURED,
            Refusal::InvalidRange(_) => error::INVALID_RANGE,
            Refusal::NotFound
            | Refusal::NoSuchReport
            | Refusal::NoSuchExposure
            | Refusal::NoSuchSource
            | Refusal::NoSuchPart => error::NOT_FOUND,
            Refusal::Busy | Refusal::InUse(_) => error::BUSY,
            Refusal::InvalidArgument(_) => error::INVALID_ARGS,
            Refusal::NoData(_) => error::NO_DATA,
            Refusal::Memo(_) => error::MEMO_REFUSED,
            Refusal::Unreadable(_) => error::MALFORMED,
            Refusal::Changed => error::CONSENT_REQUIRED,
            Refusal::AlreadyPublished => error::ALREADY_PUBLISHED,
            Refusal::NoSyncTrigger => error::NOT_SUPPORTED,
            Refusal::Storage => error::FAILED,
        };
        Self::new(name, refusal.to_string())
    }
}

impl zbus::DBusError for ErrorReply {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&(&*self.text,))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.name)
    }

    /// Used by zbus for logs only; the reply carries the whole text.
    fn description(&self) -> Option<&str> {
        None
    }
}
