//! Proxies whose calls never make polkit ask for a password.
//!
//! They are for programs that act without a person, such as a bar: if the user lacks the
//! permission, polkit refuses the call, and no prompt appears on the screen. Nor do they start
//! a tcnd that does not run. Programs that
//! act for a person use [`proxy`](crate::proxy), whose methods let polkit ask. The members
//! that never need a prompt, such as properties, are only there.

use std::collections::HashMap;

use zbus::{Variant, proxy};

use crate::proxy::{
    ContactSummary, DaemonStatistics, ExposureInfo, ExposureSummary, OwnReportInfo,
};

/// Totals of the contact log, without interaction.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Contacts",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait NonInteractiveContacts {
    /// Totals; options `from` and `to`, both u64.
    #[zbus(no_autostart)]
    fn get_summary(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<ContactSummary>;
    /// The bars of a histogram: start, numbers, sightings.
    #[zbus(no_autostart)]
    fn get_histogram(
        &self,
        from: u64,
        to: u64,
        bucket_s: u32,
    ) -> zbus::Result<Vec<(u64, u32, u32)>>;
    /// Counters and sizes.
    #[zbus(no_autostart)]
    fn get_statistics(&self) -> zbus::Result<DaemonStatistics>;
    /// Numbers heard within the last minute.
    #[zbus(no_autostart)]
    fn count_nearby(&self) -> zbus::Result<u32>;
    /// How long this machine was on the air: the start of each quarter of an hour, and
    /// seconds. Since API level 8.
    #[zbus(no_autostart)]
    fn get_activity(&self, from: u64, to: u64) -> zbus::Result<Vec<(u64, u32)>>;
    /// How many numbers were heard within the last quarter of an hour, a token. There are
    /// no options yet. Since API level 8.
    #[zbus(no_autostart)]
    fn get_presence(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<String>;
}

/// Reports of this machine, without interaction.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Reports",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait NonInteractiveReports {
    /// All reports, and records of deleted reports that had left the machine.
    #[zbus(no_autostart)]
    fn list(&self) -> zbus::Result<Vec<OwnReportInfo>>;
}

/// Exposures, without interaction.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Exposures",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait NonInteractiveExposures {
    /// All exposures; dismissed ones only with the option `dismissed`.
    #[zbus(no_autostart)]
    fn list(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Vec<ExposureInfo>>;
    /// One exposure.
    #[zbus(no_autostart)]
    fn get(&self, id: &str) -> zbus::Result<ExposureInfo>;
    /// How many exposures are not seen, and how complete that is.
    #[zbus(no_autostart)]
    fn get_summary(&self) -> zbus::Result<ExposureSummary>;
    /// Subscribes the caller to Changed, until it leaves the bus or the daemon ends.
    #[zbus(no_autostart)]
    fn subscribe(&self) -> zbus::Result<()>;
    /// Exposures changed; `unseen` are not seen. The signal goes only to subscribers.
    #[zbus(signal)]
    fn changed(&self, unseen: u32) -> zbus::Result<()>;
}
