//! The only thread that writes to the database.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand_core::Rng as _;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tcn_exchange::admission::Admitted;
use tcn_exchange::interval::Interval;
use tcn_protocol::SignedReport;
use tokio::sync::{mpsc, oneshot};

use super::clock_jump::ClockVerdict;
use super::expiry::{self, MOST_KNOWN};
use super::{Reply, SharedState, Stored, Unavailable, WriteRequest, answer_all, number};
use crate::clock::{self, Clock};
use crate::outage::{Outage, Severity};

/// Requests handled in one transaction.
const BATCH: usize = 1024;

pub(super) struct StoreWriter {
    db: Connection,
    _lock: File,
    clock: Arc<dyn Clock>,
    shared: Arc<SharedState>,
    stored: StoredIntervals,
    /// Whether expired data may still be on the disk.
    expiring: bool,
    outages: Outages,
}

/// The intervals stored in the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoredIntervals {
    /// The interval that takes uploads.
    pub open: Option<Interval>,
    /// The interval of the clock when it came into doubt.
    pub doubted: Option<Interval>,
}

/// One outage for each kind of work: success of one kind says nothing about another.
struct Outages {
    uploads: Outage,
    ends: Outage,
    expiry: Outage,
    clock: Outage,
}

impl Outages {
    const fn new() -> Self {
        Self {
            uploads: Outage::new(
                Severity::Error,
                "the store cannot write; uploads are refused until it can",
                "the store writes again; uploads are taken",
            ),
            ends: Outage::new(
                Severity::Error,
                "an interval that is over cannot be closed yet",
                "intervals are closed again",
            ),
            expiry: Outage::new(
                Severity::Warning,
                "reports that have expired could not be destroyed yet",
                "reports that have expired are destroyed again",
            ),
            clock: Outage::new(
                Severity::Error,
                "the clock is in doubt; uploads are refused and nothing expires; set the clock right, \
                 or, if it is right, restart tcn-reportd",
                "the clock is sound again; uploads are taken",
            ),
        }
    }
}

/// The requests of one transaction.
#[derive(Default)]
struct Batch {
    reports: Vec<Admitted>,
    store_replies: Vec<Reply<Stored>>,
    interval_replies: Vec<Reply<Interval>>,
    probe_replies: Vec<Reply<()>>,
    close_replies: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn push(&mut self, request: WriteRequest) {
        match request {
            WriteRequest::Store(report, reply) => {
                self.reports.push(report);
                self.store_replies.push(reply);
            }
            WriteRequest::CloseIntervals(reply) => self.interval_replies.push(reply),
            WriteRequest::Probe(reply) => self.probe_replies.push(reply),
            WriteRequest::Close(reply) => self.close_replies.push(reply),
        }
    }

    fn len(&self) -> usize {
        self.reports.len() + self.interval_replies.len() + self.probe_replies.len()
    }

    /// Whether the batch does what an upload does.
    fn tries_uploads(&self) -> bool {
        !self.reports.is_empty() || !self.probe_replies.is_empty()
    }

    fn refuse(self, why: Unavailable) {
        answer_all(self.store_replies, Err(why));
        answer_all(self.interval_replies, Err(why));
        answer_all(self.probe_replies, Err(why));
    }
}

impl StoreWriter {
    pub(super) fn new(
        db: Connection,
        lock: File,
        clock: Arc<dyn Clock>,
        shared: Arc<SharedState>,
        stored: StoredIntervals,
    ) -> Self {
        Self {
            db,
            _lock: lock,
            clock,
            shared,
            stored,
            expiring: true,
            outages: Outages::new(),
        }
    }

