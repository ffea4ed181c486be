//! Deliveries that wait to be matched, and when they are: after the run of
//! `tcnd-sync` that brought them, never during one.
//!
//! Matching takes longer where reports name contacts. While a run is open, a server
//! can see when its requests come, and `tcnd-sync` sees how long each call takes; so
//! matching stops when a run begins, and starts again when it has ended. Deliveries
//! outlive a restart; one whose matching was stopped is matched again from its start,
//! which adds nothing twice.

use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tcn_matching::Budget;
use tcn_protocol::SignedReport;
use tcnd_client::proxy::ImportCounts;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Semaphore, oneshot, watch};

use super::exposures::{Unseen, recount, recount_grown};
use super::import::SLICE;
use super::matcher::{Matcher, Origin};
use super::refusal::Refusal;
use super::sync_status::{Matching, SyncStatus};
use super::thread;
use crate::store::{PendingDelivery, Store};

/// The driver's share.
#[derive(Debug)]
pub(super) struct MatchQueue {
    /// One import or one queue is matched at a time: each holds an index.
    permits: Arc<Semaphore>,
    /// Stops the matching under way.
    stop: Arc<AtomicBool>,
}

impl MatchQueue {
    pub(super) fn new(permits: Arc<Semaphore>) -> Self {
        Self {
            permits,
            stop: Arc::default(),
        }
    }

    /// Stops the matching under way; what waits goes on waiting.
    pub(super) fn stop(&self, sync_status: &watch::Sender<SyncStatus>) {
        self.stop.store(true, Ordering::Release);
        sync_status.send_if_modified(|sync_status| {
            let working = sync_status.matching == Matching::Working;
            if working {
                sync_status.matching = Matching::Waiting;
            }
            working
        });
    }

    /// Matches all that waits.
    pub(super) fn start(
        &mut self,
        store: &Store,
        unseen: Arc<Unseen>,
        sync_status: Arc<watch::Sender<SyncStatus>>,
    ) {
        self.stop(&sync_status);
        let stop = Arc::<AtomicBool>::default();
        self.stop = Arc::clone(&stop);
        sync_status.send_modify(|sync_status| sync_status.matching = Matching::Working);
        let (permits, store) = (Arc::clone(&self.permits), store.clone());
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(_permit) = permits.acquire_owned().await else {
                return;
            };
            let done = work(&store, &unseen, &sync_status, &stop).await;
            if stop.load(Ordering::Acquire) {
                return;
            }
            let after = match done {
                Ok(()) => Matching::Idle,
                Err(refusal) => {
                    tracing::warn!(%refusal, "reports could not be matched; they are kept, and it is tried again");
                    Matching::Waiting
                }
            };
            sync_status.send_modify(|sync_status| sync_status.matching = after);
        });
    }
}

async fn work(
    store: &Store,
    unseen: &Unseen,
    sync_status: &watch::Sender<SyncStatus>,
    stop: &Arc<AtomicBool>,
) -> Result<(), Refusal> {
    let mut matcher = None;
    while let Some(delivery) = store.next_delivery().await? {
        let id = delivery.id;
        let answered = start(matcher.take(), delivery, store.clone(), Arc::clone(stop));
        let (used, matched) = answered.await.map_err(|_| Refusal::Gone)??;
        matcher = Some(used);
        store.end_delivery(id).await?;
        let new = matched.new_exposures;
        sync_status.send_modify(|sync_status| sync_status.new_exposures += new);
        if matched.new_exposures + matched.updated == 0 {
            recount_grown(store, unseen).await?;
        } else {
            recount(store, unseen).await?;
        }
    }
    Ok(())
}

type Done = Result<(Matcher, ImportCounts), Refusal>;

/// Matches one delivery on a thread of its own. The index is read once for all.
fn start(
    matcher: Option<Matcher>,
    delivery: PendingDelivery,
    store: Store,
    stop: Arc<AtomicBool>,
) -> oneshot::Receiver<Done> {
    let runtime = Runtime::current();
    thread::spawn("matching", move || {
        let origin = Origin {
            source: delivery.source,
            label: delivery.label.clone(),
            published: delivery.published,
            received: delivery.received,
            remember: false,
        };
        let matcher = match matcher {
            Some(mut matcher) => {
                matcher.turn_to(origin);
                matcher
            }
            None => Matcher::new(store.until(Arc::clone(&stop)), runtime, stop, origin)?,
        };
        match_all(matcher, delivery)
    })
}

fn match_all(mut matcher: Matcher, delivery: PendingDelivery) -> Done {
    // What a delivery may cost was settled when it was taken in.
    let mut budget = Budget { numbers: u64::MAX };
    let mut slice: Vec<SignedReport> = Vec::new();
    let read = thread::read_items(BufReader::new(delivery.file), |item| {
        // Only whole reports were written.
        slice.extend(item);
        if slice.len() < SLICE {
            return Ok(());
        }
        matcher.look(&std::mem::take(&mut slice), &mut budget)
    })?;
    if let Err(fault) = read {
        // The disk took it, and does not give it back: what could be read counts.
        tracing::warn!(%fault, "a delivery could not be read to its end");
    }
    matcher.look(&slice, &mut budget)?;
    let matched = matcher.finish()?;
    Ok((matcher, matched))
}
