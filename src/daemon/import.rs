//! One import: a stream of reports against the whole contact log.
//!
//! ```text
//!   log ──pages──▶ index ─┐
//!   source ──slices──▶ match ──▶ verify what matched ──▶ the contacts named ──▶ store
//! ```
//!
//! Reports are taken in slices and never held beyond their slice, but for
//! those that named us; the index holds numbers only. Whatever the size of the
//! source, memory stays within the index and a few megabytes. Work is bounded
//! too: a source gets a [`BUDGET`] of numbers and so many reports, and those past
//! it are counted as too large and looked at no more.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::oneshot;

use super::{Refusal, chance, clock};
use crate::engine::{Contact, UnixTime};
use crate::exchange::file::{self, FileError, Item};
use crate::exposure::{Rule, exposures};
use crate::matching::{
    Budget, Finding, Index, IndexBuilder, MatchingError, Outcome, Secret, match_reports,
};
use crate::protocol::{Memo, ReportDigest, SignedReport, TemporaryContactNumber};
use crate::store::{NewMatch, Place, Recorded, Store};

/// Numbers that one source may have us compute: 8000 reports of the greatest
/// length, or 20 million of six hours. Some 50 seconds of one core, more on a
/// small machine.
pub const BUDGET: u64 = 500_000_000;

/// Bytes read of one source: 2 GiB, 15 million reports. White space without end
/// is no work for the budget, but it is for the reader.
const MOST_BYTES: u64 = 2 << 30;

/// How long a source may take to be read: others wait for their turn.
const LONGEST: Duration = Duration::from_secs(1800);

/// Reports matched at a time; the radio's thread may need the core meanwhile.
const SLICE: usize = 256;

/// Contacts read at a time.
const PAGE: u32 = 4096;

/// Reports of one source that are looked at: a country of a hundred thousand a
/// day for ten days. What is remembered of each takes some thirty bytes of disk.
const MOST_REPORTS: u64 = 1 << 20;

/// Reports of one source that may name us: more people than anybody meets, and
/// no more than a hostile one can make of the numbers we heard of it.
const MOST_NAMING: u64 = 4096;

/// Matches kept in one transaction.
const BATCH: usize = 64;

/// Numbers named by reports that may wait for their contacts to be read, and
/// contacts read for them: as many as the store keeps.
const MOST_NAMED: usize = 1 << 16;

/// Threads at most; of several cores one is left to the radio.
const MOST_THREADS: usize = 4;

/// What shall be imported.
pub struct Import {
    /// The bytes, in any format of report files.
    pub source: Box<dyn Read + Send>,
    /// A label for people, at most [`LONGEST_LABEL`] bytes.
    pub label: String,
    /// By when its reports were public; `None` is now, and nothing is later:
    /// they are in our hands.
    pub published: Option<UnixTime>,
    /// Numbers it may have us compute; [`BUDGET`] unless there is a reason.
    pub budget: u64,
    /// No report at all is no fault of it.
    pub may_be_empty: bool,
}

/// Longest label, in bytes.
pub const LONGEST_LABEL: usize = 256;

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").finish_non_exhaustive()
    }
}

/// What became of the items of a source; every item is in one of the first
/// five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Looked at for the first time.
    pub accepted: u64,
    /// Looked at before.
    pub duplicate: u64,
    /// Named a number of our log, with a signature that does not hold. Others'
    /// signatures are not looked at: they say nothing to us.
    pub bad_signature: u64,
    /// No report.
    pub malformed: u64,
    /// Past the work, or the room, that one source may take.
    pub too_large: u64,
    /// Exposures nobody knew of.
    pub new_exposures: u64,
    /// Reports that were known, and of which more is known now.
    pub updated: u64,
}

/// Starts an import on a thread of its own; `stop` ends it early.
pub(super) fn start(
    import: Import,
    store: Store,
    now: UnixTime,
    stop: Arc<AtomicBool>,
) -> oneshot::Receiver<Result<Imported, Refusal>> {
    let (answer, answered) = oneshot::channel();
    let runtime = Runtime::current();
    let work = move || {
        let result = Work::new(&import, store, runtime, now, Arc::clone(&stop))
            .and_then(|work| work.run(import.source));
        let stopped = stop.load(Ordering::Acquire);
        let _ =
            answer.send(result.map_err(|refusal| if stopped { Refusal::Stopped } else { refusal }));
    };
    if let Err(fault) = std::thread::Builder::new()
        .name("import".to_owned())
        .spawn(work)
    {
        tracing::error!(%fault, "no thread for an import");
    }
    answered
}

