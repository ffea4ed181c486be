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

mod finder;

use std::path::Path;

use rand::seq::SliceRandom;
use rand_core::Rng;
use tcn_exchange::backoff::Backoff;
use tcn_exchange::filter::{Expected, FilterOptions, Filtered};
use tcn_exchange::interval::Interval;
use tcn_exchange::source::Source;
use tcn_protocol::UnixTime;

use self::finder::{FetchStop, Finder, Found, FoundDocument, IntervalRequest, OpenSource};
use super::clock;
use super::date::differs;
use super::error::SyncError;
use super::folder::Folder;
use super::problem::Problem;
use super::state::SourceState;
use super::tcnd::{Delivery, DeliveryRequest, TcndClient};
use super::unpack::{select_within, unpack};

/// Intervals of one run; fourteen days have 57 at most.
const MAX_INTERVALS: usize = 64;

/// A source while it is fetched.
pub(super) struct SourceFetch<'a> {
    finder: Finder<'a>,
    tcnd: &'a TcndClient,
    /// The first thing that was wrong with an interval.
    problem: Option<Problem>,
    /// The first interval that this run did not reach within its limits.
    unreached: Option<Interval>,
    /// The interval being fetched.
    at: Option<Interval>,
    /// The problem of an interval that the server denied: the source may not have it.
    denied: Option<Problem>,
    /// Numbers left of the budget.
    budget: u64,
    /// Bytes that may still be decompressed.
    unpacked: u64,
    counts: FetchCounts,
}

/// Counts for the log.
#[derive(Default)]
struct FetchCounts {
    intervals: u64,
    unchanged: u64,
    absent: u64,
    reports: u64,
    unreadable: u64,
    unwanted: u64,
    left_out: u64,
}

/// The outcome of an interval.
enum Progress {
    Done,
    /// It does not fit into the rest of the budget.
    Deferred,
}

impl<'a> SourceFetch<'a> {
    pub(super) fn new(
        source: &'a Source,
        tcnd: &'a TcndClient,
        directory: &'a Path,
        state: SourceState,
    ) -> Self {
        Self {
            finder: Finder::new(source, directory, state),
            tcnd,
            problem: None,
            unreached: None,
            at: None,
            budget: source.limits.budget,
            denied: None,
            unpacked: source.limits.run_unpacked_bytes(),
            counts: FetchCounts::default(),
        }
    }

    /// Fetches all pending intervals. Returns the problem that ended this early, if
    /// any.
    pub(super) async fn fetch_all(&mut self) -> Result<Option<Problem>, SyncError> {
        let pending = self.tcnd.pending(&self.finder.source.name).await?;
        match self.each(pending).await {
            Ok(()) => Ok(None),
            Err(FetchStop::Source(problem)) => Ok(Some(problem)),
            Err(FetchStop::Foreign(_)) => Ok(Some(Problem::WrongAnswer)),
            Err(FetchStop::Run(error)) => Err(error),
        }
    }

    /// The first thing that was wrong with an interval.
    pub(super) const fn problem(&self) -> Option<Problem> {
        self.problem
    }

    /// The problem of a server's clock that differs from ours.
    pub(super) fn clock_problem(&self) -> Option<Problem> {
        let seconds = self.finder.ahead.filter(|seconds| differs(*seconds))?;
        tracing::info!(source = %self.finder.source.name, seconds, "the clock of the server differs");
        Some(Problem::ClockDiffers)
    }

    /// The state for the next run. One bad interval does not make the source a bad one;
    /// an early end does, and so does a run that got nothing.
    pub(super) fn next_state(&self, ended: bool, now: UnixTime, rng: &mut impl Rng) -> SourceState {
        let mut state = self.finder.state.clone();
        // The problem that ended the source may be this interval's, so the next run
        // starts with the one after it.
        let behind = self.at.filter(|_| ended).map(Interval::next);
        state.resume = self.unreached.or(behind).map(Interval::number);
        let before = state.backoff();
        let got = self.counts.intervals + self.counts.unchanged > 0;
        let backoff = match self.problem {
            // A busy tcnd is not the fault of the source.
            Some(Problem::Busy) => before,
            Some(Problem::Refused(wait)) if ended => before.failed(now, wait, rng),
            Some(_) if ended || !got => before.failed(now, None, rng),
            None if ended => before.failed(now, None, rng),
            Some(_) | None => Backoff::default(),
        };
        state.with_backoff(backoff)
    }

