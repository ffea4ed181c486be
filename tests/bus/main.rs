//! Tests of the module `bus` from outside.
//!
//! `contract`, `members`, `sums`, `log`, `reports` and `signals` test what the daemon
//! sends, over a socket pair, without any bus; `files` tests the files that belong to
//! it. `flood` and `foreign` attack it. `policy`, `questions`, `holds` and `exposures`
//! test which clients may receive what, on a private bus with the policy file we ship,
//! where callers are really other users. That needs root and dbus-daemon, and fails
//! without.

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
