//! The task that owns every handle to BlueZ.
//!
//! It waits for the first event of any kind, notes it, and starts the next step if none is
//! under way. A step runs beside the waiting, so that a slow BlueZ delays no order and no
//! timer. A step is never cancelled, because a cancelled call may leave an advert or a
//! discovery in BlueZ to which no handle exists. Its result may come late: then `generation`
//! differs, and the handles in it are kept as stale.
//!
//! Handles of a BlueZ that went away are kept too (`stale`) until BlueZ is back. Dropping
//! them calls it, and the bus starts a service that is called: `systemctl stop bluetooth`
//! would not last.

mod connections;
mod results;
mod state;
mod steps;
mod wait;

use std::time::Duration;

use bluer::{Adapter, AdapterProperty};
use tokio::sync::mpsc;

use super::super::event_queue::EventQueue;
use super::super::{Event, Mode, Order};
use super::advert::Registrar;
use super::bluez_watch::WatchEvent;
use super::clock::Stopwatch;
use super::discovery::{AdapterEvents, SightingSink, UuidOnlyAdvert};
use super::gatt_server::{GattAccess, GattService};
use super::inbound::{ConnectionEvent, InboundConnections};
use super::off_air::OffAir;
use super::outbound::OutboundConnections;
use super::reconcile::{AdvertState, Plan};
use super::retry::Retry;
use super::rpa_schedule::RpaSchedule;
use super::session::{AdapterChange, AdapterState, BluezConnection, UsedAdapter, choose};
use super::status::{ConnectionState, Counters};
use super::timers::{Timer, Timers};
use super::{Options, Platform, bluez_watch};
pub(super) use state::BluezTask;
use state::{GONE_TIMEOUT, StaleHandle, StepResult};
use wait::{end_of, next_change, released, step_result};

/// How many adverts without a number wait to be handled; more are dropped.
const UUID_ONLY_QUEUE: usize = 64;

/// What woke the task.
enum Wakeup {
    Delivered { listening: bool },
    WatchEvent(WatchEvent),
    Ordered(Option<Order>),
    Done((u64, u64), StepResult),
    Changed(AdapterChange),
    Released,
    ScanEnded(AdapterEvents),
    TimerExpired(Timer),
    GattAccessed(GattAccess),
    Connection(ConnectionEvent),
    UuidOnly(UuidOnlyAdvert),
}

impl BluezTask {
    pub(super) fn new(options: Options, platform: Platform, events: mpsc::Sender<Event>) -> Self {
        let clock = Stopwatch::start();
        let (gatt, accesses) = GattService::new();
        let (uuid_only_in, uuid_only) = mpsc::channel(UUID_ONLY_QUEUE);
        let sink = SightingSink {
            events: events.clone(),
            // A relay keeps no addresses of peers.
            uuid_only: (options.mode == Mode::Full).then_some(uuid_only_in),
        };
        Self {
            rpa_schedule: RpaSchedule::new(options.rpa_timeout, clock.now()),
            off_air: OffAir::new(clock.now()),
            was_airing: false,
            registering: false,
            ask_kernel_due: false,
            address_taken: false,
            early: true,
            refresh_pending: false,
            step_started: Duration::ZERO,
            options,
            platform,
            clock,
            sink,
            uuid_only,
            server: None,
            gatt,
            accesses,
            inbound: InboundConnections::default(),
            outbound: OutboundConnections::default(),
            connecting_to: None,
            event_queue: EventQueue::new(events),
            plan: Plan::default(),
            counters: Counters::default(),
            timers: Timers::default(),
            bus: None,
            present: false,
            bluez: None,
            connect_retry: Retry::default(),
            read_retry: Retry::default(),
            advertising_retry: Retry::default(),
            chosen: None,
            discovery: None,
            advert: None,
            unregistration: None,
            leaving: (0, GONE_TIMEOUT),
            stale: Vec::new(),
            generation: 0,
            step: None,
        }
    }

