//! The objects on the bus, and their last published state.
//!
//! The daemon publishes snapshots. [`ObjectTree`] compares each with the one before, and
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

use super::adapter::{self, AdapterInterface};
use super::contacts::ContactsInterface;
use super::descriptors::ForeignFiles;
use super::exchange::ExchangeInterface;
use super::exposures::{self, ExposuresInterface};
use super::log_control::LogControlInterface;
use super::manager::{self, ManagerInterface};
use super::name_watch::NameWatcher;
use super::object_manager::{AdapterObjects, ObjectManagerInterface};
use super::reports::{self, ReportsInterface};
use super::service::{ServeError, Service};
use super::transfer::Transfers;
use super::wipe::PrivacyInterface;
use crate::daemon::Snapshot;
use crate::radio;

pub(super) struct ObjectTree {
    connection: Connection,
    published: Arc<Snapshot>,
    /// The adapters that have an object, by path.
    adapters: AdapterObjects,
    /// The clients that are notified of exposures.
    subscribers: Arc<NameWatcher>,
}

impl ObjectTree {
    /// Creates the objects that `first` contains.
    pub(super) async fn create(
        connection: Connection,
        service: Service,
        foreign: Arc<ForeignFiles>,
        first: Arc<Snapshot>,
    ) -> zbus::Result<Self> {
        let mut tree = Self {
            connection,
            published: Arc::clone(&first),
            adapters: AdapterObjects::default(),
            subscribers: Arc::default(),
        };
        tree.add_interfaces(service, foreign).await?;
        tree.publish_adapters(&first).await?;
        Ok(tree)
    }

    /// Creates the interfaces that are always there.
    async fn add_interfaces(
        &self,
        service: Service,
        foreign: Arc<ForeignFiles>,
    ) -> zbus::Result<()> {
        let (handle, log) = (service.handle, service.log);
        let bouncer = Arc::new(service.bouncer);
        let transfers = Arc::new(Transfers::new(service.fd_timeout, foreign));
        let manager = ManagerInterface {
            held_for: NameWatcher::default(),
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            log: Arc::clone(&log),
        };
        let contacts = ContactsInterface {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            transfers: Arc::clone(&transfers),
            export_dir: service.export_dir,
        };
        let reports = ReportsInterface {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            transfers: Arc::clone(&transfers),
            importers: NameWatcher::default(),
            checks: Semaphore::new(reports::MAX_CHECKS),
        };
        let exchange = ExchangeInterface {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            transfers,
            runs: NameWatcher::default(),
            deliveries: NameWatcher::default(),
        };
        let exposures = ExposuresInterface {
            handle: handle.clone(),
            bouncer: Arc::clone(&bouncer),
            subscribers: Arc::clone(&self.subscribers),
        };
        let privacy = PrivacyInterface {
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
        server
            .at(names::ROOT, ObjectManagerInterface { adapters })
            .await?;
        let log_control = LogControlInterface { log, bouncer };
        server.at(names::LOG_CONTROL_PATH, log_control).await?;
        Ok(())
    }

    /// Publishes snapshots and notifies of exposures, until their source is gone.
    pub(super) async fn forward(
        mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut unseen: watch::Receiver<u32>,
    ) -> Result<(), ServeError> {
        loop {
            tokio::select! {
                // An exposure is sent before the snapshot that follows it.
                biased;
                Ok(()) = unseen.changed() => {
                    let unseen = *unseen.borrow_and_update();
                    exposures::notify_subscribers(&self.connection, &self.subscribers, unseen).await?;
                }
                more = snapshots.changed() => {
                    if more.is_err() {
                        return Ok(());
                    }
                    let next = Arc::clone(&snapshots.borrow_and_update());
                    self.publish(next).await?;
                }
            }
        }
    }

    /// An adapter appears before the manager refers to it, and disappears after the
    /// manager has stopped to.
    async fn publish(&mut self, next: Arc<Snapshot>) -> zbus::Result<()> {
        self.publish_adapters(&next).await?;
        let (before, after) = (
            manager::announced(&self.published),
            manager::announced(&next),
        );
        self.signal(names::ROOT, names::MANAGER, &before, after)
            .await?;
        self.remove_adapters(&next).await?;
        self.published = next;
        Ok(())
    }

    async fn publish_adapters(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        for (path, adapter) in with_paths(snapshot) {
            let replace = |published: &watch::Sender<_>| published.send_replace(adapter.clone());
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
        let (published, latest) = watch::channel(adapter);
        let server = self.connection.object_server();
        server
            .at(path.as_str(), AdapterInterface { latest })
            .await?;
        self.adapters.lock().insert(path, published);
        Ok(())
    }

    async fn remove_adapters(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        let present: Vec<String> = with_paths(snapshot).map(|(path, _)| path).collect();
        let gone = |path: &&String| !present.contains(path);
        let gone: Vec<String> = self.adapters.lock().keys().filter(gone).cloned().collect();
        for path in gone {
            let server = self.connection.object_server();
            server.remove::<AdapterInterface, _>(path.as_str()).await?;
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
