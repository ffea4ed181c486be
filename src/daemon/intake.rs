//! A delivery of `tcnd-sync`: read, counted and kept, to be matched later.
//!
//! `tcnd-sync` has the network, and what it learns a server may learn. So nothing
//! here knows the contact log: the counts, the time and what happens next depend on
//! the bytes that are delivered, and on what the same source delivered before. What
//! the reports mean is found out when the run is over, by
//! [`match_queue`](super::match_queue).

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tcn_exchange::interval::Interval;
use tcn_matching::cost;
use tcn_protocol::file::{FileError, Item};
use tcn_protocol::{SignedReport, UnixTime, wire};
use tcnd_client::proxy::DeliveryCounts;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::import::{MOST_REPORTS, Stoppable};
use super::refusal::Refusal;
use super::thread;
use crate::store::{self, DeliveryFile, NewDelivery, SourceId, Store};

/// Reports whose digests are looked up at a time.
const SLICE: usize = 1024;

/// Reports of one interval from one source.
pub struct Delivery {
    /// The name of the source.
    pub source: String,
    /// Which interval.
    pub interval: Interval,
    /// It is all there will ever be for it, as far as `tcnd-sync` can tell.
    pub whole: bool,
    /// Numbers that its reports may have us compute.
    pub budget: u64,
    /// The bytes, in any format of report files. There may be no report.
    pub reports: Box<dyn Read + Send>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

/// A delivery whose source is known.
pub(super) struct IncomingDelivery {
    pub(super) delivery: Delivery,
    pub(super) source: SourceId,
    pub(super) label: String,
    pub(super) now: UnixTime,
    /// One is read at a time.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Reads and keeps a delivery on a thread of its own; `stop` ends it early.
pub(super) fn start(
    intake: IncomingDelivery,
    store: Store,
    stop: Arc<AtomicBool>,
) -> oneshot::Receiver<Result<DeliveryCounts, Refusal>> {
    let runtime = Runtime::current();
    thread::spawn("delivery", move || {
        let result = receive(intake, &store, &runtime, &stop);
        let stopped = stop.load(Ordering::Acquire);
        result.map_err(|refusal| if stopped { Refusal::Stopped } else { refusal })
    })
}

fn receive(
    intake: IncomingDelivery,
    store: &Store,
    runtime: &Runtime,
    stop: &Arc<AtomicBool>,
) -> Result<DeliveryCounts, Refusal> {
    let IncomingDelivery {
        delivery,
        source,
        label,
        now,
        permit: _permit,
    } = intake;
    let mut reader = Reader {
        store,
        runtime,
        source,
        published: delivery.interval.end(),
        now,
        budget: delivery.budget,
        room: runtime.block_on(store.delivery_room(source, now))?,
        file: runtime.block_on(store.begin_delivery())?,
        slice: Vec::with_capacity(SLICE),
        reports: 0,
        counted: DeliveryCounts::default(),
    };
    reader.read(Stoppable::new(delivery.reports, Arc::clone(stop)))?;
    let Reader { file, counted, .. } = reader;
    let keep = NewDelivery {
        source,
        label,
        interval: delivery.interval,
        whole: delivery.whole && counted.malformed + counted.too_large == 0,
        received: now,
        file: (file.bytes() > 0).then_some(file),
    };
    runtime.block_on(store.keep_delivery(keep))?;
    Ok(counted)
}

struct Reader<'a> {
    store: &'a Store,
    runtime: &'a Runtime,
    source: SourceId,
    published: UnixTime,
    now: UnixTime,
    /// Numbers that may still be computed.
    budget: u64,
    /// Bytes that the source may still deliver today.
    room: u64,
    file: DeliveryFile,
    slice: Vec<SignedReport>,
    reports: u64,
    counted: DeliveryCounts,
}

impl Reader<'_> {
    fn read(&mut self, mut source: Stoppable<impl Read>) -> Result<(), Refusal> {
        let read = thread::read_items(&mut source, |item| self.take(item))?;
        self.write_slice()?;
        match read {
            _ if source.is_too_long() => Err(Refusal::Unreadable(
                "the delivery is too long; it may have 2 GiB at most",
            )),
            Ok(()) | Err(FileError::Empty) => Ok(()),
            // It has no items, and all of it is one that cannot be read.
            Err(FileError::Foreign(_)) => {
                self.counted.malformed += 1;
                Ok(())
            }
            Err(_) => Err(Refusal::Unreadable(
                "it could not be read to its end; deliver it again",
            )),
        }
    }

    fn take(&mut self, item: Item) -> Result<(), Refusal> {
        let Some(left) = self.budget.checked_sub(cost::item(&item)) else {
            self.counted.too_large += 1;
            return Ok(());
        };
        self.budget = left;
        let Ok(report) = item else {
            self.counted.malformed += 1;
            return Ok(());
        };
        if self.reports == MOST_REPORTS {
            self.counted.too_large += 1;
            return Ok(());
        }
        self.reports += 1;
        if report.claim().count() == 0 {
            // It names no numbers, so there is nothing to keep of it.
            self.counted.accepted += 1;
            return Ok(());
        }
        self.slice.push(report);
        if self.slice.len() < SLICE {
            return Ok(());
        }
        self.write_slice()
    }

    fn write_slice(&mut self) -> Result<(), Refusal> {
        let mut digests = Vec::with_capacity(self.slice.len());
        for report in self.slice.drain(..) {
            let bytes = wire::write(&report);
            let Some(room) = self.room.checked_sub(bytes.len() as u64) else {
                self.counted.too_large += 1;
                continue;
            };
            self.room = room;
            self.file
                .write_all(&bytes)
                .map_err(|error| store::Error::Files(error.kind()))?;
            digests.push(report.claim().digest());
        }
        let remember = self
            .store
            .remember_reports(self.source, digests, self.published, self.now);
        for published_before in self.runtime.block_on(remember)? {
            *match published_before {
                Some(_) => &mut self.counted.duplicate,
                None => &mut self.counted.accepted,
            } += 1;
        }
        Ok(())
    }
}
