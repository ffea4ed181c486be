//! The driver: waits for one event, gives it to the engine, and carries out its outputs.
//!
//! One task owns the engine. It waits for the radio, the store, a request, the
//! alarm or a clock jump; whatever comes is one input, its outputs are carried
//! out in order, and a new snapshot is published. Everything that takes time
//! (SQLite, BlueZ, D-Bus) happens elsewhere and answers with a message.
//!
//! The driver ends in two ways: it was told to stop, or something it cannot do
//! without is gone. In the second case the process must end too, so that
//! systemd starts a new one; a daemon that went on without its radio task would look
//! well and hear nothing.

mod run;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tcn_engine::{
    BootId, ClockDoubt, Engine, Holds, Input, LONGEST_WAIT, ListenConditions, Moment, Output, Pause,
};
use tcnd_config::Settings;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::clock::{self, Alarm, Jumps};
use super::exchange::Exchange;
use super::exposures::Unseen;
use super::handle::Mailbox;
use super::journal::Journal;
use super::match_queue::MatchQueue;
use super::notify::Notifier;
use super::problem_times::ProblemTimes;
use super::reply::Reply;
use super::requests::Request;
use super::snapshot::Snapshot;
use super::snapshot::{SnapshotInput, consent_of, snapshot, status_line};
use super::steady::{Airing, Complaints, Steady};
use super::sync_status::Matching;
use super::{convert, rng, store_handlers};
use crate::radio::{self, Order, Radio};
use crate::store::{self, Opened, Resume, Store};

/// How long leaving the air may take when the daemon stops. The connection to
/// BlueZ closes with the process, and that takes the advert down in any case.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Something the daemon cannot do without is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a timer.
    #[error("cannot set a timer")]
    Timer(#[source] io::Error),
    /// The task that drives the radio ended.
    #[error("the radio task ended unexpectedly")]
    RadioGone,
    /// The thread that owns the database ended.
    #[error("the store thread ended unexpectedly")]
    StoreGone,
    /// The database is damaged.
    #[error(
        "ending so that the next start sets the damaged contact log aside and begins a new one"
    )]
    StoreDamaged(#[source] store::Error),
    /// The number on the air could not be taken off.
    #[error(
        "the radio did not leave the air within a minute; ending so that BlueZ drops the advert"
    )]
    Overdue,
}

/// Why the driver returned without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
}

/// What others tell the driver besides requests.
#[derive(Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Reads the configuration again; the text says what is wrong with it.
pub type Reread = Box<dyn Fn() -> Result<Settings, tcnd_config::ConfigError> + Send + Sync>;

/// Everything a driver is made of.
pub struct Parts {
    /// The air.
    pub radio: Radio,
    /// The database, just opened.
    pub opened: Opened,
    /// Requests, and where snapshots go.
    pub mailbox: Mailbox,
    /// SIGTERM and SIGHUP.
    pub signals: mpsc::Receiver<Signal>,
    /// The settings to begin with.
    pub settings: Settings,
    /// How to get new ones.
    pub reread: Reread,
    /// What bears on how much to listen.
    pub conditions: watch::Receiver<ListenConditions>,
    /// The file that calls `tcnd-sync` when it is written to, if there is one.
    pub sync_trigger: Option<PathBuf>,
    /// Which boot this is, see [`boot_id`](super::clock::boot_id).
    pub boot_id: Option<BootId>,
}

pub(super) struct Driver {
    pub(super) engine: Engine,
    pub(super) holds: Holds,
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) status: radio::Status,
    pub(super) invalid_frames: u64,
    pub(super) corrupt: bool,
    /// Report keys are sealed in the database.
    pub(super) sealed: bool,
    pub(super) reread: Reread,
    pub(super) notifier: Notifier,
    /// One import at a time.
    pub(super) imports: Arc<Semaphore>,
    /// One import or one queue of deliveries is matched at a time.
    pub(super) matching: Arc<Semaphore>,
    pub(super) match_queue: MatchQueue,
    /// Set to end the import under way.
    pub(super) importing: Arc<AtomicBool>,
    pub(super) unseen: Arc<Unseen>,
    pub(super) exchange: Exchange,
    /// Who waits for the machine to be fit to sleep.
    pub(super) sleep_waiter: Option<Reply<()>>,
    pub(super) radio_known: bool,
    /// What was last decided on the bus; `None` before the first decision.
    pub(super) consent: Option<bool>,
    steady: Steady,
    pub(super) complaints: Complaints,
    airing: Airing,
    problem_times: ProblemTimes,
    pub(super) saved_pause: Pause,
    orders: mpsc::Sender<Order>,
    requests: mpsc::Receiver<Request>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Answers what needs only the store; ends with the driver.
    _store_handlers: JoinSet<()>,
    alarm: Alarm,
    /// What the alarm is set to.
    wake: Duration,
    /// Nothing but a sighting happened since the last look.
    pub(super) only_heard: bool,
    journal: Journal,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// See [`Error`]; the process must end then.
