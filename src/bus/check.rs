//! Waits for a run of `tcnd-sync` that a person asked for.
//!
//! tcnd can only ask systemd for a run, and watch whether it starts. A run already in
//! progress may have passed a server, so it does not count; the next one does.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::error::Error;
use crate::daemon::{ExchangeRequest, Handle, Matching, Refusal, Request, SyncStatus};

/// How long systemd may take to start a run.
const START: Duration = Duration::from_secs(60);

/// How long until systemd is asked again. systemd misses a request while a run is in
/// progress or ending (systemd.path(5)).
const AGAIN: Duration = Duration::from_secs(5);

/// How long a run may take.
const LONGEST: Duration = Duration::from_secs(600);

/// Asks for a run and waits until it is over and all its reports are matched.
pub(super) async fn check(handle: &Handle) -> Result<SyncStatus, Error> {
    let mut standing = handle.watch_sync_status();
    let begun = standing.borrow_and_update().begun;
    timeout(LONGEST, until(&mut standing, |now| now.ended >= begun))
        .await
        .map_err(|_| busy())??;
    timeout(START, call(handle, &mut standing, begun))
        .await
        .map_err(|_| not_started())??;
    let done = |now: &SyncStatus| now.ended > begun && now.matching == Matching::Idle;
    timeout(LONGEST, until(&mut standing, done))
        .await
        .map_err(|_| busy())?
}

/// Asks until a run starts.
async fn call(
    handle: &Handle,
    standing: &mut watch::Receiver<SyncStatus>,
    begun: u64,
) -> Result<(), Error> {
    loop {
        let ring = |reply| Request::Exchange(ExchangeRequest::TriggerSync(reply));
        handle.ask(ring).await?;
        let heard = timeout(AGAIN, until(standing, |now| now.begun > begun)).await;
        if let Ok(heard) = heard {
            return heard.map(|_| ());
        }
    }
}

async fn until(
    standing: &mut watch::Receiver<SyncStatus>,
    is: impl FnMut(&SyncStatus) -> bool,
) -> Result<SyncStatus, Error> {
    let reached = standing.wait_for(is).await.map_err(|_| Refusal::Gone)?;
    Ok(reached.clone())
}

fn busy() -> Error {
    Error::Failed("tcnd-sync is still at it; look at tcnctl status later")
}

fn not_started() -> Error {
    Error::NotReady(
        "tcnd-sync did not start within a minute; see: systemctl status tcnd-sync.path tcnd-sync"
            .to_owned(),
    )
}
