//! The only thread that writes.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::rngs::SysRng;
use rand_core::{Rng as _, UnwrapErr};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tcn_exchange::admission::Admitted;
use tcn_exchange::interval::Interval;
use tcn_protocol::SignedReport;
use tokio::sync::{mpsc, oneshot};

use super::expiry::{self, MOST_KNOWN};
use super::jump::Verdict;
use super::{Board, Stored, Unavailable, Work, number};
use crate::clock::Clock;
use crate::outage::{Outage, Severity};

/// Work done in one transaction.
const BATCH: usize = 1024;

pub(super) struct Writer {
    db: Connection,
    _lock: File,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    kept: Kept,
    /// Whether expired data may still be on the disk.
    expiring: bool,
    outages: Outages,
}

/// The intervals stored in the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// The interval that takes uploads.
    pub open: Option<Interval>,
    /// The interval of the clock when it came into doubt.
    pub doubted: Option<Interval>,
}

/// One outage for each kind of work: success of one kind says nothing of another.
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

type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

/// The work of one transaction.
#[derive(Default)]
struct Batch {
    reports: Vec<Admitted>,
    senders: Vec<Answer<Stored>>,
    settlers: Vec<Answer<Interval>>,
    probers: Vec<Answer<()>>,
    closers: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn push(&mut self, work: Work) {
        match work {
            Work::Store(report, answer) => {
                self.reports.push(report);
                self.senders.push(answer);
            }
            Work::Settle(answer) => self.settlers.push(answer),
            Work::Probe(answer) => self.probers.push(answer),
            Work::Close(answer) => self.closers.push(answer),
        }
    }

    fn len(&self) -> usize {
        self.reports.len() + self.settlers.len() + self.probers.len()
    }

    /// Whether the batch does what an upload does.
    fn tries_uploads(&self) -> bool {
        !self.reports.is_empty() || !self.probers.is_empty()
    }

