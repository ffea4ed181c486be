//! The store of record: SQLite, one thread that writes, one reader beside it.
//!
//! An upload is answered only once it is durable (`synchronous=FULL`). What
//! waits while the disk is busy is written together, so the disk is waited for
//! once for hundreds of uploads. Readers see the journal's last commit and hold
//! nobody up.
//!
//! The writer alone says which interval is open, and moves it forwards only,
//! in the same transaction as the reports that come after. So when
//! [`Store::settle`] answers, every interval before the one it names is as it
//! will be for ever: what was under way for it is in it. Whoever wants to know
//! whether an interval is over asks that, never the clock.

mod error;
mod expiry;
mod jump;
mod open;
mod schema;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tcn_exchange::admission::Admitted;
use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use jump::{Verdict, judge};

pub use error::OpenError;
pub(super) use error::Unavailable;
pub(super) use open::open;

/// Uploads that may wait to be written; 2 MiB at most.
const DEPTH: usize = 4096;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is in the open interval.
    New,
    /// It was there already, in this interval or an earlier one.
    Known,
}

/// Work for the writer; each is answered when it is durable.
enum Work {
    Store(Admitted, oneshot::Sender<Result<Stored, Unavailable>>),
    Settle(oneshot::Sender<Result<Interval, Unavailable>>),
    /// Tries what an upload would do, and leaves nothing of it.
    Probe(oneshot::Sender<Result<(), Unavailable>>),
    Close(oneshot::Sender<()>),
}

/// What the writer lets others see.
#[derive(Debug)]
struct Board {
    /// Why the last upload, or attempt at one, was not written. Nothing but an
    /// upload that is written, or an attempt, changes it.
    refused: Mutex<Option<Unavailable>>,
    /// The clock was sound once in this run.
    was_sound: AtomicBool,
    /// A second start found the clock where the first had doubted it.
    is_vouched_for: AtomicBool,
    /// The number of the open interval.
    open: AtomicU64,
    /// Reports stored since the start.
    generation: AtomicU64,
}

impl Board {
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

    fn judge(&self, clock: &dyn Clock) -> Verdict {
        let was_sound = self.was_sound.load(Ordering::Relaxed);
        judge(Interval::of(clock.now()), self.open(), was_sound, || {
            self.is_vouched_for.load(Ordering::Relaxed) || clock.is_synchronised()
        })
    }
}

/// The way to the store. The thread ends with [`close`](Self::close), or with
/// the last clone.
#[derive(Clone)]
pub(super) struct Store {
    work: mpsc::Sender<Work>,
    board: Arc<Board>,
    reader: Arc<Mutex<Connection>>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Stores a report in the interval that is open when it is written.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(super) async fn store(&self, report: Admitted) -> Result<Stored, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Store(report, answer))?;
        answered.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// The interval that is open now. Every one before it is final. While the
    /// clock is in doubt it is the one that was open before.
    ///
    /// # Errors
    /// That an interval is over by the clock, but cannot be closed.
    pub(super) async fn settle(&self) -> Result<Interval, Unavailable> {
        let open = self.board.open();
        match self.board.judge(&*self.clock) {
            Verdict::Behind | Verdict::Ahead => Ok(open),
            Verdict::Sound(interval) if interval == open => Ok(open),
            Verdict::Sound(_later) => {
                let (answer, answered) = oneshot::channel();
                self.send(Work::Settle(answer))?;
                answered.await.unwrap_or(Err(Unavailable::Stopping))
            }
        }
    }

    /// Tries what an upload would do, down to the disk, and leaves nothing of it.
    ///
    /// # Errors
    /// Why an upload would not be stored.
    pub(super) async fn probe(&self) -> Result<(), Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.send(Work::Probe(answer))?;
        answered.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// The time, unless it is in doubt.
    pub(super) fn sound_time(&self) -> Option<UnixTime> {
        let is_sound = matches!(self.board.judge(&*self.clock), Verdict::Sound(_));
        is_sound.then(|| self.clock.now())
    }

    /// Does what was sent before, then closes the database and ends the thread.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.work.send(Work::Close(done)).await.is_ok() {
            // An error means that the thread is gone already.
            let _ = closed.await;
        }
    }

    /// Reports stored since the start: when it is as it was, so is the open
    /// interval.
    pub(super) fn generation(&self) -> u64 {
        self.board.generation.load(Ordering::Acquire)
    }

    /// Why uploads are refused, as far as is known without trying.
    pub(super) fn trouble(&self) -> Option<Unavailable> {
        match self.board.judge(&*self.clock) {
            Verdict::Behind => Some(Unavailable::ClockBehind),
            Verdict::Ahead => Some(Unavailable::ClockAhead),
            Verdict::Sound(_) if self.work.capacity() == 0 => Some(Unavailable::Busy),
            Verdict::Sound(_) => self.board.refused(),
        }
    }

    /// Hands every report of an interval to `each`, in the order it is served.
    /// It blocks, and sees one state of the interval; nothing is held for it.
    ///
    /// # Errors
    /// What SQLite or `each` says.
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

    fn send(&self, work: Work) -> Result<(), Unavailable> {
        self.work.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::Busy,
            TrySendError::Closed(_) => Unavailable::Stopping,
        })
    }
}

/// As SQLite has it.
fn number(interval: Interval) -> i64 {
    i64::try_from(interval.number()).unwrap_or(i64::MAX)
}
