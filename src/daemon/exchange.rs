//! The exchange with servers, by way of `tcnd-sync`: what is fetched, what leaves.
//!
//! tcnd has no network. `tcnd-sync` has one, and comes by from time to time: it
//! says which sources it knows, asks what they still owe, hands over what they
//! delivered, and takes what shall be sent. Everything that must not be lost is
//! written here, beside the contacts; so a run may end at any point.
//!
//! Nothing that a run is answered depends on the contacts, and no answer takes
//! longer for them: what is delivered is read and kept here, and matched when the
//! run is over.
//!
//! Nothing about a report of ours makes `tcnd-sync` run, or it would tell every
//! user of the machine that there is one: parts wait for the runs there are
//! anyhow. Only a person who asks for it at once has it run at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tcn_engine::CLOCK_FLOOR;
use tcn_exchange::interval::Interval;
use tcn_exchange::{backfill, upload_schedule};
use tcn_protocol::{SignedReport, UnixTime};
use tokio::sync::{Semaphore, watch};

use super::driver::Driver;
use super::intake::{self, Counted, Delivery, Intake};
use super::match_queue::Matching;
use super::requests::{give, later};
use super::{Refusal, Reply, chance, clock};
use crate::store::{self, NewSource, Source, Store, UploadOutcome};

/// Sources at most.
pub const MOST_SOURCES: usize = 32;

/// Longest reason of a server that is kept, in bytes.
pub const LONGEST_REASON: usize = 256;

/// Runs in a row that have to fail before it is a problem: a train has tunnels.
const FAILURES: u32 = 2;

/// Reports that were not checked for so long are stale.
const STALE: Duration = Duration::from_secs(48 * 3600);

/// What may be asked about the exchange with servers.
#[derive(Debug)]
pub enum ExchangeRequest {
    /// A run of `tcnd-sync`, by this name on the bus, with these sources; answers
    /// whether a person asked for it.
    Begin(Option<String>, Vec<NewSource>, Reply<bool>),
    /// The intervals that a source still owes.
    Pending(String, Reply<Vec<Interval>>),
    /// What a source delivered for an interval.
    Deliver(Delivery, Reply<Counted>),
    /// The next part for a source.
    Take(String, Reply<Option<(u64, SignedReport)>>),
    /// What became of it.
    Settle(u64, Settlement, Reply<()>),
    /// How it went with a source: a token, empty if well.
    Record(String, String, Reply<()>),
    /// The run is over.
    End(Reply<()>),
    /// A person wants a run now.
    Ring(Reply<()>),
}

/// What a server made of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It has it.
    Accepted,
    /// It does not want it, for this reason.
    Refused(String),
    /// It did not get it, for this reason, and wants to be left alone so long.
    Failed(String, Option<Duration>),
}

/// Where the exchange stands. Not for everyone: labels are what a person chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// All sources, by name.
    pub sources: Vec<Source>,
    /// Runs begun since the start.
    pub begun: u64,
    /// Runs ended since the start, well or not.
    pub ended: u64,
    /// Reports that the last run brought which nobody had looked at before.
    pub reports: u64,
    /// Exposures that matching brought since it began.
    pub new_exposures: u64,
    /// What is done about the reports that were delivered.
    pub matching: Matching,
}

impl Standing {
    /// When all sources had been gone through well; `None` if one never was, or
    /// there is none.
    pub fn checked(&self) -> Option<UnixTime> {
        let checked = self.sources.iter().map(|source| source.checked);
        checked.min().flatten()
    }

    /// Whether a source was not gone through well lately.
    pub(super) fn failing(&self) -> bool {
        self.sources
            .iter()
            .any(|source| source.failures >= FAILURES)
    }

    /// Whether what was checked is old. What was checked in the future was checked
    /// by a clock that was ahead: nobody knows when.
    pub(super) fn stale(&self, now: UnixTime) -> bool {
        self.checked()
            .is_some_and(|at| at.after(STALE) <= now || at > now.after(STALE))
    }

