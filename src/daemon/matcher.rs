//! Reports of others against the contact log: which name contacts, and what is
//! kept of those.
//!
//! ```text
//!   log ──pages──▶ index ─┐
//!   slice of reports ──▶ match ──▶ verify what matched ──▶ the contacts named ──▶ store
//! ```
//!
//! The index holds numbers only. Reports are never held beyond their slice, but for
//! those that name contacts, so memory stays within the index and a few megabytes.
//! The bounds here on what is kept are not told to the source of the reports.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tcn_engine::Contact;
use tcn_matching::{
    Budget, Finding, Index, IndexBuilder, MatchOutcome, MatchingError, Secret, match_reports,
};
use tcn_protocol::{Memo, ReportDigest, SignedReport, TemporaryContactNumber, UnixTime};
use tcnd_client::proxy::ImportCounts;
use tokio::runtime::Handle as Runtime;

use super::refusal::Refusal;
use super::rng;
use crate::exposure::{Rule, exposures};
use crate::store::{Cursor, NewMatch, Recorded, SourceId, Store};

/// Contacts read at a time.
const PAGE: u32 = 4096;

/// Reports of one file that may name contacts: more people than a person meets, and
/// no more than a hostile one can make of the numbers we heard of it.
const MOST_NAMING: u64 = 4096;

/// Matches kept in one transaction.
const BATCH: usize = 64;

/// Numbers named by reports that may wait for their contacts to be read, and
/// contacts read for them: as many as the store keeps.
const MOST_NAMED: usize = 1 << 16;

/// Threads at most; of several cores one is left to the radio.
const MOST_THREADS: usize = 4;

/// Where reports come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: SourceId,
    /// For people.
    pub(super) label: String,
    /// By when they were public, as it tells.
    pub(super) published: UnixTime,
    /// When they came.
    pub(super) received: UnixTime,
    /// Whether what it tells has to be remembered here; it is already, of a
    /// delivery.
    pub(super) remember: bool,
}

/// What ends work on reports early.
#[derive(Clone, Default)]
pub(super) struct StopFlags {
    /// Nothing may be written any more: a wipe, or the end of the daemon.
    pub(super) stop: Arc<AtomicBool>,
    /// The client does not wait for the rest; what was read so far counts.
    pub(super) cancelled: Arc<AtomicBool>,
}

impl StopFlags {
    /// Whether the work is to end now.
    pub(super) fn are_set(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.cancelled.load(Ordering::Acquire)
    }
}

impl From<Arc<AtomicBool>> for StopFlags {
    /// Work whose client still waits.
    fn from(stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }
}

/// Matches reports of one origin after another.
pub(super) struct Matcher {
    store: Store,
    runtime: Runtime,
    ends: StopFlags,
    index: Index,
    origin: Origin,
    named: Vec<Named>,
    /// Reports of this origin that named contacts so far.
    naming: u64,
    matched: ImportCounts,
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

/// The numbers of the log that a report names.
type Heard = Vec<TemporaryContactNumber>;

impl Matcher {
    /// Reads the log. `ends` ends all work early.
    pub(super) fn new(
        store: Store,
        runtime: Runtime,
        ends: impl Into<StopFlags>,
        origin: Origin,
    ) -> Result<Self, Refusal> {
        let mut index = IndexBuilder::new(Secret::generate(&mut rng::system()));
        each_page(&store, &runtime, |page| {
            let numbers = page.iter().map(|contact| contact.tcn);
            index.extend(numbers).map_err(refusal)
        })?;
        Ok(Self {
            store,
            runtime,
            ends: ends.into(),
            index: index.build(),
            origin,
            named: Vec::new(),
            naming: 0,
            matched: ImportCounts::default(),
        })
    }

    /// Goes on with reports of another origin.
    pub(super) fn turn_to(&mut self, origin: Origin) {
        self.origin = origin;
        self.named = Vec::new();
        self.naming = 0;
        self.matched = ImportCounts::default();
    }

