//! The daemon's bus side in a test: over a socket pair, or on a private bus with the
//! policy we ship and real other users.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tcnd::bus::{self, Bouncer, Log, Service};
use tcnd::daemon::{Handle, Snapshot};
use tcnd::store::ExportDir;
use tcnd_logging::{LogLevel, LogTarget};
use tempfile::TempDir;
use zbus::{Connection, Guid, connection};

use crate::puppet::Puppet;
use crate::town::as_user;

/// Waits for an event that must happen.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event)
        .await
        .expect("it happens within twenty seconds")
}

/// The daemon's bus side and a caller, joined by a socket pair.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    _server: Connection,
    pub(crate) puppet: Puppet,
    pub(crate) log: Arc<Diary>,
    pub(crate) state: TempDir,
}

/// A wait for descriptors, longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// For tests of descriptors that stay idle. A busy machine must not make other
/// descriptors look idle.
const IMPATIENCE: Duration = Duration::from_millis(300);

/// The other parts of the service, with a directory for sheets.
pub(crate) fn service(
    handle: Handle,
    bouncer: Bouncer,
    log: Arc<Diary>,
    state: &TempDir,
) -> Service {
    Service {
        handle,
        bouncer,
        log,
        sheets: ExportDir::new(state.path()),
        patience: PATIENCE,
    }
}

impl Pair {
    /// A daemon that trusts its caller.
    pub(crate) async fn new(first: Snapshot) -> Self {
        Self::with(first, Bouncer::same_user(own_uid())).await
    }

    pub(crate) async fn with(first: Snapshot, bouncer: Bouncer) -> Self {
        Self::waiting(own_uid(), first, bouncer, PATIENCE).await
    }

    /// A daemon that sees its caller as this user; see [`as_user`].
    pub(crate) async fn of_user(uid: u32, first: Snapshot, bouncer: Bouncer) -> Self {
        Self::waiting(uid, first, bouncer, PATIENCE).await
    }

    /// A daemon that soon gives up on a descriptor.
    pub(crate) async fn impatient(first: Snapshot) -> Self {
        Self::waiting(own_uid(), first, Bouncer::same_user(own_uid()), IMPATIENCE).await
    }

    async fn waiting(uid: u32, first: Snapshot, bouncer: Bouncer, patience: Duration) -> Self {
        // Both ends have the credentials of the thread that makes the pair: unix(7),
        // SO_PEERCRED.
        let (here, there) = as_user(uid, || UnixStream::pair().unwrap());
        let server = connection::Builder::unix_stream(here)
            .server(Guid::generate())
            .p2p()
            .build();
        let client = connection::Builder::unix_stream(there)
            .user_id(uid)
            .p2p()
            .build();
        let (server, client) = tokio::try_join!(server, client).unwrap();
        let (handle, puppet) = Puppet::new(first);
        let log = Arc::new(Diary::default());
        let state = TempDir::new().unwrap();
        let service = Service {
            patience,
            ..service(handle, bouncer, log.clone(), &state)
        };
        let forward = bus::serve(server.clone(), service).await.unwrap();
        tokio::spawn(forward);
        Self {
            client,
            _server: server,
            puppet,
            log,
            state,
        }
    }
}

pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A mock of the log; it records what it is set to.
#[derive(Default)]
pub(crate) struct Diary(pub(crate) Mutex<Vec<String>>);

impl Diary {
    pub(crate) fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    pub(crate) fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Log for Diary {
    fn level(&self) -> LogLevel {
        LogLevel::Notice
    }

    fn set_level(&self, level: LogLevel) {
        self.note(format!("level {}", level.word()));
    }

    fn target(&self) -> LogTarget {
        LogTarget::Journal
    }

    fn set_target(&self, target: LogTarget) -> bool {
        self.note(format!("target {}", target.word()));
        target == LogTarget::Journal
    }

    fn reset(&self) {
        self.note("reset".to_owned());
    }
}
