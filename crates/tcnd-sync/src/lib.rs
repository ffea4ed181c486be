//! The network side of tcnd: this process fetches and uploads reports, and knows no
//! contact and no key.
//!
//! ```text
//!   servers, mirrors, folders ──▶ a document ──filter─▶ a file ──▶ tcnd
//!                          tcnd ──▶ a part ──▶ a connection of its own ──▶ server
//! ```
//!
//! tcnd's database records what was delivered and what is due, so a run may end at any
//! point: an interval is requested until it was delivered whole, and a part is handed
//! out until its outcome was reported. The state kept here ([`state`]) only saves
//! requests.
//!
//! Sources do not depend on each other: some are fetched at a time, and one that hangs,
//! lies or floods only uses up its own limits. All sources are fetched before anything
//! is uploaded, so that a missing upload does not reveal that a fetch failed.

mod clock;
mod date;
mod error;
mod fetch;
mod folder;
mod http;
mod problem;
mod program;
mod state;
mod tcnd;
mod unpack;
mod upload;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use tcn_exchange::source::{Source, SourceName};
use tcnd_client::BusChoice;
use tcnd_client::notices;

pub use self::error::SyncError;
pub use self::program::{SyncArgs, main};

use self::problem::Problem;
use self::state::SyncState;
use self::tcnd::TcndClient;

/// Sources fetched at a time.
const MAX_CONCURRENT: usize = 4;

/// How long one source may take in one run; the rest waits for the next run.
const MAX_FETCH_TIME: Duration = Duration::from_secs(1800);

/// How long tcnd may take to accept that a stopped run is over.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The inputs of a run.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// The configured sources.
    pub sources: Vec<Source>,
    /// Where validators, back-off and unnamed files are.
    pub state_directory: PathBuf,
    /// The bus that tcnd is on.
    pub bus: BusChoice,
    /// Also fetch sources that are in back-off: a user waits.
    pub now: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// Every source succeeded, or was skipped in back-off.
    Succeeded,
    /// This many sources failed; the log says which and why.
    Failed(usize),
    /// The run was stopped.
    Stopped,
}

/// Fetches all sources, then uploads what is due; `stop` ends it early.
///
/// # Errors
/// A [`SyncError`] that is not caused by a source.
pub async fn run(
    options: &SyncOptions,
    stop: impl Future<Output = ()>,
) -> Result<RunResult, SyncError> {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    std::fs::create_dir_all(&options.state_directory).map_err(SyncError::State)?;
    let tcnd = TcndClient::connect(&options.bus).await?;
    let asked = tcnd.begin(&options.sources).await?;
    let ended = tokio::select! {
        ended = Box::pin(work(options, &tcnd, asked)) => ended,
        () = stop => Ok(RunResult::Stopped),
    };
    // tcnd also notices the end of a process, so a failed call does not matter.
    let _ = tokio::time::timeout(END_TIMEOUT, tcnd.end()).await;
    ended
}

async fn work(
    options: &SyncOptions,
    tcnd: &TcndClient,
    asked: bool,
) -> Result<RunResult, SyncError> {
    if options.sources.is_empty() {
        tracing::info!("no source is configured; see /etc/tcnd/sources.d");
        return Ok(RunResult::Succeeded);
    }
    let run = SyncRun {
        tcnd,
        options,
        respect_backoff: !asked && !options.now,
        state: Mutex::new(SyncState::read(&options.state_directory)),
    };
    let mut failed = 0;
    let mut fetches = futures::stream::iter(&options.sources)
        .map(|source| run.fetch(source))
        .buffer_unordered(MAX_CONCURRENT);
    while let Some(fetched) = fetches.next().await {
        failed += usize::from(fetched? == SourceResult::Failed);
    }
    drop(fetches);
    for source in options.sources.iter().filter(|source| source.publish) {
        upload::upload_due_parts(tcnd, source).await?;
    }
    Ok(match failed {
        0 => RunResult::Succeeded,
        count => RunResult::Failed(count),
    })
}

/// The outcome of a source.
#[derive(PartialEq, Eq)]
enum SourceResult {
    Succeeded,
    Failed,
}

/// One run.
struct SyncRun<'a> {
    tcnd: &'a TcndClient,
    options: &'a SyncOptions,
    /// Whether sources in back-off are skipped.
    respect_backoff: bool,
    state: Mutex<SyncState>,
}

impl SyncRun<'_> {
    /// Fetches one source.
    async fn fetch(&self, source: &Source) -> Result<SourceResult, SyncError> {
        let name = &source.name;
        let before = self.state(|state| state.of(name));
        if self.respect_backoff && before.backoff().holds(clock::now()) {
            tracing::info!(source = %name, "skipped: in back-off after a failure");
            return Ok(SourceResult::Succeeded);
        }
        let mut fetch =
            fetch::SourceFetch::new(source, self.tcnd, &self.options.state_directory, before);
        let fetched = tokio::time::timeout(MAX_FETCH_TIME, Box::pin(fetch.fetch_all())).await;
        let stopped = match fetched {
            Ok(stopped) => stopped?,
            Err(_elapsed) => Some(Problem::TimedOut),
        };
        let problem = stopped.or(fetch.clock_problem()).or(fetch.problem());
        let after = fetch.next_state(stopped.is_some(), clock::now(), &mut clock::rng());
        let stored = self.state(|state| state.store(name, after));
        stored.map_err(SyncError::State)?;
        fetch.log();
        self.tcnd.record(name, problem).await?;
        Ok(problem.map_or(SourceResult::Succeeded, |problem| {
            warn(name, problem);
            SourceResult::Failed
        }))
    }

    fn state<T>(&self, with: impl FnOnce(&mut SyncState) -> T) -> T {
        with(
            &mut self
                .state
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

fn warn(name: &SourceName, problem: Problem) {
    let (id, token) = (notices::SOURCE_FAILED.id, problem.token());
    let cure = problem.cure();
    tracing::warn!(MESSAGE_ID = id, TCND_SOURCE = %name, TCND_PROBLEM = token, "{name}: {cure}");
}
