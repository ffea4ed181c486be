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

use std::collections::VecDeque;
use std::path::Path;

use rand_core::Rng;
use reqwest::{Client, Url};

use super::folder::Folder;
use super::http::{self, Answer, NoAnswer};
use super::memory::{Remembered, Validator};
use super::problem::Problem;
use super::tcnd::{Batch, Delivery, Tcnd};
use super::unpack::{Document, Packing, Reports, Unfit, unpack, within};
use super::{Fault, clock};
use crate::engine::UnixTime;
use crate::exchange::backoff::Backoff;
use crate::exchange::interval::Interval;
use crate::exchange::sieve::Expected;
use crate::exchange::source::{Ending, Place, ServerUrl, Source};

/// Intervals of one run: fourteen days have 57 at most.
const MOST_INTERVALS: usize = 64;

/// What JSON is asked for as, and a stream of reports.
const JSON: &str = "application/json";
const STREAM: &str = "application/octet-stream";

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
    exposures: u64,
}

/// The source under one of its three faces.
enum Opened {
    CoepiV4(Client, ServerUrl),
    Mirror(Client, ServerUrl, Option<Ending>),
    Folder(Folder),
}

/// What a source has for an interval.
enum Found {
    Document(Document, Option<Validator>),
    Unchanged,
    Absent,
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
    /// It is to be tried again behind the others.
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

impl From<NoAnswer> for Stop {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Source(problem) => Self::Source(problem),
            NoAnswer::Machine(fault) => Self::Run(fault),
        }
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
            exposures,
        } = self.counted;
        tracing::info!(
            source = %self.source.name, intervals, unchanged, absent, reports, unreadable,
            unwanted, exposures, "gone through"
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
                Ok(Gone::Through) => {}
                Ok(Gone::Back) => queue.push_back((interval, true)),
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

    fn open(&self) -> Result<Opened, Problem> {
        let client = || http::client(&self.source.limits);
        Ok(match &self.source.place {
            Place::CoepiV4(server) => Opened::CoepiV4(client()?, server.clone()),
            Place::Mirror(server) => Opened::Mirror(client()?, server.clone(), None),
            Place::Folder(path) => {
                Opened::Folder(Folder::open(path).map_err(|_| Problem::Unreadable)?)
            }
        })
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

    async fn find(&mut self, opened: &mut Opened, turn: Turn) -> Result<Found, Stop> {
        match opened {
            Opened::CoepiV4(client, server) => {
                let url = server.coepi(turn.interval);
                match self.get(client, url, Expected::JsonArray, turn).await? {
                    // Its servers answer for every interval there may be.
                    Found::Absent => Err(Stop::Source(Problem::Refused(None))),
                    found @ (Found::Document(..) | Found::Unchanged) => Ok(found),
                }
            }
            Opened::Mirror(client, server, known) => {
                for (ending, expected) in [
                    (Ending::Tcn, Expected::Stream),
                    (Ending::Json, Expected::JsonArray),
                ] {
                    if known.is_some_and(|known| known != ending) {
                        continue;
                    }
                    let url = server.mirror(turn.interval, ending);
                    match self.get(client, url, expected, turn).await? {
                        Found::Absent => {}
                        found @ (Found::Document(..) | Found::Unchanged) => {
                            *known = Some(ending);
                            return Ok(found);
                        }
                    }
                }
                Ok(Found::Absent)
            }
            Opened::Folder(folder) => {
                let found = folder.interval(turn.interval);
                let found = found.map_err(|_| Stop::Source(Problem::Unreadable))?;
                found.map_or(Ok(Found::Absent), |((file, length), expected)| {
                    self.charge(length)?;
                    let packing = Packing::Plain;
                    Ok(Found::Document(
                        Document {
                            file,
                            packing,
                            expected,
                        },
                        None,
                    ))
                })
            }
        }
    }

    /// Asks a server for an interval. Only for one that is not over it is asked
    /// whether anything changed: the last word is fetched in any case.
    async fn get(
        &mut self,
        client: &Client,
        url: Url,
        expected: Expected,
        turn: Turn,
    ) -> Result<Found, Stop> {
        let address = url.to_string();
        let tag = self.remembered.tag(turn.interval, &address);
        let tag = tag.filter(|_| !turn.whole);
        let accept = if expected == Expected::Stream {
            STREAM
        } else {
            JSON
        };
        let most = self.source.limits.max_bytes.min(self.bytes);
        let answer = http::get(client, url, accept, tag, most, self.directory).await;
        let got = match answer {
            Ok(Answer::Document(got)) => got,
            Ok(Answer::Unchanged) => return Ok(Found::Unchanged),
            Ok(Answer::Absent) => return Ok(Found::Absent),
            Err(NoAnswer::Source(Problem::TooLarge)) => {
                self.bytes = self.bytes.saturating_sub(most);
                return Err(Stop::Source(Problem::TooLarge));
            }
            Err(none) => return Err(none.into()),
        };
        self.charge(got.bytes)?;
        if expected == Expected::Stream && !got.delimited {
            return Err(Stop::Source(Problem::WrongAnswer));
        }
        let validator = got.tag.filter(|_| !turn.whole).map(|tag| Validator {
            interval: turn.interval.number(),
            url: address,
            tag,
        });
        let document = Document {
            file: got.file,
            packing: got.packing,
            expected,
        };
        Ok(Found::Document(document, validator))
    }

    /// Takes so many bytes from what may be fetched.
    fn charge(&mut self, bytes: u64) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_sub(bytes);
        if bytes > self.source.limits.max_bytes {
            return Err(Stop::Source(Problem::TooLarge));
        }
        Ok(())
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
        if !turn.late {
            return Ok(Gone::Back);
        }
        if cost <= limits.budget {
            // The next run has a budget of its own.
            return Ok(Gone::Through);
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
            Delivery::Taken(imported) => {
                self.budget -= cost;
                self.counted.intervals += 1;
                self.counted.exposures += imported.new_exposures;
                Ok(())
            }
            Delivery::Refused(problem) => Err(Stop::Source(problem)),
        }
    }

    /// The files of a folder that belong to no interval go with the current one.
    async fn loose(&mut self, folder: &Folder, current: Interval) -> Result<(), Stop> {
        let Ok((names, all)) = folder.loose() else {
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
        for name in names {
            if self.bytes == 0 {
                break;
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
                Ok(_) => {}
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
