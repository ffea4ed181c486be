//! Tests of the module `bus` from outside.
//!
//! `contract`, `members`, `contact_totals`, `contact_log`, `reports` and `signals` test
//! what the daemon sends, over a socket pair, without any bus; `files` tests the files
//! that belong to it. `flood` and `foreign_files` attack it. `policy`, `authorization`,
//! `disconnects` and `exposures` test which clients may receive what, on a private bus
//! with the policy file of the package, where callers are really other users. That needs
//! root and dbus-daemon, and fails without.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod authorization;
mod contact_log;
mod contact_totals;
mod contract;
#[path = "../support/dbus_daemon.rs"]
mod dbus_daemon;
mod disconnects;
mod exchange;
mod exposures;
mod files;
mod flood;
mod foreign_files;
mod harness;
mod logind;
mod members;
mod mock_driver;
mod policy;
mod polkit;
mod reports;
mod signals;
mod system_bus;