    fn source(&self, name: &str) -> Result<&Source, Refusal> {
        let known = |source: &&Source| source.configured.name == name;
        let source = self.sources.iter().find(known);
        source.ok_or(Refusal::NoSuchSource)
    }
}

/// The driver's share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) standing: Arc<watch::Sender<Standing>>,
    news: watch::Receiver<Standing>,
    bell: Bell,
    /// A person asked for a run that has not begun.
    asked: bool,
    run: Option<Run>,
    /// One delivery is read at a time.
    intake: Arc<Semaphore>,
    /// Ends the reading of a delivery.
    stop: Arc<AtomicBool>,
}

/// Where `tcnd-sync` is called from: `tcnd-sync.path` watches this file. There is
/// none where nobody would watch it, as when tcnd was started by hand.
#[derive(Clone, Debug)]
pub(super) struct Bell(Option<PathBuf>);

#[derive(Debug)]
struct Run {
    /// The bus name that began it, if there is a bus.
    owner: Option<String>,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    reports: AtomicU64,
}

impl Bell {
    /// Has systemd start `tcnd-sync`.
    pub(super) fn ring(&self) -> Result<(), Refusal> {
        let file = self.0.as_ref().ok_or(Refusal::NoBell)?;
        std::fs::write(file, "").map_err(|fault| {
            tracing::warn!(%fault, "tcnd-sync could not be called");
            Refusal::NoBell
        })
    }
}

impl Exchange {
    pub(super) fn new(standing: watch::Sender<Standing>, bell: Option<PathBuf>) -> Self {
        Self {
            news: standing.subscribe(),
            standing: Arc::new(standing),
            bell: Bell(bell),
            asked: false,
            run: None,
            intake: Arc::new(Semaphore::new(1)),
            stop: Arc::default(),
        }
    }

    /// Waits until the standing is another.
    pub(super) async fn changed(&mut self) {
        // The sender is ours, so this cannot fail.
        let _ = self.news.changed().await;
    }

    pub(super) fn standing(&self) -> Arc<watch::Sender<Standing>> {
        Arc::clone(&self.standing)
    }

    /// A person asks for a run; the bell to call for it by.
    pub(super) fn ask(&mut self) -> Bell {
        self.asked = true;
        self.bell.clone()
    }

    fn tally(&self) -> Arc<Tally> {
        let run = self.run.as_ref();
        run.map(|run| Arc::clone(&run.tally)).unwrap_or_default()
    }

    /// Whether a person asked for the run that begins.
    fn begin(&mut self, owner: Option<String>) -> Result<bool, Refusal> {
        if self.run.is_some() {
            let busy = "another run of tcnd-sync is under way; wait until it is done";
            return Err(Refusal::InUse(busy));
        }
        let tally = Arc::default();
        self.run = Some(Run { owner, tally });
        self.standing.send_modify(|standing| {
            standing.begun += 1;
            standing.new_exposures = 0;
        });
        Ok(std::mem::take(&mut self.asked))
    }

    /// Whether there was a run to end.
    fn end(&mut self) -> bool {
        let Some(run) = self.run.take() else {
            return false;
        };
        self.standing.send_modify(|standing| {
            standing.ended += 1;
            standing.matching = Matching::Working;
            standing.reports = run.tally.reports.load(Ordering::Relaxed);
        });
        true
    }

    /// Ends the reading of a delivery, if one is under way.
    pub(super) fn end_intake(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) const fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Whether the run under way came by this connection.
    fn is_of(&self, name: &str) -> bool {
        let owner = self.run.as_ref().and_then(|run| run.owner.as_deref());
        owner == Some(name)
    }
}

