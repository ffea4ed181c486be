//! Reports of others: looked through for ourselves, and what was found.
//!
//! Looking through them is the one long computation of the daemon. It has a
//! thread of its own, one import at a time, which asks the store for pages and
//! so never holds a rotation up for longer than one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use super::driver::Driver;
use super::exposures::{ExposureId, KnownExposure, Unseen, known, recount, recount_grown};
use super::import::{self, Import, Imported};
use super::requests::{give, later};
use super::{Refusal, Reply, clock};
use crate::engine::CLOCK_FLOOR;

/// What may be asked about reports of others.
#[derive(Debug)]
pub enum OthersRequest {
    /// Look for ourselves in reports.
    Import(Import, Reply<Imported>),
    /// What those that named us mean.
    Exposures(Reply<Vec<KnownExposure>>),
    /// This one was seen; and dismissed, if so.
    Mark(ExposureId, bool, Reply<()>),
}

impl Driver {
    pub(super) async fn answer_others(&mut self, request: OthersRequest) {
        match request {
            OthersRequest::Import(import, reply) => self.import(import, reply).await,
            OthersRequest::Exposures(reply) => {
                self.write_out().await;
                let store = self.store.clone();
                later(reply, async move {
                    let reports = store.matched_reports().await?;
                    Ok(known(&reports).collect())
                });
            }
            OthersRequest::Mark(id, dismissed, reply) => self.mark(id, dismissed, reply),
        }
    }

    async fn import(&mut self, import: Import, reply: Reply<Imported>) {
        match self.start_import(import).await {
            Ok(importing) => later(reply, importing),
            Err(refusal) => give(reply, Err(refusal)),
        }
    }

    /// Starts looking for ourselves in reports; the future waits for the end.
    pub(super) async fn start_import(
        &mut self,
        import: Import,
    ) -> Result<impl Future<Output = Result<Imported, Refusal>> + Send + use<>, Refusal> {
        if clock::now().wall < CLOCK_FLOOR {
            return Err(Refusal::Clock);
        }
        let busy = "another import is under way; wait until it is done";
        let turn = self.turn().ok_or(Refusal::InUse(busy))?;
        self.write_out().await;
        let stop = Arc::<AtomicBool>::default();
        self.importing = Arc::clone(&stop);
        let (store, unseen) = (self.store.clone(), self.unseen());
        let answer = import::start(
            import,
            store.until(Arc::clone(&stop)),
            clock::now().wall,
            stop,
        );
        Ok(async move {
            let imported = answer.await.map_err(|_| Refusal::Gone)?;
            drop(turn);
            match &imported {
                Ok(imported) if imported.new_exposures + imported.updated == 0 => {}
                Ok(_) => recount(&store, &unseen).await?,
                // What was found before it broke off counts all the same.
                Err(_) => recount_grown(&store, &unseen).await?,
            }
            imported
        })
    }

    /// Ends the import under way, if there is one: it writes nothing that comes
    /// behind what is asked of the store from now on.
    pub(super) fn end_import(&self) {
        self.importing.store(true, Ordering::Release);
    }

    pub(super) fn unseen(&self) -> Arc<Unseen> {
        Arc::clone(&self.unseen)
    }

    /// Has the exposures nobody has seen counted again.
    pub(super) fn recount(&self) {
        let (store, unseen) = (self.store.clone(), self.unseen());
        tokio::spawn(async move {
            if let Err(fault) = recount_grown(&store, &unseen).await {
                tracing::warn!(%fault, "the exposures could not be counted");
            }
        });
    }

    fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.imports).try_acquire_owned().ok()
    }

    fn mark(&self, id: ExposureId, dismissed: bool, reply: Reply<()>) {
        let (store, unseen) = (self.store.clone(), self.unseen());
        later(reply, async move {
            let reports = store.matched_reports().await?;
            let exposure = known(&reports).find(|exposure| exposure.id == id);
            let exposure = exposure.ok_or(Refusal::NoSuchExposure)?.exposure;
            let span = (exposure.start, exposure.end);
            store.mark_exposure(id.report, span, dismissed).await?;
            recount(&store, &unseen).await?;
            Ok(())
        });
    }
}
