//! Builds the replies of methods from the daemon's answers.
//!
//! Their types are those of [`proxy`](tcnd_client::proxy), so that both ends of the bus
//! use the same.

use tcn_engine::ATTENUATION_BOUNDS_DB;
use tcn_engine::disclosure::Plan;
use tcn_exchange::help::{HelpPhone, HelpUrl};
use tcn_protocol::UnixTime;
use tcn_protocol::memo::CoEpiMemo;
use tcnd_client::proxy::{
    CancelPublishReply, CheckReply, ContactSummary, CreateReply, Disclosure, ExposureInfo,
    ExposureSummary, OwnReportInfo, PublishReply, UploadStatus,
};

use crate::daemon::{self, Reported};
use crate::exposure::{Carried, Distance, REFERENCE_RSSI_DBM, Rule};
use crate::store::{self, SourceHelp};

impl From<store::Summary> for ContactSummary {
    fn from(totals: store::Summary) -> Self {
        let day = |day: &store::Bucket| (day.start.0, clamped(day.numbers), clamped(day.sightings));
        Self {
            numbers: clamped(totals.numbers),
            sightings: clamped(totals.sightings),
            oldest: totals.oldest.map(|oldest| oldest.0),
            per_day: totals.per_day.iter().map(day).collect(),
            attenuation: attenuation(totals.attenuation.map(clamped)),
        }
    }
}

/// Counts by attenuation, each with its bound in dB; 255 is the rest.
fn attenuation(counts: [u32; 4]) -> Vec<(u8, u32)> {
    let bounds = ATTENUATION_BOUNDS_DB.map(|bound| u8::try_from(bound).unwrap_or(u8::MAX));
    bounds.into_iter().chain([u8::MAX]).zip(counts).collect()
}

/// A count as the bus carries it, limited to the greatest u.
pub(super) fn clamped(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The disclosure of a plan.
pub(super) fn disclosure(plan: &Plan) -> Disclosure {
    let span = plan.span();
    Disclosure {
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

impl From<Reported> for CreateReply {
    fn from(reported: Reported) -> Self {
        // A created report has parts, and they have a span.
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

impl From<store::OwnReport> for OwnReportInfo {
    fn from(report: store::OwnReport) -> Self {
        let departures = report.releases.into_iter();
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
            uploads: report.uploads.into_iter().map(UploadStatus::from).collect(),
        }
    }
}

impl From<store::Upload> for UploadStatus {
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

impl From<daemon::Published> for PublishReply {
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

/// The cancelled parts, of each server and in total.
pub(super) fn cancelled(of: Vec<store::Cancelled>) -> CancelPublishReply {
    let servers = of.into_iter();
    let server = |of: store::Cancelled| (of.source, count(of.cancelled), count(of.left));
    let servers: Vec<_> = servers.map(server).collect();
    CancelPublishReply {
        cancelled: servers.iter().map(|server| server.1).sum(),
        left: servers.iter().map(|server| server.2).sum(),
        servers,
    }
}

/// A fingerprint as the bus carries it.
fn token(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// How many exposures are new, and how complete that is.
pub(super) fn exposure_summary(unseen: u32, sync_status: daemon::SyncStatus) -> ExposureSummary {
    ExposureSummary {
        unseen,
        sources: count(sync_status.sources.len()),
        checked: sync_status.checked().map(|at| at.0),
        waiting: sync_status.matching != daemon::Matching::Idle,
        failed: failed(sync_status),
    }
}

/// The sources that could not be checked: label, and token of the problem.
fn failed(sync_status: daemon::SyncStatus) -> Vec<(String, String)> {
    let failed = sync_status.sources.into_iter();
    let failed = failed.filter(|source| source.failures > 0);
    failed
        .map(|source| (source.configured.label, source.problem))
        .collect()
}

impl From<daemon::SyncStatus> for CheckReply {
    fn from(sync_status: daemon::SyncStatus) -> Self {
        let checked = sync_status.checked().map(|at| at.0);
        Self {
            reports: sync_status.reports,
            new_exposures: sync_status.new_exposures,
            checked,
            failed: failed(sync_status),
        }
    }
}

/// The token of the rule of `exposure`. Another rule gets another token.
const RULE: &str = "contacts-1";

impl From<daemon::KnownExposure> for ExposureInfo {
    fn from(known: daemon::KnownExposure) -> Self {
        let found = known.exposure;
        let distance = found.distance();
        let metres = |pick: fn(&Distance) -> f32| distance.as_ref().map(|d| f64::from(pick(d)));
        let rule = Rule::STANDARD;
        let reading = CoEpiMemo::read(&known.memo).unwrap_or(CoEpiMemo::Unknown);
        let symptoms = reading.symptoms().into_iter();
        let paused = found.least != found.most;
        let whole = |seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX);
        Self {
            id: format!("{}-{}", known.id.report, earlier(known.id.start)),
            day: found.start.day_start().0,
            from: earlier(found.start),
            to: later(found.end.0),
            duration_s: whole(later(found.duration().as_secs())),
            duration_least_s: paused.then(|| whole(earlier(UnixTime(found.least.as_secs())))),
            duration_most_s: paused.then(|| whole(later(found.most.as_secs()))),
            attenuation: attenuation(found.signal.attenuation),
            rssi_max: found.signal.max,
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
            help: Some(known.help.into_iter().map(help).collect()),
            published: known.published.0,
            received: known.received.0,
            memo_type: known.memo.kind().get(),
            memo: known.memo.data().to_vec(),
            symptoms: Some(symptoms.map(|symptom| symptom.token().to_owned()).collect()),
            since: reading.since().map(|since| UnixTime(since).day_start().0),
            text: reading.text().map(str::to_owned),
            rule: RULE.to_owned(),
            rule_gap_s: u32::try_from(rule.gap.as_secs()).unwrap_or(u32::MAX),
            rule_reference_rssi: REFERENCE_RSSI_DBM,
            seen: known.seen,
            dismissed: known.dismissed,
        }
    }
}

/// The label of a source, and the web page and the telephone number where people find help.
fn help(SourceHelp { label, help }: SourceHelp) -> (String, String, String) {
    let url = help.url.as_ref().map_or("", HelpUrl::as_str);
    let phone = help.phone.as_ref().map_or("", HelpPhone::as_str);
    (label, url.to_owned(), phone.to_owned())
}

/// Times of exposures are shown in steps of this many seconds.
const STEP: u64 = 300;

/// The last step at or before a time.
pub(super) fn earlier(time: UnixTime) -> u64 {
    time.0 / STEP * STEP
}

/// The first step at or after this many seconds.
fn later(seconds: u64) -> u64 {
    seconds.div_ceil(STEP).saturating_mul(STEP)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
