//! One source, gone through interval by interval.
//!
//! Each interval is delivered by itself as soon as it is there, so whatever
//! ends a run, what was delivered stays delivered. It is whole if the request
//! was begun after its end, with a margin for clocks that differ, and its
//! document was whole; else tcnd asks for it again.
//!
//! The run's budget goes to intervals in their order. One that is worth more
//! than is left waits behind all others; if it would not fit into any run, the
//! cheapest of its reports are delivered, and it is named.

mod find;

use std::collections::VecDeque;
use std::path::Path;

use rand::seq::SliceRandom;
use rand_core::Rng;

use self::find::{Found, Opened};
use super::folder::Folder;
use super::memory::{Remembered, Validator};
use super::problem::Problem;
use super::service::{Batch, Delivery, Tcnd};
use super::unpack::{Document, Packing, Reports, Unfit, unpack, within};
use super::{Fault, clock};
use crate::engine::UnixTime;
use crate::exchange::backoff::Backoff;
use crate::exchange::interval::Interval;
use crate::exchange::sieve::Expected;
use crate::exchange::source::Source;

/// Intervals of one run: fourteen days have 57 at most.
const MOST_INTERVALS: usize = 64;

/// A source while it is gone through.
pub(super) struct Fetch<'a> {
    source: &'a Source,
    tcnd: &'a Tcnd,
    directory: &'a Path,
    remembered: Remembered,
    /// The first thing that was wrong with an interval.
    problem: Option<Problem>,
    /// Numbers left of the budget, and bytes left to fetch.
    budget: u64,
    bytes: u64,
    counted: Counted,
}

/// What the log is told.
#[derive(Default)]
struct Counted {
    intervals: u64,
    unchanged: u64,
    absent: u64,
    reports: u64,
    unreadable: u64,
    unwanted: u64,
}

/// Where a batch of reports belongs.
#[derive(Clone, Copy)]
struct Turn {
    interval: Interval,
    whole: bool,
    /// It was put back once.
    late: bool,
}

/// What became of an interval.
enum Gone {
    Through,
    /// It does not fit into what is left of the budget.
    Back,
}

/// Why an interval is not gone through.
enum Stop {
    Source(Problem),
    Run(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Run(fault)
    }
}

