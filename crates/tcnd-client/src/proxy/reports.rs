//! Reports, exposures and the end of it all, as clients see them.

use std::collections::HashMap;

use zbus::{DeserializeDict, Fd, SerializeDict, Type, Variant, proxy};

/// Reports: our own, and those of others.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Reports",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Reports {
    /// What a report over this span would give away.
    #[zbus(allow_interactive_auth)]
    fn preview(&self, from: u64, to: u64) -> zbus::Result<Disclosure>;
    /// Makes a report; options `consent` (must be true), `note`, `numbers`,
    /// `token`, `linkable`.
    #[zbus(allow_interactive_auth)]
    fn create(
        &self,
        memo_type: u8,
        memo: &[u8],
        from: u64,
        to: u64,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<(String, Created)>;
    /// Our reports, and those deleted that had left.
    #[zbus(allow_interactive_auth)]
    fn list(&self) -> zbus::Result<Vec<OwnReport>>;
    /// Writes a report to a file; option `format`. Answers with its length.
    #[zbus(allow_interactive_auth)]
    fn export(
        &self,
        id: &str,
        file: Fd<'_>,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<u64>;
    /// Sends a report to servers; options `consent` (must be true), `source`,
    /// `now`, `dry_run`, `token`.
    #[zbus(allow_interactive_auth)]
    fn publish(&self, id: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Published>;
    /// Has what has not left of a report leave no more; option `source`.
    #[zbus(allow_interactive_auth)]
    fn cancel_publish(
        &self,
        id: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<Cancelled>;
    /// Has reports of others fetched now.
    #[zbus(allow_interactive_auth)]
    fn check(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Checked>;
    /// Looks for ourselves in reports of others; options `source`, `published`.
    #[zbus(allow_interactive_auth)]
    fn import(&self, file: Fd<'_>, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Imported>;
    /// The import has read so many bytes. Sent to its caller alone.
    #[zbus(signal)]
    fn import_progress(&self, bytes: u64) -> zbus::Result<()>;
    /// Deletes a report of ours.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, id: &str) -> zbus::Result<()>;
}

/// What the reports of others mean for us.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Exposures",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Exposures {
    /// All that were not dismissed; those too with the option `dismissed`.
    #[zbus(allow_interactive_auth)]
    fn list(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Vec<Exposure>>;
    /// One of them.
    #[zbus(allow_interactive_auth)]
    fn get(&self, id: &str) -> zbus::Result<Exposure>;
    /// How many there are, and how far the answer goes. Nobody is asked for a
    /// password: it is asked for unasked.
    fn get_summary(&self) -> zbus::Result<ExposureSummary>;
    /// It was seen.
    #[zbus(allow_interactive_auth)]
    fn mark_seen(&self, id: &str) -> zbus::Result<()>;
    /// It shall not be listed any more.
    #[zbus(allow_interactive_auth)]
    fn dismiss(&self, id: &str) -> zbus::Result<()>;
    /// It shall be listed again.
    #[zbus(allow_interactive_auth)]
    fn restore(&self, id: &str) -> zbus::Result<()>;
    /// Has Changed sent to the caller, until it leaves or unsubscribes, or the
    /// daemon ends. Nobody is asked for a password.
    fn subscribe(&self) -> zbus::Result<()>;
    /// Has it sent no longer.
    #[zbus(allow_interactive_auth)]
    fn unsubscribe(&self) -> zbus::Result<()>;
    /// Something changed; so many were not seen. Sent to subscribers alone.
    #[zbus(signal)]
    fn changed(&self, unseen: u32) -> zbus::Result<()>;
}

/// The end of it all.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Privacy",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Privacy {
    /// Destroys everything; the phrase shows that it is meant. Option `dry_run`.
    #[zbus(allow_interactive_auth)]
    fn wipe_all(&self, phrase: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
}

/// What a report gives away.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Disclosure {
    /// Signed reports it takes, one a key.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// All that the signed reports name; some never were on the air.
    pub named: u64,
    /// Length of all parts in bytes, without memos.
    pub bytes: u64,
    /// When the first of the numbers came on the air, in seconds since 1970.
    pub from: Option<u64>,
    /// When the last left it.
    pub to: Option<u64>,
    /// It has not yet.
    pub on_air: bool,
    /// Names just this, for `Reports.Create`.
    pub token: String,
    /// Silences of five minutes or more in the time asked about.
    pub gaps: Vec<(u64, u64)>,
    /// Keys in that time that an earlier report took.
    pub reported: u32,
}

/// What was given away by `Reports.Create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Created {
    /// Signed reports it took.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// All that the signed reports name; some never were on the air.
    pub named: u64,
    /// When the first of them came on the air, in seconds since 1970.
    pub from: u64,
    /// When the last left it.
    pub to: u64,
    /// What may be held against the memo, for people.
    pub concerns: Vec<String>,
}

/// One of our reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct OwnReport {
    /// Its local name.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it was deleted; then it is only the record of what left.
    pub deleted: Option<u64>,
    /// Type of its memo.
    pub memo_type: u8,
    /// Its memo, until it is deleted.
    pub memo: Option<Vec<u8>>,
    /// The person's own words; they never leave the machine.
    pub note: String,
    /// Signed reports in it.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// All that the signed reports name; some never were. Until it is deleted.
    pub named: Option<u64>,
    /// When the first of them came on the air, in seconds since 1970.
    pub from: u64,
    /// When the last left it.
    pub to: u64,
    /// What left the machine: when, and how, a token such as export-tcn.
    pub departures: Vec<(u64, String)>,
    /// Parts on their way to servers.
    pub uploads: Vec<UploadState>,
}

/// A part of a report on its way to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct UploadState {
    /// The server's name.
    pub source: String,
    /// queued, sent, accepted, refused or cancelled.
    pub state: String,
    /// Since when, in seconds since 1970.
    pub at: u64,
    /// When it leaves or is tried again, at the earliest.
    pub due: Option<u64>,
    /// What the server or the network said last.
    pub reason: String,
}

/// The answer of `Reports.Publish`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Published {
    /// Parts queued or hurried, each counted for every server.
    pub parts: u32,
    /// Those of them that were queued before.
    pub hurried: u32,
    /// The servers' labels.
    pub labels: Vec<String>,
    /// When the last part may leave, in seconds since 1970.
    pub last: u64,
    /// Names just this outcome.
    pub token: String,
}

