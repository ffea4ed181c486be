//! The task that owns every handle to BlueZ.
//!
//! It waits for whatever comes first, takes note of it, and starts the next
//! step when none is under way. A step runs beside the waiting, so that a slow
//! BlueZ delays no order and no alarm; and it is never broken off, because a
//! call broken off may leave an advert or a discovery in BlueZ that nobody can
//! end. Its outcome may come late: then `generation` differs and what it
//! brought is put aside.
//!
//! Handles of a BlueZ that went away are put aside too (`remains`) until
//! BlueZ is back. Dropping them calls it, and the bus starts a service that is
//! called: `systemctl stop bluetooth` would not last.

mod outcomes;
mod people;
mod steps;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use bluer::gatt::local::ApplicationHandle;
use bluer::{Adapter, AdapterProperty, Address};
use futures::future::BoxFuture;
use tcn_protocol::beacon::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::outbox::Outbox;
use super::super::{Event, Mode, Order};
use super::advert::{Handle, Refusal, Registrar};
use super::alarm::{Alarm, Alarms};
use super::central::VisitError;
use super::clock::Stopwatch;
use super::discovery::{Arrivals, Discovery, Ears, Shy};
use super::lockstep::Lockstep;
use super::off_air::OffAir;
use super::presence::{News, Presence};
use super::reach::Controller;
use super::reconcile::{Advert, Plan};
use super::retry::Retry;
use super::server::{Door, Knock};
use super::session::{Advertising, Change, Facts, Link, Survey, Used, choose};
use super::status::{Tally, Way};
use super::visitors::{Doings, Stir, Visitors};
use super::visits::Visits;
use super::{Fault, Options, Surroundings, presence};
use steps::Told;
use wait::{end_of, next_change, outcome, released};

/// For an advert to go once BlueZ was told to drop it.
const LEAVE: Duration = Duration::from_secs(5);
/// For the same when BlueZ is told by the end of the connection that the advert
/// was registered from.
const LINGER: Duration = Duration::from_secs(10);

/// Adverts without a number that wait to be looked at; more are dropped.
const SHY: usize = 64;

