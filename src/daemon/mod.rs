//! Makes it happen: the engine's decisions, carried out.
//!
//! [`drive`] is the loop, [`clock`] and `chance` are the doors by which time
//! and randomness come in, `notify` speaks to systemd, and [`Handle`] is all
//! that the bus sees of any of it.

mod chance;
pub mod clock;
mod driver;
mod handle;
mod notify;
mod publish;
mod requests;

pub use driver::{Ended, Fault, Parts, Reread, Signal, drive};
pub use handle::{
    Check, Handle, Hold, Mailbox, PauseRequest, Problem, Refusal, Reply, Request, Snapshot, State,
    Statistics,
};

pub use notify::ready;
pub use publish::starting;

pub use crate::engine::Pause;
