//! Whether the login session is locked, as logind says it.
//!
//! Source: org.freedesktop.login1(5): `Manager.GetSession` with `auto`, and the property
//! `LockedHint` of a session. Without logind no session is locked.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::timeout;
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

/// How long logind may take to answer, and after how long it is asked again.
const ANSWER: Duration = Duration::from_secs(5);

/// Tells whether the session is locked, and each change. While logind is silent, what it said
/// last holds.
pub(crate) async fn watch_lock(locked: watch::Sender<bool>) {
    loop {
        match timeout(ANSWER, session()).await {
            Ok(Ok(session)) => drop(follow(&session, &locked).await),
            // There is no logind, or it does not know this session.
            Ok(Err(_)) => {
                locked.send_replace(false);
                return;
            }
            Err(_) => {}
        }
        let _ = timeout(ANSWER, locked.closed()).await;
        if locked.is_closed() {
            return;
        }
    }
}

async fn session() -> zbus::Result<SessionProxy<'static>> {
    let system = Connection::system().await?;
    let manager = ManagerProxy::new(&system).await?;
    let path = manager.get_session("auto").await?;
    SessionProxy::builder(&system).path(path).build().await
}

async fn follow(session: &SessionProxy<'_>, locked: &watch::Sender<bool>) -> zbus::Result<()> {
    let mut changes = session.receive_locked_hint_changed().await;
    locked.send_replace(session.locked_hint().await?);
    while let Some(change) = changes.next().await {
        locked.send_replace(change.get().await?);
    }
    Ok(())
}
