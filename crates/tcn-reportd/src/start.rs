//! The start and the shutdown of the server.

use std::future::Future;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tcnd_config::NoStateDirectory;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::bucket::{Bucket, BucketError};
use super::chores::{self, chain};
use super::clock::{Clock, SystemClock};
use super::connections::Connections;
use super::desk::{Desk, Keeper, Probes, Records};
use super::flags::Flags;
use super::inbox::Inbox;
use super::limits::Limits;
use super::metrics::Metrics;
use super::outage::{Outage, Severity};
use super::sender::Proxies;
use super::settings::{Role, Settings, SettingsError};
use super::shelf::Shelf;
use super::store::{self, OpenError};
use super::{api, server};

/// The server cannot start.
#[derive(Debug, Error)]
pub enum Fault {
    /// The settings have a fault.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The store has no directory.
    #[error(transparent)]
    NoStateDirectory(#[from] NoStateDirectory),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A folder or bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The address cannot be used.
    #[error("cannot listen on {address}; free it, or give another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The runtime or a signal handler cannot be created.
    #[error("the system refused what a service needs")]
    System(#[from] io::Error),
}

/// Runs the server until it is asked to stop, and returns its exit code.
pub fn main(flags: &Flags) -> ExitCode {
    log();
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{}", chain(&fault));
            match fault {
                Fault::Settings(_) => ExitCode::from(78),
                Fault::NoStateDirectory(_)
                | Fault::Store(_)
                | Fault::Bucket(_)
                | Fault::Listen { .. }
                | Fault::System(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(flags: &Flags) -> Result<(), Fault> {
    let mut settings = Settings::load(&flags.config)?;
    if flags.check_config {
        let files = Settings::files(&flags.config);
        return Ok(writeln!(io::stdout(), "{}", tcnd_config::valid(&files))?);
    }
    settings.listen = flags.listen.unwrap_or(settings.listen);
    let directory = tcnd_config::state_directory("tcn-reportd", flags.state_dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let stop = told_to_stop()?;
        let server = Server::bind(&settings, &directory, Arc::new(SystemClock)).await?;
        let status = format!("listening on {}", server.address()?);
        tracing::info!("{status}");
        notify(&[NotifyState::Status(&status), NotifyState::Ready]);
        server.run(stop).await;
        Ok(())
    });
    // Unfinished work must not hold the process.
    runtime.shutdown_background();
    outcome
}

/// Completes at SIGTERM or SIGINT.
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify(&[NotifyState::Stopping]);
    })
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(state) {
        tracing::debug!(%fault, "systemd did not take a notification");
    }
}

/// Logs to standard error, which systemd and containers alike collect.
fn log() {
    let layer = fmt::layer()
        .fmt_fields(tcnd_logging::console_fields())
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(layer).init();
}

/// Descriptors not used for connections: the database, intervals, buckets.
const OTHER_DESCRIPTORS: u64 = 256;

/// The number of connections for which there are descriptors, `wanted` at most. Raises
/// the limit of descriptors as far as needed and as the system allows.
fn descriptors(wanted: u32) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let needed = u64::from(wanted) + OTHER_DESCRIPTORS;
    let mut have = limit.current.unwrap_or(u64::MAX);
    if have < needed && have < hard {
        let raised = Rlimit {
            current: Some(needed.min(hard)),
            ..limit
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            have = needed.min(hard);
        }
    }
    let most = u64::from(wanted).min(have.saturating_sub(OTHER_DESCRIPTORS).max(1));
    if most < u64::from(wanted) {
        tracing::warn!(
            connections = most,
            "the limit of file descriptors allows fewer connections than are configured; raise LimitNOFILE"
        );
    }
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// A server with a bound address and an open store.
pub struct Server {
    listener: TcpListener,
    desk: Arc<Desk>,
    connections: Arc<Connections>,
    mirror: Option<Bucket>,
    inbox: Option<Bucket>,
}

impl Server {
    /// Opens the store in `directory` and binds the address. A front end stores nothing
    /// in the directory.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn bind(
        settings: &Settings,
        directory: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let place = |place: &Option<super::Place>| {
            let opened = place
                .as_ref()
                .map(|place| Bucket::at(&place.url, &place.options));
            opened.transpose()
        };
        let (mirror, inbox) = (place(&settings.mirror)?, place(&settings.inbox)?);
        let records = match (settings.role, &inbox) {
            (Role::Front, Some(inbox)) => Records::Front(Inbox::new(inbox.clone())),
            (Role::Front, None) => return Err(SettingsError::FrontWithoutInbox.into()),
            (Role::Keeper, _) => {
                let store = store::open(directory, Arc::clone(&clock))?;
                let shelf = Shelf::new(directory, store.clone(), Arc::clone(&clock))?;
                let shelf = Arc::new(shelf);
                Records::Keeper(Keeper { store, shelf })
            }
        };
        let address = settings.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Fault::Listen { address, source })?;
        let proxies = Proxies::new(&settings.trusted_proxies, settings.proxy_header);
        let most = descriptors(settings.connections.get());
        let each = usize::try_from(settings.connections_per_address.get()).unwrap_or(usize::MAX);
        let connections = Connections::new(most, each, proxies.clone());
        let desk = Desk {
            records,
            limits: Limits::new(
                settings.uploads_per_second,
                settings.uploads_per_minute_and_address,
            ),
            metrics: Metrics::new(),
            proxies,
            clock,
            stopping: AtomicBool::new(false),
            // The operator may pay for each request to a front end's bucket.
            probes: Probes::new(Duration::from_secs(match settings.role {
                Role::Keeper => 1,
                Role::Front => 10,
            })),
            reading: Outage::new(
                Severity::Error,
                "an interval cannot be served",
                "intervals are served again",
            ),
        };
        Ok(Self {
            listener,
            desk: Arc::new(desk),
            connections,
            mirror,
            inbox,
        })
    }

    /// The bound address. It has the port that the system chose for port 0.
    ///
    /// # Errors
    /// The error of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then lets requests under way end, within ten seconds.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let chores = match &self.desk.records {
            Records::Keeper(keeper) => {
                let desk = Arc::clone(&self.desk);
                let chores = chores::keep(desk, keeper.clone(), self.mirror, self.inbox);
                Some(tokio::spawn(chores))
            }
            Records::Front(_) => None,
        };
        let (desk, connections) = (Arc::clone(&self.desk), self.connections);
        let routes = api::routes(Arc::clone(&desk));
        server::serve(self.listener, routes, desk, connections, stop).await;
        if let Some(chores) = chores {
            chores.abort();
            // However the maintenance ended, it has ended.
            let _ = chores.await;
        }
        if let Records::Keeper(keeper) = &self.desk.records {
            keeper.store.close().await;
        }
    }
}