impl Driver {
    pub(super) async fn answer_exchange(&mut self, request: ExchangeRequest) {
        match request {
            ExchangeRequest::Begin(owner, sources, reply) => self.begin_run(owner, sources, reply),
            ExchangeRequest::Pending(source, reply) => self.pending(source, reply),
            ExchangeRequest::Deliver(delivery, reply) => self.deliver(delivery, reply),
            ExchangeRequest::Take(source, reply) => self.take(source, reply),
            ExchangeRequest::Settle(part, settlement, reply) => {
                self.settle_part(part, settlement, reply);
            }
            ExchangeRequest::Record(source, problem, reply) => {
                self.record(source, problem, reply);
            }
            ExchangeRequest::End(reply) => {
                self.end_run().await;
                give(reply, Ok(()));
            }
            ExchangeRequest::Ring(reply) => give(reply, self.exchange.ask().ring()),
        }
    }

    fn begin_run(&mut self, owner: Option<String>, sources: Vec<NewSource>, reply: Reply<bool>) {
        if clock::now().wall < CLOCK_FLOOR {
            return give(reply, Err(Refusal::Clock));
        }
        if sources.len() > MOST_SOURCES {
            let many = Refusal::InvalidArgument("there may be 32 sources at most");
            return give(reply, Err(many));
        }
        let asked = match self.exchange.begin(owner) {
            Ok(asked) => asked,
            Err(refusal) => return give(reply, Err(refusal)),
        };
        self.match_queue.stop(&self.exchange.standing);
        let (store, standing) = (self.store.clone(), self.exchange.standing());
        later(reply, async move {
            store.set_sources(sources).await?;
            stand(&store, &standing).await?;
            Ok(asked)
        });
    }

    /// A run ends with the connection it came by.
    pub(super) async fn run_left(&mut self, name: &str) {
        if self.exchange.is_of(name) {
            tracing::warn!("tcnd-sync left before it was done");
            self.end_run().await;
        }
    }

    /// What the run delivered is matched from now on.
    async fn end_run(&mut self) {
        if self.exchange.end() {
            self.match_deliveries().await;
        }
    }

    /// Matches the deliveries that wait, unless a run is under way.
    pub(super) async fn match_deliveries(&mut self) {
        if self.exchange.is_running() {
            return;
        }
        self.write_out().await;
        let (unseen, standing) = (self.unseen(), self.exchange.standing());
        self.match_queue.start(&self.store, unseen, standing);
    }

    fn pending(&self, source: String, reply: Reply<Vec<Interval>>) {
        let now = clock::now().wall;
        if let Err(refusal) = self.exchange.standing.borrow().source(&source) {
            return give(reply, Err(refusal));
        }
        let store = self.store.clone();
        later(reply, async move {
            let mut delivered = store.delivered(source).await?;
            if delivered.iter().any(|interval| interval.end() > now) {
                // The clock was ahead: no source can have delivered that whole.
                store.forget_delivered().await?;
                delivered.clear();
            }
            Ok(backfill::pending(&delivered, now))
        });
    }

    fn deliver(&mut self, mut delivery: Delivery, reply: Reply<Counted>) {
        let now = clock::now().wall;
        let (source, label) = match self.exchange.standing.borrow().source(&delivery.source) {
            Ok(known) => (known.id, known.configured.label.clone()),
            Err(refusal) => return give(reply, Err(refusal)),
        };
        let interval = delivery.interval;
        if interval.start() > now || interval < backfill::oldest(now) {
            let wrong = "the interval is not one that is asked for; call Pending again";
            return give(reply, Err(Refusal::InvalidRange(wrong)));
        }
        let Ok(turn) = Arc::clone(&self.exchange.intake).try_acquire_owned() else {
            let busy = "another delivery is under way; wait until it is done";
            return give(reply, Err(Refusal::InUse(busy)));
        };
        // The file was read before now, but the request was made when the
        // interval was over by the same clock.
        delivery.whole &= interval.is_over(now);
        let intake = Intake {
            delivery,
            source,
            label,
            now,
            turn,
        };
        let stop = Arc::<AtomicBool>::default();
        self.exchange.stop = Arc::clone(&stop);
        let tally = self.exchange.tally();
        let answer = intake::start(intake, self.store.until(Arc::clone(&stop)), stop);
        later(reply, async move {
            let counted = answer.await.map_err(|_| Refusal::Gone)??;
            tally.add(&counted);
            Ok(counted)
        });
    }

