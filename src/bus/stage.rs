//! The objects on the bus, and what they last said.
//!
//! The daemon publishes snapshots; the stage compares each with the one shown
//! before, and says the difference: one `PropertiesChanged` an object, and the
//! object manager's signals for adapters that came or went. There is no other
//! source of signals, so what is not in a snapshot cannot leak through one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Variant, fdo};

use super::adapter::{self, Adapter};
use super::bouncer::Bouncer;
use super::contacts::Contacts;
use super::departures::Departures;
use super::log_control::{Log, LogControl};
use super::manager::{self, Manager};
use super::{Fault, names};
use crate::daemon::{Handle, Snapshot};
use crate::radio;

pub(super) struct Stage {
    connection: Connection,
    shown: Arc<Snapshot>,
    /// The adapters that have an object, by path.
    adapters: BTreeMap<String, watch::Sender<radio::Adapter>>,
}

impl Stage {
    /// Puts everything up that `first` shows.
    pub(super) async fn set(
        connection: Connection,
        handle: Handle,
        first: Arc<Snapshot>,
        bouncer: Arc<Bouncer>,
        log: Arc<dyn Log>,
    ) -> zbus::Result<Self> {
        let manager = Manager {
            departures: Departures::new(handle.clone()),
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            log: Arc::clone(&log),
        };
        let contacts = Contacts {
            handle,
            bouncer: Arc::clone(&bouncer),
        };
        let server = connection.object_server();
        server.at(names::ROOT, manager).await?;
        server.at(names::ROOT, contacts).await?;
        server.at(names::ROOT, fdo::ObjectManager).await?;
        let log_control = LogControl { log, bouncer };
        server.at(names::LOG_CONTROL_PATH, log_control).await?;
        let mut stage = Self {
            connection,
            shown: Arc::clone(&first),
            adapters: BTreeMap::new(),
        };
        stage.show_adapters(&first).await?;
        Ok(stage)
    }

    /// Shows snapshots until nobody makes them any more.
    pub(super) async fn forward(
        mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
    ) -> Result<(), Fault> {
        while snapshots.changed().await.is_ok() {
            let next = Arc::clone(&snapshots.borrow_and_update());
            self.show(next).await?;
        }
        Ok(())
    }

    /// Adapters come before the manager speaks of them, and go after it has
    /// stopped to.
    async fn show(&mut self, next: Arc<Snapshot>) -> zbus::Result<()> {
        self.show_adapters(&next).await?;
        let (before, after) = (manager::announced(&self.shown), manager::announced(&next));
        self.signal(names::ROOT, names::MANAGER, &before, after)
            .await?;
        self.remove_adapters(&next).await?;
        self.shown = next;
        Ok(())
    }

    async fn show_adapters(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        for (path, adapter) in with_paths(snapshot) {
            let Some(shown) = self.adapters.get(&path) else {
                self.add_adapter(path, adapter.clone()).await?;
                continue;
            };
            let before = shown.send_replace(adapter.clone());
            let (before, after) = (adapter::announced(&before), adapter::announced(adapter));
            self.signal(&path, names::ADAPTER, &before, after).await?;
        }
        Ok(())
    }

    async fn add_adapter(&mut self, path: String, adapter: radio::Adapter) -> zbus::Result<()> {
        let (shown, newest) = watch::channel(adapter);
        let server = self.connection.object_server();
        server.at(path.as_str(), Adapter { newest }).await?;
        self.adapters.insert(path, shown);
        Ok(())
    }

    async fn remove_adapters(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        let present: Vec<String> = with_paths(snapshot).map(|(path, _)| path).collect();
        let gone = |path: &&String| !present.contains(path);
        let gone: Vec<String> = self.adapters.keys().filter(gone).cloned().collect();
        for path in gone {
            let server = self.connection.object_server();
            server.remove::<Adapter, _>(path.as_str()).await?;
            self.adapters.remove(&path);
        }
        Ok(())
    }

    /// One signal with all values that are not as `before`; none if all are.
    async fn signal(
        &self,
        path: &str,
        interface: &'static str,
        before: &[(&'static str, Variant<'static>)],
        after: impl IntoIterator<Item = (&'static str, Variant<'static>)>,
    ) -> zbus::Result<()> {
        let changed: HashMap<&str, Variant<'_>> = after
            .into_iter()
            .zip(before)
            .filter(|(new, old)| new != *old)
            .map(|(new, _)| new)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let emitter = SignalEmitter::new(&self.connection, path)?;
        let interface = interface.try_into()?;
        fdo::Properties::properties_changed(&emitter, interface, changed, Default::default()).await
    }
}

/// The adapters that can have an object; BlueZ names none that cannot.
fn with_paths(snapshot: &Snapshot) -> impl Iterator<Item = (String, &radio::Adapter)> {
    let with_path = |adapter: &radio::Adapter| names::adapter_path(&adapter.name);
    snapshot
        .adapters
        .iter()
        .filter_map(move |adapter| Some((with_path(adapter)?, adapter)))
}