pub async fn drive(parts: Parts) -> Result<Ended, Error> {
    let Parts {
        radio,
        opened,
        mailbox,
        mut signals,
        settings,
        reread,
        mut conditions,
        sync_trigger,
        boot_id,
    } = parts;
    let Radio { orders, mut events } = radio;
    let Opened {
        store,
        events: mut stored,
        resume,
        quarantined,
        sealed,
    } = opened;
    let jumps = Jumps::new().map_err(Error::Timer)?;
    let corrupt = quarantined.is_some();
    let mut driver = Driver::new(
        settings,
        (reread, sync_trigger),
        store,
        (&resume, boot_id),
        (corrupt, sealed),
        orders,
        mailbox,
    )?;
    driver.begin(clock::now()).await;
    let ended = driver
        .run(
            &mut events,
            &mut stored,
            &mut signals,
            &mut conditions,
            &jumps,
        )
        .await;
    // Whatever else is gone, what was heard is written as long as there is a
    // store to write it.
    if !matches!(ended, Err(Error::StoreGone | Error::StoreDamaged(_))) {
        driver.stop(&mut events).await;
    }
    ended.map(|()| Ended::Stopped)
}

impl Driver {
    fn new(
        settings: Settings,
        (reread, sync_trigger): (Reread, Option<PathBuf>),
        store: Store,
        (resume, boot_id): (&Resume, Option<BootId>),
        (corrupt, sealed): (bool, bool),
        orders: mpsc::Sender<Order>,
        mailbox: Mailbox,
    ) -> Result<Self, Error> {
        let Mailbox {
            requests,
            store_requests,
            snapshot,
            unseen,
            sync_status,
        } = mailbox;
        let unseen = Arc::new(unseen);
        let exchange = Exchange::new(sync_status, sync_trigger);
        let sync_status = exchange.sync_status();
        let store_handlers = store_handlers::start(store_requests, &store, &unseen, sync_status);
        let now = clock::now();
        let decided = resume.decided.then_some(resume.consent);
        let journal = Journal::new(
            consent_of(&settings, decided),
            settings.consent.or(decided).unwrap_or(false),
        );
        let own = resume.broadcast.iter().flat_map(store::Broadcast::numbers);
        let matching = Arc::new(Semaphore::new(1));
        let mut engine = Engine::new(now, settings.policy, resume.next_key, own);
        engine.resume_clock(now, boot_id, resume.clock, resume.newest);
        let ahead = engine.view(now).clock == Some(ClockDoubt::Ahead);
        let pause = match &resume.clock {
            Some(record) => resume.pause.resumed(now, boot_id, record, ahead),
            None => resume.pause,
        };
        Ok(Self {
            engine,
            holds: Holds::resumed(pause, now),
            settings,
            store,
            status: radio::Status::default(),
            invalid_frames: 0,
            corrupt,
            sealed,
            reread,
            notifier: Notifier::new(),
            imports: Arc::new(Semaphore::new(1)),
            match_queue: MatchQueue::new(Arc::clone(&matching)),
            matching,
            importing: Arc::default(),
            unseen,
            exchange,
            sleep_waiter: None,
            radio_known: false,
            consent: decided,
            steady: Steady::default(),
            complaints: Complaints::default(),
            airing: Airing::default(),
            problem_times: ProblemTimes::default(),
            saved_pause: resume.pause,
            orders,
            requests,
            snapshot,
            _store_handlers: store_handlers,
            alarm: Alarm::new().map_err(Error::Timer)?,
            wake: Duration::ZERO,
            only_heard: false,
            journal,
        })
    }

    async fn begin(&mut self, now: Moment) {
        self.recount();
        self.refresh_sync_status();
        self.match_deliveries().await;
        self.tell(now, Input::Paused(self.holds.sum())).await;
        let consent = self.has_consent();
        self.tell(now, Input::Consent(consent)).await;
    }

    /// Publishes what changed and sets the alarm. After a mere sighting there
    /// is nothing to publish, and sightings are most of what happens.
    fn settle(&mut self) -> Result<(), Error> {
        let now = clock::now();
        if std::mem::replace(&mut self.only_heard, false) && now.boot < self.wake {
            return self.set_alarm(now);
        }
        if self.engine.view(now).overdue {
            return Err(Error::Overdue);
        }
        self.notifier.feed(now.boot);
        let new = self.look(now);
        self.notifier.status(&status_line(&new));
        self.journal.write(&new);
        self.snapshot.send_if_modified(|old| {
            let changed = **old != new;
            if changed {
                *old = new.into();
            }
            changed
        });
        self.set_alarm(now)
    }

