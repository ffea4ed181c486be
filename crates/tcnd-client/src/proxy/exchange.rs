//! The transfer of reports to and from servers, for `tcnd-sync`.

use std::collections::BTreeMap;

use zbus::{DeserializeDict, Fd, SerializeDict, Type, Variant, proxy};

/// Transfer of reports, only for `tcnd-sync`; `dbus/interfaces` has the documentation.
/// No call starts tcnd: if tcnd ends, its run is over.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Exchange",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Exchange {
    /// Begins a run with all configured sources. Returns whether a person asked for it.
    #[zbus(no_autostart)]
    fn begin(&self, sources: &[SourceInfo]) -> zbus::Result<bool>;
    /// The numbers of the intervals that a source has not delivered whole, the
    /// oldest first, the current one last.
    #[zbus(no_autostart)]
    fn pending(&self, source: &str) -> zbus::Result<Vec<u64>>;
    /// Delivers the reports of one interval; options `whole` (b), `budget` (t).
    #[zbus(no_autostart)]
    fn deliver(
        &self,
        source: &str,
        interval: u64,
        file: Fd<'_>,
        options: BTreeMap<&str, Variant<'_>>,
    ) -> zbus::Result<DeliveryCounts>;
    /// Takes the next part that is due for this source; no fields if none is.
    #[zbus(no_autostart)]
    fn take_part(&self, source: &str) -> zbus::Result<UploadPart>;
    /// Records the outcome of a part: `accepted`, `refused` or `failed`; options `reason`
    /// (s), `retry_after` (u) in seconds.
    #[zbus(no_autostart)]
    fn settle_part(
        &self,
        part: u64,
        outcome: &str,
        options: BTreeMap<&str, Variant<'_>>,
    ) -> zbus::Result<()>;
    /// Records the result for a source; `problem` is a token, empty after success.
    #[zbus(no_autostart)]
    fn record(&self, source: &str, problem: &str) -> zbus::Result<()>;
    /// Ends the run.
    #[zbus(no_autostart)]
    fn end(&self) -> zbus::Result<()>;
}

/// A configured source of reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct SourceInfo {
    /// Its name in the configuration.
    pub name: String,
    /// The text that is shown to people.
    pub label: String,
    /// Whether reports of this machine may be published there.
    pub publish: bool,
    /// The web page where people find help; since API level 9.
    pub help_url: Option<String>,
    /// The telephone number where people find help; since API level 9.
    pub help_phone: Option<String>,
}

counts! {
    /// The reply of `Exchange.Deliver`: each item of a delivery is counted in one of these.
    /// Nothing in it depends on the contacts: a program with network access must not be
    /// able to learn the contacts from deliveries.
    DeliveryCounts {
        /// Delivered by this source for the first time.
        accepted,
        /// Delivered by it before.
        duplicate,
        /// Not a report.
        malformed,
        /// Beyond the work, or the bytes, that one source may cause.
        too_large,
    }
}

/// The reply of `Exchange.TakePart`: a part of a report of this machine.
#[derive(Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct UploadPart {
    /// The local number of the part; absent if nothing is due.
    pub part: Option<u64>,
    /// The signed report, byte for byte; absent if nothing is due.
    pub report: Option<Vec<u8>>,
}

impl std::fmt::Debug for UploadPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadPart")
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}
