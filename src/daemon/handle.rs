//! The two ends between the bus and the driver.
//!
//! The bus has a [`Handle`] and nothing else of the daemon: it reads the
//! [`Snapshot`], which is public, and sends [`Request`]s, which the driver
//! answers one after another, and [`StoreRequest`]s, which do not wait for it.
//! [`Mailbox`] is the other end; the tests of the bus hold it in the driver's place.

use std::sync::Arc;

use tcn_engine::Moment;
use tokio::sync::{mpsc, oneshot, watch};

use super::refusal::Refusal;
use super::reply::Reply;
use super::requests::{Request, StoreRequest};
use super::snapshot::Snapshot;
use super::sync_status::SyncStatus;

/// The public end.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    store_requests: mpsc::Sender<StoreRequest>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    unseen: watch::Receiver<u32>,
    sync_status: watch::Receiver<SyncStatus>,
}

/// The driver's end.
#[derive(Debug)]
pub struct Mailbox {
    /// Requests to answer, in order.
    pub requests: mpsc::Receiver<Request>,
    /// Requests that the store alone answers.
    pub store_requests: mpsc::Receiver<StoreRequest>,
    /// Where the newest snapshot is published.
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    /// Where the number of exposures not seen yet is told, after each change.
    pub unseen: watch::Sender<u32>,
    /// Where the exchange with servers stands.
    pub sync_status: watch::Sender<SyncStatus>,
}

impl Handle {
    /// Requests that may wait for the driver; more than these wait at the caller.
    const DEPTH: usize = 32;

    /// A handle and the mailbox it speaks to.
    pub fn new(first: Snapshot) -> (Self, Mailbox) {
        let (requests, inbox) = mpsc::channel(Self::DEPTH);
        let (store_requests, store_inbox) = mpsc::channel(Self::DEPTH);
        let (publish, snapshot) = watch::channel(Arc::new(first));
        let (count, unseen) = watch::channel(0);
        let (publish_sync, sync_status) = watch::channel(SyncStatus::default());
        let mailbox = Mailbox {
            requests: inbox,
            store_requests: store_inbox,
            snapshot: publish,
            unseen: count,
            sync_status: publish_sync,
        };
        let handle = Self {
            requests,
            store_requests,
            snapshot,
            unseen,
            sync_status,
        };
        (handle, mailbox)
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Snapshots as they come; slow readers see only the newest.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// How many exposures are not seen yet, each time they change. Not for
    /// everyone: that there is one is about a person's health.
    pub fn watch_unseen(&self) -> watch::Receiver<u32> {
        self.unseen.clone()
    }

    /// Where the exchange with servers stands, each time it changes. Not for
    /// everyone.
    pub fn watch_sync_status(&self) -> watch::Receiver<SyncStatus> {
        self.sync_status.clone()
    }

    /// Sends the request that `ask` makes and waits for its answer.
    ///
    /// # Errors
    /// What the daemon refused, or [`Refusal::Gone`] while it shuts down.
    pub async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refusal> {
        send(&self.requests, ask).await
    }

    /// The same for a request that the store alone answers.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn ask_store<T>(
        &self,
        ask: impl FnOnce(Reply<T>) -> StoreRequest,
    ) -> Result<T, Refusal> {
        send(&self.store_requests, ask).await
    }

    /// Tells the daemon what the kernel says of the wall clock.
    pub async fn synchronised(&self, asked: Moment, synchronised: bool) {
        let said = Request::Synchronised(asked, synchronised);
        // A daemon that is gone has no use for it.
        let _ = self.requests.send(said).await;
    }

    /// Tells the daemon that a bus name left the bus.
    pub async fn client_disconnected(&self, name: String) {
        // A daemon that is gone holds no pause.
        let _ = self.requests.send(Request::ClientDisconnected(name)).await;
    }
}

async fn send<T, R>(
    requests: &mpsc::Sender<R>,
    ask: impl FnOnce(Reply<T>) -> R,
) -> Result<T, Refusal> {
    let (reply, answer) = oneshot::channel();
    let sent = requests.send(ask(reply)).await;
    sent.map_err(|_| Refusal::Gone)?;
    answer.await.map_err(|_| Refusal::Gone)?
}