    fn refuse(self, why: Unavailable) {
        for sender in self.senders {
            let _ = sender.send(Err(why));
        }
        for settler in self.settlers {
            let _ = settler.send(Err(why));
        }
        for prober in self.probers {
            let _ = prober.send(Err(why));
        }
    }
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        lock: File,
        clock: Arc<dyn Clock>,
        board: Arc<Board>,
        kept: Kept,
    ) -> Self {
        Self {
            db,
            _lock: lock,
            clock,
            board,
            kept,
            expiring: true,
            outages: Outages::new(),
        }
    }

    /// Works until it is asked to close, or until all senders are dropped.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        loop {
            let mut batch = Batch::default();
            if self.expiring {
                self.expire();
            } else {
                match inbox.blocking_recv() {
                    Some(work) => batch.push(work),
                    None => return,
                }
            }
            while batch.len() < BATCH
                && let Ok(work) = inbox.try_recv()
            {
                batch.push(work);
            }
            let closers = std::mem::take(&mut batch.closers);
            if batch.len() > 0 {
                self.perform(batch);
            }
            if !closers.is_empty() {
                // When the reply is sent, the database is closed and the lock is free.
                drop(self);
                for closer in closers {
                    let _ = closer.send(());
                }
                return;
            }
        }
    }

    fn perform(&mut self, mut batch: Batch) {
        match self.board.judge(&*self.clock) {
            Verdict::Sound(_) => {
                self.board.was_sound.store(true, Ordering::Relaxed);
                self.outages.clock.succeeded();
            }
            doubtful @ (Verdict::Behind | Verdict::Ahead) => return self.doubt(doubtful, batch),
        }
        let tries_uploads = batch.tries_uploads();
        match self.commit(&batch.reports, !batch.probers.is_empty()) {
            Ok((open, outcomes)) => {
                let fresh = outcomes.iter().filter(|stored| **stored == Stored::New);
                let fresh = u64::try_from(fresh.count()).unwrap_or(u64::MAX);
                if fresh > 0 || !batch.probers.is_empty() {
                    self.board.set_refused(None);
                    self.outages.uploads.succeeded();
                }
                if open > self.board.open() {
                    self.expiring = true;
                    self.outages.ends.succeeded();
                }
                self.board.generation.fetch_add(fresh, Ordering::AcqRel);
                self.board.open.store(open.number(), Ordering::Release);
                for (sender, outcome) in batch.senders.drain(..).zip(outcomes) {
                    // If the client has disconnected, its report is stored all the
                    // same.
                    let _ = sender.send(Ok(outcome));
                }
                for settler in batch.settlers {
                    let _ = settler.send(Ok(open));
                }
                for prober in batch.probers {
                    let _ = prober.send(Ok(()));
                }
            }
            Err(fault) => {
                let why = Unavailable::of(&fault);
                if tries_uploads {
                    self.board.set_refused(Some(why));
                    self.outages
                        .uploads
                        .failed(&fault, batch.senders.len() as u64);
                } else {
                    self.outages.ends.failed(&fault, 1);
                }
                batch.refuse(why);
            }
        }
    }

    /// Answers while the clock is in doubt.
    fn doubt(&mut self, verdict: Verdict, mut batch: Batch) {
        let of_clock = Interval::of(self.clock.now());
        let open = self.board.open();
        let why = if verdict == Verdict::Ahead {
            Unavailable::ClockAhead
        } else {
            Unavailable::ClockBehind
        };
        let cause = format!("interval {of_clock} by the clock, {open} by what was stored");
        self.outages
            .clock
            .failed(&cause, batch.senders.len() as u64);
        if verdict == Verdict::Ahead && self.kept.doubted.is_none() {
            // A second start compares its clock with this value. A failure does not
            // matter: the next doubt writes it again.
            let written = self.db.execute(
                "INSERT INTO state (id, open, doubted) VALUES (0, ?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET doubted = excluded.doubted",
                (number(open), number(of_clock)),
            );
            self.kept.doubted = written.is_ok().then_some(of_clock);
        }
        for settler in batch.settlers.drain(..) {
            let _ = settler.send(Ok(open));
        }
        batch.refuse(why);
    }

    /// Writes the whole batch into the interval that is current at the commit.
    fn commit(
        &mut self,
        reports: &[Admitted],
        probes: bool,
    ) -> rusqlite::Result<(Interval, Vec<Stored>)> {
        loop {
            let open = current(&self.board, &*self.clock);
            let transaction = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            if self.kept.open != Some(open) || self.kept.doubted.is_some() {
                move_on(&transaction, open)?;
            }
            let outcomes = write(&transaction, open, reports)?;
            if probes {
                probe(&transaction, open)?;
            }
            // Filling a batch takes a moment, during which the interval may end.
            if current(&self.board, &*self.clock) > open {
                transaction.rollback()?;
            } else {
                transaction.commit()?;
                self.kept = Kept {
                    open: Some(open),
                    doubted: None,
                };
                return Ok((open, outcomes));
            }
        }
    }

    /// Destroys some of the expired data.
    fn expire(&mut self) {
        self.expiring = match expiry::piece(&mut self.db, self.board.open(), MOST_KNOWN) {
            Ok(more) => {
                self.outages.expiry.succeeded();
                more
            }
            // Failed work is tried again with the next interval.
            Err(fault) => {
                self.outages.expiry.failed(&fault, 1);
                false
            }
        };
    }
}

/// The interval into which reports are written now.
fn current(board: &Board, clock: &dyn Clock) -> Interval {
    match board.judge(clock) {
        Verdict::Sound(interval) => interval,
        Verdict::Behind | Verdict::Ahead => board.open(),
    }
}

