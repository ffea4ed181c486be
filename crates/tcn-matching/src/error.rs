//! Reasons why reports are not matched.

use thiserror::Error;

/// Matching did not finish.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum MatchingError {
    /// More numbers than one index holds.
    #[error(
        "more than {most} numbers were heard in the time asked about; match against a shorter time"
    )]
    IndexFull {
        /// How many numbers an index holds.
        most: usize,
    },
    /// The caller asked to stop. Nothing that was found so far is kept.
    #[error("matching was stopped before its end; start it again")]
    Stopped,
}
