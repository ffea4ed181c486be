//! The commands of tcnctl, one file for each. `doctor` has a folder of its own.

pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod consent;
pub(crate) mod contacts;
pub(crate) mod exposures;
pub(crate) mod pause;
pub(crate) mod report;
pub(crate) mod rotate;
pub(crate) mod self_test;
pub(crate) mod statistics;
pub(crate) mod status;
pub(crate) mod watch;
pub(crate) mod wipe;