/// Stores in the file which interval takes uploads.
fn move_on(transaction: &Transaction<'_>, open: Interval) -> rusqlite::Result<()> {
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
    let mut chance = UnwrapErr(SysRng);
    for _ in 0..2 {
        let place = chance.next_u64().cast_signed();
        let mut digest = [0; 16];
        chance.fill_bytes(&mut digest);
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
    let mut chance = UnwrapErr(SysRng);
    let mut outcomes = Vec::with_capacity(reports.len());
    for report in reports {
        let place = chance.next_u64().cast_signed();
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

    fn report() -> Admitted {
        let rak = ReportAuthorizationKey::from_bytes(&[7; 32]);
        let index = |index| RatchetIndex::new(index).unwrap();
        let span = ReportSpan::new(index(1), index(2)).unwrap();
        let memo = Memo::new(MemoType::COEPI_V1, []).unwrap();
        let signed = SignedReport::create(&rak, span, memo);
        Admitted {
            digest: signed.claim().digest(),
            bytes: tcn_protocol::wire::write(&signed),
        }
    }

    #[test]
    fn a_batch_that_the_interval_ends_under_goes_into_the_next() {
        for (before, number) in [(0, 74_360_u32), (1, 74_360), (2, 74_359)] {
            let db = Connection::open_in_memory().unwrap();
            db.execute_batch(&STEPS.concat()).unwrap();
            let looks = AtomicU64::new(0);
            let board = Board::new(Interval::new(74_359).unwrap(), false);
            let mut writer = Writer::new(
                db,
                tempfile::tempfile().unwrap(),
                Arc::new(Crossing { looks, before }),
                Arc::new(board),
                Kept::default(),
            );
            let (open, outcomes) = writer.commit(&[report()], false).unwrap();
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
    fn full() -> (Writer, Arc<Board>) {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&STEPS.concat()).unwrap();
        let clock = Crossing {
            looks: AtomicU64::new(0),
            before: u64::MAX,
        };
        let board = Arc::new(Board::new(Interval::new(74_359).unwrap(), false));
        let mut writer = Writer::new(
            db,
            tempfile::tempfile().unwrap(),
            Arc::new(clock),
            Arc::clone(&board),
            Kept::default(),
        );
        writer.commit(&[report()], false).unwrap();
        let pages: u32 = writer
            .db
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        bound(&writer, pages);
        (writer, board)
    }

    fn bound(writer: &Writer, pages: u32) {
        let set = format!("PRAGMA max_page_count = {pages}");
        writer.db.query_row(&set, [], |_| Ok(())).unwrap();
    }

    /// Reports that need more pages than there are free.
    fn many() -> Vec<Admitted> {
        let large = |n: u8| Admitted {
            digest: {
                let rak = ReportAuthorizationKey::from_bytes(&[n; 32]);
                let index = |index| RatchetIndex::new(index).unwrap();
                let span = ReportSpan::new(index(1), index(2)).unwrap();
                let memo = Memo::new(MemoType::COEPI_V1, []).unwrap();
                SignedReport::create(&rak, span, memo).claim().digest()
            },
            bytes: vec![n; SignedReport::MAX_LEN],
        };
        (100..130).map(large).collect()
    }

    fn perform(writer: &mut Writer, works: Vec<Work>) {
        let mut batch = Batch::default();
        for work in works {
            batch.push(work);
        }
        writer.perform(batch);
    }

    #[test]
    fn only_an_upload_that_is_written_ends_the_fault_of_one_that_was_not() {
        let (mut writer, board) = full();
        let (senders, mut answers): (Vec<_>, Vec<_>) =
            many().iter().map(|_| oneshot::channel()).unzip();
        let stores = many().into_iter().zip(senders);
        let stores = stores.map(|(report, sender)| Work::Store(report, sender));
        perform(&mut writer, stores.collect());
        let first = answers.remove(0).blocking_recv().unwrap();
        assert_eq!(first, Err(Unavailable::DiskFull));
        assert_eq!(board.refused(), Some(Unavailable::DiskFull));
        // Neither a query, nor a known report, nor expired data.
        let (settler, settled) = oneshot::channel();
        perform(&mut writer, vec![Work::Settle(settler)]);
        assert!(settled.blocking_recv().unwrap().is_ok());
        let (sender, stored) = oneshot::channel();
        perform(&mut writer, vec![Work::Store(report(), sender)]);
        assert_eq!(stored.blocking_recv().unwrap(), Ok(Stored::Known));
        writer.expire();
        assert_eq!(board.refused(), Some(Unavailable::DiskFull));
        bound(&writer, 1000);
        let (prober, probed) = oneshot::channel();
        perform(&mut writer, vec![Work::Probe(prober)]);
        assert_eq!(probed.blocking_recv().unwrap(), Ok(()));
        assert_eq!(board.refused(), None);
        let left: u32 = writer
            .db
            .query_row("SELECT count(*) FROM report", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 1, "an attempt leaves something behind");
    }
}