    /// Works until it is asked to close, or until all senders are dropped.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<WriteRequest>) {
        loop {
            let mut batch = Batch::default();
            if self.expiring {
                self.expire();
            } else {
                match inbox.blocking_recv() {
                    Some(request) => batch.push(request),
                    None => return,
                }
            }
            while batch.len() < BATCH
                && let Ok(request) = inbox.try_recv()
            {
                batch.push(request);
            }
            let close_replies = std::mem::take(&mut batch.close_replies);
            if batch.len() > 0 {
                self.perform(batch);
            }
            if !close_replies.is_empty() {
                // When the reply is sent, the database is closed and the lock is free.
                drop(self);
                for reply in close_replies {
                    let _ = reply.send(());
                }
                return;
            }
        }
    }

    fn perform(&mut self, mut batch: Batch) {
        match self.shared.judge(&*self.clock) {
            ClockVerdict::Sound(_) => {
                self.shared.was_sound.store(true, Ordering::Relaxed);
                self.outages.clock.succeeded();
            }
            doubtful @ (ClockVerdict::Behind | ClockVerdict::Ahead) => {
                return self.doubt(doubtful, batch);
            }
        }
        let tries_uploads = batch.tries_uploads();
        match self.commit(&batch.reports, !batch.probe_replies.is_empty()) {
            Ok((open, outcomes)) => {
                let fresh = outcomes.iter().filter(|stored| **stored == Stored::New);
                let fresh = u64::try_from(fresh.count()).unwrap_or(u64::MAX);
                if fresh > 0 || !batch.probe_replies.is_empty() {
                    self.shared.set_refused(None);
                    self.outages.uploads.succeeded();
                }
                if open > self.shared.open() {
                    self.expiring = true;
                    self.outages.ends.succeeded();
                }
                self.shared.generation.fetch_add(fresh, Ordering::AcqRel);
                self.shared.open.store(open.number(), Ordering::Release);
                for (sender, outcome) in batch.store_replies.drain(..).zip(outcomes) {
                    // If the client has disconnected, its report is stored all the
                    // same.
                    let _ = sender.send(Ok(outcome));
                }
                answer_all(batch.interval_replies, Ok(open));
                answer_all(batch.probe_replies, Ok(()));
            }
            Err(error) => {
                let why = Unavailable::of(&error);
                if tries_uploads {
                    self.shared.set_refused(Some(why));
                    self.outages
                        .uploads
                        .failed(&error, batch.store_replies.len() as u64);
                } else {
                    self.outages.ends.failed(&error, 1);
                }
                batch.refuse(why);
            }
        }
    }

    /// Answers while the clock is in doubt.
    fn doubt(&mut self, verdict: ClockVerdict, mut batch: Batch) {
        let of_clock = Interval::of(self.clock.now());
        let open = self.shared.open();
        let why = if verdict == ClockVerdict::Ahead {
            Unavailable::ClockAhead
        } else {
            Unavailable::ClockBehind
        };
        let cause = format!("interval {of_clock} by the clock, {open} by what was stored");
        self.outages
            .clock
            .failed(&cause, batch.store_replies.len() as u64);
        if verdict == ClockVerdict::Ahead && self.stored.doubted.is_none() {
            // A second start compares its clock with this value. A failure does not
            // matter: the next doubt writes it again.
            let written = self.db.execute(
                "INSERT INTO state (id, open, doubted) VALUES (0, ?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET doubted = excluded.doubted",
                (number(open), number(of_clock)),
            );
            self.stored.doubted = written.is_ok().then_some(of_clock);
        }
        answer_all(batch.interval_replies.drain(..), Ok(open));
        batch.refuse(why);
    }

    /// Writes the whole batch into the interval that is current at the commit.
    fn commit(
        &mut self,
        reports: &[Admitted],
        probes: bool,
    ) -> rusqlite::Result<(Interval, Vec<Stored>)> {
        loop {
            let open = current(&self.shared, &*self.clock);
            let transaction = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            if self.stored.open != Some(open) || self.stored.doubted.is_some() {
                advance(&transaction, open)?;
            }
            let outcomes = write(&transaction, open, reports)?;
            if probes {
                probe(&transaction, open)?;
            }
            // Filling a batch takes a moment, during which the interval may end.
            if current(&self.shared, &*self.clock) > open {
                transaction.rollback()?;
            } else {
                transaction.commit()?;
                self.stored = StoredIntervals {
                    open: Some(open),
                    doubted: None,
                };
                return Ok((open, outcomes));
            }
        }
    }

    /// Destroys some of the expired data.
    fn expire(&mut self) {
        self.expiring = match expiry::step(&mut self.db, self.shared.open(), MOST_KNOWN) {
            Ok(more) => {
                self.outages.expiry.succeeded();
                more
            }
            // A failed step is repeated at the next interval.
            Err(error) => {
                self.outages.expiry.failed(&error, 1);
                false
            }
        };
    }
}

