//! Matches reports against an index, within a budget.
//!
//! Workers draw reports from one queue, so that long and short ones even out, and each
//! verifies the matches among its own. The result depends on the reports alone: neither
//! on the number of workers nor on their speed.

use std::collections::BTreeMap;
use std::fmt;
use std::iter;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tcn_protocol::{RatchetIndex, Report, ReportError, SignedReport, TemporaryContactNumber};

use super::{Index, MatchingError, expand};
use crate::cost;

/// How much work reports may still cause, counted in numbers. One number is three
/// compressions of SHA-256, about 0.1 µs where the processor has instructions for it
/// and 1 µs where not. [`cost::report`] defines the cost of a report, as it does
/// wherever a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Numbers left.
    pub numbers: u64,
}

impl Budget {
    /// Subtracts the cost of a report, if that much is left.
    fn pay(&mut self, report: &SignedReport) -> bool {
        let left = self.numbers.checked_sub(cost::report(report));
        left.map(|left| self.numbers = left).is_some()
    }
}

/// The result for one report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The position of the report among those given.
    pub position: usize,
    /// The outcome for the report.
    pub outcome: MatchOutcome,
}

/// The outcome for a report, where it is not simply "no match".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchOutcome {
    /// It names numbers we heard, and its signature is valid.
    Heard(Heard),
    /// It names numbers we heard, but its signature is invalid.
    Refused(ReportError),
    /// The budget did not suffice: the report was not examined.
    BeyondBudget,
}

/// The numbers of one report that were heard.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// By rising index, the first [`Heard::MOST`] of them.
    pub numbers: Vec<(RatchetIndex, TemporaryContactNumber)>,
    /// How many there are.
    pub count: u16,
}

impl Heard {
    /// How many numbers are kept of one report: three weeks without pause, at one
    /// number per quarter of an hour. They take 36 KB.
    pub const MOST: usize = 2048;