    /// Logs what was fetched.
    pub(super) fn log(&self) {
        let FetchCounts {
            intervals,
            unchanged,
            absent,
            reports,
            unreadable,
            unwanted,
            left_out,
        } = self.counts;
        tracing::info!(
            source = %self.finder.source.name, intervals, unchanged, absent, reports, unreadable,
            unwanted, left_out, "fetched"
        );
    }

    async fn each(&mut self, mut pending: Vec<Interval>) -> Result<(), FetchStop> {
        pending.truncate(MAX_INTERVALS);
        let current = pending.last().copied();
        let mut opened = match self.finder.open() {
            Ok(opened) => opened,
            Err(problem) => return self.note(problem),
        };
        if let Some(first) = self.finder.state.resume {
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
                Ok(Progress::Done) => {}
                Ok(Progress::Deferred) => {
                    self.unreached.get_or_insert(interval);
                }
                Err(FetchStop::Source(problem)) => self.note(problem)?,
                Err(stop) => return Err(stop),
            }
        }
        if let (OpenSource::Folder(folder), Some(current)) = (&opened, current) {
            Box::pin(self.deliver_extra_files(folder, current)).await?;
        }
        // If other intervals were found, a denied one does not exist.
        match self.denied {
            Some(problem) if self.counts.intervals + self.counts.unchanged == 0 => {
                self.note(problem)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether no more bytes may be fetched or unpacked.
    const fn is_spent(&self) -> bool {
        self.finder.bytes == 0 || self.unpacked == 0
    }

    /// Notes a problem. Returns an error if it ends the source.
    fn note(&mut self, problem: Problem) -> Result<(), FetchStop> {
        self.problem.get_or_insert(problem);
        if problem.ends_the_source() {
            self.problem = Some(problem);
            return Err(FetchStop::Source(problem));
        }
        Ok(())
    }

    async fn interval(
        &mut self,
        opened: &mut OpenSource,
        interval: Interval,
    ) -> Result<Progress, FetchStop> {
        // Taken before the request: reports added while it runs may be missing.
        let request = IntervalRequest {
            interval,
            over: interval.is_over(clock::now()),
        };
        match self.finder.find(opened, request).await? {
            Found::Absent => self.counts.absent += 1,
            Found::Denied(problem) => {
                self.counts.absent += 1;
                self.denied.get_or_insert(problem);
            }
            Found::Unchanged => self.counts.unchanged += 1,
            Found::Document(found) => return self.pass_on(found, interval).await,
        }
        Ok(Progress::Done)
    }

    /// Passes the reports of a document to tcnd, as far as the limits allow.
    async fn pass_on(
        &mut self,
        found: FoundDocument,
        interval: Interval,
    ) -> Result<Progress, FetchStop> {
        let limits = self.finder.source.limits;
        let options = FilterOptions {
            expected: found.document.expected,
            wanted: self.finder.source.memo_types,
            most: limits.unpacked_bytes().min(self.unpacked),
            is_part: found.document.is_part,
            room: limits.max_bytes,
        };
        let (document, directory) = (found.document, self.finder.directory.to_owned());
        let (read, reports) = blocking(move || unpack(document, options, &directory)).await?;
        self.unpacked = self.unpacked.saturating_sub(read);
        let reports = reports?;
        let (filtered, cost) = (reports.filtered, reports.filtered.cost());
        if filtered.fits && cost <= self.budget {
            self.count(&filtered, filtered.reports);
            let whole = found.over && filtered.whole;
            self.deliver(&reports.file, interval, whole, cost).await?;
            if !filtered.whole {
                return Err(FetchStop::Source(Problem::TooLarge));
            }
            if let Some(validator) = found.validator {
                self.finder.state.validator = Some(validator);
            }
            return Ok(Progress::Done);
        }
        if filtered.fits && filtered.whole && cost <= limits.budget {
            return Ok(Progress::Deferred);
        }
        let (share, directory) = (self.share(interval), self.finder.directory.to_owned());
        let cut = blocking(move || select_within(reports, share, &directory)).await?;
        let (file, passed) = cut?;
        self.count(&filtered, passed.reports);
        self.deliver(&file, interval, false, passed.cost).await?;
        Err(FetchStop::Source(Problem::TooLarge))
    }

    /// The budget for a document that fits into no run: half of what is left, so that
    /// others get their share. If that is less than at the start of a run, the next run
    /// starts with this document.
    fn share(&mut self, interval: Interval) -> u64 {
        let share = self.budget / 2;
        if share < self.finder.source.limits.budget / 2 {
            self.unreached.get_or_insert(interval);
        }
        share
    }

    /// Counts a document of which `passed` reports were passed on.
    fn count(&mut self, filtered: &Filtered, passed: u64) {
        self.counts.reports += passed;
        self.counts.left_out += filtered.reports - passed;
        self.counts.unreadable += filtered.unreadable;
        self.counts.unwanted += filtered.unwanted;
    }

    async fn deliver(
        &mut self,
        file: &std::fs::File,
        interval: Interval,
        whole: bool,
        cost: u64,
    ) -> Result<(), FetchStop> {
        let batch = DeliveryRequest {
            source: &self.finder.source.name,
            interval,
            file,
            whole,
            budget: self.budget,
        };
        let delivery = self.tcnd.deliver(batch).await?;
        if let Delivery::Refused(problem) = delivery {
            return Err(FetchStop::Source(problem));
        }
        self.budget -= cost;
        self.counts.intervals += 1;
        if matches!(delivery, Delivery::Cut) {
            return Err(FetchStop::Source(Problem::TooLarge));
        }
        Ok(())
    }

    /// Delivers the files of a folder that belong to no interval as part of the current
    /// one. The order is random, so that a file's name cannot keep others out.
    async fn deliver_extra_files(
        &mut self,
        folder: &Folder,
        current: Interval,
    ) -> Result<(), FetchStop> {
        let Ok(mut extra_files) = folder.extra_files() else {
            return self.note(Problem::Unreadable);
        };
        if extra_files.ignored > 0 {
            let (ignored, endings) = (extra_files.ignored, &extra_files.endings);
            tracing::info!(
                source = %self.finder.source.name, ignored, ?endings,
                "files in the folder that do not end as reports do are not read"
            );
        }
        if !extra_files.all {
            self.note(Problem::TooLarge)?;
        }
        extra_files.names.shuffle(&mut clock::rng());
        for name in extra_files.names {
            if self.is_spent() {
                return self.note(Problem::TooLarge);
            }
            let passed = match folder.file(&name) {
                Ok(None) => continue,
                Ok(Some(file)) => match self.finder.document_of(file, Expected::Any) {
                    Ok(document) => {
                        let found = FoundDocument::in_folder(document);
                        Box::pin(self.pass_on(found, current)).await
                    }
                    Err(stop) => Err(stop),
                },
                Err(_) => Err(FetchStop::Source(Problem::Unreadable)),
            };
            match passed {
                Ok(Progress::Done) => {}
                Ok(Progress::Deferred) => self.note(Problem::TooLarge)?,
                Err(FetchStop::Source(problem)) => self.note(problem)?,
                Err(FetchStop::Foreign(foreign)) => {
                    tracing::warn!(source = %self.finder.source.name, "a file is not read: {foreign}");
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
) -> Result<T, SyncError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| std::panic::resume_unwind(panic.into_panic()))
}
