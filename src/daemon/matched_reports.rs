//! Reports of others: imported, matched against the contact log, and what was found.
//!
//! Matching them is the one long computation of the daemon. It has a
//! thread of its own, one import at a time, which asks the store for pages and
//! so never holds a rotation up for longer than one of them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tcn_engine::CLOCK_FLOOR;
use tcnd_client::proxy::ImportCounts;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::clock;
use super::driver::Driver;
use super::exposures::{Unseen, known, recount, recount_grown};
use super::import::{self, Import};
use super::matcher::StopFlags;
use super::refusal::Refusal;
use super::reply::Reply;
use super::reply::{respond, respond_async};
use super::requests::MatchedReportsRequest;
use super::sync_status::Matching;
use super::sync_status::SyncStatus;

/// How long a client that asks for exposures waits until the reports that were delivered
/// are matched: D-Bus libraries wait 25 s for an answer.
const LONGEST_MATCHING: Duration = Duration::from_secs(20);

/// Waits until no delivery is being matched, but not for ever.
async fn matched(mut sync_status: watch::Receiver<SyncStatus>) {
    let done = sync_status.wait_for(|sync_status| sync_status.matching != Matching::Working);
    // After that they see what was found so far.
    let _ = timeout(LONGEST_MATCHING, done).await;
}

impl Driver {
    pub(super) async fn answer_matched_reports(&mut self, request: MatchedReportsRequest) {
        match request {
            MatchedReportsRequest::Import(import, reply) => self.import(import, reply).await,
            MatchedReportsRequest::Exposures(reply) => {
                self.write_out().await;
                let (store, sync_status) =
                    (self.store.clone(), self.exchange.sync_status.subscribe());
                respond_async(reply, async move {
                    matched(sync_status).await;
                    let reports = store.matched_reports().await?;
                    Ok(known(&reports).collect())
                });
            }
        }
    }

    /// Looks for ourselves in reports, when no deliveries are being matched.
    async fn import(&mut self, import: Import, reply: Reply<ImportCounts>) {
        if clock::now().wall < CLOCK_FLOOR {
            return respond(reply, Err(Refusal::Clock));
        }
        let Ok(import_permit) = Arc::clone(&self.imports).try_acquire_owned() else {
            let busy = "another import is under way; wait until it is done";
            return respond(reply, Err(Refusal::InUse(busy)));
        };
        self.write_out().await;
        let stop = Arc::<AtomicBool>::default();
        self.importing = Arc::clone(&stop);
        let (store, unseen) = (self.store.clone(), self.unseen());
        let matching = Arc::clone(&self.matching);
        let ends = StopFlags::from(stop);
        let cancelled = Arc::clone(&ends.cancelled);
        let importing = async move |matching: OwnedSemaphorePermit| {
            let until = store.until(Arc::clone(&ends.stop));
            let answer = import::start(import, until, clock::now().wall, ends);
            let imported = answer.await.map_err(|_| Refusal::Gone)?;
            drop((import_permit, matching));
            match &imported {
                Ok(imported) if imported.new_exposures + imported.updated == 0 => {}
                Ok(_) => recount(&store, &unseen).await?,
                // What was found before it broke off counts all the same.
                Err(_) => recount_grown(&store, &unseen).await?,
            }
            imported
        };
        tokio::spawn(async move {
            let mut reply = reply;
            let matching = tokio::select! {
                Ok(matching) = matching.acquire_owned() => matching,
                () = reply.closed() => return,
            };
            let mut importing = pin!(importing(matching));
            tokio::select! {
                imported = &mut importing => respond(reply, imported),
                // The client does not wait for the answer any more.
                () = reply.closed() => {
                    cancelled.store(true, Ordering::Release);
                    let _ = importing.await;
                }
            }
        });
    }

    /// Stops all reading and matching of reports under way: nothing of it writes
    /// behind what is asked of the store from now on.
    pub(super) fn end_import(&self) {
        self.importing.store(true, Ordering::Release);
        self.match_queue.stop(&self.exchange.sync_status);
        self.exchange.end_intake();
    }

    pub(super) fn unseen(&self) -> Arc<Unseen> {
        Arc::clone(&self.unseen)
    }

    /// Has the exposures that are not seen counted again.
    pub(super) fn recount(&self) {
        let (store, unseen) = (self.store.clone(), self.unseen());
        tokio::spawn(async move {
            if let Err(fault) = recount_grown(&store, &unseen).await {
                tracing::warn!(%fault, "the exposures could not be counted");
            }
        });
    }
}