    /// Matches reports of this origin.
    pub(super) fn look(
        &mut self,
        slice: &[SignedReport],
        budget: &mut Budget,
    ) -> Result<(), Refusal> {
        let ends = self.ends.clone();
        let stopped = || ends.are_set();
        let findings =
            match_reports(&self.index, slice, budget, threads(), stopped).map_err(refusal)?;
        let mut heard: BTreeMap<usize, Heard> = BTreeMap::new();
        let mut looked_at = vec![self.origin.remember; slice.len()];
        for Finding { position, outcome } in findings {
            looked_at[position] = false;
            match outcome {
                MatchOutcome::Heard(numbers) if self.naming < MOST_NAMING => {
                    self.naming += 1;
                    looked_at[position] = true;
                    let numbers = numbers.numbers.into_iter().map(|(_, tcn)| tcn);
                    heard.insert(position, numbers.collect());
                }
                MatchOutcome::Refused(_) => self.matched.bad_signature += 1,
                MatchOutcome::Heard(_) | MatchOutcome::BeyondBudget => self.matched.too_large += 1,
            }
        }
        let positions: Vec<usize> = (0..slice.len()).filter(|at| looked_at[*at]).collect();
        let published_before = self.published_before(slice, &positions)?;
        for (at, published_before) in positions.into_iter().zip(published_before) {
            *match published_before {
                Some(_) => &mut self.matched.duplicate,
                None => &mut self.matched.accepted,
            } += 1;
            if let Some(numbers) = heard.remove(&at) {
                self.name(&slice[at], published_before, numbers)?;
            }
        }
        Ok(())
    }

    /// By when these reports were public, as their source told before.
    fn published_before(
        &self,
        slice: &[SignedReport],
        positions: &[usize],
    ) -> Result<Vec<Option<UnixTime>>, Refusal> {
        let digests = positions.iter().map(|at| slice[*at].claim().digest());
        let digests = digests.collect();
        let Origin {
            source, published, ..
        } = self.origin;
        let published_before = if self.origin.remember {
            let now = self.origin.received;
            let remember = self.store.remember_reports(source, digests, published, now);
            self.runtime.block_on(remember)?
        } else {
            self.runtime
                .block_on(self.store.earliest_published(source, digests))?
        };
        Ok(published_before)
    }

    fn name(
        &mut self,
        report: &SignedReport,
        published_before: Option<UnixTime>,
        numbers: Heard,
    ) -> Result<(), Refusal> {
        let claim = report.claim();
        let published = self.origin.published;
        self.named.push(Named {
            digest: claim.digest(),
            memo: claim.memo().clone(),
            duplicate: published_before.is_some(),
            // Public since the earliest time that this source told.
            published: published_before.map_or(published, |before| before.min(published)),
            numbers,
        });
        let named: usize = self.named.iter().map(|named| named.numbers.len()).sum();
        if named < MOST_NAMED {
            return Ok(());
        }
        self.settle()
    }

    /// Keeps what is left of this origin; what became of all of it.
    pub(super) fn finish(&mut self) -> Result<ImportCounts, Refusal> {
        self.settle()?;
        Ok(self.matched)
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
            let found = batch.map(|(named, contacts)| self.found(named, contacts));
            let found = found.collect();
            self.keep(found)?;
        }
        Ok(())
    }

    /// How many exposures a report means, and what to keep of it: no contact if all
    /// of them began after it was public, for anyone may have sent its numbers
    /// then.
    fn found(&mut self, named: Named, contacts: Vec<Contact>) -> (Meaning, NewMatch) {
        let begun = contacts.iter().map(|contact| (contact.start, contact.tcn));
        let mut begun: Vec<_> = begun.collect();
        let meaning = Meaning {
            duplicate: named.duplicate,
            exposures: exposures(Rule::STANDARD, contacts, named.published).len() as u64,
        };
        if meaning.exposures == 0 {
            self.matched.heard_later += 1;
            begun.clear();
        }
        let found = NewMatch {
            digest: named.digest,
            memo: named.memo,
            source: self.origin.source,
            label: self.origin.label.clone(),
            published: named.published,
            received: self.origin.received,
            contacts: begun,
        };
        (meaning, found)
    }

    fn keep(&mut self, batch: Vec<(Meaning, NewMatch)>) -> Result<(), Refusal> {
        let (meanings, found): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let recorded = self.runtime.block_on(self.store.record_matches(found))?;
        let matched = &mut self.matched;
        for (meaning, recorded) in meanings.into_iter().zip(recorded) {
            match recorded {
                Recorded::New => matched.new_exposures += meaning.exposures,
                Recorded::Updated => {
                    matched.updated += 1;
                    matched.known += 1;
                }
                Recorded::Known => matched.known += 1,
                Recorded::ContactsGone => {}
                Recorded::OverQuota => {
                    matched.too_large += 1;
                    *match meaning.duplicate {
                        true => &mut matched.duplicate,
                        false => &mut matched.accepted,
                    } -= 1;
                }
            }
        }
        Ok(())
    }
}

/// What a report that names contacts comes to.
struct Meaning {
    duplicate: bool,
    exposures: u64,
}

fn each_page(
    store: &Store,
    runtime: &Runtime,
    mut visit: impl FnMut(&[Contact]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut cursor = Cursor::since(UnixTime(0));
    loop {
        let page = runtime.block_on(store.contacts(cursor, PAGE))?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        cursor = Cursor::behind(last);
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