    fn take(&self, source: String, reply: Reply<Option<(u64, SignedReport)>>) {
        let publish = match self.exchange.standing.borrow().source(&source) {
            Ok(known) => known.configured.publish,
            Err(refusal) => return give(reply, Err(refusal)),
        };
        if !publish {
            return give(reply, Ok(None));
        }
        let (store, now) = (self.store.clone(), clock::now().wall);
        let again = now.after(upload_schedule::RESULT_TIMEOUT);
        let next = now.after(upload_schedule::gap(&mut chance::source()));
        later(reply, async move {
            let due = store.take_upload(source, now, again, next).await?;
            Ok(due.map(|due| (due.id, due.signed)))
        });
    }

    fn settle_part(&self, part: u64, settlement: Settlement, reply: Reply<()>) {
        let (store, now) = (self.store.clone(), clock::now().wall);
        later(reply, async move {
            let tries = store.upload_tries(part).await?;
            let tries = tries.ok_or(Refusal::NoSuchPart)?;
            let outcome = match settlement {
                Settlement::Accepted => UploadOutcome::Accepted,
                Settlement::Refused(reason) => UploadOutcome::Refused(reason),
                Settlement::Failed(reason, asked) => {
                    let wait = upload_schedule::wait(tries, asked, &mut chance::source());
                    UploadOutcome::Failed(reason, now.after(wait))
                }
            };
            let settled = store.settle_upload(part, outcome, now).await?;
            settled.then_some(()).ok_or(Refusal::NoSuchPart)
        });
    }

    fn record(&self, source: String, problem: String, reply: Reply<()>) {
        let (store, standing) = (self.store.clone(), self.exchange.standing());
        let now = clock::now().wall;
        later(reply, async move {
            let known = store.record_run(source, problem, now).await?;
            stand(&store, &standing).await?;
            known.then_some(()).ok_or(Refusal::NoSuchSource)
        });
    }

    /// Looks up how the last runs went; after a start and a wipe.
    pub(super) fn stand(&self) {
        let (store, standing) = (self.store.clone(), self.exchange.standing());
        tokio::spawn(async move {
            if let Err(fault) = stand(&store, &standing).await {
                tracing::warn!(%fault, "the sources of reports could not be read");
            }
        });
    }
}

impl Tally {
    fn add(&self, counted: &Counted) {
        self.reports.fetch_add(counted.accepted, Ordering::Relaxed);
    }
}

/// Tells what the store now says of the sources.
async fn stand(store: &Store, standing: &watch::Sender<Standing>) -> Result<(), store::Error> {
    let sources = store.sources().await?;
    standing.send_if_modified(|standing| {
        let changed = standing.sources != sources;
        standing.sources = sources;
        changed
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SourceId;

    #[test]
    fn what_was_checked_long_ago_or_by_a_clock_that_was_ahead_is_stale() {
        let now = UnixTime(1_800_000_000);
        let standing = |checked| Standing {
            sources: vec![Source {
                id: SourceId::FILES,
                configured: NewSource {
                    name: "a".to_owned(),
                    label: "A".to_owned(),
                    publish: false,
                },
                checked,
                failures: 0,
                problem: String::new(),
            }],
            ..Standing::default()
        };
        let hours = |hours: i64| UnixTime(now.0.saturating_add_signed(hours * 3600));
        for (checked, is_stale) in [
            (hours(0), false),
            (hours(-47), false),
            (hours(-48), true),
            (hours(1), false),
            (hours(49), true),
        ] {
            assert_eq!(standing(Some(checked)).stale(now), is_stale, "{checked:?}");
        }
        assert!(!standing(None).stale(now), "nothing was checked");
    }
}
