//! What every request is answered from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tcn_exchange::admission::Admitted;
use tcn_protocol::UnixTime;

use super::clock::Clock;
use super::inbox::Inbox;
use super::limits::{Limits, Rate, nanoseconds};
use super::metrics::Metrics;
use super::outage::Outage;
use super::sender::Proxies;
use super::shelf::Shelf;
use super::store::{Store, Stored, Unavailable};

/// What the answers are made of, shared by all connections.
pub(super) struct Desk {
    /// Where uploads go.
    pub records: Records,
    /// How many are taken.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    /// Proxies that are believed.
    pub proxies: Proxies,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Set when the server is told to end.
    pub stopping: AtomicBool,
    /// How often health is tried, and not told from what is known.
    pub probes: Probes,
    /// Whether intervals can be served.
    pub reading: Outage,
}

/// How many attempts at what an upload does are made for those who ask for the
/// server's health: each costs a write.
pub(super) struct Probes {
    rate: Rate,
    counter: Mutex<u64>,
}

impl Probes {
    /// One in `every`, four of them at once.
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

/// Where uploads go.
pub(super) enum Records {
    /// Into the store of record, which also serves.
    Keeper(Keeper),
    /// Into the inbox of a keeper elsewhere.
    Front(Inbox),
}

/// The store of record and what is served of it.
#[derive(Clone)]
pub(super) struct Keeper {
    /// The reports.
    pub store: Store,
    /// The intervals.
    pub shelf: Arc<Shelf>,
}

impl Desk {
    /// Keeps a report; when it answers, the report is durable.
    ///
    /// # Errors
    /// Why it is not kept.
    pub(super) async fn keep(&self, report: Admitted) -> Result<Stored, Unavailable> {
        match &self.records {
            Records::Keeper(keeper) => keeper.store.store(report).await,
            Records::Front(inbox) => inbox.leave(report).await,
        }
    }

    /// Whether an upload would be kept. It is tried, down to the disk, unless
    /// that was asked for too often just now; then it is what the last upload or
    /// attempt came to.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn ready(&self) -> Result<(), Unavailable> {
        if let Some(why) = self.refuses() {
            return Err(why);
        }
        let is_tried = self.probes.allow(self.clock.since_start());
        match &self.records {
            Records::Keeper(keeper) if is_tried => keeper.store.probe().await,
            Records::Front(inbox) if is_tried => inbox.probe().await,
            Records::Keeper(_) | Records::Front(_) => self.trouble().map_or(Ok(()), Err),
        }
    }

    /// Why uploads are refused, as far as is known without trying.
    pub(super) fn trouble(&self) -> Option<Unavailable> {
        self.refuses().or_else(|| match &self.records {
            Records::Keeper(keeper) => keeper.store.trouble(),
            Records::Front(inbox) => inbox.trouble(),
        })
    }

    /// The time to judge memos by, unless it is in doubt.
    pub(super) fn sound_time(&self) -> Option<UnixTime> {
        match &self.records {
            Records::Keeper(keeper) => keeper.store.sound_time(),
            Records::Front(_) => self.clock.is_synchronised().then(|| self.clock.now()),
        }
    }

    /// Why uploads are refused before they come to the store.
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
