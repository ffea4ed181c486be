//! The state of the exchange with servers: the run of `tcnd-sync` under way, and the
//! file that starts one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tcnd_client::proxy::DeliveryCounts;
use tokio::sync::{Semaphore, watch};

use super::refusal::Refusal;
use super::sync_status::{Matching, SyncStatus};

/// The driver's share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) sync_status: Arc<watch::Sender<SyncStatus>>,
    changes: watch::Receiver<SyncStatus>,
    sync_trigger: SyncTrigger,
    /// A person asked for a run that has not begun.
    asked: bool,
    run: Option<Run>,
    /// One delivery is read at a time.
    pub(super) intake: Arc<Semaphore>,
    /// Stops the reading of a delivery.
    pub(super) stop: Arc<AtomicBool>,
}

/// Where `tcnd-sync` is called from: `tcnd-sync.path` watches this file. There is
/// none where systemd does not watch it, as when tcnd was started by hand.
#[derive(Clone, Debug)]
pub(super) struct SyncTrigger(Option<PathBuf>);

#[derive(Debug)]
struct Run {
    /// The bus name that began it, if there is a bus.
    owner: Option<String>,
    counts: Arc<RunCounts>,
}

#[derive(Debug, Default)]
pub(super) struct RunCounts {
    reports: AtomicU64,
}

impl SyncTrigger {
    /// Has systemd start `tcnd-sync`.
    pub(super) fn trigger(&self) -> Result<(), Refusal> {
        let file = self.0.as_ref().ok_or(Refusal::NoSyncTrigger)?;
        std::fs::write(file, "").map_err(|fault| {
            tracing::warn!(%fault, "tcnd-sync could not be called");
            Refusal::NoSyncTrigger
        })
    }
}

impl Exchange {
    pub(super) fn new(
        sync_status: watch::Sender<SyncStatus>,
        sync_trigger: Option<PathBuf>,
    ) -> Self {
        Self {
            changes: sync_status.subscribe(),
            sync_status: Arc::new(sync_status),
            sync_trigger: SyncTrigger(sync_trigger),
            asked: false,
            run: None,
            intake: Arc::new(Semaphore::new(1)),
            stop: Arc::default(),
        }
    }

    /// Waits until the status of `tcnd-sync` changes.
    pub(super) async fn changed(&mut self) {
        // The sender is ours, so this cannot fail.
        let _ = self.changes.changed().await;
    }

    pub(super) fn sync_status(&self) -> Arc<watch::Sender<SyncStatus>> {
        Arc::clone(&self.sync_status)
    }

    /// A person asks for a run. Returns what starts it.
    pub(super) fn ask(&mut self) -> SyncTrigger {
        self.asked = true;
        self.sync_trigger.clone()
    }

    pub(super) fn counts(&self) -> Arc<RunCounts> {
        let run = self.run.as_ref();
        run.map(|run| Arc::clone(&run.counts)).unwrap_or_default()
    }

    /// Whether a person asked for the run that begins.
    pub(super) fn begin(&mut self, owner: Option<String>) -> Result<bool, Refusal> {
        if self.run.is_some() {
            let busy = "another run of tcnd-sync is under way; wait until it is done";
            return Err(Refusal::InUse(busy));
        }
        let counts = Arc::default();
        self.run = Some(Run { owner, counts });
        self.sync_status.send_modify(|sync_status| {
            sync_status.begun += 1;
            sync_status.new_exposures = 0;
        });
        Ok(std::mem::take(&mut self.asked))
    }

    /// Whether there was a run to end.
    pub(super) fn end(&mut self) -> bool {
        let Some(run) = self.run.take() else {
            return false;
        };
        self.sync_status.send_modify(|sync_status| {
            sync_status.ended += 1;
            sync_status.matching = Matching::Working;
            sync_status.reports = run.counts.reports.load(Ordering::Relaxed);
        });
        true
    }

    /// Stops the reading of a delivery, if one is under way.
    pub(super) fn end_intake(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) const fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Whether the run under way came by this connection.
    pub(super) fn is_of(&self, name: &str) -> bool {
        let owner = self.run.as_ref().and_then(|run| run.owner.as_deref());
        owner == Some(name)
    }
}

impl RunCounts {
    pub(super) fn add(&self, counted: &DeliveryCounts) {
        self.reports.fetch_add(counted.accepted, Ordering::Relaxed);
    }
}
