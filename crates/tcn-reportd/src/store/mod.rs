//! The store of reports: SQLite, one thread that writes, one connection that reads.
//!
//! An upload is answered only once it is durable (`synchronous=FULL`). Uploads that
//! wait while the disk is busy are written together, so hundreds of them cost one wait
//! for the disk. Readers see the last commit and block no other thread.
//!
//! Only the writer says which interval is open. It moves it forwards only, in the same
//! transaction as the reports that come after. So when [`Store::open_interval`]
//! returns, every interval before the returned one is final: it includes the uploads
//! that were under way for it. Code that must know whether an interval is over asks
//! `open_interval`, never the clock.

mod clock_jump;
mod error;
mod expiry;
mod open;
mod request;
mod schema;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tcn_exchange::admission::Admitted;
use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use clock_jump::{ClockVerdict, judge};

pub use error::OpenError;
pub(super) use error::Unavailable;
pub(super) use open::open;
pub(super) use request::{Reply, answer_all, ask};

/// Uploads that may wait to be written; 2 MiB at most.
const QUEUE_LENGTH: usize = 4096;

/// The result of storing a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The report is new; it is in the open interval.
    New,
    /// The report was known already, from this interval or an earlier one.
    Known,
}

/// A request to the writer. It answers each when it is durable.
enum WriteRequest {
    Store(Admitted, Reply<Stored>),
    CloseIntervals(Reply<Interval>),
    /// Tries what an upload would do, and leaves no trace.
    Probe(Reply<()>),
    Close(oneshot::Sender<()>),
}

/// State that the writer shares.
#[derive(Debug)]
struct SharedState {
    /// Why the last upload or try was not written. Only a written or failed upload or
    /// try changes it.
    refused: Mutex<Option<Unavailable>>,
    /// The clock was sound at least once in this run.
    was_sound: AtomicBool,
    /// A second start found the clock where the first start had doubted it.
    is_vouched_for: AtomicBool,
    /// The number of the open interval.
    open: AtomicU64,
    /// Reports stored since the start.
    generation: AtomicU64,
}

impl SharedState {
    fn new(open: Interval, is_vouched_for: bool) -> Self {
        Self {
            refused: Mutex::new(None),
            was_sound: AtomicBool::new(false),
            is_vouched_for: AtomicBool::new(is_vouched_for),
            open: AtomicU64::new(open.number()),
            generation: AtomicU64::new(0),
        }
    }

    fn open(&self) -> Interval {
        let open = self.open.load(Ordering::Acquire);
        Interval::new(open).unwrap_or(Interval::FIRST)
    }

    fn refused(&self) -> Option<Unavailable> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_refused(&self, why: Option<Unavailable>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn judge(&self, clock: &dyn Clock) -> ClockVerdict {
        let was_sound = self.was_sound.load(Ordering::Relaxed);
        judge(Interval::of(clock.now()), self.open(), was_sound, || {
            self.is_vouched_for.load(Ordering::Relaxed) || clock.is_synchronised()
        })
    }
}

/// A handle to the store. The thread ends with [`close`](Self::close), or with the last
/// clone.
#[derive(Clone)]
pub(super) struct Store {
    requests: mpsc::Sender<WriteRequest>,
    shared: Arc<SharedState>,
    reader: Arc<Mutex<Connection>>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Stores a report in the interval that is open when it is written.
    ///
    /// # Errors
    /// Why the report is not stored.
    pub(super) async fn store(&self, report: Admitted) -> Result<Stored, Unavailable> {
        ask(&self.requests, |reply| WriteRequest::Store(report, reply)).await
    }

    /// The interval that is open now. Every earlier one is final. While the clock is in
    /// doubt, this is the interval that was open before.
    ///
    /// # Errors
    /// An interval is over by the clock, but cannot be closed.
    pub(super) async fn open_interval(&self) -> Result<Interval, Unavailable> {
        let open = self.shared.open();
        match self.shared.judge(&*self.clock) {
            ClockVerdict::Behind | ClockVerdict::Ahead => Ok(open),
            ClockVerdict::Sound(interval) if interval == open => Ok(open),
            ClockVerdict::Sound(_later) => ask(&self.requests, WriteRequest::CloseIntervals).await,
        }
    }

    /// Tries what an upload would do, down to the disk, and leaves no trace.
    ///
    /// # Errors
    /// Why an upload would not be stored.
    pub(super) async fn probe(&self) -> Result<(), Unavailable> {
        ask(&self.requests, WriteRequest::Probe).await
    }

    /// The time, unless it is in doubt.
    pub(super) fn sound_time(&self) -> Option<UnixTime> {
        let is_sound = matches!(self.shared.judge(&*self.clock), ClockVerdict::Sound(_));
        is_sound.then(|| self.clock.now())
    }

    /// Finishes the requests sent before, then closes the database and ends the thread.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(WriteRequest::Close(done)).await.is_ok() {
            // An error means that the thread has ended already.
            let _ = closed.await;
        }
    }

    /// The number of reports stored since the start. While it is unchanged, so is the
    /// content of the open interval.
    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Why uploads are refused, as far as that is known without a try.
    pub(super) fn unavailable(&self) -> Option<Unavailable> {
        match self.shared.judge(&*self.clock) {
            ClockVerdict::Behind => Some(Unavailable::ClockBehind),
            ClockVerdict::Ahead => Some(Unavailable::ClockAhead),
            ClockVerdict::Sound(_) if self.requests.capacity() == 0 => Some(Unavailable::Busy),
            ClockVerdict::Sound(_) => self.shared.refused(),
        }
    }

    /// Passes every report of an interval to `each`, in the order in which they are
    /// served. It blocks, and sees one state of the interval; the reports are not held
    /// in memory.
    ///
    /// # Errors
    /// The error of SQLite or of `each`.
    pub(super) fn read<E: From<rusqlite::Error>>(
        &self,
        interval: Interval,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let db = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut query = db.prepare_cached(
            "SELECT bytes FROM report WHERE interval = ?1 ORDER BY place, digest",
        )?;
        let mut rows = query.query([number(interval)])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            each(bytes)?;
        }
        Ok(())
    }
}

/// The number of an interval as an SQLite integer.
fn number(interval: Interval) -> i64 {
    i64::try_from(interval.number()).unwrap_or(i64::MAX)
}
