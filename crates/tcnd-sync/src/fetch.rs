//! Fetches one source, interval by interval.
//!
//! Each interval is delivered separately as soon as it was fetched, so delivered
//! intervals stay delivered, whatever ends a run. An interval counts as whole if the
//! document is whole and two clocks say that the interval was over, with a margin:
//! ours, when the request started, and the server's, when it made the response. Else
//! tcnd asks for it again. A file in a folder is never whole: its time is that of the
//! last copy, and says nothing of its content. Reading it again costs little.
//!
//! The run's budget goes to intervals in their order. An interval that costs more than
//! is left waits for the next run, which starts with it. An interval that fits into no
//! run is delivered in part, and logged: the cheapest of its reports, for half of the
//! budget left, so that other intervals get their share.

mod find;

use std::path::Path;

use rand::seq::SliceRandom;
use rand_core::Rng;
use tcn_exchange::backoff::Backoff;
use tcn_exchange::filter::{Expected, FilterOptions, Filtered};
use tcn_exchange::interval::Interval;
use tcn_exchange::source::Source;
use tcn_protocol::UnixTime;
use tcn_protocol::file::Foreign;

use self::find::{Found, FoundDocument, Opened};
use super::date::{ServerTime, differs};
use super::folder::Folder;
use super::memory::Remembered;
use super::problem::Problem;
use super::service::{Batch, Delivery, Tcnd};
use super::unpack::{Unfit, unpack, within};
use super::{Fault, clock};

/// Intervals of one run; fourteen days have 57 at most.
const MOST_INTERVALS: usize = 64;

/// A source while it is fetched.
pub(super) struct Fetch<'a> {
    source: &'a Source,
    tcnd: &'a Tcnd,
    directory: &'a Path,
    remembered: Remembered,
    /// The first thing that was wrong with an interval.
    problem: Option<Problem>,
    /// How far the server's clock is ahead of ours, in seconds. It is taken from the
    /// freshest response, for a cache may have held others for long.
    ahead: Option<i64>,
    /// The first interval that this run did not reach within its limits.
    unreached: Option<Interval>,
    /// The interval being fetched.
    at: Option<Interval>,
    /// The problem of an interval that the server denied: the source may not have it.
    denied: Option<Problem>,
    /// Numbers left of the budget, bytes left to fetch, and to unpack.
    budget: u64,
    bytes: u64,
    unpacked: u64,
    counted: Counted,
}

/// Counts for the log.
#[derive(Default)]
struct Counted {
    intervals: u64,
    unchanged: u64,
    absent: u64,
    reports: u64,
    unreadable: u64,
    unwanted: u64,
    left_out: u64,
}

/// The interval to fetch.
#[derive(Clone, Copy)]
struct Turn {
    interval: Interval,
    /// Whether it was over by our clock when the request started.
    over: bool,
}

/// The outcome of an interval.
enum Gone {
    Through,
    /// It does not fit into the rest of the budget.
    Beyond,
}