struct Work {
    store: Store,
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    index: Index,
    budget: Budget,
    now: UnixTime,
    published: UnixTime,
    label: String,
    may_be_empty: bool,
    slice: Vec<SignedReport>,
    named: Vec<Named>,
    /// Reports taken so far, and those of them that named us.
    reports: u64,
    naming: u64,
    imported: Imported,
}

/// A report that names numbers of our log, and whose signature holds.
struct Named {
    digest: ReportDigest,
    memo: Memo,
    published: UnixTime,
    /// Looked at before.
    duplicate: bool,
    numbers: Vec<TemporaryContactNumber>,
}

impl Work {
    fn new(
        import: &Import,
        store: Store,
        runtime: Runtime,
        now: UnixTime,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Refusal> {
        let mut index = IndexBuilder::new(Secret::generate(&mut chance::source()));
        each_page(&store, &runtime, |page| {
            let numbers = page.iter().map(|contact| contact.tcn);
            index.extend(numbers).map_err(refusal)
        })?;
        Ok(Self {
            index: index.build(),
            budget: Budget {
                numbers: import.budget,
            },
            now,
            published: import.published.map_or(now, |at| at.min(now)),
            label: import.label.clone(),
            may_be_empty: import.may_be_empty,
            store,
            runtime,
            stop,
            slice: Vec::with_capacity(SLICE),
            named: Vec::new(),
            reports: 0,
            naming: 0,
            imported: Imported::default(),
        })
    }

    fn run(mut self, source: impl Read) -> Result<Imported, Refusal> {
        let mut failed = None;
        let mut source = Stoppable {
            source: source.take(MOST_BYTES + 1),
            stop: Arc::clone(&self.stop),
            ends: clock::now().boot + LONGEST,
        };
        let read = file::read(&mut source, |_, item| match self.take(item) {
            Ok(()) => ControlFlow::Continue(()),
            Err(refusal) => {
                failed = Some(refusal);
                ControlFlow::Break(())
            }
        });
        if let Some(refusal) = failed {
            return Err(refusal);
        }
        // What was whole before the source broke off counts all the same.
        self.look_at_slice()?;
        self.settle()?;
        match read {
            _ if source.source.limit() == 0 => Err(Refusal::Unreadable(
                "it has more than 2 GiB; what was read counts, split it and import the rest",
            )),
            Ok(_) => Ok(self.imported),
            Err(FileError::Empty) if self.may_be_empty => Ok(self.imported),
            Err(FileError::Empty) => Err(Refusal::Unreadable(
                "there is no report in it; check that the file was written completely",
            )),
            Err(_) => Err(Refusal::Unreadable(
                "it could not be read to its end; what was read counts, import it again",
            )),
        }
    }

    fn take(&mut self, item: Item) -> Result<(), Refusal> {
        match item {
            Ok(_) if self.reports == MOST_REPORTS => self.imported.too_large += 1,
            Ok(report) => {
                self.reports += 1;
                self.slice.push(report);
            }
            Err(_) => self.imported.malformed += 1,
        }
        if self.slice.len() < SLICE {
            return Ok(());
        }
        self.look_at_slice()
    }

    fn look_at_slice(&mut self) -> Result<(), Refusal> {
        let slice = std::mem::take(&mut self.slice);
        let stop = Arc::clone(&self.stop);
        let findings = match_reports(&self.index, &slice, &mut self.budget, threads(), || {
            stop.load(Ordering::Acquire)
        })
        .map_err(refusal)?;
        let mut heard = BTreeMap::new();
        let mut looked_at = vec![true; slice.len()];
        for Finding { position, outcome } in findings {
            match outcome {
                Outcome::Heard(numbers) if self.naming < MOST_NAMING => {
                    self.naming += 1;
                    heard.insert(position, numbers.numbers);
                    continue;
                }
                Outcome::Refused(_) => self.imported.bad_signature += 1,
                Outcome::Heard(_) | Outcome::BeyondBudget => self.imported.too_large += 1,
            }
            looked_at[position] = false;
        }
        let looked_at = slice.iter().enumerate().filter(|(at, _)| looked_at[*at]);
        let (places, digests): (Vec<_>, Vec<_>) = looked_at
            .map(|(at, report)| (at, report.claim().digest()))
            .unzip();
        let look = self.store.look_at(digests, self.published, self.now);
        let told = self.runtime.block_on(look)?;
        for (at, told) in places.into_iter().zip(told) {
            *match told {
                Some(_) => &mut self.imported.duplicate,
                None => &mut self.imported.accepted,
            } += 1;
            let Some(numbers) = heard.remove(&at) else {
                continue;
            };
            let claim = slice[at].claim();
            self.named.push(Named {
                digest: claim.digest(),
                memo: claim.memo().clone(),
                duplicate: told.is_some(),
                // Public since the first time anybody told, whoever tells now.
                published: told.map_or(self.published, |told| told.min(self.published)),
                numbers: numbers.into_iter().map(|(_, tcn)| tcn).collect(),
            });
            self.settle_if_many()?;
        }
        Ok(())
    }

    fn settle_if_many(&mut self) -> Result<(), Refusal> {
        let named: usize = self.named.iter().map(|named| named.numbers.len()).sum();
        if named < MOST_NAMED {
            return Ok(());
        }
        self.settle()
    }

    /// Reads the contacts that the reports so far have named, and keeps both.
    fn settle(&mut self) -> Result<(), Refusal> {
        let named = std::mem::take(&mut self.named);
        if named.is_empty() {
            return Ok(());
        }
        let mut wanted: BTreeMap<TemporaryContactNumber, Vec<usize>> = BTreeMap::new();
        for (report, named) in named.iter().enumerate() {
            for number in &named.numbers {
                wanted.entry(*number).or_default().push(report);
            }
        }
        let mut contacts: Vec<Vec<Contact>> = vec![Vec::new(); named.len()];
        let mut room = MOST_NAMED;
        each_page(&self.store, &self.runtime, |page| {
            for contact in page {
                let reports = wanted.get(&contact.tcn).map_or(&[][..], Vec::as_slice);
                for report in &reports[..reports.len().min(room)] {
                    room -= 1;
                    contacts[*report].push(*contact);
                }
            }
            Ok(())
        })?;
        let mut all = named.into_iter().zip(contacts).peekable();
        while all.peek().is_some() {
            let batch = all.by_ref().take(BATCH);
            let found = batch.filter_map(|(named, contacts)| self.found(named, contacts));
            let found = found.collect();
            self.keep(found)?;
        }
        Ok(())
    }

    /// How many exposures a report means, and what to keep of it; `None` if
    /// its numbers were heard only after it was public: anyone may have sent
    /// them.
    fn found(&self, named: Named, contacts: Vec<Contact>) -> Option<(Meaning, NewMatch)> {
        let begun = contacts.iter().map(|contact| (contact.start, contact.tcn));
        let begun = begun.collect();
        let meaning = Meaning {
            duplicate: named.duplicate,
            exposures: exposures(Rule::STANDARD, contacts, named.published).len() as u64,
        };
        let found = NewMatch {
            digest: named.digest,
            memo: named.memo,
            source: self.label.clone(),
            published: named.published,
            received: self.now,
            contacts: begun,
        };
        (meaning.exposures > 0).then_some((meaning, found))
    }

    fn keep(&mut self, batch: Vec<(Meaning, NewMatch)>) -> Result<(), Refusal> {
        let (meanings, found): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let recorded = self.runtime.block_on(self.store.record_matches(found))?;
        for (meaning, recorded) in meanings.into_iter().zip(recorded) {
            match recorded {
                Recorded::New => self.imported.new_exposures += meaning.exposures,
                Recorded::Updated => self.imported.updated += 1,
                Recorded::Known | Recorded::Gone => {}
                Recorded::Crowded => {
                    self.imported.too_large += 1;
                    *match meaning.duplicate {
                        true => &mut self.imported.duplicate,
                        false => &mut self.imported.accepted,
                    } -= 1;
                }
            }
        }
        Ok(())
    }
}

/// What a report that names us comes to.
struct Meaning {
    duplicate: bool,
    exposures: u64,
}

/// A source that ends when the daemon does, and in any case.
struct Stoppable<R> {
    source: R,
    stop: Arc<AtomicBool>,
    /// On the boot-time clock.
    ends: Duration,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Acquire) {
            return Err(io::ErrorKind::Other.into());
        }
        if clock::now().boot > self.ends {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.source.read(buffer)
    }
}

fn each_page(
    store: &Store,
    runtime: &Runtime,
    mut visit: impl FnMut(&[Contact]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut place = Place::since(UnixTime(0));
    loop {
        let page = runtime.block_on(store.contacts(place, PAGE))?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        place = Place::behind(last);
        visit(&page)?;
    }
}

fn refusal(error: MatchingError) -> Refusal {
    match error {
        MatchingError::Stopped => Refusal::Stopped,
        MatchingError::IndexFull { .. } => Refusal::InUse(
            "the contact log holds more numbers than can be matched at once; erase some of it",
        ),
    }
}

fn threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((cores - 1).min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN)
}
