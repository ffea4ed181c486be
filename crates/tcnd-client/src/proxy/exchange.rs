//! The exchange with servers, as `tcnd-sync` sees it.

use std::collections::BTreeMap;

use zbus::{DeserializeDict, Fd, SerializeDict, Type, Variant, proxy};

/// Reports on their way, for `tcnd-sync` alone; see `dbus/interfaces` for the
/// prose. No call starts tcnd: a run of one that ended meanwhile is over.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Exchange",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Exchange {
    /// A run begins; these are all the sources that are configured. Answers
    /// whether a person asked for it.
    #[zbus(no_autostart)]
    fn begin(&self, sources: &[Source]) -> zbus::Result<bool>;
    /// The numbers of the intervals that a source has not delivered whole, the
    /// oldest first, the current one last.
    #[zbus(no_autostart)]
    fn pending(&self, source: &str) -> zbus::Result<Vec<u64>>;
    /// Hands over the reports of one interval; options `whole` (b), `budget`
    /// (t).
    #[zbus(no_autostart)]
    fn deliver(
        &self,
        source: &str,
        interval: u64,
        file: Fd<'_>,
        options: BTreeMap<&str, Variant<'_>>,
    ) -> zbus::Result<Delivered>;
    /// Takes the next part that is due for this source; no fields if none is.
    #[zbus(no_autostart)]
    fn take_part(&self, source: &str) -> zbus::Result<Upload>;
    /// What became of it: `accepted`, `refused` or `failed`; options `reason`
    /// (s), `retry_after` (u) in seconds.
    #[zbus(no_autostart)]
    fn settle_part(
        &self,
        part: u64,
        outcome: &str,
        options: BTreeMap<&str, Variant<'_>>,
    ) -> zbus::Result<()>;
    /// A source was gone through; `problem` is a token, empty if all was well.
    #[zbus(no_autostart)]
    fn record(&self, source: &str, problem: &str) -> zbus::Result<()>;
    /// The run is over.
    #[zbus(no_autostart)]
    fn end(&self) -> zbus::Result<()>;
}

/// A source that is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Source {
    /// Its name in the configuration.
    pub name: String,
    /// What people are shown.
    pub label: String,
    /// Whether reports of ours may be published there.
    pub publish: bool,
}

/// What became of a delivery. Nothing in it depends on the contacts: whoever has
/// the network must not be able to find them out by deliveries of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Delivered {
    /// Delivered by this source for the first time.
    pub accepted: u64,
    /// Delivered by it before.
    pub duplicate: u64,
    /// No report.
    pub malformed: u64,
    /// Past the work, or the bytes, that one source may cost.
    pub too_large: u64,
}

/// A part of a report of ours on its way out.
#[derive(Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Upload {
    /// Its local name; absent if nothing is due.
    pub part: Option<u64>,
    /// The signed report, byte for byte; absent if nothing is due.
    pub report: Option<Vec<u8>>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}
