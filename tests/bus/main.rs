//! The room `bus`, from outside.
//!
//! `contract`, `members`, `sums`, `log`, `reports` and `signals` look at what the
//! daemon says, over a socket pair, without any bus; `files` at the files beside
//! it. `flood` and `foreign` are unkind to it. `policy`, `questions`, `holds` and `exposures` ask who may hear it, on a private bus with the policy
//! file we ship, where callers are really other users: that needs root and
//! dbus-daemon, and fails without.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; helpers are not #[test]"
)]

mod contract;
mod exchange;
mod exposures;
mod files;
mod flood;
mod foreign;
mod holds;
mod log;
mod members;
mod policy;
mod polkit;
mod puppet;
mod questions;
mod reports;
mod rig;
mod signals;
mod sleep;
mod sums;
mod town;