pub(super) struct Edge {
    options: Options,
    surroundings: Surroundings,
    clock: Stopwatch,
    ears: Ears,
    shy: mpsc::Receiver<Shy>,
    outbox: Outbox,
    plan: Plan,
    tally: Tally,
    alarms: Alarms,
    bus: Option<Presence>,
    /// `org.bluez` is there.
    present: bool,
    link: Option<Link>,
    connect_retry: Retry,
    survey_retry: Retry,
    /// The adapter in use cannot advertise, or cannot yet.
    mute_retry: Retry,
    /// The adapter in use, or to be used.
    chosen: Option<String>,
    discovery: Option<Discovery>,
    advert: Option<Handle>,
    /// The answer of BlueZ to dropping the advert before.
    parting: Option<Parting>,
    /// What others connect for, who is told what, and who has knocked.
    server: Option<ApplicationHandle>,
    door: Arc<Door>,
    knocks: mpsc::Receiver<Knock>,
    visitors: Visitors,
    visits: Visits,
    /// Whom we are connected to, or are about to be.
    visiting: Option<Address>,
    lockstep: Lockstep,
    off_air: OffAir,
    /// Something of ours was on the air, or may have been, when that was looked at
    /// last.
    was_airing: bool,
    /// The step under way registers an advert.
    registering: bool,
    /// It is to be asked again by what the controller makes its addresses.
    ask_due: bool,
    /// This epoch has taken the address that is kept.
    kept_step: bool,
    /// The number before left the air, or a start came, before the address could
    /// have changed; the next has to wait for longer than a handover takes.
    early: bool,
    /// Somebody came or left so soon after another that the advert is registered
    /// anew for both together.
    crowded: bool,
    /// When the step under way was begun.
    step_from: Duration,
    /// As many adverts there may be when ours is gone, and how long that may
    /// take.
    leaving: (u8, Duration),
    remains: Vec<Remains>,
    generation: u64,
    /// With the generation, and the downs before, that it was begun in.
    step: Option<((u64, u64), BoxFuture<'static, Outcome>)>,
}

/// What is held of a BlueZ, or an adapter, that went away. Only to be
/// dropped, and not before it can be called.
enum Remains {
    Advert { _handle: Handle },
    Discovery { _handle: Discovery },
    Server { _handle: ApplicationHandle },
    Arrivals { _stream: Arrivals },
    Link { _link: Link },
}

/// Until BlueZ has answered that it dropped an advert.
type Parting = JoinHandle<Result<(), Fault>>;

/// What a step came to.
enum Outcome {
    Watching(Result<(Presence, bool), Fault>),
    Linked(Result<Link, Fault>),
    Surveyed(String, Result<Survey, Fault>),
    /// Of each adapter that could not advertise.
    Advertising(Vec<(String, Option<Advertising>)>),
    Asked(String, Told),
    Inspected(Result<Controller, Fault>, Told),
    Served(Result<(ApplicationHandle, Doings, Vec<Address>), Fault>),
    Parted(Vec<Address>),
    /// With how long it took.
    Visited(Address, Duration, Result<Vec<u8>, VisitError>),
    ScanStarted(Result<Discovery, Fault>),
    ScanStopped(Result<(), Fault>),
    Registered(Frame, Result<(Handle, u8), Refusal>),
    Gone(Result<bool, Fault>),
    /// Whether our advert is there, and what the adapter has by then.
    Verified(Result<(bool, Option<Advertising>), Fault>),
    Renewed(Result<Link, Fault>),
}

/// What the edge was woken by.
enum Woken {
    Told { listening: bool },
    News(News),
    Ordered(Option<Order>),
    Done((u64, u64), Outcome),
    Changed(Change),
    Released,
    ScanEnded(Arrivals),
    Rang(Alarm),
    Knocked(Knock),
    Stirred(Stir),
    Shy(Shy),
}

impl Edge {
    pub(super) fn new(
        options: Options,
        surroundings: Surroundings,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let clock = Stopwatch::start();
        let (door, knocks) = Door::new();
        let (shy_in, shy) = mpsc::channel(SHY);
        let ears = Ears {
            events: events.clone(),
            // A relay keeps nothing of anybody's address.
            shy: (options.mode == Mode::Full).then_some(shy_in),
        };
        Self {
            lockstep: Lockstep::new(options.rpa_timeout, clock.now()),
            off_air: OffAir::new(clock.now()),
            was_airing: false,
            registering: false,
            ask_due: false,
            kept_step: false,
            early: true,
            crowded: false,
            step_from: Duration::ZERO,
            options,
            surroundings,
            clock,
            ears,
            shy,
            server: None,
            door,
            knocks,
            visitors: Visitors::default(),
            visits: Visits::default(),
            visiting: None,
            outbox: Outbox::new(events),
            plan: Plan::default(),
            tally: Tally::default(),
            alarms: Alarms::default(),
            bus: None,
            present: false,
            link: None,
            connect_retry: Retry::default(),
            survey_retry: Retry::default(),
            mute_retry: Retry::default(),
            chosen: None,
            discovery: None,
            advert: None,
            parting: None,
            leaving: (0, LEAVE),
            remains: Vec::new(),
            generation: 0,
            step: None,
        }
    }

