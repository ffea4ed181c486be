//! The front hall.
mod flags;

pub use flags::{BusChoice, DaemonFlags, RadioChoice};
