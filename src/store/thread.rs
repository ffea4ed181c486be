//! The one thread that owns the database, and the way to it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, TransactionBehavior};
use rustix::io::Errno;
use tcn_engine::{ClockRecord, Contact, FutureDates, Pause, Record, Redating};
use tcn_protocol::UnixTime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::open::checkpoint;
use super::redate::Dates;
use super::seal::Seal;
use super::{Fault, aside, ledger, log, others, own, sources};

/// Work that may wait. The engine has a handful under way at most, so a full
/// queue means a disk that hangs; what does not fit is answered as not stored.
const DEPTH: usize = 64;

/// What became of work.
#[derive(Debug)]
pub enum Event {
    /// All of it is written, as durably as its kind promises.
    Stored(u64),
    /// None of it is written.
    NotStored(u64, Fault),
    /// A setting was not kept, old rows were not destroyed, or new dates were
    /// not written; the first two are tried again with the next of their kind,
    /// new dates before anything else is written.
    Trouble(Fault),
}

/// What people decided and a restart must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Broadcasting is allowed.
    Consent(bool),
    /// Keep off the air.
    Pause(Pause),
}

enum Work {
    Persist(u64, Vec<Record>),
    Save(u64, Vec<Contact>),
    Forget(UnixTime),
    ForgetFuture(FutureDates),
    Redate(Redating),
    KeepClock(ClockRecord),
    Remember(Setting),
    Question(Question),
    Close(oneshot::Sender<()>),
}

/// Anything that is answered to whoever asked; it sends the answer itself.
type Question = Box<dyn FnOnce(&mut Owner) + Send>;

/// The way to the store. Cloned freely; the thread ends with
/// [`close`](Self::close) or when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    work: mpsc::Sender<Work>,
    /// Weak, so that events end when the thread does, however it ends.
    events: mpsc::WeakSender<Event>,
    /// Once set, questions of this clone are not answered any more.
    stop: Arc<AtomicBool>,
}

impl Store {
    pub(super) fn start(
        db: Connection,
        directory: PathBuf,
        lock: File,
        seal: Seal,
    ) -> io::Result<(Self, mpsc::Receiver<Event>)> {
        let (work, inbox) = mpsc::channel(DEPTH);
        // Room for an answer to everything that can be under way.
        let (events, outbox) = mpsc::channel(2 * DEPTH);
        let answers = events.downgrade();
        let owner = Owner {
            db,
            seal,
            directory,
            events,
            _lock: lock,
            homeless: false,
            dates: Dates::default(),
            decided: Vec::new(),
        };
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || owner.run(inbox))?;
        let store = Self {
            work,
            events: answers,
            stop: Arc::default(),
        };
        Ok((store, outbox))
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

    /// Dates the log anew, durably, before whatever is sent later is written;
    /// waits if the queue is full, for this must not be lost. Somebody must read
    /// the events meanwhile, or there must be room for them.
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
    /// thread, and with it the events; waits if the queue is full. Somebody
    /// must read the events meanwhile, or there must be room for them.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.work.send(Work::Close(done)).await.is_ok() {
            // An error means that the thread is gone already.
            let _ = closed.await;
        }
    }

    /// A way to the store that ends when `stop` is set: what is asked by it and
    /// comes to be answered later is refused. So work that takes long cannot
    /// write behind a wipe that was asked for after `stop` was set.
    #[must_use]
    pub fn until(&self, stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..self.clone()
        }
    }

    /// Has the owner answer a question, behind all work sent before.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Owner) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let stop = Arc::clone(&self.stop);
        let question: Question = Box::new(move |owner| {
            let stopped = stop.load(Ordering::Acquire);
            let answered = if stopped {
                Err(Fault::Closed)
            } else {
                question(owner)
            };
            // Whoever asked may have gone away meanwhile.
            let _ = answer.send(answered);
        });
        if let Some((_, fault)) = self.try_send(Work::Question(question)) {
            return Err(fault);
        }
        answered.await.map_err(|_| Fault::Closed)?
    }

    fn send(&self, work: Work) {
        let Some((work, fault)) = self.try_send(work) else {
            return;
        };
        let event = match work {
            Work::Persist(seq, _) | Work::Save(seq, _) => Event::NotStored(seq, fault),
            Work::Forget(_)
            | Work::ForgetFuture(_)
            | Work::Redate(_)
            | Work::KeepClock(_)
            | Work::Remember(_)
            | Work::Question(_)
            | Work::Close(_) => Event::Trouble(fault),
        };
        // No sender: the thread is gone, and the end of events says so. Full:
        // nobody reads events while twice the queue goes unanswered.
        if let Some(events) = self.events.upgrade()
            && events.try_send(event).is_err()
        {
            tracing::error!("an answer of the store was not read in time and is lost");
        }
    }

    fn try_send(&self, work: Work) -> Option<(Work, Fault)> {
        match self.work.try_send(work) {
            Ok(()) => None,
            Err(TrySendError::Full(work)) => Some((work, Fault::Busy)),
            Err(TrySendError::Closed(work)) => Some((work, Fault::Closed)),
        }
    }
}

