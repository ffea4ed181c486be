//! Follows logind, which announces that the machine goes to sleep.
//!
//! A `delay` inhibitor makes logind wait for us, five seconds by default
//! (`InhibitDelayMaxSec`, logind.conf(5)). The daemon leaves the air and writes what it
//! heard; then it drops the inhibitor and the machine sleeps. After waking, the daemon
//! first takes a new inhibitor, ready for the next sleep. Signals may come twice, or be
//! missed when logind itself restarts; then the daemon asks logind for its state.
//! Source: org.freedesktop.login1(5), "Inhibitor Locks".

use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedFd, proxy};

use crate::daemon::{Handle, Request};

/// Less than logind waits, so that logind need not override the inhibitor.
const PATIENCE: Duration = Duration::from_millis(4500);

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
pub async fn heed_sleep(connection: Connection, handle: Handle) {
    if let Err(error) = heed(&connection, handle).await {
        tracing::warn!(%error, "logind cannot be heard; nothing is done before the machine sleeps");
    }
}

async fn heed(connection: &Connection, handle: Handle) -> zbus::Result<()> {
    let logind = LogindProxy::builder(connection)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let mut told = logind.receive_prepare_for_sleep().await?;
    let mut owners = logind.inner().receive_owner_changed().await?;
    let mut bed = Bed {
        logind,
        handle,
        inhibitor: None,
    };
    bed.look().await;
    loop {
        tokio::select! {
            Some(signal) = told.next() => match signal.args()?.start {
                true => bed.sleep().await,
                false => bed.wake().await,
            },
            Some(owner) = owners.next() => match owner {
                Some(_) => bed.look().await,
                None => bed.inhibitor = None,
            },
            else => return Ok(()),
        }
    }
}

struct Bed {
    logind: LogindProxy<'static>,
    handle: Handle,
    inhibitor: Option<OwnedFd>,
}

impl Bed {
    /// Asks a logind that just appeared for its state.
    async fn look(&mut self) {
        match self.logind.preparing_for_sleep().await {
            Ok(true) => self.sleep().await,
            Ok(false) => self.wake().await,
            Err(error) => tracing::debug!(%error, "no logind"),
        }
    }

    /// Drops the inhibitor only when the daemon is off the air, or takes too long.
    async fn sleep(&mut self) {
        match timeout(PATIENCE, self.handle.ask(Request::Sleep)).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => tracing::warn!(%refusal, "not all was done before the sleep"),
            Err(_) => tracing::warn!("the radio did not leave the air in time for the sleep"),
        }
        self.inhibitor = None;
    }

    async fn wake(&mut self) {
        let (why, mode) = ("leaves the air, and writes what it heard", "delay");
        match self.logind.inhibit("sleep", "tcnd", why, mode).await {
            Ok(inhibitor) => self.inhibitor = Some(inhibitor),
            Err(error) => tracing::warn!(%error, "logind will not wait for us before it sleeps"),
        }
        // A daemon that has ended needs no waking.
        let _ = self.handle.ask(Request::Wake).await;
    }
}