    /// Runs until the daemon drops its end.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            self.settle();
            if self.step.is_none() {
                self.step_started = self.clock.now();
                self.registering = false;
                self.step = self
                    .start_next()
                    .map(|step| ((self.generation, self.plan.downs()), step));
            }
            self.update_airing();
            self.report();
            match self.wait(&mut orders).await {
                Wakeup::Delivered { listening: true } => {}
                Wakeup::Delivered { listening: false } | Wakeup::Ordered(None) => return,
                Wakeup::Ordered(Some(order)) => self.ordered(order),
                Wakeup::WatchEvent(event) => self.watch_event(event),
                Wakeup::Changed(change) => self.change(change),
                Wakeup::Released => {
                    tracing::info!("BlueZ dropped our advert");
                    self.plan.suspect_loss(true);
                }
                Wakeup::ScanEnded(adapter_events) => self.scan_ended(adapter_events),
                Wakeup::TimerExpired(timer) => self.timer_expired(timer),
                Wakeup::GattAccessed(access) => self.gatt_accessed(&access),
                Wakeup::Connection(event) => self.connection_event(event),
                Wakeup::UuidOnly(uuid_only) => self.uuid_only_heard(uuid_only),
                Wakeup::Done((generation, downs), step_result) => {
                    self.step = None;
                    if generation != self.generation {
                        self.put_aside(step_result);
                    } else if downs != self.plan.downs() {
                        self.apply_late(step_result);
                    } else {
                        self.apply(step_result);
                    }
                }
            }
        }
    }

    async fn wait(&mut self, orders: &mut mpsc::Receiver<Order>) -> Wakeup {
        let full = self.event_queue.is_full();
        tokio::select! {
            biased;
            listening = self.event_queue.deliver() => Wakeup::Delivered { listening },
            event = bluez_watch::next(self.bus.as_mut()) => Wakeup::WatchEvent(event),
            order = orders.recv(), if !full => Wakeup::Ordered(order),
            // Before the result that it led to.
            Some(change) = next_change(self.bluez.as_mut()) => Wakeup::Changed(change),
            () = released(self.advert.as_mut()) => Wakeup::Released,
            done = step_result(self.step.as_mut()) => Wakeup::Done(done.0, done.1),
            Some(adapter_events) = end_of(self.discovery.as_mut()) => Wakeup::ScanEnded(adapter_events),
            timer = self.timers.next() => Wakeup::TimerExpired(timer),
            event = self.inbound.next() => Wakeup::Connection(event),
            Some(access) = self.accesses.recv(), if !full => Wakeup::GattAccessed(access),
            Some(uuid_only) = self.uuid_only.recv() => Wakeup::UuidOnly(uuid_only),
        }
    }

    /// Brings the plan in line with the adapters, and the handles in line with the plan.
    fn settle(&mut self) {
        self.update_airing();
        let adapters = self.bluez.as_ref().map(BluezConnection::adapters);
        let now = adapters
            .and_then(|adapters| choose(adapters, self.options.adapter, self.counters.last()))
            .cloned();
        if now != self.chosen {
            self.generation += 1;
            self.plan.set_readiness(None);
            self.release();
            self.forget_adapter();
            self.chosen = now;
        }
        let was_up = self.plan.is_up();
        let used = self.used();
        let readiness = self.readiness();
        self.plan.set_readiness(readiness);
        self.plan
            .set_strangers(!self.inbound.strangers(true).is_empty());
        self.gatt.set_epoch(self.plan.readable_number());
        if !readiness.is_some_and(|readiness| readiness.connectable) {
            self.server = None;
        }
        if let Some(used) = used.filter(|_| !was_up && self.plan.is_up()) {
            let adapters = self.bluez.as_ref().map(BluezConnection::adapters);
            let present = |name: &str| adapters.is_some_and(|all| all.contains_key(name));
            self.counters.note_use(used, present);
        }
        self.release();
    }

    /// Drops the handles that the plan no longer holds.
    fn release(&mut self) {
        if !matches!(self.plan.advert(), AdvertState::Airing(_))
            && let Some(handle) = self.advert.take()
        {
            let active = self.state().and_then(|state| state.active);
            self.leaving = (active.unwrap_or(0).saturating_sub(1), GONE_TIMEOUT);
            self.unregistration = Some(handle.leave());
        }
        if !self.plan.is_scanning() {
            self.discovery = None;
        }
    }

    fn report(&mut self) {
        for event in self.plan.events() {
            self.event_queue.push(event);
        }
        let connection = match &self.bluez {
            Some(bluez) => ConnectionState::Connected(bluez),
            None if self.connect_retry.is_failing() => ConnectionState::Unavailable,
            None if self.bus.is_some() && !self.present => ConnectionState::Unavailable,
            None => ConnectionState::Connecting,
        };
        let (capability, held) = (self.capability(), self.is_held());
        let status = self.counters.status(
            connection,
            self.chosen.as_deref(),
            capability,
            held,
            &self.plan,
        );
        self.event_queue.push_status(status);
    }

    fn state(&self) -> Option<&AdapterState> {
        self.bluez.as_ref()?.adapters().get(self.chosen.as_ref()?)
    }

    /// The chosen adapter, as it is remembered once it is in use.
    fn used(&self) -> Option<UsedAdapter> {
        Some(UsedAdapter {
            name: self.chosen.clone()?,
            address: self.state()?.address,
        })
    }

    fn registrar(&self) -> Option<Registrar> {
        Some(self.bluez.as_ref()?.registrar().clone())
    }

    fn adapter(&self) -> Option<Adapter> {
        self.bluez.as_ref()?.adapter(self.chosen.as_ref()?).ok()
    }

    fn watch_event(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Owner { present } => {
                tracing::info!(present, "org.bluez changed hands");
                self.lose_connection();
                self.present = present;
                self.connect_retry.succeed();
            }
            WatchEvent::Blocked { adapter, blocked } => {
                if let Some(state) = self
                    .bluez
                    .as_mut()
                    .and_then(|bluez| bluez.state_mut(&adapter))
                {
                    state.blocked = blocked;
                }
            }
            WatchEvent::Lost => {
                tracing::warn!("the system bus is gone");
                self.lose_connection();
                // Neither handles nor the step under way can reach BlueZ any more.
                self.stale.clear();
                self.platform.central.renew();
                self.connecting_to = None;
                self.step = None;
                self.bus = None;
                self.present = false;
                self.timers.set(Timer::Connect, self.connect_retry.fail());
            }
        }
    }

    fn change(&mut self, change: AdapterChange) {
        let Some(bluez) = &mut self.bluez else { return };
        let active = self.chosen.as_ref().and_then(|name| {
            let state = bluez.adapters().get(name)?;
            state.active
        });
        // Ours may be the one that is gone, or the signal may be old.
        let fewer = matches!(&change, AdapterChange::Adverts(name, Some(now), _)
            if Some(name) == self.chosen.as_ref() && Some(*now) < active);
        let off = matches!(&change, AdapterChange::Property(name, AdapterProperty::Powered(false))
            if Some(name) == self.chosen.as_ref());
        let removed = bluez.note(change);
        if off {
            self.rpa_schedule.powered_off();
        }
        if fewer {
            self.plan.suspect_loss(false);
        }
        if removed.is_some() && removed == self.chosen {
            self.lose_adapter();
        }
    }

    fn scan_ended(&mut self, adapter_events: AdapterEvents) {
        tracing::info!("discovery ended by itself");
        self.discovery = None;
        self.stale.push(StaleHandle::DiscoveryStream {
            _stream: adapter_events,
        });
        self.timers.set(Timer::Scan, self.plan.scan_failed());
    }

    fn timer_expired(&mut self, timer: Timer) {
        match timer {
            Timer::Connect => self.connect_retry.resume(),
            Timer::ReadAdapter => self.read_retry.resume(),
            Timer::AdvertisingSupport => self.advertising_retry.resume(),
            Timer::Scan => self.plan.resume_scan(),
            Timer::Advert => self.plan.resume_advert(),
            Timer::Refresh => self.refresh_if_pending(),
            Timer::Restart => self.plan.restart_due(),
            Timer::Serve => self.plan.resume_serve(),
            Timer::ForgetPeers => self.outbound.expire(self.clock.now()),
            Timer::AskKernel => self.ask_kernel_due = true,
            // The next round evaluates the plan again.
            Timer::Address | Timer::Outbound => {}
        }
    }

    fn lose_connection(&mut self) {
        self.lose_adapter();
        if let Some(bluez) = self.bluez.take() {
            self.stale
                .push(StaleHandle::Connection { _connection: bluez });
        }
    }

    /// The adapter in use is gone, and with it everything held on it.
    fn lose_adapter(&mut self) {
        self.generation += 1;
        if let Some(handle) = self.advert.take() {
            self.stale.push(StaleHandle::Advert { _handle: handle });
        }
        if let Some(handle) = self.discovery.take() {
            self.stale.push(StaleHandle::Discovery { _handle: handle });
        }
        self.unregistration = None;
        self.plan.set_readiness(None);
        self.forget_adapter();
        self.chosen = None;
    }

    /// Resets everything that was known of the adapter in use.
    fn forget_adapter(&mut self) {
        if let Some(handle) = self.server.take() {
            self.stale.push(StaleHandle::Server { _handle: handle });
        }
        self.plan.forget();
        self.advertising_retry.succeed();
        self.inbound = InboundConnections::default();
        self.outbound = OutboundConnections::default();
        self.rpa_schedule = RpaSchedule::new(self.options.rpa_timeout, self.clock.now());
        self.off_air = OffAir::new(self.clock.now());
        self.early = true;
    }
}
