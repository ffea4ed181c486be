//! The start and the end of the server.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sd_notify::NotifyState;
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
use super::desk::{Desk, Keeper, Records};
use super::flags::Flags;
use super::inbox::Inbox;
use super::limits::Limits;
use super::metrics::Metrics;
use super::settings::{Role, Settings, SettingsError};
use super::shelf::Shelf;
use super::store::{self, OpenError};
use super::{api, server};
use crate::config::{self, NoStateDirectory};

/// The server cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The settings have a fault.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no place for the store.
    #[error(transparent)]
    NoStateDirectory(#[from] NoStateDirectory),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A folder or bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The address cannot be had.
    #[error("cannot listen on {address}; free it, or give another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The runtime or a signal handler cannot be had.
    #[error("the system refused what a service needs")]
    System(#[from] io::Error),
}

/// Runs the server until it is told to stop, and says how it ended.
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
    settings.listen = flags.listen.unwrap_or(settings.listen);
    let directory = config::state_directory("tcn-reportd", flags.state_dir.as_deref())?;
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
    // What was not done in time must not hold the process.
    runtime.shutdown_background();
    outcome
}

/// Ends with SIGTERM or SIGINT.
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

/// To standard error, which systemd and containers alike collect.
fn log() {
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(layer).init();
}

/// A server that has its address and its store.
pub struct Server {
    listener: TcpListener,
    desk: Arc<Desk>,
    connections: u32,
    mirror: Option<Bucket>,
    inbox: Option<Bucket>,
}

impl Server {
    /// Opens the store in `directory` and takes the address. A front end keeps
    /// nothing there.
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
        let desk = Desk {
            records,
            limits: Limits::new(
                settings.uploads_per_second,
                settings.uploads_per_minute_and_address,
            ),
            metrics: Metrics::new(),
            trusted: settings.trusted_proxies.clone(),
            clock,
            stopping: AtomicBool::new(false),
        };
        Ok(Self {
            listener,
            desk: Arc::new(desk),
            connections: settings.connections.get(),
            mirror,
            inbox,
        })
    }

    /// The address it has, with the port the system chose if it was asked to.
    ///
    /// # Errors
    /// What the system says.
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
            // However it ended, it is at an end.
            let _ = chores.await;
        }
        if let Records::Keeper(keeper) = &self.desk.records {
            keeper.store.close().await;
        }
    }
}
