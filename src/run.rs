//! Creates every part of the daemon, joins them, and shuts them down in order.
//!
//! The start is in this order: settings, store, radio, driver, bus. READY is sent when
//! the name is owned and the store is open, so a program that starts after tcnd finds
//! it working. When one part ends, all parts end: a daemon that lacks a part must not
//! look alive.

mod code_pages;
mod flags;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tcnd_client::BusChoice;
use tcnd_config::Settings;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use crate::bus::{self, Bouncer, ServerConnection, Service};
use crate::conditions;
use crate::daemon::{self, Handle, Parts, Signal};
#[cfg(feature = "bluez")]
use crate::radio::bluez;
use crate::radio::{Radio, fake};
use crate::store::{self, ExportDir, OpenError, Seal};

pub use flags::{DaemonFlags, RadioChoice, UnknownRadio};

/// The daemon cannot start, or cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] tcnd_config::ConfigError),
    /// There is no directory for the database.
    #[error(transparent)]
    NoStateDirectory(#[from] tcnd_config::NoStateDirectory),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The runtime or a signal handler is not available.
    #[error("the system refused a resource that a service needs")]
    System(#[from] io::Error),
    /// The bus cannot be reached.
    #[error(transparent)]
    Unreachable(#[from] tcnd_client::Unreachable),
    /// The bus cannot be served.
    #[error(transparent)]
    Bus(#[from] bus::ServeError),
    /// polkit cannot be asked.
    #[error("cannot ask polkit for authorisation")]
    Polkit(#[from] zbus::Error),
    /// There is no radio on BlueZ in this build.
    #[error(
        "this tcnd was built without BlueZ; build it with --features bluez, or start it with --radio fake"
    )]
    WithoutBluez,
    /// The simulated radio cannot use its folder.
    #[error(transparent)]
    Street(#[from] fake::StreetError),
    /// The driver failed.
    #[error(transparent)]
    Driver(#[from] daemon::Error),
}

impl RunError {
    /// The exit status, by sysexits(3): 78 for a faulty configuration, 1 for
    /// the rest.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(78),
            Self::NoStateDirectory(_)
            | Self::Store(_)
            | Self::System(_)
            | Self::Unreachable(_)
            | Self::Bus(_)
            | Self::Polkit(_)
            | Self::WithoutBluez
            | Self::Street(_)
            | Self::Driver(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs the daemon and reports how it ended. Where the way to the bus could not be prepared,
/// it ends with this error.
pub fn main(flags: &DaemonFlags, bus_prepared: io::Result<()>) -> ExitCode {
    let log = tcnd_logging::start();
    keep_memory_private();
    let outcome = match load(flags) {
        Ok(_) if flags.check_config => {
            let files = tcnd_config::files(&flags.config).unwrap_or_default();
            print(&tcnd_config::valid(&files)).map_err(RunError::from)
        }
        Ok(settings) => bus_prepared
            .map_err(RunError::from)
            .and_then(|()| run(flags, settings, log)),
        Err(error) => Err(error.into()),
    };
    outcome.map_or_else(
        |error| {
            tcnd_logging::fatal(&error);
            error.exit_code()
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Reports on a terminal that the start is over; in the journal systemd does so.
fn ready(output: &tcnd_logging::Output, bus: &BusChoice) {
    if output.target() == tcnd_logging::LogTarget::Console {
        let ask = match bus {
            BusChoice::System => "tcnctl status".to_owned(),
            BusChoice::Session | BusChoice::Address(_) => format!("tcnctl --bus '{bus}' status"),
        };
        tracing::info!("ready; to see the state: {ask}");
    }
}

/// Prints the requested text on standard output.
fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Keys and contacts are in memory. No process of the same user may read them (ptrace,
/// `/proc/PID/mem`), and no core dump may contain them. `LimitCORE=` alone does not
/// keep the kernel from piping a core dump to a program.
///
/// Linux: prctl(2) `PR_SET_DUMPABLE`, core(5) "Piping core dumps to a program".
fn keep_memory_private() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of the same user can read the memory of this process");
    }
}

fn load(flags: &DaemonFlags) -> Result<Settings, tcnd_config::ConfigError> {
    tcnd_config::load(&flags.config)
}

fn run(
    flags: &DaemonFlags,
    settings: Settings,
    log: Arc<tcnd_logging::Output>,
) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(flags, settings, log))
}

async fn serve(
    flags: &DaemonFlags,
    settings: Settings,
    log: Arc<tcnd_logging::Output>,
) -> Result<(), RunError> {
    let directory = tcnd_config::state_directory("tcnd", flags.state_dir.as_deref())?;
    let seal = match tcnd_config::credential(CREDENTIAL) {
        Some(file) => Seal::of_credential(&file)?,
        None => Seal::default(),
    };
    let opened = store::open(&directory, seal)?;
    let server = ServerConnection::to(&flags.bus).await?;
    let connection = server.connection().clone();
    let bouncer = match &flags.bus {
        BusChoice::System => Bouncer::polkit(&connection).await?,
        BusChoice::Session | BusChoice::Address(_) => {
            Bouncer::same_user(rustix::process::geteuid().as_raw())
        }
    };
    let (handle, mailbox) = Handle::new(daemon::starting(&settings));
    let (stop, signals) = signals()?;
    let radio = radio(flags, &settings)?;
    let parts = Parts {
        radio,
        opened,
        mailbox,
        signals,
        settings,
        reread: reread(flags.config.clone()),
        conditions: conditions(flags),
        sync_trigger: sync_trigger(),
        boot_id: daemon::clock::boot_id(flags.boot_id.as_deref()),
    };
    // A task of its own, because it wakes with every advert and the bus need not.
    let mut driver = tokio::spawn(daemon::drive(parts));
    start_watches(&flags.bus, &connection, &handle);
    let output = Arc::clone(&log);
    let service = Service {
        handle,
        bouncer,
        log,
        export_dir: ExportDir::new(directory),
        fd_timeout: bus::FD_TIMEOUT,
    };
    let on_the_bus = async {
        let serving = bus::serve(server, service).await?;
        daemon::ready();
        ready(&output, &flags.bus);
        serving.await
    };
    tokio::select! {
        ended = &mut driver => driver_ended(ended),
        served = on_the_bus => {
            // Without a bus the driver ends too, but only after all is written. A
            // driver that has ended receives nothing.
            if served.is_err() {
                let _ = stop.send(Signal::Stop).await;
            }
            let ended = driver_ended(driver.await);
            served?;
            ended
        }
    }
}

/// Starts what watches the system and the daemon itself.
fn start_watches(bus: &BusChoice, connection: &zbus::Connection, handle: &Handle) {
    // A bus for tests and demos has no logind and no timedated.
    if *bus == BusChoice::System {
        tokio::spawn(bus::watch_logind(connection.clone(), handle.clone()));
        tokio::spawn(bus::watch_timedated(connection.clone(), handle.clone()));
    }
    tokio::spawn(with_each_number(handle.watch(), || {
        if let Err(error) = code_pages::give_back() {
            tracing::debug!(%error, "pages of code stay resident");
        }
    }));
}

/// Gives memory back whenever the daemon listens and has a new number on the air. What the
/// start needed is then resident no longer, and later what clients asked for.
async fn with_each_number(
    mut snapshots: watch::Receiver<Arc<daemon::Snapshot>>,
    mut give_back: impl FnMut(),
) {
    let mut last = None;
    loop {
        let is_new =
            |it: &Arc<daemon::Snapshot>| it.advertising && it.scanning && it.airing_since != last;
        match snapshots.wait_for(is_new).await {
            Ok(snapshot) => last = snapshot.airing_since,
            Err(_) => return,
        }
        give_back();
    }
}

/// The result of the driver. Its panic is resumed here.
fn driver_ended(
    joined: Result<Result<daemon::Ended, daemon::Error>, JoinError>,
) -> Result<(), RunError> {
    match joined {
        Ok(ended) => Ok(ended.map(|daemon::Ended::Stopped| ())?),
        Err(end) => std::panic::resume_unwind(end.into_panic()),
    }
}

/// The credential that `systemd/system/tcnd.service` loads, if there is one.
const CREDENTIAL: &str = "tcnd.kek";

/// The file that `systemd/system/tcnd-sync.path` watches.
const SYNC_TRIGGER_FILE: &str = "wanted";

/// Without Bluetooth there is nothing to spare.
fn conditions(flags: &DaemonFlags) -> watch::Receiver<daemon::ListenConditions> {
    match flags.radio {
        RadioChoice::Bluez => conditions::watch(),
        RadioChoice::Fake | RadioChoice::Street(_) => conditions::unknown(),
    }
}

fn sync_trigger() -> Option<PathBuf> {
    tcnd_config::runtime_directory().map(|directory| directory.join(SYNC_TRIGGER_FILE))
}

fn reread(files: Vec<PathBuf>) -> daemon::Reread {
    Box::new(move || tcnd_config::load(&files))
}

fn radio(flags: &DaemonFlags, settings: &Settings) -> Result<Radio, RunError> {
    let mode = settings.mode;
    let seed = || flags.radio_seed.unwrap_or_else(daemon::random_seed);
    Ok(match &flags.radio {
        RadioChoice::Bluez => on_bluez(settings)?,
        RadioChoice::Fake => fake::spawn(fake::Options {
            neighbours: 8,
            seed: seed(),
            mode,
        }),
        RadioChoice::Street(folder) => fake::join(folder, seed(), mode)?,
    })
}

/// How much longer than their period adverts may stay before BlueZ drops them by
/// itself, in case tcnd hangs.
#[cfg(feature = "bluez")]
const ADVERT_MARGIN: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(feature = "bluez")]
#[allow(
    clippy::unnecessary_wraps,
    reason = "a build without BlueZ has no such radio"
)]
fn on_bluez(settings: &Settings) -> Result<Radio, RunError> {
    Ok(bluez::spawn(bluez::Options {
        mode: settings.mode,
        adapter: settings.adapter.map(|adapter| match adapter {
            tcnd_config::AdapterChoice::Address(address) => bluez::AdapterChoice::Address(address),
            tcnd_config::AdapterChoice::Name(index) => bluez::AdapterChoice::Name(index),
        }),
        discovery_restart: settings.discovery_restart,
        advert_timeout: settings.longest_life() + ADVERT_MARGIN,
        rpa_timeout: settings.rpa_timeout,
    }))
}

#[cfg(not(feature = "bluez"))]
fn on_bluez(_: &Settings) -> Result<Radio, RunError> {
    Err(RunError::WithoutBluez)
}

/// SIGTERM and SIGINT stop the daemon, SIGHUP makes it reread its configuration. A
/// message on the returned sender does the same.
fn signals() -> io::Result<(mpsc::Sender<Signal>, mpsc::Receiver<Signal>)> {
    let (sender, receiver) = mpsc::channel(4);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = sender.clone();
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                Some(()) = terminate.recv() => Signal::Stop,
                Some(()) = interrupt.recv() => Signal::Stop,
                Some(()) = hangup.recv() => Signal::Reload,
                else => return,
            };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok((stop, receiver))
}

#[cfg(test)]
mod tests {
    use tcn_protocol::UnixTime;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn memory_is_given_back_once_with_each_number() {
        let starting = daemon::starting(&Settings::default());
        let (send, snapshots) = watch::channel(Arc::new(starting.clone()));
        let (given, gifts) = mpsc::unbounded_channel();
        let task = tokio::spawn(with_each_number(snapshots, move || {
            given.send(()).unwrap();
        }));
        let mut expected = 0;
        for (number, scanning, is_given) in [
            (None, true, false),
            (Some(1), false, false),
            (Some(1), true, true),
            (Some(1), false, false),
            (Some(1), true, false),
            (Some(2), true, true),
        ] {
            send.send_replace(Arc::new(daemon::Snapshot {
                advertising: number.is_some(),
                airing_since: number.map(UnixTime),
                scanning,
                ..starting.clone()
            }));
            yield_now().await;
            expected += usize::from(is_given);
            assert_eq!(gifts.len(), expected, "{number:?}, scanning {scanning}");
        }
        drop(send);
        task.await.unwrap();
    }
}