    fn add(&mut self, index: RatchetIndex, number: TemporaryContactNumber) {
        self.count += 1;
        if self.numbers.len() < Self::MOST {
            self.numbers.push((index, number));
        }
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Finds the reports whose numbers are in `index`, and verifies those.
///
/// Findings come by rising position. A report without a finding names nothing we heard.
/// The findings equal those of verifying every report first and expanding the valid
/// ones, except that a bad signature is noticed only where it would matter.
///
/// A report costs what [`cost::report`] says, whether it matches or not. It is paid for
/// before anything is computed, in the order of `reports`. So the rest of the budget
/// reveals nothing of the index, and no match stays unverified for want of budget. A
/// report that costs more than is left is [`MatchOutcome::BeyondBudget`]; a later one
/// may be cheaper. Pass long files in slices of some hundred reports, with the same
/// budget: at most 36 KB per report of the slice are held.
///
/// `threads` is how many may work at once, the caller included; fewer do when there is
/// little work. Every thread calls `stop` every few thousand numbers and before each
/// signature.
///
/// # Errors
/// [`MatchingError::Stopped`] when `stop` says so. The budget is spent then.
pub fn match_reports(
    index: &Index,
    reports: &[SignedReport],
    budget: &mut Budget,
    threads: NonZeroUsize,
    stop: impl Fn() -> bool + Sync,
) -> Result<Vec<Finding>, MatchingError> {
    let mut findings = Vec::new();
    let mut queue = Vec::new();
    let mut numbers = 0;
    for (position, report) in reports.iter().enumerate() {
        if budget.pay(report) {
            // A report that names no number is paid for, but needs no work.
            if report.claim().count() > 0 {
                queue.push(position);
                numbers += u64::from(report.claim().count());
            }
        } else {
            findings.push(Finding {
                position,
                outcome: MatchOutcome::BeyondBudget,
            });
        }
    }
    let shift = Shift {
        index,
        reports,
        queue: &queue,
        drawn: AtomicUsize::new(0),
        stop: &stop,
    };
    findings.extend(shift.run(crew(threads, numbers))?);
    findings.sort_unstable_by_key(|finding| finding.position);
    Ok(findings)
}

/// Numbers that justify another thread: some milliseconds of work, against the tens of
/// microseconds that starting one takes.
const WORTH_A_THREAD: u64 = 32_768;

fn crew(most: NonZeroUsize, numbers: u64) -> usize {
    let useful = usize::try_from(numbers / WORTH_A_THREAD).unwrap_or(usize::MAX);
    useful.clamp(1, most.get())
}

/// Numbers between two calls of `stop`: a millisecond of work, or a few without SHA
/// instructions.
const BETWEEN_QUESTIONS: usize = 4096;

/// What the workers share.
struct Shift<'a, S> {
    index: &'a Index,
    reports: &'a [SignedReport],
    /// Positions of the reports to examine.
    queue: &'a [usize],
    /// How many of them are taken.
    drawn: AtomicUsize,
    stop: &'a S,
}

impl<S: Fn() -> bool + Sync> Shift<'_, S> {
    /// Runs `crew` workers, one of them on this thread. If the system gives no more
    /// threads, fewer do the same work.
    fn run(&self, crew: usize) -> Result<Vec<Finding>, MatchingError> {
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..crew)
                .map_while(|_| {
                    let helper = thread::Builder::new().name("matching".into());
                    helper.spawn_scoped(scope, || self.work()).ok()
                })
                .collect();
            let mut findings = self.work();
            for helper in helpers {
                let theirs = helper.join().unwrap_or_else(|p| panic::resume_unwind(p));
                findings = findings.and_then(|mut all| {
                    all.extend(theirs?);
                    Ok(all)
                });
            }
            findings
        })
    }

    fn work(&self) -> Result<Vec<Finding>, MatchingError> {
        let heard = self.listen()?;
        let verify = |(position, heard)| {
            self.go_on()?;
            Ok(self.verify(position, heard))
        };
        heard.into_iter().map(verify).collect()
    }

    /// The numbers heard of the reports that this worker draws.
    fn listen(&self) -> Result<BTreeMap<usize, Heard>, MatchingError> {
        let mut heard: BTreeMap<usize, Heard> = BTreeMap::new();
        let mut until_question = BETWEEN_QUESTIONS;
        let visit = |position, index, number| {
            if self.index.contains(&number) {
                note(&mut heard, position, index, number);
            }
            until_question -= 1;
            if until_question == 0 {
                until_question = BETWEEN_QUESTIONS;
                if let Err(stopped) = self.go_on() {
                    return ControlFlow::Break(stopped);
                }
            }
            ControlFlow::Continue(())
        };
        self.go_on()?;
        match expand(self.draw(), visit) {
            ControlFlow::Continue(()) => Ok(heard),
            ControlFlow::Break(stopped) => Err(stopped),
        }
    }

    /// Reports that no other worker has taken, until none are left.
    fn draw(&self) -> impl Iterator<Item = (usize, &Report)> {
        iter::from_fn(|| {
            let next = self.drawn.fetch_add(1, Ordering::Relaxed);
            let position = *self.queue.get(next)?;
            Some((position, self.reports[position].claim()))
        })
    }

    fn verify(&self, position: usize, heard: Heard) -> Finding {
        let outcome = match self.reports[position].clone().verify() {
            Ok(_) => MatchOutcome::Heard(heard),
            Err(error) => MatchOutcome::Refused(error),
        };
        Finding { position, outcome }
    }

    fn go_on(&self) -> Result<(), MatchingError> {
        if (self.stop)() {
            Err(MatchingError::Stopped)
        } else {
            Ok(())
        }
    }
}

/// Adds a number to those heard. It is apart because it is rare: the code for each number
/// stays short.
#[cold]
#[inline(never)]
fn note(
    heard: &mut BTreeMap<usize, Heard>,
    position: usize,
    index: RatchetIndex,
    number: TemporaryContactNumber,
) {
    heard.entry(position).or_default().add(index, number);
}
