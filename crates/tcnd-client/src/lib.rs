//! tcnd on D-Bus, as its clients see it.
//!
//! [`connect`] reaches the bus that tcnd is on, and [`proxy`] has a typed proxy for each
//! of its interfaces, with what the replies hold; those of [`quiet`] never have a person
//! asked for a password. [`watch`] gives snapshots, again whenever something changes.
//! [`names`] has every name and path of the contract, and [`failure`] tells why a call
//! failed. [`Problem`] is what can be wrong, and [`notices`] has the words for
//! what a person may have to act on.

#![forbid(unsafe_code)]

mod address;
pub mod failure;
pub mod names;
pub mod notices;
mod problem;
pub mod proxy;
pub mod quiet;
pub mod watch;

pub use address::{BusChoice, UnknownBus, Unreachable, connect};
pub use problem::Problem;
