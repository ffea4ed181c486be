//! Who left the bus: a pause that is held ends with its holder.
//!
//! One watch a name, subscribed before the pause is asked for and confirmed
//! after, so that no departure falls between. A watch lasts until its name is
//! gone; names on a bus are never used twice. Callers that are allowed to
//! pause can make us keep [`MAX_WATCHED`] of them, no more.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::task::JoinSet;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, fdo};

use super::error::Error;
use crate::daemon::Handle;

/// Names watched at once.
const MAX_WATCHED: usize = 64;

/// Watches names and tells the daemon when one leaves.
#[derive(Debug)]
pub(super) struct Departures {
    handle: Handle,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    names: BTreeSet<OwnedUniqueName>,
    /// One a name; aborted when dropped.
    tasks: JoinSet<()>,
}

impl Departures {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            handle,
            watched: Arc::default(),
        }
    }

    /// Watches `name` from now on.
    pub(super) async fn watch(
        &self,
        connection: &Connection,
        name: &OwnedUniqueName,
    ) -> Result<(), Error> {
        if !self.remember(name)? {
            return Ok(());
        }
        let Ok(departure) = subscribe(connection, name).await else {
            lock(&self.watched).names.remove(name);
            return Err(Error::Failed(
                "the bus does not tell when you leave it; pause without hold",
            ));
        };
        let watch = wait(
            departure,
            self.handle.clone(),
            Arc::clone(&self.watched),
            name.clone(),
        );
        let mut watched = lock(&self.watched);
        watched.tasks.spawn(watch);
        // Ended tasks leave their results behind; nobody wants them.
        while watched.tasks.try_join_next().is_some() {}
        Ok(())
    }

    /// Ends the holds of `name` if it is gone already, and will not leave again.
    pub(super) async fn confirm(&self, connection: &Connection, name: &OwnedUniqueName) {
        let present = match fdo::DBusProxy::new(connection).await {
            Ok(bus) => bus.name_has_owner(BusName::from(name)).await.ok(),
            Err(_) => None,
        };
        if present != Some(true) {
            self.handle.left(name.to_string()).await;
        }
    }

    /// Whether `name` is new; refuses it if there are too many.
    fn remember(&self, name: &OwnedUniqueName) -> Result<bool, Error> {
        let mut watched = lock(&self.watched);
        if watched.names.len() >= MAX_WATCHED && !watched.names.contains(name) {
            return Err(Error::Busy(
                "too many programs hold a pause; end one of them, or pause without hold",
            ));
        }
        Ok(watched.names.insert(name.clone()))
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
    handle: Handle,
    watched: Arc<Mutex<Watched>>,
    name: OwnedUniqueName,
) {
    while let Some(change) = departure.next().await {
        if change.args().is_ok_and(|args| args.new_owner.is_none()) {
            break;
        }
    }
    lock(&watched).names.remove(&name);
    handle.left(name.to_string()).await;
}

/// Nothing panics while it holds this lock.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
