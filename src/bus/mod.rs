//! The edge to D-Bus clients: translate, ask the [`Handle`](crate::daemon::Handle), translate back.
//!
//! ```text
//!  caller ──▶ bus policy ──▶ admission ──▶ a method ──▶ bouncer ──▶ Handle ──▶ driver
//!                               │                       polkit                 │
//!                               └────────▶ properties ◀── snapshots ◀──────────┘
//! ```
//!
//! Public state is a property and comes from the daemon's `Snapshot`, which holds
//! nothing about contacts. Every broadcast comes from comparing two snapshots, in
//! `object_tree` and nowhere else. Everything else is a method and passes the [`Bouncer`].
//! One signal is not public either, and is sent to its subscribers by name.
//!
//! [`admission`] limits how many calls are accepted at once, from every caller.
//!
//! The connection that owns the name must never carry objects for BlueZ to
//! call. The bus policy opens `org.freedesktop.DBus.Properties` of every object
//! on it to every user, and an advertisement object has the current number in
//! a property. The radio has a connection of its own, without a name.

mod adapter;
mod admission;
mod bouncer;
mod contacts;
mod descriptors;
mod error;
mod exchange;
mod export;
mod exposures;
mod log_control;
mod logind;
mod manager;
mod name_watch;
mod object_manager;
mod object_tree;
mod options;
mod replies;
mod reports;
mod service;
mod sync_run;
mod timedated;
mod tokens;
mod transfer;
mod wipe;

use std::sync::Arc;

use tcnd_client::names;
use zbus::Connection;
use zbus::fdo::{self, RequestNameFlags};

pub use self::admission::ServerConnection;
pub use self::bouncer::Bouncer;
pub use self::log_control::Log;
pub use self::logind::watch_logind;
pub use self::service::{ServeError, Service};
pub use self::timedated::watch_timedated;
pub use self::transfer::FD_TIMEOUT;

use self::object_tree::ObjectTree;

/// Serves everything on `connection`, then takes the name [`names::BUS`].
///
/// The future it returns forwards the daemon's snapshots to the properties. It has to
/// be polled, and ends successfully when the daemon behind the handle is gone.
///
/// # Errors
/// When the name is not available, or the connection fails, now or later.
pub async fn serve(
    connection: impl Into<ServerConnection>,
    service: Service,
) -> Result<impl Future<Output = Result<(), ServeError>> + Send, ServeError> {
    let server = connection.into();
    let connection = server.connection.clone();
    let mut snapshots = service.handle.watch();
    let unseen = service.handle.watch_unseen();
    let first = Arc::clone(&snapshots.borrow_and_update());
    let foreign = server.foreign();
    let tree = ObjectTree::create(connection.clone(), service, foreign, first).await?;
    take_name(&connection).await?;
    Ok(async move {
        tokio::select! {
            end = tree.forward(snapshots, unseen) => end,
            () = connection.closed() => Err(ServeError::Closed),
            never = server.refuse() => match never {},
        }
    })
}

async fn take_name(connection: &Connection) -> Result<(), ServeError> {
    // By default zbus would take the name from its owner, and let others take it from
    // tcnd.
    let flags = RequestNameFlags::DO_NOT_QUEUE;
    match connection.request_name_with_flags(names::BUS, flags).await {
        Ok(_) => Ok(()),
        Err(zbus::Error::NameTaken) => Err(ServeError::NameTaken),
        Err(error) if is_refusal(&error) => Err(ServeError::NameRefused(error)),
        Err(error) => Err(ServeError::Bus(error)),
    }
}

fn is_refusal(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::FDO(error) if matches!(**error, fdo::Error::AccessDenied(_)))
}
