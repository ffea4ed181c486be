//! Why a run failed.

use std::io;

use thiserror::Error;

/// Why a run failed.
#[derive(Debug, Error)]
pub enum SyncError {
    /// tcnd does not answer.
    #[error("tcnd cannot be reached; check that it runs (systemctl status tcnd)")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another run is under way.
    #[error("another run is under way; let it finish")]
    Busy,
    /// tcnd refuses the calls of a run.
    #[error("tcnd refused; run it as the user tcnd-sync, in the version of tcnd")]
    Refused(#[source] zbus::Error),
    /// The state directory cannot be used.
    #[error("cannot write to the state directory; check its owner, and that its disk has space")]
    State(#[source] io::Error),
}
