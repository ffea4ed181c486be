//! The room `bus`, from outside.
//!
//! `contract`, `members`, `signals` and `holds` look at what the daemon says;
//! the first three over a socket pair, without any bus. `policy` asks who may
//! hear it, on a private bus with the policy file we ship, where callers are
//! really other users: that needs root and dbus-daemon, and fails without.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers are not #[test]"
)]

mod contract;
mod files;
mod holds;
mod members;
mod policy;
mod puppet;
mod rig;
mod signals;
