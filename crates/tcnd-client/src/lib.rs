//! The D-Bus client of tcnd.
//!
//! [`connect`] connects to the bus of tcnd. [`proxy`] has a typed proxy for each of its
//! interfaces, and the types of the replies. The proxies of [`non_interactive`] never
//! make polkit ask for a password. [`watch`] gives a snapshot after each change.
//! [`names`] has every name and path of the contract, and [`failure`] tells why a call
//! failed. [`state`] has the public state as a struct. [`Problem`] lists all problems, and
//! [`notices`] has their texts. [`symptoms`] has the
//! names of symptoms.

#![forbid(unsafe_code)]

mod address;
pub mod failure;
pub mod names;
pub mod non_interactive;
pub mod notices;
mod problem;
pub mod proxy;
pub mod state;
pub mod symptoms;
pub mod watch;

pub use address::{BusChoice, UnknownBus, Unreachable, connect};
pub use problem::Problem;
