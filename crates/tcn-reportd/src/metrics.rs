//! Counters for the operator of the server: numbers of events, never their content.
//!
//! Counts are those of the last full quarter of an hour, rounded down to tens. So a
//! reader of the counters cannot tell when a single upload came.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tcn_protocol::UnixTime;

/// How long a count is shown before it is updated, in seconds.
const PERIOD: u64 = 900;

/// Counts are rounded down to a multiple of this.
const ROUNDING: u64 = 10;

/// The outcome of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub(super) enum IntakeOutcome {
    /// Stored.
    Stored,
    /// Known already, in this interval or an earlier one.
    Known,
    /// Not a report, or a report that no reader should be given.
    Malformed,
    /// Its signature is not valid.
    Unverified,
    /// Longer than a report can be.
    TooLarge,
    /// It came too slowly.
    TooSlow,
    /// Over a limit.
    Limited,
    /// It could not be stored.
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UploadLabels {
    outcome: IntakeOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// All counters.
pub(super) struct Metrics {
    registry: Registry,
    uploads: Family<UploadLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
    connections: Gauge,
    refusing: Family<RefusalLabels, Gauge>,
    published: Gauge<u64, AtomicU64>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    now: Count,
    /// The counts at the start of this quarter of an hour.
    shown: Count,
    quarter: u64,
}

#[derive(Clone, Default)]
struct Count {
    uploads: BTreeMap<IntakeOutcome, u64>,
    responses: BTreeMap<u16, u64>,
    connections: u64,
}

impl Metrics {
    /// All counters at zero.
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("tcn_reportd");
        let uploads = Family::<UploadLabels, Counter>::default();
        let responses = Family::<ResponseLabels, Counter>::default();
        let refusing = Family::<RefusalLabels, Gauge>::default();
        let (connections, published) = (Gauge::default(), Gauge::default());
        registry.register(
            "uploads",
            "Uploads by outcome; of the last full quarter of an hour, in tens",
            uploads.clone(),
        );
        registry.register(
            "answers",
            "Responses by status; of the last full quarter of an hour, in tens",
            responses.clone(),
        );
        registry.register(
            "connections",
            "Connections open when the quarter of an hour began, in tens",
            connections.clone(),
        );
        registry.register(
            "refusing",
            "The reason why uploads are refused now; 1 for that reason",
            refusing.clone(),
        );
        registry.register(
            "published_interval",
            "Number of the last interval that is published in every location",
            published.clone(),
        );
        Self {
            registry,
            uploads,
            responses,
            connections,
            refusing,
            published,
            counts: Mutex::default(),
        }
    }

    /// Counts an upload.
    pub(super) fn upload(&self, outcome: IntakeOutcome, now: UnixTime) {
        *self.counts(now).now.uploads.entry(outcome).or_default() += 1;
    }

    /// Counts a response; the server sends few different statuses.
    pub(super) fn response(&self, status: u16, now: UnixTime) {
        *self.counts(now).now.responses.entry(status).or_default() += 1;
    }

    /// Counts a new connection.
    pub(super) fn connected(&self, now: UnixTime) {
        self.counts(now).now.connections += 1;
    }

    /// Counts the end of a connection.
    pub(super) fn disconnected(&self, now: UnixTime) {
        self.counts(now).now.connections -= 1;
    }

    /// Notes that all intervals up to this one are published.
    pub(super) fn published(&self, number: u64) {
        self.published.set(number);
    }

    /// The counts at `now`; at the end of a quarter of an hour they are kept for
    /// display.
    fn counts(&self, now: UnixTime) -> MutexGuard<'_, Counts> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let quarter = now.0 / PERIOD;
        if quarter != counts.quarter {
            counts.quarter = quarter;
            counts.shown = counts.now.clone();
        }
        counts
    }

    fn show(&self, shown: &Count) {
        let rounded = |count: u64| count / ROUNDING * ROUNDING;
        for (outcome, count) in &shown.uploads {
            let outcome = *outcome;
            let counter = self.uploads.get_or_create(&UploadLabels { outcome });
            counter.inc_by(rounded(*count).saturating_sub(counter.get()));
        }
        for (status, count) in &shown.responses {
            let status = *status;
            let counter = self.responses.get_or_create(&ResponseLabels { status });
            counter.inc_by(rounded(*count).saturating_sub(counter.get()));
        }
        let connections = i64::try_from(rounded(shown.connections)).unwrap_or(i64::MAX);
        self.connections.set(connections);
    }

    /// All counters in the format of Prometheus, and why uploads are refused.
    pub(super) fn text(&self, now: UnixTime, refusing: Option<&'static str>) -> String {
        let shown = self.counts(now).shown.clone();
        self.show(&shown);
        self.refusing.clear();
        if let Some(reason) = refusing {
            self.refusing
                .get_or_create(&RefusalLabels { reason })
                .set(1);
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // Encoding fails only for a label that cannot be written; there is no such
            // label.
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_single_upload_is_told_by_its_time_or_number() {
        let metrics = Metrics::new();
        let text = |seconds| metrics.text(UnixTime(seconds), None);
        let upload = |seconds| metrics.upload(IntakeOutcome::Stored, UnixTime(seconds));
        let shown = |text: &str| {
            let lines = text.lines();
            let mut counts = lines.filter_map(|line| {
                line.strip_prefix("tcn_reportd_uploads_total{outcome=\"Stored\"} ")
            });
            counts.next().map(|count| count.parse::<u64>().unwrap())
        };
        for second in 0..17 {
            upload(901 + second);
            assert_eq!(shown(&text(901 + second)), None);
        }
        // No read happened at the boundary, and the upload counts all the same.
        upload(1800);
        upload(1801);
        assert_eq!(shown(&text(1802)), Some(10));
        upload(1803);
        assert_eq!(shown(&text(2699)), Some(10));
        assert_eq!(shown(&text(2700)), Some(20));
    }

    #[test]
    fn why_uploads_are_refused_is_told_at_once() {
        let metrics = Metrics::new();
        let refused = metrics.text(UnixTime(0), Some("disk-full"));
        assert!(refused.contains("tcn_reportd_refusing{reason=\"disk-full\"} 1"));
        assert!(!metrics.text(UnixTime(0), None).contains("disk-full"));
    }
}
