//! Makes it happen.
mod handle;

pub use handle::{
    Check, Handle, Hold, Mailbox, Pause, PauseRequest, Problem, Refusal, Reply, Request, Snapshot,
    State, Statistics,
};
