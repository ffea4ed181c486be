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
//! out until its outcome was reported. The state kept here ([`memory`]) only saves
//! requests.
//!
//! Sources do not depend on each other: some are fetched at a time, and one that hangs,
//! lies or floods only uses up its own limits. All sources are fetched before anything
//! is uploaded, so that a missing upload does not reveal that a fetch failed.

mod clock;
mod date;
mod fetch;
mod folder;
mod http;
mod memory;
mod problem;
mod program;
mod push;
mod service;
mod unpack;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use tcn_exchange::source::{Source, SourceName};
use tcnd_client::BusChoice;
use tcnd_client::notices;
use thiserror::Error;

pub use self::program::{Flags, main};

use self::memory::Memory;
use self::problem::Problem;
use self::service::Tcnd;

/// Sources fetched at a time.
const AT_A_TIME: usize = 4;

/// How long one source may take in one run; the rest waits for the next run.
const LONGEST_FETCH: Duration = Duration::from_secs(1800);

/// How long tcnd may take to accept that a stopped run is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// The inputs of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configured sources.
    pub sources: Vec<Source>,
    /// Where validators, back-off and unnamed files are.
    pub state_directory: PathBuf,
    /// The bus that tcnd is on.
    pub bus: BusChoice,
    /// Also fetch sources that are in back-off: a user waits.
    pub now: bool,
}

/// Why a run failed.
#[derive(Debug, Error)]
pub enum Fault {
    /// tcnd does not answer.
    #[error("tcnd cannot be reached; check that it runs (systemctl status tcnd)")]
    Gone(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another run is under way.
    #[error("another run is under way; let it finish")]
    Busy,
    /// tcnd refuses the calls of a run.
    #[error("tcnd refused; run it as the user tcnd-sync, in the version of tcnd")]
    Refused(#[source] zbus::Error),
    /// The state directory cannot be used.
    #[error("cannot write to the state directory; check its owner, and that its disk has space")]
    State(#[source] io::Error),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every source succeeded, or was skipped in back-off.
    Well,
    /// This many sources failed; the log says which and why.
    Failed(usize),
    /// The run was stopped.
    Stopped,
}

/// Fetches all sources, then uploads what is due; `stop` ends it early.
///
/// # Errors
/// A [`Fault`] that is not caused by a source.
pub async fn run(options: &Options, stop: impl Future<Output = ()>) -> Result<Ended, Fault> {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    std::fs::create_dir_all(&options.state_directory).map_err(Fault::State)?;
    let tcnd = Tcnd::connect(&options.bus).await?;
    let asked = tcnd.begin(&options.sources).await?;
    let ended = tokio::select! {
        ended = Box::pin(work(options, &tcnd, asked)) => ended,
        () = stop => Ok(Ended::Stopped),
    };
    // tcnd also notices the end of a process, so a failed call does not matter.
    let _ = tokio::time::timeout(FAREWELL, tcnd.end()).await;
    ended
}

async fn work(options: &Options, tcnd: &Tcnd, asked: bool) -> Result<Ended, Fault> {
    if options.sources.is_empty() {
        tracing::info!("no source is configured; see /etc/tcnd/sources.d");
        return Ok(Ended::Well);
    }
    let run = Run {
        tcnd,
        options,
        spare: !asked && !options.now,
        memory: Mutex::new(Memory::read(&options.state_directory)),
    };
    let mut failed = 0;
    let mut fetches = futures::stream::iter(&options.sources)
        .map(|source| run.fetch(source))
        .buffer_unordered(AT_A_TIME);
    while let Some(fetched) = fetches.next().await {
        failed += usize::from(fetched? == Fetched::Badly);
    }
    drop(fetches);
    for source in options.sources.iter().filter(|source| source.publish) {
        push::push(tcnd, source).await?;
    }
    Ok(match failed {
        0 => Ended::Well,
        count => Ended::Failed(count),
    })
}

/// The outcome of a source.
#[derive(PartialEq, Eq)]
enum Fetched {
    Well,
    Badly,
}

/// One run.
struct Run<'a> {
    tcnd: &'a Tcnd,
    options: &'a Options,
    /// Whether sources in back-off are skipped.
    spare: bool,
    memory: Mutex<Memory>,
}

impl Run<'_> {
    /// Fetches one source.
    async fn fetch(&self, source: &Source) -> Result<Fetched, Fault> {
        let name = &source.name;
        let before = self.memory(|memory| memory.of(name));
        if self.spare && before.backoff().holds(clock::now()) {
            tracing::info!(source = %name, "left alone after a failure");
            return Ok(Fetched::Well);
        }
        let mut fetch = fetch::Fetch::new(source, self.tcnd, &self.options.state_directory, before);
        let gone = tokio::time::timeout(LONGEST_FETCH, Box::pin(fetch.go_through())).await;
        let stopped = match gone {
            Ok(stopped) => stopped?,
            Err(_elapsed) => Some(Problem::TimedOut),
        };
        let problem = stopped.or(fetch.clock_problem()).or(fetch.problem());
        let after = fetch.remembered(stopped.is_some(), clock::now(), &mut clock::chance());
        let kept = self.memory(|memory| memory.keep(name, after));
        kept.map_err(Fault::State)?;
        fetch.log();
        self.tcnd.record(name, problem).await?;
        Ok(problem.map_or(Fetched::Well, |problem| {
            warn(name, problem);
            Fetched::Badly
        }))
    }

    fn memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(
            &mut self
                .memory
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