    fn set_alarm(&mut self, now: Moment) -> Result<(), Error> {
        let wakes = [
            self.notifier.next_feed(),
            self.holds.next_end(),
            self.steady.next_look(),
        ];
        let wake = wakes
            .into_iter()
            .flatten()
            .fold(self.engine.poll_timeout(), Duration::min)
            .min(now.boot + LONGEST_WAIT);
        // One that has rung has to be set again, were it to the same time.
        if wake == self.wake && now.boot < wake {
            return Ok(());
        }
        self.wake = wake;
        self.alarm.set(wake).map_err(Error::Timer)
    }

    /// What is to be published now.
    fn look(&mut self, now: Moment) -> Snapshot {
        let view = self.engine.view(now);
        let airing_since = self.airing.see(&view, now);
        let input = SnapshotInput {
            view,
            consent: consent_of(&self.settings, self.consent),
            retention: self.settings.policy.retention,
            airing_since,
            status: self.steady.show(&view, &self.status, now.boot),
            radio_known: self.radio_known,
            corrupt: self.corrupt,
            store_error: self.complaints.last(),
            holds: &self.holds,
            sync_status: &self.exchange.sync_status.borrow(),
            now,
        };
        snapshot(&input, &mut self.problem_times)
    }

    /// One input, and everything that follows from it.
    pub(super) async fn tell(&mut self, now: Moment, input: Input) {
        self.engine.handle(now, input, &mut rng::system());
        self.carry_out().await;
    }

    pub(super) async fn carry_out(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(seq, records) => self.store.persist(seq.0, records),
                Output::Save(seq, growth) => self.store.save(seq.0, growth),
                Output::Forget(before) => self.store.forget(before),
                Output::ForgetFuture(dates) => self.store.forget_future(dates),
                Output::Redate(redating) => self.store.redate(redating).await,
                Output::KeepClock(record) => self.store.keep_clock(record),
                Output::Radio(order) => self.order(order).await,
                Output::Log(event) => convert::log(event),
            }
        }
    }

    async fn order(&self, order: Order) {
        // A radio that is gone is noticed where its events end.
        let _ = self.orders.send(order).await;
    }

    async fn time_passed(&mut self) {
        let now = clock::now();
        self.holds.expire(now);
        self.tell(now, Input::Timeout).await;
        self.pause_changed(now).await;
        // A fault of the disk may be over.
        if self.exchange.sync_status.borrow().matching == Matching::Waiting {
            self.match_deliveries().await;
        }
    }

    async fn clock_jumped(&mut self, resumed: bool) {
        let now = clock::now();
        tracing::info!(resumed, "the machine slept or its clock was set");
        self.airing.redate(now);
        self.problem_times.redate(now);
        self.holds.redate(now);
        self.holds.expire(now);
        self.tell(
            now,
            if resumed {
                Input::Resumed
            } else {
                Input::Timeout
            },
        )
        .await;
        self.pause_changed(now).await;
    }

    /// Reads and applies the configuration again; on a fault everything stays as it was.
    pub(super) async fn reload(&mut self) -> Result<(), tcnd_config::ConfigError> {
        self.notifier.reloading();
        let read = (self.reread)();
        if let Ok(settings) = &read {
            let (new, old) = (settings.of_the_radio(), self.settings.of_the_radio());
            if new != old {
                tracing::warn!(
                    "`mode`, `adapter`, `discovery_restart` and `rpa_timeout` take effect at the \
                     next start"
                );
            }
            let relay = self.settings.policy.relay;
            self.settings = settings.clone();
            self.settings.policy.relay = relay;
            let now = clock::now();
            self.tell(now, Input::PolicyChanged(self.settings.policy))
                .await;
            let consent = self.has_consent();
            self.tell(now, Input::Consent(consent)).await;
        }
        super::ready();
        read.map(|_| ())
    }

    /// Leaves the air, writes what is not written, closes the database.
    async fn stop(mut self, events: &mut mpsc::Receiver<radio::Event>) {
        self.notifier.stopping();
        self.end_import();
        let airing = self.status.advertising || self.status.scanning;
        self.tell(clock::now(), Input::Consent(false)).await;
        if airing {
            let resting = tokio::time::timeout(STOP_TIMEOUT, async {
                while let Some(event) = events.recv().await {
                    let done = matches!(event, radio::Event::Rested | radio::Event::Down);
                    self.radio_event(event).await;
                    if done {
                        break;
                    }
                }
            });
            if resting.await.is_err() {
                tracing::warn!("the radio did not answer; BlueZ drops the advert when we are gone");
            }
        }
        self.engine.flush(clock::now());
        self.carry_out().await;
        self.store.close().await;
    }
}
