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
use zbus::proxy::{Defaults, ProxyImpl};
use zbus::{Connection, Guid, Proxy, connection};

use crate::mock_driver::MockDriver;
use crate::system_bus::as_user;

/// Waits for an event that must happen.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event)
        .await
        .expect("it happens within twenty seconds")
}

/// The daemon's bus side and a caller, joined by a socket pair.
pub(crate) struct Harness {
    pub(crate) client: Connection,
    _server: Connection,
    pub(crate) driver: MockDriver,
    pub(crate) log: Arc<LogRecorder>,
    pub(crate) state: TempDir,
}

/// A wait for descriptors, longer than any of these tests takes.
const FD_TIMEOUT: Duration = Duration::from_secs(60);

/// For tests of descriptors that stay idle. A busy machine must not make other
/// descriptors look idle.
const SHORT_FD_TIMEOUT: Duration = Duration::from_millis(300);

/// The other parts of the service, with a directory for exports.
pub(crate) fn service(
    handle: Handle,
    bouncer: Bouncer,
    log: Arc<LogRecorder>,
    state: &TempDir,
) -> Service {
    Service {
        handle,
        bouncer,
        log,
        export_dir: ExportDir::new(state.path()),
        fd_timeout: FD_TIMEOUT,
    }
}

impl Harness {
    /// A daemon that trusts its caller.
    pub(crate) async fn new(first: Snapshot) -> Self {
        Self::with(first, Bouncer::same_user(own_uid())).await
    }

    pub(crate) async fn with(first: Snapshot, bouncer: Bouncer) -> Self {
        Self::waiting(own_uid(), first, bouncer, FD_TIMEOUT).await
    }

    /// A daemon that sees its caller as this user; see [`as_user`].
    pub(crate) async fn of_user(uid: u32, first: Snapshot, bouncer: Bouncer) -> Self {
        Self::waiting(uid, first, bouncer, FD_TIMEOUT).await
    }

    /// A daemon that soon gives up on a descriptor.
    pub(crate) async fn with_short_fd_timeout(first: Snapshot) -> Self {
        Self::waiting(
            own_uid(),
            first,
            Bouncer::same_user(own_uid()),
            SHORT_FD_TIMEOUT,
        )
        .await
    }

    async fn waiting(uid: u32, first: Snapshot, bouncer: Bouncer, fd_timeout: Duration) -> Self {
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
        let (handle, driver) = MockDriver::new(first);
        let log = Arc::new(LogRecorder::default());
        let state = TempDir::new().unwrap();
        let service = Service {
            fd_timeout,
            ..service(handle, bouncer, log.clone(), &state)
        };
        let forward = bus::serve(server.clone(), service).await.unwrap();
        tokio::spawn(forward);
        Self {
            client,
            _server: server,
            driver,
            log,
            state,
        }
    }
}

/// A daemon with this state, and a proxy for one of its interfaces.
pub(crate) async fn serving<P>(first: Snapshot) -> (Harness, P)
where
    P: ProxyImpl<'static> + From<Proxy<'static>> + Defaults,
{
    let harness = Harness::new(first).await;
    let proxy = P::builder(&harness.client).build().await.unwrap();
    (harness, proxy)
}

pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A mock of the log; it records what it is set to.
#[derive(Default)]
pub(crate) struct LogRecorder(pub(crate) Mutex<Vec<String>>);

impl LogRecorder {
    pub(crate) fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    pub(crate) fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Log for LogRecorder {
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
