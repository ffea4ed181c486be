//! The handle to the store: it sends work to the thread that owns the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Transaction;
use tcn_engine::{ClockRecord, Contact, FutureDates, Record, Redating};
use tcn_protocol::UnixTime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::database::{Database, Durable};
use super::error::Error;
use super::settings::Setting;

/// Work that may wait. The engine has a handful under way at most, so a full
/// queue means a disk that hangs; what does not fit is answered as not stored.
const DEPTH: usize = 64;

/// What became of work.
#[derive(Debug)]
pub enum Event {
    /// All of it is written, as durably as its kind promises.
    Stored {
        /// The number it was sent with.
        seq: u64,
        /// A contact grew that a report names, so exposures may have changed.
        matched: bool,
    },
    /// Rows were destroyed or got new dates, so exposures may have changed.
    RowsChanged,
    /// None of it is written.
    NotStored(u64, Error),
    /// A setting was not kept, old rows were not destroyed, or new dates were
    /// not written; the first two are tried again with the next of their kind,
    /// new dates before anything else is written.
    Failed(Error),
}

/// What the thread is sent.
pub(super) enum Work {
    Persist(u64, Vec<Record>),
    Save(u64, Vec<Contact>),
    Forget(UnixTime),
    ForgetFuture(FutureDates),
    Redate(Redating),
    KeepClock(ClockRecord),
    Remember(Setting),
    Call(Call),
    Wipe(Answer<()>),
    Close(oneshot::Sender<()>),
}

/// A function that the thread calls with the database; it sends its answer itself.
type Call = Box<dyn FnOnce(&mut Database) + Send>;

/// Where an answer goes.
pub(super) struct Answer<T> {
    reply: oneshot::Sender<Result<T, Error>>,
    stop: Arc<AtomicBool>,
}

impl<T> Answer<T> {
    /// Answers with what `work` returns. It does not run if its caller was stopped.
    pub(super) fn with(self, work: impl FnOnce() -> Result<T, Error>) {
        let answer = if self.stop.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            work()
        };
        // The caller may have gone away meanwhile.
        let _ = self.reply.send(answer);
    }
}

/// A handle to the store. Cloned freely; the thread ends with
/// [`close`](Self::close) or when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    work: mpsc::Sender<Work>,
    /// Weak, so that events end when the thread does, however it ends.
    events: mpsc::WeakSender<Event>,
    /// Once set, calls of this clone are refused.
    stop: Arc<AtomicBool>,
}

/// The thread's ends of the channels.
pub(super) struct WorkerChannels {
    pub(super) work: mpsc::Receiver<Work>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Store {
    /// A handle, the thread's ends of its channels, and where the events come out.
    pub(super) fn new() -> (Self, WorkerChannels, mpsc::Receiver<Event>) {
        let (work, inbox) = mpsc::channel(DEPTH);
        // Room for an answer to everything that can be under way.
        let (events, event_receiver) = mpsc::channel(2 * DEPTH);
        let store = Self {
            work,
            events: events.downgrade(),
            stop: Arc::default(),
        };
        let channels = WorkerChannels {
            work: inbox,
            events,
        };
        (store, channels, event_receiver)
    }

    /// Writes records durably, all or none; answered by an [`Event`].
    pub fn persist(&self, seq: u64, records: Vec<Record>) {
        self.send(Work::Persist(seq, records));
    }

    /// Merges growth into the contact log, all or none; answered by an
    /// [`Event`].
    pub fn save(&self, seq: u64, growth: Vec<Contact>) {
        self.send(Work::Save(seq, growth));
    }

    /// Destroys contacts and keys that ended before this time, and their bytes;
    /// and damaged databases that were set aside before it.
    pub fn forget(&self, before: UnixTime) {
        self.send(Work::Forget(before));
    }

    /// Destroys what has been dated in the future for too long, and its bytes.
    pub fn forget_future(&self, dates: FutureDates) {
        self.send(Work::ForgetFuture(dates));
    }

    /// Gives the log new dates, durably, before the work sent later is written.
    /// Waits if the queue is full, because this must not be lost: the events must be
    /// read meanwhile, or there must be room for them.
    pub async fn redate(&self, redating: Redating) {
        // An error means that the thread is gone; the end of events says so.
        let _ = self.work.send(Work::Redate(redating)).await;
    }

    /// Keeps what is known of the clock, durably.
    pub fn keep_clock(&self, record: ClockRecord) {
        self.send(Work::KeepClock(record));
    }

    /// Keeps a decision, durably.
    pub fn remember(&self, setting: Setting) {
        self.send(Work::Remember(setting));
    }

    /// Does all waiting work, folds the journal into the database and ends the
    /// thread, and with it the events. Waits if the queue is full: the events must
    /// be read meanwhile, or there must be room for them.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.work.send(Work::Close(done)).await.is_ok() {
            // An error means that the thread is gone already.
            let _ = closed.await;
        }
    }

    /// Destroys everything: every key, contact, report and decision, the files
    /// they stood in and the damaged ones set aside before. Then creates an empty
    /// database.
    ///
    /// # Errors
    /// If a file cannot be overwritten or removed; the directory shows what is
    /// left, and the next call goes on.
    pub async fn wipe(&self) -> Result<(), Error> {
        self.request(Work::Wipe).await
    }

    /// A handle that ends when `stop` is set: calls made by it that are to be
    /// answered later are refused. So work that takes long cannot write behind a
    /// wipe that was requested after `stop` was set.
    #[must_use]
    pub fn until(&self, stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..self.clone()
        }
    }

    /// Has the thread call `function`, behind all work sent before.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.request(|answer| {
            Work::Call(Box::new(move |database| {
                answer.with(|| function(database));
            }))
        })
        .await
    }

    /// Has the thread do `work` in one transaction that does not concern the contacts.
    pub(super) async fn transact<T: Send + 'static>(
        &self,
        durable: Durable,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.call(move |database| Ok(database.transact(durable, work)?))
            .await
    }

    async fn request<T>(&self, work: impl FnOnce(Answer<T>) -> Work) -> Result<T, Error> {
        let (reply, answered) = oneshot::channel();
        let stop = Arc::clone(&self.stop);
        if let Some((_, error)) = self.try_send(work(Answer { reply, stop })) {
            return Err(error);
        }
        answered.await.map_err(|_| Error::Closed)?
    }

    fn send(&self, work: Work) {
        let Some((work, error)) = self.try_send(work) else {
            return;
        };
        let event = match work {
            Work::Persist(seq, _) | Work::Save(seq, _) => Event::NotStored(seq, error),
            Work::Forget(_)
            | Work::ForgetFuture(_)
            | Work::Redate(_)
            | Work::KeepClock(_)
            | Work::Remember(_)
            | Work::Call(_)
            | Work::Wipe(_)
            | Work::Close(_) => Event::Failed(error),
        };
        // No sender: the thread is gone, and the end of events says so. Full:
        // the events are not read while twice the queue goes unanswered.
        if let Some(events) = self.events.upgrade()
            && events.try_send(event).is_err()
        {
            tracing::error!("an answer of the store was not read in time and is lost");
        }
    }

    fn try_send(&self, work: Work) -> Option<(Work, Error)> {
        match self.work.try_send(work) {
            Ok(()) => None,
            Err(TrySendError::Full(work)) => Some((work, Error::Busy)),
            Err(TrySendError::Closed(work)) => Some((work, Error::Closed)),
        }
    }
}
