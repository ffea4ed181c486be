//! tcnd on D-Bus, as its clients see it.
//!
//! [`connect`] reaches the bus that tcnd is on, and [`proxy`] has a typed proxy for each
//! of its interfaces, with what the replies hold. [`names`] has every name and path of
//! the contract. [`notices`] are the words for what a person may have to act on.

#![forbid(unsafe_code)]

mod address;
pub mod names;
pub mod notices;
pub mod proxy;

pub use address::{BusChoice, UnknownBus, Unreachable, connect};
