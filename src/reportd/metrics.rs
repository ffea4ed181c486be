//! Counters, for whoever runs the server: numbers of things, never things.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Outcome {
    /// Stored.
    Stored,
    /// Known already, in this interval or an earlier one.
    Known,
    /// No report, or one that no reader should be given.
    Malformed,
    /// Its signature does not hold.
    Unverified,
    /// Longer than any report.
    TooLarge,
    /// It came too slowly.
    TooSlow,
    /// One too many.
    Limited,
    /// It could not be stored.
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Upload {
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    status: u16,
}

/// All counters.
pub(super) struct Metrics {
    registry: Registry,
    uploads: Family<Upload, Counter>,
    answers: Family<Answer, Counter>,
    connections: Gauge,
    published: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// All at zero.
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("tcn_reportd");
        let uploads = Family::<Upload, Counter>::default();
        let answers = Family::<Answer, Counter>::default();
        let (connections, published) = (Gauge::default(), Gauge::default());
        registry.register(
            "uploads",
            "Uploads, by what became of them",
            uploads.clone(),
        );
        registry.register("answers", "Answers, by their status", answers.clone());
        registry.register("connections", "Connections open now", connections.clone());
        registry.register(
            "published_interval",
            "Number of the last interval published in every place",
            published.clone(),
        );
        Self {
            registry,
            uploads,
            answers,
            connections,
            published,
        }
    }

    /// Counts an upload.
    pub(super) fn upload(&self, outcome: Outcome) {
        self.uploads.get_or_create(&Upload { outcome }).inc();
    }

    /// Counts an answer; our own statuses are few.
    pub(super) fn answer(&self, status: u16) {
        self.answers.get_or_create(&Answer { status }).inc();
    }

    /// One connection more.
    pub(super) fn connected(&self) {
        self.connections.inc();
    }

    /// One connection less.
    pub(super) fn disconnected(&self) {
        self.connections.dec();
    }

    /// All intervals up to this one are published.
    pub(super) fn published(&self, number: u64) {
        self.published.set(number);
    }

    /// All counters as Prometheus reads them.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // Only a label that cannot be written does this; there is none.
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
