//! Proxies for reports, exposures and `WipeAll`.

use std::collections::HashMap;

use zbus::{DeserializeDict, Fd, SerializeDict, Type, Variant, proxy};

/// Reports of this machine and of other people.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Reports",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Reports {
    /// What a report over this span would disclose.
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
    ) -> zbus::Result<(String, CreateReply)>;
    /// All reports of this machine, and records of deleted reports that had left it.
    #[zbus(allow_interactive_auth)]
    fn list(&self) -> zbus::Result<Vec<OwnReportInfo>>;
    /// Writes a report to a file; option `format`. Returns its length.
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
    fn publish(&self, id: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<PublishReply>;
    /// Cancels the parts of a report that have not left yet; option `source`.
    #[zbus(allow_interactive_auth)]
    fn cancel_publish(
        &self,
        id: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<CancelPublishReply>;
    /// Fetches reports of other people now.
    #[zbus(allow_interactive_auth)]
    fn check(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<CheckReply>;
    /// Checks reports of other people for contacts; options `source`, `published`.
    #[zbus(allow_interactive_auth)]
    fn import(
        &self,
        file: Fd<'_>,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<ImportCounts>;
    /// How many bytes the import has read. The signal goes only to its caller.
    #[zbus(signal)]
    fn import_progress(&self, bytes: u64) -> zbus::Result<()>;
    /// Deletes a report of this machine.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, id: &str) -> zbus::Result<()>;
}

/// Exposures: what reports of other people mean for this machine.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Exposures",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Exposures {
    /// All exposures; dismissed ones only with the option `dismissed`.
    #[zbus(allow_interactive_auth)]
    fn list(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Vec<ExposureInfo>>;
    /// One exposure.
    #[zbus(allow_interactive_auth)]
    fn get(&self, id: &str) -> zbus::Result<ExposureInfo>;
    /// How many exposures are not seen, and how complete that is. polkit does not ask for
    /// a password, because programs request this without a person.
    fn get_summary(&self) -> zbus::Result<ExposureSummary>;
    /// Marks an exposure as seen.
    #[zbus(allow_interactive_auth)]
    fn mark_seen(&self, id: &str) -> zbus::Result<()>;
    /// Marks an exposure as seen and hides it.
    #[zbus(allow_interactive_auth)]
    fn dismiss(&self, id: &str) -> zbus::Result<()>;
    /// Lists a dismissed exposure again.
    #[zbus(allow_interactive_auth)]
    fn restore(&self, id: &str) -> zbus::Result<()>;
    /// Subscribes the caller to Changed, until it leaves the bus or unsubscribes, or the
    /// daemon ends. Since API level 8 Changed comes at once.
    #[zbus(allow_interactive_auth)]
    fn subscribe(&self) -> zbus::Result<()>;
    /// Ends the subscription.
    #[zbus(allow_interactive_auth)]
    fn unsubscribe(&self) -> zbus::Result<()>;
    /// Exposures changed; `unseen` are not seen. The signal goes only to subscribers.
    #[zbus(signal)]
    fn changed(&self, unseen: u32) -> zbus::Result<()>;
}

/// `WipeAll` destroys all state.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Privacy",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Privacy {
    /// Destroys all state. The phrase protects against mistakes. Option `dry_run`.
    #[zbus(allow_interactive_auth)]
    fn wipe_all(&self, phrase: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
}

/// The reply of `Reports.Preview`: what a report would disclose.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Disclosure {
    /// Signed reports that it takes, one per key.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// All that the signed reports name; some never were on the air.
    pub named: u64,
    /// Length of all parts in bytes, without memos.
    pub bytes: u64,
    /// When the first of the numbers went on the air, in seconds since 1970.
    pub from: Option<u64>,
    /// When the last left it.
    pub to: Option<u64>,
    /// The last number is still on the air.
    pub on_air: bool,
    /// Identifies this disclosure, for `Reports.Create`.
    pub token: String,
    /// Silences of five minutes or more in the requested span.
    pub gaps: Vec<(u64, u64)>,
    /// Keys in that span that an earlier report used.
    pub reported: u32,
}

/// The reply of `Reports.Create`: what the report discloses.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct CreateReply {
    /// Signed reports that it took.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// All that the signed reports name; some never were on the air.
    pub named: u64,
    /// When the first of them went on the air, in seconds since 1970.
    pub from: u64,
    /// When the last left it.
    pub to: u64,
    /// The remaining concerns about the memo, for people.
    pub concerns: Vec<String>,
}

/// One report of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct OwnReportInfo {
    /// The id of the report.
    pub id: String,
    /// When the report was made, in seconds since 1970.
    pub created: u64,
    /// When the report was deleted; then this is only the record of what left.
    pub deleted: Option<u64>,
    /// Type of its memo.
    pub memo_type: u8,
    /// Its memo, until it is deleted.
    pub memo: Option<Vec<u8>>,
    /// A note of the person, which never leaves the machine.
    pub note: String,
    /// Signed reports in the report.
    pub parts: u32,
    /// Numbers in them that were on the air.
    pub numbers: u64,
    /// All that the signed reports name; some never were on the air. `None` if deleted.
    pub named: Option<u64>,
    /// When the first of them went on the air, in seconds since 1970.
    pub from: u64,
    /// When the last left it.
    pub to: u64,
    /// When and how the report left the machine; the latter is a token such as export-tcn.
    pub departures: Vec<(u64, String)>,
    /// Parts on their way to servers.
    pub uploads: Vec<UploadStatus>,
}

