//! What can keep reports from being matched.

use thiserror::Error;

/// Matching did not come to its end.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum MatchingError {
    /// More numbers than one index takes.
    #[error(
        "more than {most} numbers were heard in the time asked about; match against a shorter time"
    )]
    IndexFull {
        /// What an index takes.
        most: usize,
    },
    /// The caller asked to stop; nothing that was found so far is kept.
    #[error("matching was stopped before its end; start it again")]
    Stopped,
}
