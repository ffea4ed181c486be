//! What every request is answered from.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::admission::Admitted;
use super::clock::Clock;
use super::inbox::Inbox;
use super::limits::Limits;
use super::metrics::Metrics;
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
    pub trusted: Vec<IpAddr>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Set when the server is told to end.
    pub stopping: AtomicBool,
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

    /// Whether an upload would be kept.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn ready(&self) -> Result<(), Unavailable> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Unavailable::Stopping);
        }
        match &self.records {
            Records::Keeper(keeper) => {
                keeper.store.settle().await?;
                match keeper.store.trouble() {
                    // It may be over; only the disk can tell.
                    Some(Unavailable::Failing) => keeper.store.write_through().await.map(|_| ()),
                    Some(why) => Err(why),
                    None => Ok(()),
                }
            }
            Records::Front(inbox) => inbox.trouble().map_or(Ok(()), Err),
        }
    }
}
