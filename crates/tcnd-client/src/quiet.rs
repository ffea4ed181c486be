//! Proxies that never have a person asked for a password.
//!
//! A program that looks by itself uses these: polkit then refuses what the user may not
//! do, and nothing appears on the screen. Programs that act for a person use those of
//! [`proxy`](crate::proxy), whose methods let polkit ask. What both have in common,
//! properties among it, is there.

use std::collections::HashMap;

use zbus::{Variant, proxy};

use crate::proxy::{Exposure, ExposureSummary, OwnReport, Statistics, Summary};

/// The contact log in sums.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Contacts",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Contacts {
    /// Totals; options `from` and `to`, both u64.
    fn get_summary(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Summary>;
    /// Counters and sizes.
    fn get_statistics(&self) -> zbus::Result<Statistics>;
    /// Numbers heard within the last minute.
    fn count_nearby(&self) -> zbus::Result<u32>;
}

/// Reports of this machine.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Reports",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Reports {
    /// All of them, and those deleted that had left.
    fn list(&self) -> zbus::Result<Vec<OwnReport>>;
}

/// What the reports of others mean for this machine.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Exposures",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Exposures {
    /// All that were not dismissed; those too with the option `dismissed`.
    fn list(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Vec<Exposure>>;
    /// One of them.
    fn get(&self, id: &str) -> zbus::Result<Exposure>;
    /// How many there are, and how far the answer goes.
    fn get_summary(&self) -> zbus::Result<ExposureSummary>;
    /// Has Changed sent to the caller, until it leaves or the daemon ends.
    fn subscribe(&self) -> zbus::Result<()>;
    /// Something changed; so many were not seen. Sent to subscribers alone.
    #[zbus(signal)]
    fn changed(&self, unseen: u32) -> zbus::Result<()>;
}
