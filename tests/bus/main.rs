//! The room `bus`, from outside.
//!
//! Over a socket pair, without any bus: `contract` holds what is served to the
//! XML we install, `members` what the methods do, `signals` what is told when
//! something changes, `files` what else is installed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers are not #[test]"
)]

mod contract;
mod files;
mod members;
mod puppet;
mod rig;
mod signals;
