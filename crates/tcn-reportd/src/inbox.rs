//! Uploads on several machines: front ends leave them in a bucket, and the primary
//! server takes them from there.
//!
//! A front end stores nothing: it checks an upload, leaves it in the bucket, and
//! results when it is there. So there may be any number of front ends, and each may die
//! at any time. The primary server takes each upload through its own store, which knows
//! the reports it has and says which interval is open. The primary server removes an
//! object once its reports are durable. If the primary server dies between the two, it
//! takes the object again and finds all its reports known. While the primary server is
//! away, uploads wait in the bucket.
//!
//! Uploads that arrive while one object is written go into the next. So a slow bucket
//! makes large objects rather than long queues.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rand_core::Rng as _;
use tcn_exchange::admission::{self, Admitted};
use tcn_protocol::{SignedReport, wire};
use tcnd_logging::error_chain;
use tokio::sync::mpsc;

use super::bucket::{Bucket, BucketError};
use super::clock;
use super::outage::{Outage, Severity};
use super::store::{Reply, Store, Stored, Unavailable, answer_all, ask};

/// Uploads that may wait in the queue.
const QUEUE_LENGTH: usize = 4096;

/// Uploads in one object.
const BATCH: usize = 1024;

/// Bytes of the largest object that is taken.
const MAX_OBJECT_BYTES: u64 = (BATCH * SignedReport::MAX_LEN) as u64;

/// Objects taken in one pass.
const MAX_OBJECTS: usize = 1000;

/// A request that waits for the bucket.
enum InboxRequest {
    Leave(Admitted, Reply<Stored>),
    Probe(Reply<()>),
}

/// A handle to the inbox.
#[derive(Clone)]
pub(super) struct Inbox {
    requests: mpsc::Sender<InboxRequest>,
    /// Why the last object could not be left.
    refused: Arc<Mutex<Option<Unavailable>>>,
}

impl Inbox {
    /// The inbox in this bucket. Its task ends with the last clone.
    pub(super) fn new(bucket: Bucket) -> Self {
        let (requests, uploads) = mpsc::channel(QUEUE_LENGTH);
        let refused = Arc::default();
        tokio::spawn(deliver(bucket, uploads, Arc::clone(&refused)));
        Self { requests, refused }
    }

    /// Leaves a report. A front end cannot know whether the primary server has it
    /// already.
    ///
    /// # Errors
    /// If the report is not in the bucket.
    pub(super) async fn leave(&self, report: Admitted) -> Result<Stored, Unavailable> {
        ask(&self.requests, |reply| InboxRequest::Leave(report, reply)).await
    }

    /// Leaves an object without a report, as an upload would leave one with a report.
    ///
    /// # Errors
    /// Why an upload would not be left.
    pub(super) async fn probe(&self) -> Result<(), Unavailable> {
        ask(&self.requests, InboxRequest::Probe).await
    }

    /// Why uploads are refused, as far as that is known without a try.
    pub(super) fn unavailable(&self) -> Option<Unavailable> {
        if self.requests.capacity() == 0 {
            return Some(Unavailable::Busy);
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn deliver(
    bucket: Bucket,
    mut uploads: mpsc::Receiver<InboxRequest>,
    refused: Arc<Mutex<Option<Unavailable>>>,
) {
    let outage = Outage::new(
        Severity::Error,
        "uploads cannot be left in the inbox; they are refused until they can",
        "uploads are left in the inbox again",
    );
    // All objects without a report share one name, so there is never more than one.
    let empty = name();
    let mut batch = Vec::new();
    while uploads.recv_many(&mut batch, BATCH).await > 0 {
        let (mut reports, mut probers) = (Vec::new(), Vec::new());
        for request in batch.drain(..) {
            match request {
                InboxRequest::Leave(report, sender) => reports.push((report, sender)),
                InboxRequest::Probe(prober) => probers.push(prober),
            }
        }
        // The name is random and the order is that of digests, so neither tells which
        // report came when.
        reports.sort_unstable_by_key(|(report, _)| report.digest);
        let object: Vec<u8> = reports
            .iter()
            .flat_map(|(report, _)| report.bytes.iter().copied())
            .collect();
        let name = if reports.is_empty() {
            empty.clone()
        } else {
            name()
        };
        let left = bucket.put_upload(&name, object.into()).await;
        let why = left.as_ref().err().map(|_error| Unavailable::Inbox);
        *refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
        match left {
            Ok(()) => outage.succeeded(),
            Err(error) => outage.failed(&error_chain(&error), reports.len() as u64),
        };
        // If a client has disconnected, its report is in the bucket all the same.
        let senders = reports.into_iter().map(|(_, sender)| sender);
        answer_all(senders, why.map_or(Ok(Stored::New), Err));
        answer_all(probers, why.map_or(Ok(()), Err));
    }
}

fn name() -> String {
    let mut rng = clock::rng();
    format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())
}

/// The result of one pass over an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Reports that are in the store now.
    pub reports: usize,
    /// Items that are not reports; only a foreign writer leaves such items.
    pub refused: usize,
    /// Objects larger than a front end writes. They stay in the bucket.
    pub too_large: u64,
}

/// Takes the uploads in the inbox into the store, as far as they can be stored.
///
/// # Errors
/// If the bucket does not respond; uploads taken before stay taken.
pub(super) async fn take(bucket: &Bucket, store: &Store) -> Result<Taken, BucketError> {
    let mut taken = Taken::default();
    for name in bucket.list_inbox(MAX_OBJECTS).await? {
        let Some(object) = bucket.get_bounded(&name, MAX_OBJECT_BYTES).await? else {
            taken.too_large += 1;
            continue;
        };
        let Ok(more) = store_all(&object, store).await else {
            // The store reports why; the object waits in the bucket.
            return Ok(taken);
        };
        bucket.remove(&name).await?;
        taken.reports += more.reports;
        taken.refused += more.refused;
    }
    if taken.refused > 0 {
        tracing::warn!(
            items = taken.refused,
            "the inbox held items that are not reports"
        );
    }
    Ok(taken)
}

async fn store_all(object: &Bytes, store: &Store) -> Result<Taken, Unavailable> {
    let mut taken = Taken::default();
    let mut results = Vec::new();
    let mut rest: &[u8] = object;
    while !rest.is_empty() {
        let Ok((_, next)) = wire::parse_first(rest) else {
            taken.refused += 1;
            break;
        };
        let (report, _) = rest.split_at(rest.len() - next.len());
        match admission::admit_bytes(report.to_vec(), store.sound_time()) {
            Ok(report) => results.push(store.store(report)),
            Err(_) => taken.refused += 1,
        }
        rest = next;
    }
    for stored in futures::future::join_all(results).await {
        stored?;
        taken.reports += 1;
    }
    Ok(taken)
}