/// Why an interval was not fetched.
enum Stop {
    Source(Problem),
    /// A file of another kind.
    Foreign(Foreign),
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
            Unfit::Foreign(foreign) => Self::Foreign(foreign),
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
            ahead: None,
            unreached: None,
            at: None,
            budget: source.limits.budget,
            denied: None,
            bytes: source.limits.run_bytes(),
            unpacked: source.limits.run_unpacked_bytes(),
            counted: Counted::default(),
        }
    }

    /// Fetches all pending intervals. Returns the problem that ended this early, if
    /// any.
    pub(super) async fn go_through(&mut self) -> Result<Option<Problem>, Fault> {
        let pending = self.tcnd.pending(&self.source.name).await?;
        match self.each(pending).await {
            Ok(()) => Ok(None),
            Err(Stop::Source(problem)) => Ok(Some(problem)),
            Err(Stop::Foreign(_)) => Ok(Some(Problem::WrongAnswer)),
            Err(Stop::Run(fault)) => Err(fault),
        }
    }

    /// The first thing that was wrong with an interval.
    pub(super) const fn problem(&self) -> Option<Problem> {
        self.problem
    }

    /// The problem of a server's clock that differs from ours.
    pub(super) fn clock_problem(&self) -> Option<Problem> {
        let seconds = self.ahead.filter(|seconds| differs(*seconds))?;
        tracing::info!(source = %self.source.name, seconds, "how far its clock is ahead of ours");
        Some(Problem::ClockDiffers)
    }

    /// Notes the clock of a server.
    pub(super) fn notice(&mut self, time: Option<ServerTime>) {
        let ahead = time.map(|time| time.ahead_of(clock::now()));
        self.ahead = self.ahead.max(ahead);
    }

    /// The state for the next run. One bad interval does not make the source a bad one;
    /// an early end does, and so does a run that got nothing.
    pub(super) fn remembered(&self, ended: bool, now: UnixTime, rng: &mut impl Rng) -> Remembered {
        let mut remembered = self.remembered.clone();
        // The problem that ended the source may be this interval's, so the next run
        // starts with the one after it.
        let behind = self.at.filter(|_| ended).map(Interval::next);
        remembered.resume = self.unreached.or(behind).map(Interval::number);
        let before = remembered.backoff();
        let got = self.counted.intervals + self.counted.unchanged > 0;
        let backoff = match self.problem {
            // A busy tcnd is not the fault of the source.
            Some(Problem::Busy) => before,
            Some(Problem::Refused(wait)) if ended => before.failed(now, wait, rng),
            Some(_) if ended || !got => before.failed(now, None, rng),
            None if ended => before.failed(now, None, rng),
            Some(_) | None => Backoff::default(),
        };
        remembered.with_backoff(backoff)
    }

    /// Logs what was fetched.
    pub(super) fn log(&self) {
        let Counted {
            intervals,
            unchanged,
            absent,
            reports,
            unreadable,
            unwanted,
            left_out,
        } = self.counted;
        tracing::info!(
            source = %self.source.name, intervals, unchanged, absent, reports, unreadable,
            unwanted, left_out, "fetched"
        );
    }

    async fn each(&mut self, mut pending: Vec<Interval>) -> Result<(), Stop> {
        pending.truncate(MOST_INTERVALS);
        let current = pending.last().copied();
        let mut opened = match self.open() {
            Ok(opened) => opened,
            Err(problem) => return self.note(problem),
        };
        if let Some(first) = self.remembered.resume {
            let reached = pending.partition_point(|interval| interval.number() < first);
            pending.rotate_left(reached);
        }
        for interval in pending {
            if self.is_spent() {
                self.unreached.get_or_insert(interval);
                break;
            }
            self.at = Some(interval);
            match Box::pin(self.interval(&mut opened, interval)).await {
                Ok(Gone::Through) => {}
                Ok(Gone::Beyond) => {
                    self.unreached.get_or_insert(interval);
                }
                Err(Stop::Source(problem)) => self.note(problem)?,
                Err(stop) => return Err(stop),
            }
        }
        if let (Opened::Folder(folder), Some(current)) = (&opened, current) {
            Box::pin(self.loose(folder, current)).await?;
        }
        // If other intervals were found, a denied one does not exist.
        match self.denied {
            Some(problem) if self.counted.intervals + self.counted.unchanged == 0 => {
                self.note(problem)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether no more bytes may be fetched or unpacked.
    const fn is_spent(&self) -> bool {
        self.bytes == 0 || self.unpacked == 0
    }

    /// Notes a problem. Returns an error if it ends the source.
    fn note(&mut self, problem: Problem) -> Result<(), Stop> {
        self.problem.get_or_insert(problem);
        if problem.ends_the_source() {
            self.problem = Some(problem);
            return Err(Stop::Source(problem));
        }
        Ok(())
    }

    async fn interval(&mut self, opened: &mut Opened, interval: Interval) -> Result<Gone, Stop> {
        // Taken before the request: reports added while it runs may be missing.
        let turn = Turn {
            interval,
            over: interval.is_over(clock::now()),
        };
        match self.find(opened, turn).await? {
            Found::Absent => self.counted.absent += 1,
            Found::Denied(problem) => {
                self.counted.absent += 1;
                self.denied.get_or_insert(problem);
            }
            Found::Unchanged => self.counted.unchanged += 1,
            Found::Document(found) => return self.pass_on(found, interval).await,
        }
        Ok(Gone::Through)
    }

    /// Passes the reports of a document to tcnd, as far as the limits allow.
    async fn pass_on(&mut self, found: FoundDocument, interval: Interval) -> Result<Gone, Stop> {
        let limits = self.source.limits;
        let reading = FilterOptions {
            expected: found.document.expected,
            wanted: self.source.memo_types,
            most: limits.unpacked_bytes().min(self.unpacked),
            is_part: found.document.is_part,
            room: limits.max_bytes,
        };
        let (document, directory) = (found.document, self.directory.to_owned());
        let (read, reports) = blocking(move || unpack(document, reading, &directory)).await?;
        self.unpacked = self.unpacked.saturating_sub(read);
        let reports = reports?;
        let (sifted, cost) = (reports.sifted, reports.sifted.cost());
        if sifted.fits && cost <= self.budget {
            self.count(&sifted, sifted.reports);
            let whole = found.over && sifted.whole;
            self.deliver(&reports.file, interval, whole, cost).await?;
            if !sifted.whole {
                return Err(Stop::Source(Problem::TooLarge));
            }
            if let Some(validator) = found.validator {
                self.remembered.validator = Some(validator);
            }
            return Ok(Gone::Through);
        }
        if sifted.fits && sifted.whole && cost <= limits.budget {
            return Ok(Gone::Beyond);
        }
        let (share, directory) = (self.share(interval), self.directory.to_owned());
        let cut = blocking(move || within(reports, share, &directory)).await?;
        let (file, passed) = cut?;
        self.count(&sifted, passed.reports);
        self.deliver(&file, interval, false, passed.cost).await?;
        Err(Stop::Source(Problem::TooLarge))
    }

    /// The budget for a document that fits into no run: half of what is left, so that
    /// others get their share. If that is less than at the start of a run, the next run
    /// starts with this document.
    fn share(&mut self, interval: Interval) -> u64 {
        let share = self.budget / 2;
        if share < self.source.limits.budget / 2 {
            self.unreached.get_or_insert(interval);
        }
        share
    }

    /// Counts a document of which `passed` reports were passed on.
    fn count(&mut self, sifted: &Filtered, passed: u64) {
        self.counted.reports += passed;
        self.counted.left_out += sifted.reports - passed;
        self.counted.unreadable += sifted.unreadable;
        self.counted.unwanted += sifted.unwanted;
    }

    async fn deliver(
        &mut self,
        file: &std::fs::File,
        interval: Interval,
        whole: bool,
        cost: u64,
    ) -> Result<(), Stop> {
        let batch = Batch {
            source: &self.source.name,
            interval,
            file,
            whole,
            budget: self.budget,
        };
        let delivery = self.tcnd.deliver(batch).await?;
        if let Delivery::Refused(problem) = delivery {
            return Err(Stop::Source(problem));
        }
        self.budget -= cost;
        self.counted.intervals += 1;
        if matches!(delivery, Delivery::Cut) {
            return Err(Stop::Source(Problem::TooLarge));
        }
        Ok(())
    }

    /// Delivers the files of a folder that belong to no interval as part of the current
    /// one. The order is random, so that a file's name cannot keep others out.
    async fn loose(&mut self, folder: &Folder, current: Interval) -> Result<(), Stop> {
        let Ok(mut loose) = folder.loose() else {
            return self.note(Problem::Unreadable);
        };
        if loose.ignored > 0 {
            let (ignored, endings) = (loose.ignored, &loose.endings);
            tracing::info!(
                source = %self.source.name, ignored, ?endings,
                "files in the folder that do not end as reports do are not read"
            );
        }
        if !loose.all {
            self.note(Problem::TooLarge)?;
        }
        loose.names.shuffle(&mut clock::chance());
        for name in loose.names {
            if self.is_spent() {
                return self.note(Problem::TooLarge);
            }
            let passed = match folder.file(&name) {
                Ok(None) => continue,
                Ok(Some(file)) => match self.document_of(file, Expected::Any) {
                    Ok(document) => {
                        let found = FoundDocument::in_folder(document);
                        Box::pin(self.pass_on(found, current)).await
                    }
                    Err(stop) => Err(stop),
                },
                Err(_) => Err(Stop::Source(Problem::Unreadable)),
            };
            match passed {
                Ok(Gone::Through) => {}
                Ok(Gone::Beyond) => self.note(Problem::TooLarge)?,
                Err(Stop::Source(problem)) => self.note(problem)?,
                Err(Stop::Foreign(foreign)) => {
                    tracing::warn!(source = %self.source.name, "a file is not read: {foreign}");
                    self.note(Problem::WrongAnswer)?;
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }
}

/// Runs work on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| std::panic::resume_unwind(panic.into_panic()))
}
