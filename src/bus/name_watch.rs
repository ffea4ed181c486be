//! Watches callers. State that tcnd holds for a caller ends when the caller leaves the
//! bus.
//!
//! There is one watch per name. The watch starts before tcnd holds anything for the
//! name, and is confirmed after, so that no departure is missed. A watch lasts until its
//! name is gone, or tcnd holds nothing for it any more. A bus never uses a unique name
//! twice. Callers can make tcnd keep at most [`MAX_WATCHED`] watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::task::{AbortHandle, JoinSet};
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, fdo};

use super::error::ErrorReply;

/// Names watched at once.
const MAX_WATCHED: usize = 64;

/// The caller, if it is on a bus, which reports when the caller leaves.
pub(super) fn caller(connection: &Connection, call: &Header<'_>) -> Option<OwnedUniqueName> {
    let sender = call.sender().filter(|_| connection.is_bus());
    sender.map(|name| name.to_owned().into())
}

/// Watches names.
#[derive(Debug, Default)]
pub(super) struct NameWatcher {
    watched: Arc<Mutex<Watched>>,
}

/// A name cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchError {
    /// There are [`MAX_WATCHED`] already.
    TooMany,
    /// The bus does not report departures.
    Unavailable,
}

#[derive(Debug, Default)]
struct Watched {
    /// The watched names, once their tasks exist.
    names: BTreeMap<OwnedUniqueName, Option<AbortHandle>>,
    /// One task per name; aborted when dropped.
    tasks: JoinSet<()>,
}

impl NameWatcher {
    /// Watches `name` from now on, and awaits `on_disconnect` when it is gone. If the
    /// name is watched already, its first `on_disconnect` applies.
    pub(super) async fn watch(
        &self,
        connection: &Connection,
        name: &OwnedUniqueName,
        on_disconnect: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), WatchError> {
        if !self.reserve(name)? {
            return Ok(());
        }
        let Ok(owner_changes) = subscribe(connection, name).await else {
            self.unwatch(name);
            return Err(WatchError::Unavailable);
        };
        let watch = wait(
            owner_changes,
            Arc::clone(&self.watched),
            name.clone(),
            on_disconnect,
        );
        let mut watched = lock(&self.watched);
        let watched = &mut *watched;
        // The name may have been removed meanwhile.
        if let Some(task) = watched.names.get_mut(name) {
            *task = Some(watched.tasks.spawn(watch));
        }
        // Ended tasks leave their results behind; they are not needed.
        while watched.tasks.try_join_next().is_some() {}
        Ok(())
    }

    /// Stops watching `name`; its `on_disconnect` will not be awaited.
    pub(super) fn unwatch(&self, name: &OwnedUniqueName) {
        if let Some(Some(task)) = lock(&self.watched).names.remove(name) {
            task.abort();
        }
    }

    /// The names that are watched now.
    pub(super) fn names(&self) -> Vec<OwnedUniqueName> {
        lock(&self.watched).names.keys().cloned().collect()
    }

    /// Whether `name` is new; refuses it if too many are watched.
    fn reserve(&self, name: &OwnedUniqueName) -> Result<bool, WatchError> {
        let mut watched = lock(&self.watched);
        if watched.names.contains_key(name) {
            return Ok(false);
        }
        if watched.names.len() >= MAX_WATCHED {
            return Err(WatchError::TooMany);
        }
        watched.names.insert(name.clone(), None);
        Ok(true)
    }
}

impl WatchError {
    /// The error reply. `busy` ends "too many programs"; `instead` is the cure.
    pub(super) fn reply(self, busy: &str, instead: &str) -> ErrorReply {
        match self {
            Self::TooMany => ErrorReply::busy(format!("too many programs {busy}")),
            Self::Unavailable => ErrorReply::failed(format!(
                "the bus cannot report when you leave it; {instead}"
            )),
        }
    }
}

/// Whether `name` is still on the bus, as far as that can be seen. A watch that was set
/// up before reports when it leaves later.
pub(super) async fn is_present(connection: &Connection, name: &OwnedUniqueName) -> bool {
    match fdo::DBusProxy::new(connection).await {
        Ok(bus) => bus
            .name_has_owner(BusName::from(name))
            .await
            .is_ok_and(|present| present),
        Err(_) => false,
    }
}

async fn subscribe(
    connection: &Connection,
    name: &OwnedUniqueName,
) -> zbus::Result<fdo::NameOwnerChangedStream> {
    let bus = fdo::DBusProxy::new(connection).await?;
    bus.receive_name_owner_changed_with_args(&[(0, name.as_str())])
        .await
}

async fn wait(
    mut owner_changes: fdo::NameOwnerChangedStream,
    watched: Arc<Mutex<Watched>>,
    name: OwnedUniqueName,
    on_disconnect: impl Future<Output = ()>,
) {
    while let Some(change) = owner_changes.next().await {
        if change.args().is_ok_and(|args| args.new_owner.is_none()) {
            break;
        }
    }
    lock(&watched).names.remove(&name);
    on_disconnect.await;
}

/// Nothing panics while it holds this lock.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