impl From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Document(problem) => Self::Source(problem),
            Unfit::Machine(fault) => Self::Run(fault),
        }
    }
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        source: &'a Source,
        tcnd: &'a Tcnd,
        directory: &'a Path,
        remembered: Remembered,
    ) -> Self {
        Self {
            source,
            tcnd,
            directory,
            remembered,
            problem: None,
            budget: source.limits.budget,
            bytes: source.limits.run_bytes(),
            counted: Counted::default(),
        }
    }

    /// Goes through all that is pending; what ended it early, if anything did.
    pub(super) async fn go_through(&mut self) -> Result<Option<Problem>, Fault> {
        let pending = self.tcnd.pending(&self.source.name).await?;
        match self.each(pending).await {
            Ok(()) => Ok(None),
            Err(Stop::Source(problem)) => Ok(Some(problem)),
            Err(Stop::Run(fault)) => Err(fault),
        }
    }

    /// The first thing that was wrong with an interval.
    pub(super) const fn problem(&self) -> Option<Problem> {
        self.problem
    }

    /// What the next run is to know. One bad interval does not make a source a
    /// bad one; an early end does, and so does a run that got nothing.
    pub(super) fn remembered(&self, ended: bool, now: UnixTime, rng: &mut impl Rng) -> Remembered {
        let remembered = self.remembered.clone();
        let before = remembered.backoff();
        let got = self.counted.intervals + self.counted.unchanged > 0;
        let backoff = match self.problem {
            // tcnd's being busy is no fault of the source.
            Some(Problem::Busy) => before,
            Some(Problem::Refused(wait)) if ended => before.failed(now, wait, rng),
            Some(_) if ended || !got => before.failed(now, None, rng),
            None if ended => before.failed(now, None, rng),
            Some(_) | None => Backoff::default(),
        };
        remembered.with_backoff(backoff)
    }

    /// Tells the log what was fetched.
    pub(super) fn log(&self) {
        let Counted {
            intervals,
            unchanged,
            absent,
            reports,
            unreadable,
            unwanted,
        } = self.counted;
        tracing::info!(
            source = %self.source.name, intervals, unchanged, absent, reports, unreadable,
            unwanted, "fetched"
        );
    }

    async fn each(&mut self, pending: Vec<Interval>) -> Result<(), Stop> {
        let current = pending.last().copied();
        let mut opened = match self.open() {
            Ok(opened) => opened,
            Err(problem) => return self.note(problem),
        };
        let mut queue: VecDeque<_> = pending
            .into_iter()
            .take(MOST_INTERVALS)
            .map(|interval| (interval, false))
            .collect();
        while let Some((interval, late)) = queue.pop_front() {
            if self.bytes == 0 {
                break;
            }
            match Box::pin(self.interval(&mut opened, interval, late)).await {
                Ok(Gone::Back) if !late => queue.push_back((interval, true)),
                // The next run has a budget of its own.
                Ok(Gone::Through | Gone::Back) => {}
                Err(Stop::Source(problem)) => self.note(problem)?,
                Err(stop) => return Err(stop),
            }
        }
        if let (Opened::Folder(folder), Some(current)) = (&opened, current) {
            Box::pin(self.loose(folder, current)).await?;
        }
        Ok(())
    }

    /// Notes a problem; an error if it ends the source.
    fn note(&mut self, problem: Problem) -> Result<(), Stop> {
        self.problem.get_or_insert(problem);
        if problem.ends_the_source() {
            self.problem = Some(problem);
            return Err(Stop::Source(problem));
        }
        Ok(())
    }

    async fn interval(
        &mut self,
        opened: &mut Opened,
        interval: Interval,
        late: bool,
    ) -> Result<Gone, Stop> {
        // Before the request: what is added while it runs may be missing.
        let turn = Turn {
            interval,
            whole: interval.is_over(clock::now()),
            late,
        };
        match self.find(opened, turn).await? {
            Found::Absent => self.counted.absent += 1,
            Found::Unchanged => self.counted.unchanged += 1,
            Found::Document(document, validator) => {
                return self.pass_on(document, turn, validator).await;
            }
        }
        Ok(Gone::Through)
    }

    /// Hands the reports of a document to tcnd, as far as the budget goes.
    async fn pass_on(
        &mut self,
        document: Document,
        turn: Turn,
        validator: Option<Validator>,
    ) -> Result<Gone, Stop> {
        let limits = self.source.limits;
        let wanted = self.source.memo_types;
        let directory = self.directory.to_owned();
        let reports =
            blocking(move || unpack(document, limits.max_bytes, wanted, &directory)).await??;
        let cost = reports.sifted.cost();
        if cost <= self.budget {
            self.count(&reports);
            self.deliver(&reports.file, turn, cost).await?;
            if let Some(validator) = validator {
                self.remembered.validator = Some(validator);
            }
            return Ok(Gone::Through);
        }
        if !turn.late || cost <= limits.budget {
            return Ok(Gone::Back);
        }
        let (directory, budget) = (self.directory.to_owned(), self.budget);
        self.count(&reports);
        let cut: Result<_, Fault> = blocking(move || within(reports, budget, &directory)).await?;
        let (file, spent) = cut?;
        let part = Turn {
            whole: false,
            ..turn
        };
        self.deliver(&file, part, spent).await?;
        Err(Stop::Source(Problem::TooLarge))
    }

    fn count(&mut self, reports: &Reports) {
        self.counted.reports += reports.sifted.reports;
        self.counted.unreadable += reports.sifted.unreadable;
        self.counted.unwanted += reports.sifted.unwanted;
    }

    async fn deliver(&mut self, file: &std::fs::File, turn: Turn, cost: u64) -> Result<(), Stop> {
        let batch = Batch {
            source: &self.source.name,
            interval: turn.interval,
            file,
            whole: turn.whole,
            budget: self.budget,
        };
        match self.tcnd.deliver(batch).await? {
            Delivery::Taken => {
                self.budget -= cost;
                self.counted.intervals += 1;
                Ok(())
            }
            Delivery::Refused(problem) => Err(Stop::Source(problem)),
        }
    }

    /// The files of a folder that belong to no interval go with the current one,
    /// in random order: nobody's name on a stick is to keep others out.
    async fn loose(&mut self, folder: &Folder, current: Interval) -> Result<(), Stop> {
        let Ok((mut names, all)) = folder.loose() else {
            return self.note(Problem::Unreadable);
        };
        if !all {
            self.note(Problem::TooLarge)?;
        }
        let turn = Turn {
            interval: current,
            whole: false,
            late: true,
        };
        names.shuffle(&mut clock::chance());
        for name in names {
            if self.bytes == 0 {
                return self.note(Problem::TooLarge);
            }
            let passed = match folder.file(&name) {
                Ok(None) => continue,
                Ok(Some((file, length))) => {
                    let document = Document {
                        file,
                        packing: Packing::Plain,
                        expected: Expected::Any,
                    };
                    match self.charge(length) {
                        Ok(()) => Box::pin(self.pass_on(document, turn, None)).await,
                        Err(stop) => Err(stop),
                    }
                }
                Err(_) => Err(Stop::Source(Problem::Unreadable)),
            };
            match passed {
                Ok(Gone::Through) => {}
                Ok(Gone::Back) => self.note(Problem::TooLarge)?,
                Err(Stop::Source(problem)) => self.note(problem)?,
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }
}

/// Has work done on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| std::panic::resume_unwind(panic.into_panic()))
}
