//! The state that all requests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tcn_exchange::admission::Admitted;
use tcn_protocol::UnixTime;

use super::clock::Clock;
use super::inbox::Inbox;
use super::interval_cache::IntervalCache;
use super::limits::{Limits, Rate, nanoseconds};
use super::metrics::Metrics;
use super::outage::Outage;
use super::sender::Proxies;
use super::store::{Store, Stored, Unavailable};

/// The state of the server, shared by all connections.
pub(super) struct ServerState {
    /// The destination of uploads.
    pub backend: Backend,
    /// The limits of uploads.
    pub limits: Limits,
    /// The counters.
    pub metrics: Metrics,
    /// The trusted proxies.
    pub proxies: Proxies,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Set when the server is asked to stop.
    pub stopping: AtomicBool,
    /// How often a health request may try a write; other requests get the last known
    /// state.
    pub probes: ProbeLimit,
    /// Whether intervals can be served.
    pub reading: Outage,
}

/// Limits how often a health request tries what an upload does: each try costs a write.
pub(super) struct ProbeLimit {
    rate: Rate,
    counter: Mutex<u64>,
}

impl ProbeLimit {
    /// One try in `every`, four of them at once.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            rate: Rate::new(every, 4),
            counter: Mutex::new(0),
        }
    }

    fn allow(&self, now: Duration) -> bool {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = self.rate.count(*counter, nanoseconds(now));
        counted.map(|next| *counter = next).is_ok()
    }
}

/// The destination of uploads.
pub(super) enum Backend {
    /// The store of this server, which also serves intervals.
    Primary(Primary),
    /// The inbox of a primary server on another machine.
    Frontend(Inbox),
}

/// The store of reports and the intervals rendered from it.
#[derive(Clone)]
pub(super) struct Primary {
    /// The reports.
    pub store: Store,
    /// The rendered intervals.
    pub intervals: Arc<IntervalCache>,
}

impl ServerState {
    /// Stores a report. When this returns, the report is durable.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(super) async fn store_report(&self, report: Admitted) -> Result<Stored, Unavailable> {
        match &self.backend {
            Backend::Primary(primary) => primary.store.store(report).await,
            Backend::Frontend(inbox) => inbox.leave(report).await,
        }
    }

    /// Whether an upload would be stored. This is tried, down to the disk, unless it
    /// was tried too often just now. Then the result of the last upload or try is
    /// returned.
    ///
    /// # Errors
    /// Why an upload would not be stored.
    pub(super) async fn ready(&self) -> Result<(), Unavailable> {
        if let Some(why) = self.refuses() {
            return Err(why);
        }
        let is_tried = self.probes.allow(self.clock.since_start());
        match &self.backend {
            Backend::Primary(primary) if is_tried => primary.store.probe().await,
            Backend::Frontend(inbox) if is_tried => inbox.probe().await,
            Backend::Primary(_) | Backend::Frontend(_) => self.unavailable().map_or(Ok(()), Err),
        }
    }

    /// Why uploads are refused, as far as that is known without a try.
    pub(super) fn unavailable(&self) -> Option<Unavailable> {
        self.refuses().or_else(|| match &self.backend {
            Backend::Primary(primary) => primary.store.unavailable(),
            Backend::Frontend(inbox) => inbox.unavailable(),
        })
    }

    /// The time for judging memos, unless the clock is in doubt.
    pub(super) fn sound_time(&self) -> Option<UnixTime> {
        match &self.backend {
            Backend::Primary(primary) => primary.store.sound_time(),
            Backend::Frontend(_) => self.clock.is_synchronised().then(|| self.clock.now()),
        }
    }

    /// Why uploads are refused before they reach the store.
    fn refuses(&self) -> Option<Unavailable> {
        if self.stopping.load(Ordering::Relaxed) {
            Some(Unavailable::Stopping)
        } else if self.limits.are_exhausted(self.clock.since_start()) {
            Some(Unavailable::Limited)
        } else {
            None
        }
    }
}
