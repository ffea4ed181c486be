//! Follows logind, which announces that the machine goes to sleep.
//!
//! A `delay` inhibitor makes logind wait for tcnd, five seconds by default
//! (`InhibitDelayMaxSec`, logind.conf(5)). The daemon leaves the air and writes what it
//! heard; then it drops the inhibitor and the machine sleeps. After waking, the daemon
//! first takes a new inhibitor for the next sleep. Signals may come twice, or be
//! missed when logind itself restarts; then the daemon asks logind for its state.
//! Source: org.freedesktop.login1(5), "Inhibitor Locks".

use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedFd, proxy};

use crate::daemon::{Handle, Request};

/// How long the daemon may take to leave the air. It is less than logind waits, so
/// that logind need not override the inhibitor.
const TIMEOUT: Duration = Duration::from_millis(4500);

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Logind {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn preparing_for_sleep(&self) -> zbus::Result<bool>;

    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// Keeps the daemon off the air while the machine sleeps, for as long as there is a
/// bus. On a system without logind, nothing is done: it announces no sleep.
pub async fn watch_logind(connection: Connection, handle: Handle) {
    if let Err(error) = follow(&connection, handle).await {
        tracing::warn!(%error, "logind is not available; tcnd does nothing before the machine sleeps");
    }
}

async fn follow(connection: &Connection, handle: Handle) -> zbus::Result<()> {
    let logind = LogindProxy::builder(connection)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let mut prepare_for_sleep = logind.receive_prepare_for_sleep().await?;
    let mut owners = logind.inner().receive_owner_changed().await?;
    let mut inhibitor_state = SleepInhibitor {
        logind,
        handle,
        inhibitor: None,
    };
    inhibitor_state.sync_with_logind().await;
    loop {
        tokio::select! {
            Some(signal) = prepare_for_sleep.next() => match signal.args()?.start {
                true => inhibitor_state.sleep().await,
                false => inhibitor_state.wake().await,
            },
            Some(owner) = owners.next() => match owner {
                Some(_) => inhibitor_state.sync_with_logind().await,
                None => inhibitor_state.inhibitor = None,
            },
            else => return Ok(()),
        }
    }
}

struct SleepInhibitor {
    logind: LogindProxy<'static>,
    handle: Handle,
    inhibitor: Option<OwnedFd>,
}

impl SleepInhibitor {
    /// Asks a logind that just appeared for its state.
    async fn sync_with_logind(&mut self) {
        match self.logind.preparing_for_sleep().await {
            Ok(true) => self.sleep().await,
            Ok(false) => self.wake().await,
            Err(error) => tracing::debug!(%error, "no logind"),
        }
    }

    /// Drops the inhibitor only when the daemon is off the air, or takes too long.
    async fn sleep(&mut self) {
        match timeout(TIMEOUT, self.handle.ask(Request::Sleep)).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => {
                tracing::warn!(%refusal, "tcnd could not prepare completely for the sleep")
            }
            Err(_) => tracing::warn!("the radio did not leave the air in time for the sleep"),
        }
        self.inhibitor = None;
    }

    async fn wake(&mut self) {
        let (why, mode) = ("stops broadcasting and writes its contacts", "delay");
        match self.logind.inhibit("sleep", "tcnd", why, mode).await {
            Ok(inhibitor) => self.inhibitor = Some(inhibitor),
            Err(error) => {
                tracing::warn!(%error, "logind will not wait for tcnd before the machine sleeps")
            }
        }
        // A daemon that has ended needs no waking.
        let _ = self.handle.ask(Request::Wake).await;
    }
}
