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
use tcnd_logging::error_chain;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::args::ReportdArgs;
use super::bucket::{Bucket, BucketError};
use super::clock::{Clock, SystemClock};
use super::connections::Connections;
use super::inbox::Inbox;
use super::interval_cache::IntervalCache;
use super::limits::Limits;
use super::maintenance;
use super::metrics::Metrics;
use super::outage::{Outage, Severity};
use super::sender::Proxies;
use super::settings::{Role, ServerSettings, SettingsError};
use super::state::{Backend, Primary, ProbeLimit, ServerState};
use super::store::{self, OpenError};
use super::{api, server};

/// The server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings have an error.
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
    #[error("the system refused a resource that the server needs")]
    System(#[from] io::Error),
}

/// Runs the server until it is asked to stop, and returns its exit code.
pub fn main(args: &ReportdArgs) -> ExitCode {
    log();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", error_chain(&error));
            match error {
                StartError::Settings(_) => ExitCode::from(78),
                StartError::NoStateDirectory(_)
                | StartError::Store(_)
                | StartError::Bucket(_)
                | StartError::Listen { .. }
                | StartError::System(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(args: &ReportdArgs) -> Result<(), StartError> {
    let mut settings = ServerSettings::load(&args.config)?;
    if args.check_config {
        let files = ServerSettings::files(&args.config);
        return Ok(writeln!(io::stdout(), "{}", tcnd_config::valid(&files))?);
    }
    settings.listen = args.listen.unwrap_or(settings.listen);
    let directory = tcnd_config::state_directory("tcn-reportd", args.state_dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let stop = stop_signal()?;
        let server = Server::bind(&settings, &directory, Arc::new(SystemClock)).await?;
        let status = format!("listening on {}", server.address()?);
        tracing::info!("{status}");
        notify(&[NotifyState::Status(&status), NotifyState::Ready]);
        server.run(stop).await;
        Ok(())
    });
    // Unfinished work must not hold the process.
    runtime.shutdown_background();
    result
}

/// Completes at SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
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
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(fault = %error, "systemd did not take a notification");
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
    state: Arc<ServerState>,
    connections: Arc<Connections>,
    mirror: Option<Bucket>,
    inbox: Option<Bucket>,
}

impl Server {
    /// Opens the store in `directory` and binds the address. A front end stores nothing
    /// in the directory.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(
        settings: &ServerSettings,
        directory: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let bucket = |bucket: &Option<super::BucketSettings>| {
            let opened = bucket
                .as_ref()
                .map(|bucket| Bucket::at(&bucket.url, &bucket.options));
            opened.transpose()
        };
        let (mirror, inbox) = (bucket(&settings.mirror)?, bucket(&settings.inbox)?);
        let backend = match (settings.role, &inbox) {
            (Role::Frontend, Some(inbox)) => Backend::Frontend(Inbox::new(inbox.clone())),
            (Role::Frontend, None) => return Err(SettingsError::FrontendWithoutInbox.into()),
            (Role::Primary, _) => {
                let store = store::open(directory, Arc::clone(&clock))?;
                let intervals = IntervalCache::new(directory, store.clone(), Arc::clone(&clock))?;
                let intervals = Arc::new(intervals);
                Backend::Primary(Primary { store, intervals })
            }
        };
        let address = settings.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| StartError::Listen { address, source })?;
        let proxies = Proxies::new(&settings.trusted_proxies, settings.proxy_header);
        let most = descriptors(settings.connections.get());
        let each = usize::try_from(settings.connections_per_address.get()).unwrap_or(usize::MAX);
        let connections = Connections::new(most, each, proxies.clone());
        let state = ServerState {
            backend,
            limits: Limits::new(
                settings.uploads_per_second,
                settings.uploads_per_minute_and_address,
            ),
            metrics: Metrics::new(),
            proxies,
            clock,
            stopping: AtomicBool::new(false),
            // The operator may pay for each request to a front end's bucket.
            probes: ProbeLimit::new(Duration::from_secs(match settings.role {
                Role::Primary => 1,
                Role::Frontend => 10,
            })),
            reading: Outage::new(
                Severity::Error,
                "an interval cannot be served",
                "intervals are served again",
            ),
        };
        Ok(Self {
            listener,
            state: Arc::new(state),
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
        let maintenance = match &self.state.backend {
            Backend::Primary(primary) => {
                let state = Arc::clone(&self.state);
                let maintenance = maintenance::run(state, primary.clone(), self.mirror, self.inbox);
                Some(tokio::spawn(maintenance))
            }
            Backend::Frontend(_) => None,
        };
        let (state, connections) = (Arc::clone(&self.state), self.connections);
        let routes = api::routes(Arc::clone(&state));
        server::serve(self.listener, routes, state, connections, stop).await;
        if let Some(maintenance) = maintenance {
            maintenance.abort();
            // However the maintenance ended, it has ended.
            let _ = maintenance.await;
        }
        if let Backend::Primary(primary) = &self.state.backend {
            primary.store.close().await;
        }
    }
}
