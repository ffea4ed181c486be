//! Reasons not to write a memo into reports.
//!
//! Nothing in reports of different keys shows that they are from one person, unless
//! their memos do. The same rare bytes in two memos show it. So a memo for several
//! reports must be one that many people write. A time to the second is rare even in a
//! single report, because the report goes to every server and stays there beside the
//! other reports of that minute.
//!
//! Spec: TCN 6b64d09, README "Reporting"; the limit of 127 bytes is that of
//! tcn-client-android 7d48399, `SignedReport.kt`, and of coepi-backend-aws
//! 6588865, which both read the length byte as signed.

use thiserror::Error;

use super::registry::MemoFormat;
use super::{CoEpiMemo, Memo};

/// A reason not to write a memo, or to reconsider it; each names the cure.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoConcern {
    /// A CoEpi memo with a time that is not the start of a day.
    #[error(
        "the memo's times are finer than a day, which tells your reports from others'; give days"
    )]
    TimeTooFine,
    /// The same bytes of a type that no other person uses, in several reports.
    #[error(
        "the same memo in {parts} reports shows that they are one person's; leave it empty, or report a time that needs one report"
    )]
    SharedBytes {
        /// How many reports are to carry them.
        parts: usize,
    },
    /// The same symptoms and days in several reports.
    #[error(
        "the same symptoms in {parts} reports narrow down whose they are; name fewer symptoms, or report a time that needs fewer reports"
    )]
    SharedSymptoms {
        /// How many reports are to carry them.
        parts: usize,
    },
    /// More than [`Memo::ADVISABLE_LEN`] bytes.
    #[error(
        "the memo has {have} bytes, and Android phones and CoEpi's server refuse more than 127; shorten it"
    )]
    Long {
        /// Bytes that were given.
        have: usize,
    },
}

impl MemoConcern {
    /// Whether the memo must not be written. Otherwise the person may decide.
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::TimeTooFine | Self::SharedBytes { .. } => true,
            Self::SharedSymptoms { .. } | Self::Long { .. } => false,
        }
    }
}

impl MemoConcern {
    /// Whether the concern is that the reports can be recognised as one person's. A
    /// person who knows this may write the memo all the same.
    pub const fn is_about_linking(self) -> bool {
        match self {
            Self::SharedBytes { .. } | Self::SharedSymptoms { .. } => true,
            Self::TimeTooFine | Self::Long { .. } => false,
        }
    }
}

impl Memo {
    /// The most data that all deployed programs read, in bytes.
    pub const ADVISABLE_LEN: usize = i8::MAX as usize;

    /// The concerns about writing this memo into each of `parts` reports; empty if
    /// there are none.
    pub fn concerns(&self, parts: usize) -> Vec<MemoConcern> {
        let have = self.data.len();
        let long = (have > Self::ADVISABLE_LEN).then_some(MemoConcern::Long { have });
        self.linkage(parts).into_iter().chain(long).collect()
    }

    /// How this memo would show that reports belong together.
    fn linkage(&self, parts: usize) -> Option<MemoConcern> {
        let format = self.kind.registration().map(|row| row.format);
        let constant = matches!(format, Some(MemoFormat::Constant(same)) if same == self.data);
        if constant || self.data.is_empty() {
            return None;
        }
        let read = CoEpiMemo::read(self);
        if read.is_some_and(|memo| memo.is_finer_than_a_day()) {
            return Some(MemoConcern::TimeTooFine);
        }
        match read {
            _ if parts < 2 => None,
            Some(CoEpiMemo::V1(_) | CoEpiMemo::Early(_)) => {
                Some(MemoConcern::SharedSymptoms { parts })
            }
            Some(CoEpiMemo::Text(_) | CoEpiMemo::Unknown) | None => {
                Some(MemoConcern::SharedBytes { parts })
            }
        }
    }
}
