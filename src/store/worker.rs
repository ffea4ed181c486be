//! The thread that owns the database: its loop, and what it still has to write.
//!
//! A decision that cannot be written, because the disk is full for instance, is
//! tried again before whatever is written next. Otherwise consent that was
//! withdrawn would come back with a restart. New dates are tried again likewise, so
//! that old and new ones are never mixed.

use std::io;

use rusqlite::Transaction;
use rustix::io::Errno;
use tcn_engine::{ClockRecord, Contact, FutureDates, Record, Redating};
use tcn_protocol::UnixTime;
use tokio::sync::{mpsc, oneshot};

use super::database::{Database, Durable, shrink};
use super::error::{Error, not_written};
use super::handle::{Event, Store, Work, WorkerChannels};
use super::redate::PendingDates;
use super::settings::{self, Setting};
use super::{
    clock, contacts, matched_reports, own_reports, quarantine, redate, report_keys, sources, wipe,
};

/// Starts the thread.
pub(super) fn start(database: Database) -> io::Result<(Store, mpsc::Receiver<Event>)> {
    let (store, channels, event_receiver) = Store::new();
    let WorkerChannels { work, events } = channels;
    let worker = Worker {
        database,
        events,
        pending_dates: PendingDates::default(),
        unsaved_settings: Vec::new(),
    };
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || worker.run(work))?;
    Ok((store, event_receiver))
}

/// Dropped from top to bottom: the events end when the lock is free again.
struct Worker {
    database: Database,
    events: mpsc::Sender<Event>,
    pending_dates: PendingDates,
    /// Decisions that are not written yet, one of each kind.
    unsaved_settings: Vec<Setting>,
}

impl Worker {
    fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        let mut closing = None;
        while let Some(work) = inbox.blocking_recv() {
            if let Some(done) = self.work(work) {
                // What is in the queue already is still done.
                inbox.close();
                closing = Some(done);
            }
            if self.database.file_lost {
                break;
            }
        }
        // A copy of the database alone has everything then: the journal folds into it
        // when the last connection closes. Growth that cannot be folded waits in its file.
        if !self.database.file_lost
            && let Err(error) = self.database.change(|_| Ok(()))
        {
            tracing::warn!(error = %Error::from(error), "contacts wait to be moved into the log");
        }
        drop(self);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    fn work(&mut self, work: Work) -> Option<oneshot::Sender<()>> {
        match work {
            Work::Persist(seq, records) => {
                let written = self.catch_up().and_then(|()| self.persist(&records));
                self.report(seq, written.map(|()| false));
            }
            Work::Save(seq, growth) => {
                let written = self.catch_up().and_then(|()| self.save(&growth));
                self.report(seq, written);
            }
            Work::Forget(before) => {
                let forgotten = self.catch_up().and_then(|()| self.forget(before));
                self.changed(forgotten);
                let directory = &self.database.directory;
                let removed = quarantine::forget(directory, before).map_err(|error| {
                    Error::NotRemoved(Errno::from_io_error(&error).unwrap_or(Errno::IO))
                });
                self.failed(removed);
            }
            Work::ForgetFuture(dates) => {
                let forgotten = self.catch_up().and_then(|()| self.forget_future(&dates));
                self.changed(forgotten);
                let dated = quarantine::date_future(&self.database.directory, dates.from);
                self.failed(dated.map_err(|error| Error::Files(error.kind())));
            }
            Work::Redate(redating) => {
                let written = self.redate(redating);
                self.changed(written);
            }
            Work::KeepClock(record) => {
                let kept = self.catch_up().and_then(|()| self.keep_clock(&record));
                self.failed(kept);
            }
            Work::Remember(setting) => {
                let kept = self.remember(setting);
                self.failed(kept);
            }
            Work::Call(call) => {
                call(&mut self.database);
                let damage = self.database.damage.take();
                self.failed(damage.map_or(Ok(()), Err));
            }
            Work::Wipe(answer) => answer.with(|| self.wipe()),
            Work::Close(done) => return Some(done),
        }
        None
    }

    /// Writes records durably, and the contacts saved before them no less.
    fn persist(&mut self, records: &[Record]) -> rusqlite::Result<()> {
        let seal = self.database.seal.clone();
        let write = |t: &Transaction<'_>| report_keys::write(t, records, &seal);
        match self.database.growth.sync() {
            Ok(()) => self.database.transact(Durable::PowerLoss, write),
            // What the kernel failed to write once it may drop.
            Err(_) => self.database.change(|log| write(log)),
        }
    }

