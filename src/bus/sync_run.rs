//! Waits for a run of `tcnd-sync` that a person asked for.
//!
//! tcnd can only ask systemd for a run, and watch whether it starts. A run already in
//! progress may have passed a server, so it does not count; the next one does.

use std::time::Duration;

use tcnd_client::names::error;
use tokio::sync::watch;
use tokio::time::timeout;

use super::error::ErrorReply;
use crate::daemon::{ExchangeRequest, Handle, Matching, Refusal, Request, SyncStatus};

/// How long systemd may take to start a run.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long until systemd is asked again. systemd misses a request while a run is in
/// progress or ending (systemd.path(5)).
const TRIGGER_INTERVAL: Duration = Duration::from_secs(5);

/// How long a run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// Asks for a run and waits until it is over and all its reports are matched.
pub(super) async fn run_sync(handle: &Handle) -> Result<SyncStatus, ErrorReply> {
    let mut status = handle.watch_sync_status();
    let begun = status.borrow_and_update().begun;
    timeout(RUN_TIMEOUT, wait_for(&mut status, |now| now.ended >= begun))
        .await
        .map_err(|_| still_running())??;
    timeout(START_TIMEOUT, start(handle, &mut status, begun))
        .await
        .map_err(|_| not_started())??;
    let done = |now: &SyncStatus| now.ended > begun && now.matching == Matching::Idle;
    timeout(RUN_TIMEOUT, wait_for(&mut status, done))
        .await
        .map_err(|_| still_running())?
}

/// Asks repeatedly, until a run starts.
async fn start(
    handle: &Handle,
    status: &mut watch::Receiver<SyncStatus>,
    begun: u64,
) -> Result<(), ErrorReply> {
    loop {
        let trigger = |reply| Request::Exchange(ExchangeRequest::TriggerSync(reply));
        handle.ask(trigger).await?;
        let started = wait_for(status, |now| now.begun > begun);
        if let Ok(started) = timeout(TRIGGER_INTERVAL, started).await {
            return started.map(|_| ());
        }
    }
}

async fn wait_for(
    status: &mut watch::Receiver<SyncStatus>,
    is: impl FnMut(&SyncStatus) -> bool,
) -> Result<SyncStatus, ErrorReply> {
    let reached = status.wait_for(is).await.map_err(|_| Refusal::Gone)?;
    Ok(reached.clone())
}

fn still_running() -> ErrorReply {
    ErrorReply::failed("tcnd-sync is still running; see tcnctl status later")
}

fn not_started() -> ErrorReply {
    ErrorReply::new(
        error::NOT_READY,
        "tcnd-sync did not start within a minute; see: systemctl status tcnd-sync.path tcnd-sync",
    )
}
