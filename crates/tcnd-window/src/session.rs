//! Whether the login session is locked, as logind says it.
//!
//! Source: org.freedesktop.login1(5): `Manager.GetSession` with `auto`, and the property
//! `LockedHint` of a session. Without logind no session is locked.

use futures::StreamExt;
use tokio::sync::watch;
use zbus::{Connection, OwnedObjectPath, proxy};

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    fn get_session(&self, id: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(
    interface = "org.freedesktop.login1.Session",
    default_service = "org.freedesktop.login1"
)]
trait Session {
    #[zbus(property)]
    fn locked_hint(&self) -> zbus::Result<bool>;
}

/// Tells each change, until the receivers are gone or logind is.
pub(crate) async fn watch_lock(locked: watch::Sender<bool>) {
    // After an error it is not known, and then the session counts as unlocked.
    let _ = follow(&locked).await;
}

async fn follow(locked: &watch::Sender<bool>) -> zbus::Result<()> {
    let system = Connection::system().await?;
    let manager = ManagerProxy::new(&system).await?;
    let path = manager.get_session("auto").await?;
    let session = SessionProxy::builder(&system).path(path).build().await?;
    let mut changes = session.receive_locked_hint_changed().await;
    locked.send_replace(session.locked_hint().await?);
    while let Some(change) = changes.next().await {
        locked.send_replace(change.get().await?);
    }
    Ok(())
}
