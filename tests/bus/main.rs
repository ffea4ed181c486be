//! The room `bus`, from outside.
//!
//! Over a socket pair, without any bus: `contract` holds what is served to the
//! XML we install, `members` what the methods do, `signals` what is told when
//! something changes, `files` what else is installed. `policy` and `holds` ask
//! who may hear and do it, on a private bus with the policy file we ship, where
//! callers are really other users: that needs root, dbus-daemon and busctl.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers are not #[test]"
)]

mod authority;
mod contract;
mod files;
mod holds;
mod members;
mod policy;
mod private_bus;
mod puppet;
mod rig;
mod signals;