    /// Whether a contact grew that a report names.
    fn save(&mut self, growth: &[Contact]) -> rusqlite::Result<bool> {
        let database = &mut self.database;
        if database.growth.is_full() || matched_reports::name_any(&database.connection, growth)? {
            return database.change(|log| {
                contacts::write(log, growth)?;
                matched_reports::extend_matches(log, growth)
            });
        }
        database.growth.append(growth).map_err(not_written)?;
        Ok(false)
    }

    /// Keeps a decision, durably. The last of each kind counts.
    fn remember(&mut self, setting: Setting) -> rusqlite::Result<()> {
        let kind = std::mem::discriminant(&setting);
        self.unsaved_settings
            .retain(|known| std::mem::discriminant(known) != kind);
        self.unsaved_settings.push(setting);
        self.write_settings()
    }

    /// Takes up new dates; written before anything else is.
    fn redate(&mut self, redating: Redating) -> rusqlite::Result<()> {
        self.pending_dates.push(redating);
        self.catch_up()
    }

    /// Writes the decisions and new dates that could not be written when they came.
    fn catch_up(&mut self) -> rusqlite::Result<()> {
        self.write_settings()?;
        while let Some(redating) = self.pending_dates.next() {
            let mut others = self.pending_dates.others.clone();
            self.database
                .change(|log| redate::apply(log, &redating, &mut others))?;
            self.pending_dates.applied(others);
        }
        Ok(())
    }

    /// Writes the decisions that could not be written when they came.
    fn write_settings(&mut self) -> rusqlite::Result<()> {
        if self.unsaved_settings.is_empty() {
            return Ok(());
        }
        let unsaved_settings = &self.unsaved_settings;
        self.database.transact(Durable::PowerLoss, |t| {
            unsaved_settings
                .iter()
                .try_for_each(|setting| settings::write(t, *setting))
        })?;
        self.unsaved_settings.clear();
        Ok(())
    }

    /// Keeps what is known of the clock.
    fn keep_clock(&mut self, record: &ClockRecord) -> rusqlite::Result<()> {
        let mixed = self.pending_dates.others.are_mixed();
        self.database
            .transact(Durable::PowerLoss, |t| clock::write(t, record, mixed))
    }

    fn forget(&mut self, before: UnixTime) -> rusqlite::Result<()> {
        self.database.change(|log| {
            contacts::forget(log, before)?;
            report_keys::forget(log, before)?;
            own_reports::forget(log, before)?;
            matched_reports::forget(log, before)?;
            sources::forget(log, before)?;
            shrink(log)
        })?;
        self.database.gather()
    }

    /// Destroys what has been dated in the future for long, and its bytes.
    fn forget_future(&mut self, dates: &FutureDates) -> rusqlite::Result<()> {
        let destroyed = self.database.change(|log| {
            let destroyed = clock::forget_future(log, dates)?;
            if destroyed {
                shrink(log)?;
            }
            Ok(destroyed)
        })?;
        if destroyed {
            self.database.gather()?;
        }
        Ok(())
    }

    fn wipe(&mut self) -> Result<(), Error> {
        let wiped = wipe::wipe(&mut self.database);
        if !self.database.file_lost {
            self.pending_dates = PendingDates::default();
        }
        wiped
    }

    /// Says what became of a batch, and whether a matched contact grew.
    fn report(&self, seq: u64, written: rusqlite::Result<bool>) {
        let event = match written {
            Ok(matched) => Event::Stored { seq, matched },
            Err(error) => Event::NotStored(seq, error.into()),
        };
        // The receiver is gone only while the daemon ends.
        let _ = self.events.blocking_send(event);
    }

    /// Says that rows changed, or why not.
    fn changed(&self, done: rusqlite::Result<()>) {
        let event = match done {
            Ok(()) => Event::RowsChanged,
            Err(error) => Event::Failed(error.into()),
        };
        let _ = self.events.blocking_send(event);
    }

    fn failed(&self, done: Result<(), impl Into<Error>>) {
        if let Err(error) = done {
            let _ = self.events.blocking_send(Event::Failed(error.into()));
        }
    }
}
