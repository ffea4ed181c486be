//! The report server from outside: over HTTP on loopback, with a clock that the
//! test sets.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod boundary;
mod bucket;
mod child;
mod coepi;
mod conditional;
mod contract;
mod durable;
mod handbook;
mod harness;
mod health;
mod intake;
mod limits;
mod past_one_machine;
mod replay;
mod silence;
