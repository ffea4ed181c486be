//! The objects on the bus, and their last published state.
//!
//! The daemon publishes snapshots. The stage compares each with the one before, and
//! signals the difference: one `PropertiesChanged` per object, and the object manager's
//! signals for adapters that came or went. There is no other source of broadcasts, so
//! data outside a snapshot cannot leak through one. The number of unseen exposures is
//! sent to each subscriber by name.

use std::collections::HashMap;
use std::sync::Arc;

use tcnd_client::names;
use tokio::sync::{Semaphore, watch};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Variant, fdo};

use super::adapter::{self, Adapter};
use super::contacts::Contacts;
use super::departures::Departures;
use super::descriptors::ForeignFiles;
use super::exchange::Exchange;
use super::exposures::{self, Exposures};
use super::log_control::LogControl;
use super::manager::{self, Manager};
use super::objects::{Adapters, Objects};
use super::privacy::Privacy;
use super::reports::{self, Reports};
use super::transfer::Transfers;
use super::{Fault, Service};
use crate::daemon::Snapshot;
use crate::radio;

pub(super) struct Stage {
    connection: Connection,
    shown: Arc<Snapshot>,
    /// The adapters that have an object, by path.
    adapters: Adapters,
    /// The clients that are notified of exposures.
    subscribers: Arc<Departures>,
}

impl Stage {
    /// Creates the objects that `first` contains.
    pub(super) async fn set(
        connection: Connection,
        service: Service,
        foreign: Arc<ForeignFiles>,
        first: Arc<Snapshot>,
    ) -> zbus::Result<Self> {
        let mut stage = Self {
            connection,
            shown: Arc::clone(&first),
            adapters: Adapters::default(),
            subscribers: Arc::default(),
        };
        stage.show_rooms(service, foreign).await?;
        stage.show_adapters(&first).await?;
        Ok(stage)
    }

    /// Creates the interfaces that are always there.
    async fn show_rooms(&self, service: Service, foreign: Arc<ForeignFiles>) -> zbus::Result<()> {
        let (handle, log) = (service.handle, service.log);
        let bouncer = Arc::new(service.bouncer);
        let transfers = Arc::new(Transfers::new(service.patience, foreign));
        let manager = Manager {
            departures: Departures::default(),
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            log: Arc::clone(&log),
        };
        let contacts = Contacts {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            transfers: Arc::clone(&transfers),
            sheets: service.sheets,
        };
        let reports = Reports {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            transfers: Arc::clone(&transfers),
            importers: Departures::default(),
            checks: Semaphore::new(reports::MOST_CHECKS),
        };
        let exchange = Exchange {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            transfers,
            runs: Departures::default(),
            deliveries: Departures::default(),
        };
        let exposures = Exposures {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            subscribers: Arc::clone(&self.subscribers),
        };
        let privacy = Privacy {
            handle,
            bouncer: Arc::clone(&bouncer),
        };
        let server = self.connection.object_server();
        server.at(names::ROOT, manager).await?;
        server.at(names::ROOT, contacts).await?;
        server.at(names::ROOT, reports).await?;
        server.at(names::ROOT, exposures).await?;
        server.at(names::ROOT, exchange).await?;
        server.at(names::ROOT, privacy).await?;
        let adapters = self.adapters.clone();
        server.at(names::ROOT, Objects { adapters }).await?;
        let log_control = LogControl { log, bouncer };
        server.at(names::LOG_CONTROL_PATH, log_control).await?;
        Ok(())
    }

    /// Publishes snapshots and notifies of exposures, until their source is gone.
    pub(super) async fn forward(
        mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut unseen: watch::Receiver<u32>,
    ) -> Result<(), Fault> {
        loop {
            tokio::select! {
                // An exposure is sent before the snapshot that follows it.
                biased;
                Ok(()) = unseen.changed() => {
                    let unseen = *unseen.borrow_and_update();
                    exposures::tell(&self.connection, &self.subscribers, unseen).await?;
                }
                more = snapshots.changed() => {
                    if more.is_err() {
                        return Ok(());
                    }
                    let next = Arc::clone(&snapshots.borrow_and_update());
                    self.show(next).await?;
                }
            }
        }
    }

    /// Adapters appear before the manager refers to them, and disappear after it has
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
            let replace = |shown: &watch::Sender<_>| shown.send_replace(adapter.clone());
            let before = self.adapters.lock().get(&path).map(replace);
            let Some(before) = before else {
                self.add_adapter(path, adapter.clone()).await?;
                continue;
            };
            let (before, after) = (adapter::announced(&before), adapter::announced(adapter));
            self.signal(&path, names::ADAPTER, &before, after).await?;
        }
        Ok(())
    }

    async fn add_adapter(&mut self, path: String, adapter: radio::Adapter) -> zbus::Result<()> {
        let (shown, newest) = watch::channel(adapter);
        let server = self.connection.object_server();
        server.at(path.as_str(), Adapter { newest }).await?;
        self.adapters.lock().insert(path, shown);
        Ok(())
    }

    async fn remove_adapters(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        let present: Vec<String> = with_paths(snapshot).map(|(path, _)| path).collect();
        let gone = |path: &&String| !present.contains(path);
        let gone: Vec<String> = self.adapters.lock().keys().filter(gone).cloned().collect();
        for path in gone {
            let server = self.connection.object_server();
            server.remove::<Adapter, _>(path.as_str()).await?;
            self.adapters.lock().remove(&path);
        }
        Ok(())
    }

    /// Sends one signal with all values that differ from `before`; none if all are
    /// equal.
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

/// The adapters that can have an object; BlueZ has no adapter that cannot.
fn with_paths(snapshot: &Snapshot) -> impl Iterator<Item = (String, &radio::Adapter)> {
    let with_path = |adapter: &radio::Adapter| names::adapter_path(&adapter.name);
    snapshot
        .adapters
        .iter()
        .filter_map(move |adapter| Some((with_path(adapter)?, adapter)))
}
