//! Uploads on several machines: front ends leave them in a bucket, and the keeper takes
//! them from there.
//!
//! A front end stores nothing: it checks an upload, leaves it in the bucket, and
//! answers when it is there. So there may be any number of front ends, and each may die
//! at any time. The keeper takes each upload through its own store, which knows the
//! reports it has and says which interval is open. The keeper removes an object once
//! its reports are durable. If the keeper dies between the two, it takes the object
//! again and finds all its reports known. While the keeper is away, uploads wait in the
//! bucket.
//!
//! Uploads that arrive while one object is written go into the next. So a slow bucket
//! makes large objects rather than long queues.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rand::rngs::SysRng;
use rand_core::{Rng as _, UnwrapErr};
use tcn_exchange::admission::{self, Admitted};
use tcn_protocol::{SignedReport, wire};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::bucket::{Bucket, BucketError};
use super::chores::chain;
use super::outage::{Outage, Severity};
use super::store::{Store, Stored, Unavailable};

/// Uploads that may wait in the queue.
const DEPTH: usize = 4096;

/// Uploads in one object.
const BATCH: usize = 1024;

/// Bytes of the largest object that is taken.
const LARGEST: u64 = (BATCH * SignedReport::MAX_LEN) as u64;

/// Objects taken in one pass.
const OBJECTS: usize = 1000;

/// Work that waits for the bucket.
enum Work {
    Leave(Admitted, oneshot::Sender<Result<Stored, Unavailable>>),
    Probe(oneshot::Sender<Result<(), Unavailable>>),
}

/// A handle to the inbox.
#[derive(Clone)]
pub(super) struct Inbox {
    work: mpsc::Sender<Work>,
    /// Why the last object could not be left.
    refused: Arc<Mutex<Option<Unavailable>>>,
}

impl Inbox {
    /// The inbox in this bucket. Its task ends with the last clone.
    pub(super) fn new(bucket: Bucket) -> Self {
        let (work, uploads) = mpsc::channel(DEPTH);
        let refused = Arc::default();
        tokio::spawn(deliver(bucket, uploads, Arc::clone(&refused)));
        Self { work, refused }
    }

    /// Leaves a report. A front end cannot know whether the keeper has it already.
    ///
    /// # Errors
    /// If the report is not in the bucket.
    pub(super) async fn leave(&self, report: Admitted) -> Result<Stored, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Leave(report, answer))?;
        answered.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// Leaves an object without a report, as an upload would leave one with a report.
    ///
    /// # Errors
    /// Why an upload would not be left.
    pub(super) async fn probe(&self) -> Result<(), Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Probe(answer))?;
        answered.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// Why uploads are refused, as far as that is known without a try.
    pub(super) fn trouble(&self) -> Option<Unavailable> {
        if self.work.capacity() == 0 {
            return Some(Unavailable::Busy);
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, work: Work) -> Result<(), Unavailable> {
        self.work.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::Busy,
            TrySendError::Closed(_) => Unavailable::Stopping,
        })
    }
}

async fn deliver(
    bucket: Bucket,
    mut uploads: mpsc::Receiver<Work>,
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
        for work in batch.drain(..) {
            match work {
                Work::Leave(report, sender) => reports.push((report, sender)),
                Work::Probe(prober) => probers.push(prober),
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
        let left = bucket.leave(&name, object.into()).await;
        let why = left.as_ref().err().map(|_fault| Unavailable::Inbox);
        *refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
        match left {
            Ok(()) => outage.succeeded(),
            Err(fault) => outage.failed(&chain(&fault), reports.len() as u64),
        };
        for (_, sender) in reports {
            // If the client has disconnected, its report is in the bucket all the same.
            let _ = sender.send(why.map_or(Ok(Stored::New), Err));
        }
        for prober in probers {
            let _ = prober.send(why.map_or(Ok(()), Err));
        }
    }
}

fn name() -> String {
    let mut chance = UnwrapErr(SysRng);
    format!("{:016x}{:016x}", chance.next_u64(), chance.next_u64())
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
/// If the bucket does not answer; uploads taken before stay taken.
pub(super) async fn take(bucket: &Bucket, store: &Store) -> Result<Taken, BucketError> {
    let mut taken = Taken::default();
    for name in bucket.inbox(OBJECTS).await? {
        let Some(object) = bucket.take(&name, LARGEST).await? else {
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
        tracing::warn!(items = taken.refused, "the inbox held what is no report");
    }
    Ok(taken)
}

async fn store_all(object: &Bytes, store: &Store) -> Result<Taken, Unavailable> {
    let mut taken = Taken::default();
    let mut answers = Vec::new();
    let mut rest: &[u8] = object;
    while !rest.is_empty() {
        let Ok((_, next)) = wire::parse_first(rest) else {
            taken.refused += 1;
            break;
        };
        let (report, _) = rest.split_at(rest.len() - next.len());
        match admission::admit_bytes(report.to_vec(), store.sound_time()) {
            Ok(report) => answers.push(store.store(report)),
            Err(_) => taken.refused += 1,
        }
        rest = next;
    }
    for stored in futures::future::join_all(answers).await {
        stored?;
        taken.reports += 1;
    }
    Ok(taken)
}
