//! Makes it happen.
mod handle;

pub use handle::{
    Check, Handle, Hold, Mailbox, PauseRequest, Problem, Refusal, Reply, Request, Snapshot, State,
    Statistics,
};

pub use crate::engine::Pause;