/// The interval into which reports are written now.
fn current(shared: &SharedState, clock: &dyn Clock) -> Interval {
    match shared.judge(clock) {
        ClockVerdict::Sound(interval) => interval,
        ClockVerdict::Behind | ClockVerdict::Ahead => shared.open(),
    }
}

/// Stores in the file which interval takes uploads.
fn advance(transaction: &Transaction<'_>, open: Interval) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO state (id, open) VALUES (0, ?1)
         ON CONFLICT (id) DO UPDATE SET open = max(open, excluded.open), doubted = NULL",
        [number(open)],
    )?;
    Ok(())
}

/// Does what an upload does to the file and undoes it, in the transaction that is about
/// to be committed: it needs the same pages of the disk. It writes two rows, so that an
/// upload needs no more than was tried.
fn probe(transaction: &Transaction<'_>, open: Interval) -> rusqlite::Result<()> {
    let mut rng = clock::rng();
    for _ in 0..2 {
        let place = rng.next_u64().cast_signed();
        let mut digest = [0; 16];
        rng.fill_bytes(&mut digest);
        transaction.prepare_cached(INSERT)?.execute((
            number(open),
            place,
            &digest,
            &[0; SignedReport::MAX_LEN],
        ))?;
        transaction
            .prepare_cached("DELETE FROM report WHERE (interval, place, digest) = (?1, ?2, ?3)")?
            .execute((number(open), place, &digest))?;
    }
    Ok(())
}

const INSERT: &str = "INSERT INTO report (interval, place, digest, bytes)
     SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM known WHERE digest = ?3)
     ON CONFLICT (digest) DO NOTHING";

