//! Watches callers: what a caller holds here ends when it leaves the bus.
//!
//! There is one watch per name, subscribed before anything is held for it and confirmed
//! after, so that no departure is missed. A watch lasts until its name is gone, or
//! nothing is held for it any more; names on a bus are never used twice. Callers can
//! make us keep at most [`MAX_WATCHED`] watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::task::{AbortHandle, JoinSet};
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, fdo};

/// Names watched at once.
const MAX_WATCHED: usize = 64;

/// The caller, if there is a bus between us that will report when it leaves.
pub(super) fn caller(connection: &Connection, call: &Header<'_>) -> Option<OwnedUniqueName> {
    let sender = call.sender().filter(|_| connection.is_bus());
    sender.map(|name| name.to_owned().into())
}

/// Watches names.
#[derive(Debug, Default)]
pub(super) struct Departures {
    watched: Arc<Mutex<Watched>>,
}

/// A name is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwatched {
    /// There are [`MAX_WATCHED`] already.
    TooMany,
    /// The bus does not report departures.
    Deaf,
}

#[derive(Debug, Default)]
struct Watched {
    /// The watched names, once their tasks exist.
    names: BTreeMap<OwnedUniqueName, Option<AbortHandle>>,
    /// One task per name; aborted when dropped.
    tasks: JoinSet<()>,
}

impl Departures {
    /// Watches `name` from now on, and awaits `farewell` when it is gone. If the name
    /// is watched already, its first farewell applies.
    pub(super) async fn watch(
        &self,
        connection: &Connection,
        name: &OwnedUniqueName,
        farewell: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Unwatched> {
        if !self.remember(name)? {
            return Ok(());
        }
        let Ok(departure) = subscribe(connection, name).await else {
            self.forget(name);
            return Err(Unwatched::Deaf);
        };
        let watch = wait(departure, Arc::clone(&self.watched), name.clone(), farewell);
        let mut watched = lock(&self.watched);
        let watched = &mut *watched;
        // Unless it was forgotten meanwhile.
        if let Some(task) = watched.names.get_mut(name) {
            *task = Some(watched.tasks.spawn(watch));
        }
        // Ended tasks leave their results behind; they are not needed.
        while watched.tasks.try_join_next().is_some() {}
        Ok(())
    }

    /// Watches `name` no longer; its farewell will not be awaited.
    pub(super) fn forget(&self, name: &OwnedUniqueName) {
        if let Some(Some(task)) = lock(&self.watched).names.remove(name) {
            task.abort();
        }
    }

    /// The names that are watched now.
    pub(super) fn names(&self) -> Vec<OwnedUniqueName> {
        lock(&self.watched).names.keys().cloned().collect()
    }

    /// Whether `name` is new; refuses it if too many are watched.
    fn remember(&self, name: &OwnedUniqueName) -> Result<bool, Unwatched> {
        let mut watched = lock(&self.watched);
        if watched.names.contains_key(name) {
            return Ok(false);
        }
        if watched.names.len() >= MAX_WATCHED {
            return Err(Unwatched::TooMany);
        }
        watched.names.insert(name.clone(), None);
        Ok(true)
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
    mut departure: fdo::NameOwnerChangedStream,
    watched: Arc<Mutex<Watched>>,
    name: OwnedUniqueName,
    farewell: impl Future<Output = ()>,
) {
    while let Some(change) = departure.next().await {
        if change.args().is_ok_and(|args| args.new_owner.is_none()) {
            break;
        }
    }
    lock(&watched).names.remove(&name);
    farewell.await;
}

/// Nothing panics while it holds this lock.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
