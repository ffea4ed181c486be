//! One import: a file of reports that a person brings, against the contact log.
//!
//! Reports are taken in slices and matched ([`matcher`](super::matcher)). Work is
//! bounded: a file gets a [`BUDGET`] of numbers and [`MOST_REPORTS`] reports, and those past
//! them are counted as too large and not looked at.

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tcn_matching::Budget;
use tcn_protocol::file::{FileError, Item};
use tcn_protocol::{SignedReport, UnixTime};
use tcnd_client::proxy::ImportCounts;
use tokio::runtime::Handle as Runtime;
use tokio::sync::oneshot;

use super::clock;
use super::matcher::{Matcher, Origin, StopFlags};
use super::refusal::Refusal;
use super::thread;
use crate::store::{SourceId, Store};

/// Numbers that one source may have us compute: 8000 reports of the greatest
/// length, or 20 million of six hours. Some 50 seconds of one core, more on a
/// small machine.
pub const BUDGET: u64 = 500_000_000;

/// Bytes read of one source: 2 GiB, 15 million reports. White space without end
/// is no work for the budget, but it is for the reader.
pub(super) const MOST_BYTES: u64 = 2 << 30;

/// How long a source may take to be read: others wait for their turn.
const LONGEST: Duration = Duration::from_secs(1800);

/// Reports matched at a time; the radio's thread may need the core meanwhile.
pub(super) const SLICE: usize = 256;

/// Reports of one source that are looked at: a country of a hundred thousand a
/// day for ten days. What is remembered of each takes some thirty bytes of disk.
pub(super) const MOST_REPORTS: u64 = 1 << 20;

/// What shall be imported.
pub struct Import {
    /// The bytes, in any format of report files.
    pub source: Box<dyn Read + Send>,
    /// A label for people, at most [`printable::MAX_TEXT`] bytes.
    pub label: String,
    /// By when its reports were public; `None` is now, and nothing is later:
    /// they are in our hands.
    pub published: Option<UnixTime>,
    /// Numbers it may have us compute; [`BUDGET`] unless there is a reason.
    pub budget: u64,
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").finish_non_exhaustive()
    }
}

/// Starts an import on a thread of its own; `ends` ends it early.
pub(super) fn start(
    import: Import,
    store: Store,
    now: UnixTime,
    ends: StopFlags,
) -> oneshot::Receiver<Result<ImportCounts, Refusal>> {
    let runtime = Runtime::current();
    thread::spawn("import", move || {
        let result = Work::new(&import, store, runtime, now, ends.clone())
            .and_then(|work| work.run(import.source));
        let stopped = ends.stop.load(Ordering::Acquire);
        result.map_err(|refusal| if stopped { Refusal::Stopped } else { refusal })
    })
}

struct Work {
    matcher: Matcher,
    ends: StopFlags,
    budget: Budget,
    slice: Vec<SignedReport>,
    /// Reports taken so far.
    reports: u64,
    imported: ImportCounts,
}

impl Work {
    fn new(
        import: &Import,
        store: Store,
        runtime: Runtime,
        now: UnixTime,
        ends: StopFlags,
    ) -> Result<Self, Refusal> {
        let origin = Origin {
            source: SourceId::FILES,
            label: import.label.clone(),
            published: import.published.map_or(now, |at| at.min(now)),
            received: now,
            remember: true,
        };
        Ok(Self {
            matcher: Matcher::new(store, runtime, ends.clone(), origin)?,
            ends,
            budget: Budget {
                numbers: import.budget,
            },
            slice: Vec::with_capacity(SLICE),
            reports: 0,
            imported: ImportCounts::default(),
        })
    }

    fn run(mut self, source: impl Read) -> Result<ImportCounts, Refusal> {
        let mut source = Stoppable::new(source, self.ends.clone());
        let read = thread::read_items(&mut source, |item| self.take(item));
        // What was whole before the source broke off, or the client left,
        // counts all the same.
        let looked = match &read {
            Ok(_) => self.look_at_slice(),
            Err(refusal) => Err(refusal.clone()),
        };
        if !matches!(looked, Ok(()) | Err(Refusal::Stopped)) {
            return looked.map(|()| self.imported);
        }
        self.settle()?;
        looked?;
        match read? {
            _ if source.is_too_long() => Err(Refusal::Unreadable(
                "it has more than 2 GiB; what was read counts, split it and import the rest",
            )),
            Ok(()) => Ok(self.imported),
            Err(FileError::Empty) => Err(Refusal::Unreadable(
                "there is no report in it; check that the file was written completely",
            )),
            Err(FileError::Foreign(foreign)) => Err(Refusal::Unreadable(foreign.text())),
            Err(FileError::Packing) => Err(Refusal::Unreadable(
                "it is packed with gzip and breaks off or is damaged; what was read counts, get \
                 the file again",
            )),
            Err(FileError::TooLarge) => Err(Refusal::Unreadable(
                "more than 2 GiB come out of it; what was read counts, split it and import the \
                 rest",
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
        self.matcher.look(&slice, &mut self.budget)
    }

    fn settle(&mut self) -> Result<(), Refusal> {
        let matched = self.matcher.finish()?;
        self.imported = ImportCounts {
            malformed: self.imported.malformed,
            too_large: self.imported.too_large + matched.too_large,
            ..matched
        };
        Ok(())
    }
}

/// A source that ends when the daemon does, and in any case.
pub(super) struct Stoppable<R> {
    source: io::Take<R>,
    early: StopFlags,
    /// On the boot-time clock.
    ends: Duration,
}

impl<R: Read> Stoppable<R> {
    pub(super) fn new(source: R, early: impl Into<StopFlags>) -> Self {
        Self {
            source: source.take(MOST_BYTES + 1),
            early: early.into(),
            ends: clock::now().boot + LONGEST,
        }
    }

    /// Whether there were more bytes than are read of one source.
    pub(super) fn is_too_long(&self) -> bool {
        self.source.limit() == 0
    }
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.early.are_set() {
            return Err(io::ErrorKind::Other.into());
        }
        if clock::now().boot > self.ends {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.source.read(buffer)
    }
}
