//! The daemon's bus side on a private bus, with a mock driver, and the real tcnctl as
//! its client.

#[path = "../../../bus/mock_driver.rs"]
pub(crate) mod mock_driver;
#[path = "../../../support/silent_log.rs"]
mod silent_log;

use std::collections::HashMap;
use std::future::Future;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tcnd::bus::{self, Bouncer, Service};
use tcnd::daemon::Snapshot;
use tcnd::store::ExportDir;
use tcnd_client::BusChoice;
use tempfile::TempDir;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Variant, fdo};

use crate::{Fixture, text};
use silent_log::SilentLog;

pub(crate) use mock_driver::{MockDriver, busy, idle};

/// Waits for an event that must happen.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), event)
        .await
        .expect("it happens within a minute")
}

/// The daemon's bus interfaces without a daemon.
pub(crate) struct MockTcnd {
    pub(crate) fixture: Fixture,
    pub(crate) driver: MockDriver,
    export_dir: TempDir,
    connection: Connection,
    uid: u32,
}

impl MockTcnd {
    /// A daemon that trusts the current user.
    pub(crate) async fn new(first: Snapshot) -> Self {
        Self::with(first, rustix::process::geteuid().as_raw()).await
    }

    /// A daemon that trusts only this user.
    pub(crate) async fn with(first: Snapshot, uid: u32) -> Self {
        let fixture = Fixture::new();
        let export_dir = TempDir::new().unwrap();
        let (connection, driver) = serve(&fixture, &export_dir, first, uid).await;
        Self {
            export_dir,
            fixture,
            driver,
            connection,
            uid,
        }
    }

    /// The daemon ends, and another starts, which does not know earlier subscribers.
    pub(crate) async fn restart(&mut self, first: Snapshot) {
        self.leave().await;
        let (connection, driver) = serve(&self.fixture, &self.export_dir, first, self.uid).await;
        (self.connection, self.driver) = (connection, driver);
    }

    /// Runs tcnctl to its end, at 18:30 in the zone UTC on any machine.
    pub(crate) async fn tcnctl(&self, words: &[&str]) -> Output {
        run(self.command(words)).await
    }

    /// The document of a command that succeeds.
    pub(crate) async fn json(&self, words: &[&str]) -> Value {
        let output = self.tcnctl(&[words, &["--json"]].concat()).await;
        assert!(output.status.success(), "{words:?}: {output:?}");
        let lines = text(&output.stdout);
        assert_eq!(lines.lines().count(), 1, "{words:?}: {lines}");
        serde_json::from_str(&lines).unwrap()
    }

    /// The output of a command that succeeds.
    pub(crate) async fn text(&self, words: &[&str]) -> String {
        let output = self.tcnctl(words).await;
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
        text(&output.stdout)
    }

    /// What a command says that ends with this status.
    pub(crate) async fn fails(&self, status: i32, words: &[&str]) -> String {
        let output = self.tcnctl(words).await;
        assert_eq!(output.status.code(), Some(status), "{words:?}: {output:?}");
        text(&output.stderr)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(e2e::program("tcnctl"));
        command.args(["--bus", &self.fixture.address]).args(words);
        command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Another connection to its bus.
    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.fixture).await
    }

    /// The daemon signals a change without one.
    pub(crate) async fn repeat_itself(&self) {
        let nothing: HashMap<&str, Variant<'_>> = HashMap::new();
        let emitter = SignalEmitter::new(&self.connection, tcnd_client::names::ROOT).unwrap();
        let manager = tcnd_client::names::MANAGER.try_into().unwrap();
        fdo::Properties::properties_changed(&emitter, manager, nothing, Default::default())
            .await
            .unwrap();
    }

    /// The daemon leaves the bus; the bus stays.
    pub(crate) async fn leave(&self) {
        self.connection
            .release_name(tcnd_client::names::BUS)
            .await
            .unwrap();
    }

    /// The daemon comes back.
    pub(crate) async fn come_back(&self) {
        self.connection
            .request_name(tcnd_client::names::BUS)
            .await
            .unwrap();
    }
}

async fn connect(fixture: &Fixture) -> Connection {
    let address = BusChoice::Address(fixture.address.clone());
    tcnd_client::connect(&address).await.unwrap()
}

async fn serve(
    fixture: &Fixture,
    export_dir: &TempDir,
    first: Snapshot,
    uid: u32,
) -> (Connection, MockDriver) {
    let connection = connect(fixture).await;
    let (handle, driver) = MockDriver::new(first);
    let service = Service {
        handle,
        bouncer: Bouncer::same_user(uid),
        log: Arc::new(SilentLog),
        export_dir: ExportDir::new(export_dir.path()),
        fd_timeout: bus::FD_TIMEOUT,
    };
    let served = bus::serve(connection.clone(), service).await;
    tokio::spawn(served.unwrap());
    (connection, driver)
}

/// Runs a command while the runtime continues to serve.
pub(crate) async fn run(mut command: Command) -> Output {
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    soon(ended).await.unwrap()
}
