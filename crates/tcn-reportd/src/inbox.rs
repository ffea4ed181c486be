//! Uploads past one machine: front ends leave them in a bucket, the keeper
//! takes them from there.
//!
//! A front end keeps nothing: it judges an upload, leaves it in the bucket and
//! answers when it is there. So there may be any number of them, and each may
//! die at any time. The keeper takes what it finds through its own store, which
//! knows what it has and says which interval is open, and removes an object once
//! its reports are durable. If it dies between the two it takes the object again
//! and finds all of it known. While it is away, uploads wait in the bucket.
//!
//! What comes while one object is written goes into the next, so a slow bucket
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

/// Uploads that may wait.
const DEPTH: usize = 4096;

/// Uploads in one object.
const BATCH: usize = 1024;

/// Bytes of the largest object that is taken.
const LARGEST: u64 = (BATCH * SignedReport::MAX_LEN) as u64;

/// Objects taken in one go.
const OBJECTS: usize = 1000;

/// What waits to be left.
enum Work {
    Leave(Admitted, oneshot::Sender<Result<Stored, Unavailable>>),
    Probe(oneshot::Sender<Result<(), Unavailable>>),
}

/// The way into the inbox.
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

    /// Leaves a report. Whether the keeper knows it already is not known here.
    ///
    /// # Errors
    /// If it is not in the bucket.
    pub(super) async fn leave(&self, report: Admitted) -> Result<Stored, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Leave(report, answer))?;
        answered.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// Leaves an object without a report, as an upload would leave one.
    ///
    /// # Errors
    /// Why an upload would not be left.
    pub(super) async fn probe(&self) -> Result<(), Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Probe(answer))?;
        answered.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// Why uploads are refused, as far as is known without trying.
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
    // One name for all objects without a report: there is never more than one.
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
        // Chance says the name and the order, so neither tells who came when.
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
            // Whoever has gone has its report left all the same.
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

/// What was taken from an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Reports that are in the store now.
    pub reports: usize,
    /// Items that are no reports; only a stranger leaves such.
    pub refused: usize,
    /// Objects that are larger than a front end leaves. They stay where they are.
    pub too_large: u64,
}

/// Takes what lies in the inbox into the store, as far as it can be stored.
///
/// # Errors
/// If the bucket does not answer; what was taken stays taken.
pub(super) async fn take(bucket: &Bucket, store: &Store) -> Result<Taken, BucketError> {
    let mut taken = Taken::default();
    for name in bucket.inbox(OBJECTS).await? {
        let Some(object) = bucket.take(&name, LARGEST).await? else {
            taken.too_large += 1;
            continue;
        };
        let Ok(more) = store_all(&object, store).await else {
            // The store says why; the object waits.
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
