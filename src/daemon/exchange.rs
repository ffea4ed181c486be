//! The state of the exchange with servers: the run of `tcnd-sync` under way, and the
//! file that starts one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Semaphore, watch};

use super::intake::Counted;
use super::refusal::Refusal;
use super::sync_status::{Matching, Standing};

/// The driver's share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) standing: Arc<watch::Sender<Standing>>,
    news: watch::Receiver<Standing>,
    bell: Bell,
    /// A person asked for a run that has not begun.
    asked: bool,
    run: Option<Run>,
    /// One delivery is read at a time.
    pub(super) intake: Arc<Semaphore>,
    /// Ends the reading of a delivery.
    pub(super) stop: Arc<AtomicBool>,
}

/// Where `tcnd-sync` is called from: `tcnd-sync.path` watches this file. There is
/// none where nobody would watch it, as when tcnd was started by hand.
#[derive(Clone, Debug)]
pub(super) struct Bell(Option<PathBuf>);

#[derive(Debug)]
struct Run {
    /// The bus name that began it, if there is a bus.
    owner: Option<String>,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    reports: AtomicU64,
}

impl Bell {
    /// Has systemd start `tcnd-sync`.
    pub(super) fn ring(&self) -> Result<(), Refusal> {
        let file = self.0.as_ref().ok_or(Refusal::NoBell)?;
        std::fs::write(file, "").map_err(|fault| {
            tracing::warn!(%fault, "tcnd-sync could not be called");
            Refusal::NoBell
        })
    }
}

impl Exchange {
    pub(super) fn new(standing: watch::Sender<Standing>, bell: Option<PathBuf>) -> Self {
        Self {
            news: standing.subscribe(),
            standing: Arc::new(standing),
            bell: Bell(bell),
            asked: false,
            run: None,
            intake: Arc::new(Semaphore::new(1)),
            stop: Arc::default(),
        }
    }

    /// Waits until the standing is another.
    pub(super) async fn changed(&mut self) {
        // The sender is ours, so this cannot fail.
        let _ = self.news.changed().await;
    }

    pub(super) fn standing(&self) -> Arc<watch::Sender<Standing>> {
        Arc::clone(&self.standing)
    }

    /// A person asks for a run; the bell to call for it by.
    pub(super) fn ask(&mut self) -> Bell {
        self.asked = true;
        self.bell.clone()
    }

    pub(super) fn tally(&self) -> Arc<Tally> {
        let run = self.run.as_ref();
        run.map(|run| Arc::clone(&run.tally)).unwrap_or_default()
    }

    /// Whether a person asked for the run that begins.
    pub(super) fn begin(&mut self, owner: Option<String>) -> Result<bool, Refusal> {
        if self.run.is_some() {
            let busy = "another run of tcnd-sync is under way; wait until it is done";
            return Err(Refusal::InUse(busy));
        }
        let tally = Arc::default();
        self.run = Some(Run { owner, tally });
        self.standing.send_modify(|standing| {
            standing.begun += 1;
            standing.new_exposures = 0;
        });
        Ok(std::mem::take(&mut self.asked))
    }

    /// Whether there was a run to end.
    pub(super) fn end(&mut self) -> bool {
        let Some(run) = self.run.take() else {
            return false;
        };
        self.standing.send_modify(|standing| {
            standing.ended += 1;
            standing.matching = Matching::Working;
            standing.reports = run.tally.reports.load(Ordering::Relaxed);
        });
        true
    }

    /// Ends the reading of a delivery, if one is under way.
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

impl Tally {
    pub(super) fn add(&self, counted: &Counted) {
        self.reports.fetch_add(counted.accepted, Ordering::Relaxed);
    }
}
