//! The one thread that writes.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::rngs::SysRng;
use rand_core::{Rng as _, UnwrapErr};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{Board, Stored, Unavailable, Work, is_behind, number};
use crate::exchange::interval::Interval;
use crate::reportd::admission::Admitted;
use crate::reportd::clock::Clock;
use crate::reportd::place;

/// Work done in one transaction.
const BATCH: usize = 1024;

/// Reports destroyed in one transaction, so that uploads wait only so long.
const EXPIRED_AT_ONCE: u32 = 1000;

pub(super) struct Writer {
    db: Connection,
    _lock: File,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    open: Interval,
    /// Whether reports that are gone may still be on the disk.
    expiring: bool,
}

type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

/// What is done in one transaction.
#[derive(Default)]
struct Batch {
    reports: Vec<Admitted>,
    senders: Vec<Answer<Stored>>,
    settlers: Vec<Answer<Interval>>,
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
            Work::Close(answer) => self.closers.push(answer),
        }
    }

    fn len(&self) -> usize {
        self.reports.len() + self.settlers.len()
    }
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        lock: File,
        clock: Arc<dyn Clock>,
        board: Arc<Board>,
        open: Interval,
    ) -> Self {
        Self {
            db,
            _lock: lock,
            clock,
            board,
            open,
            expiring: true,
        }
    }

    /// Works until it is told to close, or nobody can send any more.
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
                // The database is closed and the lock is free when it is said.
                drop(self);
                for closer in closers {
                    let _ = closer.send(());
                }
                return;
            }
        }
    }

    fn perform(&mut self, batch: Batch) {
        if is_behind(Interval::of(self.clock.now()), self.open) {
            self.board.clock_behind.store(true, Ordering::Relaxed);
            refuse(batch, Unavailable::Clock);
            return;
        }
        self.board.clock_behind.store(false, Ordering::Relaxed);
        match self.commit(&batch.reports) {
            Ok((open, outcomes)) => {
                let fresh = outcomes.iter().filter(|stored| **stored == Stored::New);
                let fresh = u64::try_from(fresh.count()).unwrap_or(u64::MAX);
                self.expiring |= open > self.open;
                self.open = open;
                self.board.failing.store(false, Ordering::Relaxed);
                self.board.generation.fetch_add(fresh, Ordering::AcqRel);
                self.board.open.store(open.number(), Ordering::Release);
                for (sender, outcome) in batch.senders.into_iter().zip(outcomes) {
                    // Whoever has gone has its report stored all the same.
                    let _ = sender.send(Ok(outcome));
                }
                for settler in batch.settlers {
                    let _ = settler.send(Ok(open));
                }
            }
            Err(fault) => {
                self.board.failing.store(true, Ordering::Relaxed);
                tracing::error!(%fault, "the store cannot write; uploads are refused until it can");
                refuse(batch, Unavailable::Failing);
            }
        }
    }

    /// Writes all of it into the interval that is current when it is committed.
    fn commit(&mut self, reports: &[Admitted]) -> rusqlite::Result<(Interval, Vec<Stored>)> {
        loop {
            let open = Interval::of(self.clock.now()).max(self.open);
            let transaction = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcomes = write(&transaction, open, reports)?;
            // Filling a batch takes a moment, in which the interval may end.
            if Interval::of(self.clock.now()) > open {
                transaction.rollback()?;
            } else {
                transaction.commit()?;
                return Ok((open, outcomes));
            }
        }
    }

    /// Destroys some of what is gone.
    fn expire(&mut self) {
        let oldest = number(place::oldest(self.open));
        let destroyed = self.db.execute(
            "DELETE FROM report WHERE (interval, place, digest) IN
             (SELECT interval, place, digest FROM report WHERE interval < ?1 LIMIT ?2)",
            (oldest, EXPIRED_AT_ONCE),
        );
        // What fails is tried again with the next interval.
        self.expiring = match destroyed {
            Ok(count) => count >= EXPIRED_AT_ONCE as usize,
            Err(fault) => {
                tracing::warn!(%fault, "reports that have expired could not be destroyed yet");
                false
            }
        };
        if !self.expiring
            && let Err(fault) = self.db.execute_batch("PRAGMA incremental_vacuum")
        {
            tracing::debug!(%fault, "the database did not shrink");
        }
    }
}

fn write(
    transaction: &Transaction<'_>,
    open: Interval,
    reports: &[Admitted],
) -> rusqlite::Result<Vec<Stored>> {
    transaction.execute(
        "INSERT INTO state (id, open) VALUES (0, ?1)
         ON CONFLICT (id) DO UPDATE SET open = max(open, excluded.open)",
        [number(open)],
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO report (interval, place, digest, bytes) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (digest) DO NOTHING",
    )?;
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

fn refuse(batch: Batch, why: Unavailable) {
    for sender in batch.senders {
        let _ = sender.send(Err(why));
    }
    for settler in batch.settlers {
        let _ = settler.send(Err(why));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use super::super::schema::{REPORT, STATE};
    use super::*;
    use crate::engine::UnixTime;
    use crate::protocol::{
        Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    };

    /// The first second after interval 74359.
    const END: u64 = 74_360 * Interval::SECONDS;

    /// Before the end of the interval at the first looks, after it at later ones.
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
            bytes: crate::protocol::wire::write(&signed),
        }
    }

    #[test]
    fn a_batch_that_the_interval_ends_under_goes_into_the_next() {
        for (before, number) in [(0, 74_360_u32), (1, 74_360), (2, 74_359)] {
            let db = Connection::open_in_memory().unwrap();
            db.execute_batch(&format!("{STATE}; {REPORT}")).unwrap();
            let looks = AtomicU64::new(0);
            let board = Board {
                clock_behind: AtomicBool::new(false),
                failing: AtomicBool::new(false),
                open: AtomicU64::new(74_359),
                generation: AtomicU64::new(0),
            };
            let mut writer = Writer::new(
                db,
                tempfile::tempfile().unwrap(),
                Arc::new(Crossing { looks, before }),
                Arc::new(board),
                Interval::new(74_359).unwrap(),
            );
            let (open, outcomes) = writer.commit(&[report()]).unwrap();
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
}