fn write(
    transaction: &Transaction<'_>,
    open: Interval,
    reports: &[Admitted],
) -> rusqlite::Result<Vec<Stored>> {
    let mut insert = transaction.prepare_cached(INSERT)?;
    let mut rng = clock::rng();
    let mut outcomes = Vec::with_capacity(reports.len());
    for report in reports {
        let place = rng.next_u64().cast_signed();
        let digest: &[u8] = report.digest.as_bytes();
        let rows = insert.execute((number(open), place, digest, &report.bytes))?;
        outcomes.push(if rows == 0 {
            Stored::Known
        } else {
            Stored::New
        });
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tcn_protocol::{
        Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, UnixTime,
    };

    use super::super::schema::STEPS;
    use super::*;

    /// The first second after interval 74359.
    const END: u64 = 74_360 * Interval::SECONDS;

    /// A clock that is before the end of the interval at first and after it at later
    /// readings.
    struct Crossing {
        looks: AtomicU64,
        before: u64,
    }

    impl Clock for Crossing {
        fn now(&self) -> UnixTime {
            let look = self.looks.fetch_add(1, Ordering::Relaxed);
            UnixTime(if look < self.before { END - 1 } else { END })
        }
    }

    fn report(n: u8) -> Admitted {
        let rak = ReportAuthorizationKey::from_bytes(&[n; 32]);
        let index = |index| RatchetIndex::new(index).unwrap();
        let span = ReportSpan::new(index(1), index(2)).unwrap();
        let memo = Memo::new(MemoType::COEPI_V1, []).unwrap();
        let signed = SignedReport::create(&rak, span, memo);
        Admitted {
            digest: signed.claim().digest(),
            bytes: tcn_protocol::wire::write(&signed),
        }
    }

    /// A writer of an empty store; the interval ends after its clock was read `before` times.
    fn writer(before: u64) -> (StoreWriter, Arc<SharedState>) {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&STEPS.concat()).unwrap();
        let looks = AtomicU64::new(0);
        let clock = Arc::new(Crossing { looks, before });
        let shared = Arc::new(SharedState::new(Interval::new(74_359).unwrap(), false));
        let (lock, stored) = (tempfile::tempfile().unwrap(), StoredIntervals::default());
        let writer = StoreWriter::new(db, lock, clock, Arc::clone(&shared), stored);
        (writer, shared)
    }

    #[test]
    fn a_batch_that_the_interval_ends_under_goes_into_the_next() {
        for (before, number) in [(0, 74_360_u32), (1, 74_360), (2, 74_359)] {
            let (mut writer, _) = writer(before);
            let (open, outcomes) = writer.commit(&[report(7)], false).unwrap();
            assert_eq!(open.number(), u64::from(number));
            assert_eq!(outcomes, [Stored::New]);
            let stored: (u32, u32) = writer
                .db
                .query_row("SELECT interval, open FROM report, state", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            assert_eq!(stored, (number, number), "{before}");
        }
    }

    /// A store whose file may not grow, as on a full disk.
    fn full() -> (StoreWriter, Arc<SharedState>) {
        let (mut writer, shared) = writer(u64::MAX);
        writer.commit(&[report(7)], false).unwrap();
        let pages: u32 = writer
            .db
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        bound(&writer, pages);
        (writer, shared)
    }

    fn bound(writer: &StoreWriter, pages: u32) {
        let set = format!("PRAGMA max_page_count = {pages}");
        writer.db.query_row(&set, [], |_| Ok(())).unwrap();
    }

    /// Reports that need more pages than there are free.
    fn many() -> Vec<Admitted> {
        let large = |n| Admitted {
            bytes: vec![n; SignedReport::MAX_LEN],
            ..report(n)
        };
        (100..130).map(large).collect()
    }

    fn perform(writer: &mut StoreWriter, requests: Vec<WriteRequest>) {
        let mut batch = Batch::default();
        for request in requests {
            batch.push(request);
        }
        writer.perform(batch);
    }

    #[test]
    fn only_an_upload_that_is_written_ends_the_fault_of_one_that_was_not() {
        let (mut writer, shared) = full();
        let (store_replies, mut answers): (Vec<_>, Vec<_>) =
            many().iter().map(|_| oneshot::channel()).unzip();
        let stores = many().into_iter().zip(store_replies);
        let stores = stores.map(|(report, sender)| WriteRequest::Store(report, sender));
        perform(&mut writer, stores.collect());
        let first = answers.remove(0).blocking_recv().unwrap();
        assert_eq!(first, Err(Unavailable::DiskFull));
        assert_eq!(shared.refused(), Some(Unavailable::DiskFull));
        // Neither a query, nor a known report, nor expired data.
        let (reply, replied) = oneshot::channel();
        perform(&mut writer, vec![WriteRequest::CloseIntervals(reply)]);
        assert!(replied.blocking_recv().unwrap().is_ok());
        let (sender, stored) = oneshot::channel();
        perform(&mut writer, vec![WriteRequest::Store(report(7), sender)]);
        assert_eq!(stored.blocking_recv().unwrap(), Ok(Stored::Known));
        writer.expire();
        assert_eq!(shared.refused(), Some(Unavailable::DiskFull));
        bound(&writer, 1000);
        let (reply, replied) = oneshot::channel();
        perform(&mut writer, vec![WriteRequest::Probe(reply)]);
        assert_eq!(replied.blocking_recv().unwrap(), Ok(()));
        assert_eq!(shared.refused(), None);
        let left: u32 = writer
            .db
            .query_row("SELECT count(*) FROM report", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 1, "an attempt leaves something behind");
    }
}
