//! What can be wrong with a report or a key, one variant for each error.

use thiserror::Error;

/// A report or key that breaks the specification.
///
/// Spec: TCN 6b64d09, README "Reporting". Sizes are in bytes. No variant
/// carries key material or a memo.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportError {
    /// The buffer ends inside the 70 bytes before the memo data.
    #[error(
        "the report ends after {have} of the 70 bytes of its header; fetch or export the whole report again"
    )]
    HeaderTruncated {
        /// Bytes that were there.
        have: usize,
    },
    /// The memo is shorter than its length byte says.
    #[error(
        "the memo ends after {have} of the {declared} bytes its length byte declares; fetch or export the whole report again"
    )]
    MemoTruncated {
        /// Bytes that were there.
        have: usize,
        /// Bytes the length byte announced.
        declared: usize,
    },
    /// The signature is shorter than 64 bytes, or missing.
    #[error(
        "the signature ends after {have} of its 64 bytes; fetch or export the whole report again"
    )]
    SignatureTruncated {
        /// Bytes that were there.
        have: usize,
    },
    /// Bytes follow the end of the only report a buffer may hold.
    #[error(
        "{count} bytes follow the end of the report; give one report at a time, or a stream of reports where one is read"
    )]
    TrailingBytes {
        /// How many bytes.
        count: usize,
    },
    /// An index is 0; the first number is `tcn_1`.
    #[error("index 0 is not a number's index, they start at 1; ask its sender for a valid report")]
    IndexZero,
    /// `j_2 < j_1` where a report was to be written.
    #[error("the span ends before it starts; give the earlier index first")]
    SpanReversed,
    /// The last index broadcast is 65535, and no index is left to end a span with.
    #[error("index 65535 was aired, so no report can end after it; rotate keys before that")]
    IndexTooHigh,
    /// More memo data than the length byte can declare.
    #[error("the memo has {have} bytes, at most 255 fit; shorten it")]
    MemoTooLong {
        /// Bytes that were given.
        have: usize,
    },
    /// `rvk` is no point of the curve.
    #[error("the verification key is not a point of the curve; ask its sender for a valid report")]
    KeyInvalid,
    /// `rvk` has small order: one signature would fit many messages.
    #[error(
        "the verification key has small order, so its signatures prove nothing; discard the report"
    )]
    KeySmallOrder,
    /// The signature does not hold, by the strict rules.
    #[error("the signature does not match the report; discard the report or fetch it again")]
    SignatureInvalid,
}