/// The answer of `Reports.CancelPublish`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Cancelled {
    /// Parts that had not left, each counted for every server.
    pub cancelled: u32,
    /// Parts that had left, or may have.
    pub left: u32,
    /// Of each server the name, cancelled and left.
    pub servers: Vec<(String, u32, u32)>,
}

/// The answer of `Reports.Check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Checked {
    /// Reports looked at for the first time.
    pub reports: u64,
    /// Exposures nobody knew of.
    pub new_exposures: u64,
    /// When all servers had been gone through well, in seconds since 1970.
    pub checked: Option<u64>,
    /// Servers that could not be gone through: label, and what was wrong.
    pub failed: Vec<(String, String)>,
}

/// What became of the items of an import; each is counted in one of the first
/// five.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Imported {
    /// Looked at for the first time.
    pub accepted: u64,
    /// Looked at before.
    pub duplicate: u64,
    /// Named us, with a signature that does not hold.
    pub bad_signature: u64,
    /// No report.
    pub malformed: u64,
    /// Past the work one source may cause.
    pub too_large: u64,
    /// Exposures nobody knew of.
    pub new_exposures: u64,
    /// Known reports of which more is known now.
    pub updated: u64,
    /// Known reports that name contacts, with those of `updated`.
    pub known: u64,
    /// Reports that name contacts which all began after they were public.
    pub heard_later: u64,
}

/// The answer of `Exposures.GetSummary`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct ExposureSummary {
    /// Exposures that nobody has seen.
    pub unseen: u32,
    /// Sources of reports that are configured.
    pub sources: u32,
    /// When all sources had been gone through well, in seconds since 1970.
    pub checked: Option<u64>,
    /// Sources that could not be gone through: label, and what was wrong.
    pub failed: Vec<(String, String)>,
    /// Reports that were delivered are not matched yet.
    pub waiting: bool,
}

/// One exposure. Times are rounded outward to five minutes.
#[derive(Clone, Debug, Default, PartialEq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Exposure {
    /// Its name, which stays while it grows.
    pub id: String,
    /// The UTC day it began on, in seconds since 1970.
    pub day: u64,
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub to: u64,
    /// Seconds within contacts.
    pub duration_s: u32,
    /// Measured sightings: up to so many dB (255: the rest), how many.
    pub attenuation: Vec<(u8, u32)>,
    /// Strongest signal in dBm, if one was measured.
    pub rssi_max: Option<i16>,
    /// Whose radio was heard: direct, bridged or mixed.
    pub carried: String,
    /// An estimate in metres, if the person's own signal was measured.
    pub distance: Option<f64>,
    /// From a sender that much weaker.
    pub distance_least: Option<f64>,
    /// From a sender that much stronger.
    pub distance_most: Option<f64>,
    /// Where the report came from.
    pub sources: Vec<String>,
    /// By when the report was public, in seconds since 1970.
    pub published: u64,
    /// When it came here.
    pub received: u64,
    /// Type of its memo.
    pub memo_type: u8,
    /// Its memo.
    pub memo: Vec<u8>,
    /// The rule that made the exposure of contacts, a token.
    pub rule: String,
    /// Contacts belong together while the gap between them is shorter, in
    /// seconds.
    pub rule_gap_s: u32,
    /// Signal at one metre that distances are reckoned from, in dBm.
    pub rule_reference_rssi: i16,
    /// It was seen.
    pub seen: bool,
    /// It shall not be listed.
    pub dismissed: bool,
}