/// A part of a report on its way to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct UploadStatus {
    /// The name of the server.
    pub source: String,
    /// queued, sent, accepted, refused or cancelled.
    pub state: String,
    /// When the state began, in seconds since 1970.
    pub at: u64,
    /// When the part is sent or tried again, at the earliest.
    pub due: Option<u64>,
    /// The last message of the server or the network.
    pub reason: String,
}

/// The reply of `Reports.Publish`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PublishReply {
    /// Parts queued or hurried, each counted for every server.
    pub parts: u32,
    /// Those of them that were queued before.
    pub hurried: u32,
    /// The labels of the servers.
    pub labels: Vec<String>,
    /// When the last part may leave, in seconds since 1970.
    pub last: u64,
    /// Identifies this outcome.
    pub token: String,
}

/// The reply of `Reports.CancelPublish`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct CancelPublishReply {
    /// Parts that had not left, each counted for every server.
    pub cancelled: u32,
    /// Parts that had left, or may have.
    pub left: u32,
    /// For each server its name, cancelled and left.
    pub servers: Vec<(String, u32, u32)>,
}

/// The reply of `Reports.Check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct CheckReply {
    /// Reports that were checked for the first time.
    pub reports: u64,
    /// Exposures that were not known before.
    pub new_exposures: u64,
    /// The last time by which all servers had been checked successfully, in seconds since
    /// 1970.
    pub checked: Option<u64>,
    /// Servers that could not be checked: label, and token of the problem.
    pub failed: Vec<(String, String)>,
}

counts! {
    /// The reply of `Reports.Import`. Each item of the file is counted in one of the first
    /// five fields.
    ImportCounts {
        /// Checked for the first time.
        accepted,
        /// Checked before.
        duplicate,
        /// Names a contact, with an invalid signature. Signatures of other reports are not
        /// checked.
        bad_signature,
        /// Not a report.
        malformed,
        /// Beyond the work that one source may cause.
        too_large,
        /// Exposures that were not known before.
        new_exposures,
        /// Known reports of which more is known now.
        updated,
        /// Known reports that name contacts, including those of `updated`.
        known,
        /// Reports that name contacts which all began after they were public.
        heard_later,
    }
}

/// The reply of `Exposures.GetSummary`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct ExposureSummary {
    /// Exposures that are not seen.
    pub unseen: u32,
    /// Sources of reports that are configured.
    pub sources: u32,
    /// The last time by which all sources had been checked successfully, in seconds since
    /// 1970.
    pub checked: Option<u64>,
    /// Sources that could not be checked: label, and token of the problem.
    pub failed: Vec<(String, String)>,
    /// Whether reports were delivered that are not matched yet.
    pub waiting: bool,
}

/// One exposure. Times are rounded outward to five minutes.
#[derive(Clone, Debug, Default, PartialEq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct ExposureInfo {
    /// The id of the exposure, which stays while the exposure grows.
    pub id: String,
    /// The UTC day on which it began, in seconds since 1970.
    pub day: u64,
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub to: u64,
    /// Seconds near; those of pauses of discovery at the start and the end count by half.
    pub duration_s: u32,
    /// Seconds near at least, rounded down to five minutes; only if there were such pauses.
    pub duration_least_s: Option<u32>,
    /// Seconds near at most; only if there were such pauses.
    pub duration_most_s: Option<u32>,
    /// Measured sightings by attenuation: the upper bound in dB (255: the rest), the count.
    pub attenuation: Vec<(u8, u32)>,
    /// Strongest signal in dBm, if one was measured.
    pub rssi_max: Option<i16>,
    /// Whose radio was heard: direct (the other person's), bridged (another device's) or
    /// mixed.
    pub carried: String,
    /// An estimate in metres, if the signal of the other person's device was measured.
    pub distance: Option<f64>,
    /// The estimate for a weaker sender.
    pub distance_least: Option<f64>,
    /// The estimate for a stronger sender.
    pub distance_most: Option<f64>,
    /// The sources of the report.
    pub sources: Vec<String>,
    /// Where those of the sources that say so have help: label, web page and telephone
    /// number, one of which may be empty; absent before API level 9.
    pub help: Option<Vec<(String, String, String)>>,
    /// When the report was public at the latest, in seconds since 1970.
    pub published: u64,
    /// When this machine received it.
    pub received: u64,
    /// Type of its memo.
    pub memo_type: u8,
    /// Its memo.
    pub memo: Vec<u8>,
    /// The symptoms that the memo names, as tokens, see [`symptoms`](crate::symptoms);
    /// absent before API level 8.
    pub symptoms: Option<Vec<String>>,
    /// The UTC day of the first symptom, in seconds since 1970, if the memo says it.
    pub since: Option<u64>,
    /// The text of a stranger, if the memo is text.
    pub text: Option<String>,
    /// The rule that makes an exposure of contacts, a token.
    pub rule: String,
    /// The rule joins contacts while the gap between them is shorter than this, in
    /// seconds.
    pub rule_gap_s: u32,
    /// The signal at one metre from which distances are computed, in dBm.
    pub rule_reference_rssi: i16,
    /// Whether it is marked as seen.
    pub seen: bool,
    /// Whether it is hidden.
    pub dismissed: bool,
}
