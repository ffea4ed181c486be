//! Reports, exposures and the end of it all, as clients see them.

use std::collections::HashMap;

use tcn_engine::RSSI_UNAVAILABLE;
use tcn_engine::disclosure::Plan;
use tcn_protocol::UnixTime;
use zbus::{DeserializeDict, Fd, SerializeDict, Type, Variant, proxy};

use crate::daemon::{self, Reported};
use crate::exposure::{Carried, Distance, REFERENCE_RSSI_DBM, Rule};
use crate::store;

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

impl ExposureSummary {
    pub(in crate::bus) fn new(unseen: u32, standing: daemon::Standing) -> Self {
        Self {
            unseen,
            sources: count(standing.sources.len()),
            checked: standing.checked().map(|at| at.0),
            waiting: standing.matching != daemon::Matching::Idle,
            failed: failed(standing),
        }
    }
}

/// The sources that could not be gone through: label, and what was wrong.
fn failed(standing: daemon::Standing) -> Vec<(String, String)> {
    let failed = standing.sources.into_iter();
    let failed = failed.filter(|source| source.failures > 0);
    failed
        .map(|source| (source.configured.label, source.problem))
        .collect()
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

impl From<Plan> for Disclosure {
    fn from(plan: Plan) -> Self {
        let span = plan.span();
        Self {
            parts: count(plan.parts.len()),
            numbers: plan.numbers(),
            named: plan.named(),
            on_air: plan.on_air(),
            token: token(plan.fingerprint()),
            bytes: plan.bytes(0) as u64,
            from: span.map(|(from, _)| from.0),
            to: span.map(|(_, to)| to.0),
            gaps: plan.gaps.iter().map(|(from, to)| (from.0, to.0)).collect(),
            reported: count(plan.reported),
        }
    }
}

impl From<Reported> for Created {
    fn from(reported: Reported) -> Self {
        // What was made has parts, and they have a span.
        let (from, to) = reported.plan.span().unwrap_or((UnixTime(0), UnixTime(0)));
        Self {
            parts: count(reported.plan.parts.len()),
            numbers: reported.plan.numbers(),
            named: reported.plan.named(),
            from: from.0,
            to: to.0,
            concerns: reported.concerns.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<store::OwnReport> for OwnReport {
    fn from(report: store::OwnReport) -> Self {
        let departures = report.departures.into_iter();
        Self {
            id: report.id.to_string(),
            created: report.created.0,
            deleted: report.deleted.map(|deleted| deleted.0),
            memo_type: report.memo_type.get(),
            memo: report.memo.map(|memo| memo.data().to_vec()),
            note: report.note,
            parts: report.parts,
            numbers: report.numbers,
            named: report.named,
            from: report.from.0,
            to: report.to.0,
            departures: departures.map(|left| (left.at.0, left.how)).collect(),
            uploads: report.uploads.into_iter().map(UploadState::from).collect(),
        }
    }
}

impl From<store::Upload> for UploadState {
    fn from(upload: store::Upload) -> Self {
        let state = match upload.state {
            store::UploadState::Queued => "queued",
            store::UploadState::Sent => "sent",
            store::UploadState::Accepted => "accepted",
            store::UploadState::Refused => "refused",
            store::UploadState::Cancelled => "cancelled",
        };
        Self {
            source: upload.source,
            state: state.to_owned(),
            at: upload.at.0,
            due: upload.due.map(|due| due.0),
            reason: upload.reason,
        }
    }
}

impl From<daemon::Published> for Published {
    fn from(published: daemon::Published) -> Self {
        Self {
            parts: count(published.parts),
            hurried: count(published.hurried),
            labels: published.labels,
            last: published.last.0,
            token: token(published.token),
        }
    }
}

impl From<Vec<store::Cancelled>> for Cancelled {
    fn from(of: Vec<store::Cancelled>) -> Self {
        let servers = of.into_iter();
        let server = |of: store::Cancelled| (of.source, count(of.cancelled), count(of.left));
        let servers: Vec<_> = servers.map(server).collect();
        Self {
            cancelled: servers.iter().map(|server| server.1).sum(),
            left: servers.iter().map(|server| server.2).sum(),
            servers,
        }
    }
}

/// A fingerprint as the bus carries it.
fn token(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

impl From<daemon::Standing> for Checked {
    fn from(standing: daemon::Standing) -> Self {
        let checked = standing.checked().map(|at| at.0);
        Self {
            reports: standing.reports,
            new_exposures: standing.new_exposures,
            checked,
            failed: failed(standing),
        }
    }
}

impl From<daemon::Imported> for Imported {
    fn from(imported: daemon::Imported) -> Self {
        Self {
            accepted: imported.accepted,
            duplicate: imported.duplicate,
            bad_signature: imported.bad_signature,
            malformed: imported.malformed,
            too_large: imported.too_large,
            new_exposures: imported.new_exposures,
            updated: imported.updated,
            known: imported.known,
            heard_later: imported.heard_later,
        }
    }
}

/// The rule of `exposure`, as a token; another rule gets another.
const RULE: &str = "contacts-1";

impl From<daemon::KnownExposure> for Exposure {
    fn from(known: daemon::KnownExposure) -> Self {
        let found = known.exposure;
        let distance = found.distance();
        let metres = |pick: fn(&Distance) -> f32| distance.as_ref().map(|d| f64::from(pick(d)));
        let rule = Rule::STANDARD;
        Self {
            id: format!("{}-{}", known.id.report, earlier(known.id.start)),
            day: found.start.0 / DAY * DAY,
            from: earlier(found.start),
            to: later(found.end.0),
            duration_s: u32::try_from(later(found.duration.as_secs())).unwrap_or(u32::MAX),
            attenuation: super::attenuation(found.attenuation),
            rssi_max: (found.rssi_max != RSSI_UNAVAILABLE).then_some(found.rssi_max),
            carried: match found.carried {
                Carried::Direct => "direct",
                Carried::Bridged => "bridged",
                Carried::Mixed => "mixed",
            }
            .to_owned(),
            distance: metres(|distance| distance.metres),
            distance_least: metres(|distance| distance.least),
            distance_most: metres(|distance| distance.most),
            sources: known.sources,
            published: known.published.0,
            received: known.received.0,
            memo_type: known.memo.kind().get(),
            memo: known.memo.data().to_vec(),
            rule: RULE.to_owned(),
            rule_gap_s: u32::try_from(rule.gap.as_secs()).unwrap_or(u32::MAX),
            rule_reference_rssi: REFERENCE_RSSI_DBM,
            seen: known.seen,
            dismissed: known.dismissed,
        }
    }
}

const DAY: u64 = 86_400;

/// Times of exposures are told in steps of so many seconds.
const STEP: u64 = 300;

/// The last step at or before a time.
pub(in crate::bus) fn earlier(time: UnixTime) -> u64 {
    time.0 / STEP * STEP
}

/// The first step at or after so many seconds.
fn later(seconds: u64) -> u64 {
    seconds.div_ceil(STEP).saturating_mul(STEP)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