/// Dropped from top to bottom: the events end when the lock is free again.
pub(super) struct Owner {
    pub(super) db: Connection,
    pub(super) seal: Seal,
    _lock: File,
    pub(super) directory: PathBuf,
    events: mpsc::Sender<Event>,
    /// The database has no file any more.
    pub(super) homeless: bool,
    pub(super) dates: Dates,
    /// Decisions that are not written yet, one of each kind.
    pub(super) decided: Vec<Setting>,
}

impl Owner {
    fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        let mut closing = None;
        while let Some(work) = inbox.blocking_recv() {
            if let Some(done) = self.work(work) {
                // What is in the queue already is still done.
                inbox.close();
                closing = Some(done);
            }
            if self.homeless {
                break;
            }
        }
        // The journal folds into the file when the last connection closes.
        drop(self);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    fn work(&mut self, work: Work) -> Option<oneshot::Sender<()>> {
        match work {
            Work::Persist(seq, records) => {
                let seal = self.seal.clone();
                let write = |t: &rusqlite::Transaction<'_>| ledger::write(t, &records, &seal);
                let written = self
                    .catch_up()
                    .and_then(|()| self.transact(Durable::PowerLoss, write));
                self.report(seq, written);
            }
            Work::Save(seq, growth) => {
                let write = |t: &rusqlite::Transaction<'_>| {
                    log::write(t, &growth)?;
                    others::grew(t, &growth)
                };
                let written = self
                    .catch_up()
                    .and_then(|()| self.transact(Durable::Crash, write));
                self.report(seq, written);
            }
            Work::Forget(before) => {
                let gone = self.catch_up().and_then(|()| self.forget(before));
                self.trouble(gone);
                let gone = aside::forget(&self.directory, before).map_err(|error| {
                    Fault::NotRemoved(Errno::from_io_error(&error).unwrap_or(Errno::IO))
                });
                self.trouble(gone);
            }
            Work::ForgetFuture(dates) => {
                let gone = self.catch_up().and_then(|()| self.forget_future(&dates));
                self.trouble(gone);
                let dated = aside::date_future(&self.directory, dates.from);
                self.trouble(dated.map_err(|error| Fault::Files(error.kind())));
            }
            Work::Redate(redating) => {
                let written = self.redate(redating);
                self.trouble(written);
            }
            Work::KeepClock(record) => {
                let kept = self.catch_up().and_then(|()| self.keep_clock(&record));
                self.trouble(kept);
            }
            Work::Remember(setting) => {
                let kept = self.remember(setting);
                self.trouble(kept);
            }
            Work::Question(question) => question(self),
            Work::Close(done) => return Some(done),
        }
        None
    }

    /// One transaction: all of `work`, or nothing.
    pub(super) fn transact<T>(
        &mut self,
        durable: Durable,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.db
            .pragma_update(None, "synchronous", durable.level())?;
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn forget(&mut self, before: UnixTime) -> rusqlite::Result<()> {
        // The checkpoint makes it durable.
        self.transact(Durable::Crash, |transaction| {
            log::forget(transaction, before)?;
            ledger::forget(transaction, before)?;
            own::forget(transaction, before)?;
            others::forget(transaction, before)?;
            sources::forget(transaction, before)?;
            shrink(transaction)
        })?;
        checkpoint(&self.db)
    }

    fn report(&self, seq: u64, written: rusqlite::Result<()>) {
        let event = match written {
            Ok(()) => Event::Stored(seq),
            Err(error) => Event::NotStored(seq, error.into()),
        };
        // Nobody listens any more only while the daemon ends.
        let _ = self.events.blocking_send(event);
    }

    fn trouble(&self, done: Result<(), impl Into<Fault>>) {
        if let Err(error) = done {
            let _ = self.events.blocking_send(Event::Trouble(error.into()));
        }
    }
}

/// Gives the free pages at the end of the file back; each step of the pragma
/// frees one.
pub(super) fn shrink(db: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = db.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// What a transaction must survive.
#[derive(Clone, Copy)]
pub(super) enum Durable {
    /// The process being killed.
    Crash,
    /// The power going away.
    PowerLoss,
}

impl Durable {
    const fn level(self) -> &'static str {
        match self {
            Self::Crash => "NORMAL",
            Self::PowerLoss => "FULL",
        }
    }
}