    /// Works until nobody orders or listens any more.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            self.settle();
            if self.step.is_none() {
                self.step_from = self.clock.now();
                self.registering = false;
                self.step = self
                    .begin()
                    .map(|step| ((self.generation, self.plan.downs()), step));
            }
            self.look_at_the_air();
            self.report();
            match self.wait(&mut orders).await {
                Woken::Told { listening: true } => {}
                Woken::Told { listening: false } | Woken::Ordered(None) => return,
                Woken::Ordered(Some(order)) => self.ordered(order),
                Woken::News(news) => self.learn(news),
                Woken::Changed(change) => self.change(change),
                Woken::Released => {
                    tracing::info!("BlueZ dropped our advert");
                    self.plan.doubt(true);
                }
                Woken::ScanEnded(arrivals) => self.scan_ended(arrivals),
                Woken::Rang(alarm) => self.rang(alarm),
                Woken::Knocked(knock) => self.knocked(&knock),
                Woken::Stirred(stir) => self.stirred(stir),
                Woken::Shy(shy) => self.noticed(shy),
                Woken::Done((generation, downs), outcome) => {
                    self.step = None;
                    if generation != self.generation {
                        self.put_aside(outcome);
                    } else if downs != self.plan.downs() {
                        self.conclude_late(outcome);
                    } else {
                        self.conclude(outcome);
                    }
                }
            }
        }
    }

    async fn wait(&mut self, orders: &mut mpsc::Receiver<Order>) -> Woken {
        let full = self.outbox.is_full();
        tokio::select! {
            biased;
            listening = self.outbox.hand_over() => Woken::Told { listening },
            news = presence::next(self.bus.as_mut()) => Woken::News(news),
            order = orders.recv(), if !full => Woken::Ordered(order),
            // Before the outcome that it led to.
            Some(change) = next_change(self.link.as_mut()) => Woken::Changed(change),
            () = released(self.advert.as_mut()) => Woken::Released,
            done = outcome(self.step.as_mut()) => Woken::Done(done.0, done.1),
            Some(arrivals) = end_of(self.discovery.as_mut()) => Woken::ScanEnded(arrivals),
            alarm = self.alarms.next() => Woken::Rang(alarm),
            stir = self.visitors.next() => Woken::Stirred(stir),
            Some(knock) = self.knocks.recv(), if !full => Woken::Knocked(knock),
            Some(shy) = self.shy.recv() => Woken::Shy(shy),
        }
    }

    /// Brings the plan in line with the adapter there is, and what is held in
    /// line with the plan.
    fn settle(&mut self) {
        self.look_at_the_air();
        let adapters = self.link.as_ref().map(Link::adapters);
        let now = adapters
            .and_then(|adapters| choose(adapters, self.options.adapter, self.tally.last()))
            .cloned();
        if now != self.chosen {
            self.generation += 1;
            self.plan.see(None);
            self.release();
            self.forget_adapter();
            self.chosen = now;
        }
        let was_up = self.plan.is_up();
        let used = self.used();
        let condition = self.condition();
        self.plan.see(condition);
        self.plan.occupy(!self.visitors.strangers(true).is_empty());
        self.door.set(self.plan.telling());
        if !condition.is_some_and(|condition| condition.connectable) {
            self.server = None;
        }
        if let Some(used) = used.filter(|_| !was_up && self.plan.is_up()) {
            let adapters = self.link.as_ref().map(Link::adapters);
            let present = |name: &str| adapters.is_some_and(|all| all.contains_key(name));
            self.tally.took(used, present);
        }
        self.release();
    }

    /// Drops what the plan does not hold any more.
    fn release(&mut self) {
        if !matches!(self.plan.advert(), Advert::Airing(_))
            && let Some(handle) = self.advert.take()
        {
            let active = self.facts().and_then(|facts| facts.active);
            self.leaving = (active.unwrap_or(0).saturating_sub(1), LEAVE);
            self.parting = Some(handle.leave());
        }
        if !self.plan.is_scanning() {
            self.discovery = None;
        }
    }

    fn report(&mut self) {
        for event in self.plan.said() {
            self.outbox.push(event);
        }
        let way = match &self.link {
            Some(link) => Way::Open(link),
            None if self.connect_retry.is_failing() => Way::Closed,
            None if self.bus.is_some() && !self.present => Way::Closed,
            None => Way::Opening,
        };
        let (reach, held) = (self.reach(), self.is_held());
        let status = self
            .tally
            .status(way, self.chosen.as_deref(), reach, held, &self.plan);
        self.outbox.push_status(status);
    }

    fn facts(&self) -> Option<&Facts> {
        self.link.as_ref()?.adapters().get(self.chosen.as_ref()?)
    }

    /// The adapter chosen, as it is remembered once it is in use.
    fn used(&self) -> Option<Used> {
        Some(Used {
            name: self.chosen.clone()?,
            address: self.facts()?.address,
        })
    }

    fn registrar(&self) -> Option<Registrar> {
        Some(self.link.as_ref()?.registrar().clone())
    }

    fn adapter(&self) -> Option<Adapter> {
        self.link.as_ref()?.adapter(self.chosen.as_ref()?).ok()
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Owner { present } => {
                tracing::info!(present, "org.bluez changed hands");
                self.lose_link();
                self.present = present;
                self.connect_retry.succeed();
            }
            News::Blocked { adapter, blocked } => {
                if let Some(facts) = self.link.as_mut().and_then(|link| link.facts_mut(&adapter)) {
                    facts.blocked = blocked;
                }
            }
            News::Lost => {
                tracing::warn!("the system bus is gone");
                self.lose_link();
                // Nothing is there to be called any more, nor to answer.
                self.remains.clear();
                self.surroundings.central.renew();
                self.visiting = None;
                self.step = None;
                self.bus = None;
                self.present = false;
                self.alarms.set(Alarm::Connect, self.connect_retry.fail());
            }
        }
    }

    fn change(&mut self, change: Change) {
        let Some(link) = &mut self.link else { return };
        let active = self.chosen.as_ref().and_then(|name| {
            let facts = link.adapters().get(name)?;
            facts.active
        });
        // Ours may be the one that is gone, or the news be old.
        let fewer = matches!(&change, Change::Adverts(name, Some(now), _)
            if Some(name) == self.chosen.as_ref() && Some(*now) < active);
        let off = matches!(&change, Change::Property(name, AdapterProperty::Powered(false))
            if Some(name) == self.chosen.as_ref());
        let removed = link.note(change);
        if off {
            self.lockstep.powered_off();
        }
        if fewer {
            self.plan.doubt(false);
        }
        if removed.is_some() && removed == self.chosen {
            self.lose_adapter();
        }
    }

    fn scan_ended(&mut self, arrivals: Arrivals) {
        tracing::info!("discovery ended by itself");
        self.discovery = None;
        self.remains.push(Remains::Arrivals { _stream: arrivals });
        self.alarms.set(Alarm::Scan, self.plan.scan_failed());
    }

    fn rang(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Connect => self.connect_retry.resume(),
            Alarm::Survey => self.survey_retry.resume(),
            Alarm::Mute => self.mute_retry.resume(),
            Alarm::Scan => self.plan.resume_scan(),
            Alarm::Advert => self.plan.resume_advert(),
            Alarm::Refresh => self.refresh_for_the_crowd(),
            Alarm::Restart => self.plan.restart_due(),
            Alarm::Serve => self.plan.resume_serve(),
            Alarm::Forget => self.visits.forget_the_old(self.clock.now()),
            Alarm::Ask => self.ask_due = true,
            // Looked at again as soon as anything wakes us.
            Alarm::Address | Alarm::Visit => {}
        }
    }

    fn lose_link(&mut self) {
        self.lose_adapter();
        if let Some(link) = self.link.take() {
            self.remains.push(Remains::Link { _link: link });
        }
    }

    /// The adapter in use is gone, and with it all that was held of it.
    fn lose_adapter(&mut self) {
        self.generation += 1;
        if let Some(handle) = self.advert.take() {
            self.remains.push(Remains::Advert { _handle: handle });
        }
        if let Some(handle) = self.discovery.take() {
            self.remains.push(Remains::Discovery { _handle: handle });
        }
        self.parting = None;
        self.plan.see(None);
        self.forget_adapter();
        self.chosen = None;
    }

    /// Nothing of the adapter that was in use holds for the next one.
    fn forget_adapter(&mut self) {
        if let Some(handle) = self.server.take() {
            self.remains.push(Remains::Server { _handle: handle });
        }
        self.plan.forget();
        self.mute_retry.succeed();
        self.visitors = Visitors::default();
        self.visits = Visits::default();
        self.lockstep = Lockstep::new(self.options.rpa_timeout, self.clock.now());
        self.off_air = OffAir::new(self.clock.now());
        self.early = true;
    }
}
