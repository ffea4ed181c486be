//! The front hall.
mod flags;

pub use flags::{DaemonFlags, RadioChoice};
