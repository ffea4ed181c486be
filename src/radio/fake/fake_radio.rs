//! One simulated radio: it does what [`super::super::bluez`] does, without BlueZ.
//!
//! It keeps the contract of the radio exactly, since the daemon is tested against it: events
//! in the same order, the same problems, a number withdrawn once and never aired again.

use std::collections::BTreeSet;
use std::time::Duration;

use tcn_engine::RadioCapabilities;
use tcn_protocol::beacon::Frame;
use tcnd_client::Problem;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{self, MissedTickBehavior};

use super::super::event_queue::EventQueue;
use super::super::{Adapter, AddressKind, Event, Mode, Order, Peer, Status};
use super::rng::SplitMix64;
use super::{Condition, Transmission};

/// Time between two adverts of one radio. The real interval is a fraction of this, but a
/// controller reports a sender only about once in several seconds.
pub(super) const ADVERT_INTERVAL: Duration = Duration::from_secs(1);

/// How far the last order is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AirState {
    Resting,
    Listening,
    /// Ordered, but the adapter refuses it for now.
    Waiting(Frame),
    Airing(Frame),
}

pub(super) struct FakeRadio {
    id: u64,
    name: String,
    mode: Mode,
    rng: SplitMix64,
    ether: broadcast::Sender<Transmission>,
    heard: mpsc::Sender<Event>,
    event_queue: EventQueue,
    condition: Condition,
    air_state: AirState,
    /// Discovery is stopped by order.
    discovery_paused: bool,
    /// Peers that wrote their number while the current frame is on the air.
    writers: BTreeSet<u64>,
    adverts_ok: u64,
    adverts_failed: u64,
    recoveries: u32,
    last_problem: Option<Problem>,
}

impl FakeRadio {
    pub(super) fn new(
        name: &str,
        mode: Mode,
        mut rng: SplitMix64,
        ether: broadcast::Sender<Transmission>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            id: rng.id(),
            name: name.to_owned(),
            mode,
            rng,
            ether,
            heard: events.clone(),
            event_queue: EventQueue::new(events),
            condition: Condition::Working,
            air_state: AirState::Resting,
            discovery_paused: false,
            writers: BTreeSet::new(),
            adverts_ok: 0,
            adverts_failed: 0,
            recoveries: 0,
            last_problem: None,
        }
    }

    /// Runs until the daemon drops its end.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut condition: watch::Receiver<Condition>,
    ) {
        let mut ether = self.ether.subscribe();
        let mut interval = time::interval(ADVERT_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut switched = true;
        self.announce();
        loop {
            self.event_queue.push_status(self.status());
            tokio::select! {
                biased;
                listening = self.event_queue.deliver() => if !listening { return },
                changed = condition.changed(), if switched => match changed {
                    Ok(()) => {
                        let now = *condition.borrow_and_update();
                        self.set_condition(now);
                    }
                    Err(_) => switched = false, // the switch is gone: the condition stays
                },
                order = orders.recv(), if !self.event_queue.is_full() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                transmission = ether.recv() => if let Ok(transmission) = transmission {
                    self.hear(&transmission);
                },
                _ = interval.tick() => self.transmit(),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Rest => {
                self.air_state = AirState::Resting;
                self.event_queue.push(Event::Rested);
            }
            Order::Listen => self.listen(),
            Order::Air(frame) if self.can_air() => {
                self.writers.clear();
                self.start_discovery();
                self.air(frame);
            }
            Order::Air(_) => self.listen(),
            Order::StopDiscovery => self.discovery_paused = true,
            Order::StartDiscovery => self.start_discovery(),
            Order::Swap(frame) => match self.air_state {
                AirState::Airing(_) | AirState::Waiting(_) => self.air(frame),
                AirState::Resting | AirState::Listening => {}
            },
        }
    }

    fn listen(&mut self) {
        if self.is_up() {
            self.air_state = AirState::Listening;
            self.start_discovery();
        } else {
            self.air_state = AirState::Resting;
        }
    }

    fn start_discovery(&mut self) {
        self.discovery_paused = false;
        if self.is_up() {
            self.event_queue.push(Event::DiscoveryStarted);
        }
    }

    fn air(&mut self, frame: Frame) {
        if self.condition == Condition::Refusing {
            self.adverts_failed += 1;
            self.air_state = AirState::Waiting(frame);
        } else {
            self.adverts_ok += 1;
            self.air_state = AirState::Airing(frame);
            self.event_queue.push(Event::Aired(frame));
        }
    }

    fn set_condition(&mut self, condition: Condition) {
        let (was_up, could_air) = (self.is_up(), self.can_air());
        self.condition = condition;
        self.last_problem = self.problem().or(self.last_problem);
        if !self.can_air()
            && let AirState::Airing(frame) = self.air_state
        {
            self.event_queue.push(Event::Withdrawn(frame));
        }
        match (was_up, self.is_up()) {
            (true, false) => {
                self.air_state = AirState::Resting;
                self.event_queue.push(Event::Down);
            }
            (false, true) => {
                self.recoveries += 1;
                self.announce();
            }
            (true, true) if could_air != self.can_air() => {
                self.air_state = match self.air_state {
                    AirState::Resting => AirState::Resting,
                    AirState::Listening | AirState::Waiting(_) | AirState::Airing(_) => {
                        AirState::Listening
                    }
                };
                self.announce();
            }
            (true, true) => {
                if let AirState::Waiting(frame) = self.air_state {
                    self.air(frame);
                }
            }
            (false, false) => {}
        }
    }

    fn announce(&mut self) {
        self.event_queue.push(Event::Up(RadioCapabilities {
            can_air: self.can_air(),
            can_carry: matches!(self.mode, Mode::Full | Mode::Relay),
            can_listen: true,
            address_lifetime: Duration::ZERO,
        }));
    }

    fn transmit(&self) {
        if let AirState::Airing(frame) = self.air_state {
            // An error means that no radio listens, which is fine.
            let _ = self.ether.send(Transmission {
                from: self.id,
                frame,
                rssi: None,
                writer: None,
            });
        }
    }

    fn hear(&mut self, transmission: &Transmission) {
        if self.air_state == AirState::Resting || transmission.from == self.id {
            return;
        }
        let rssi = transmission
            .rssi
            .unwrap_or_else(|| -60 + self.rng.fading(8));
        if let Some(peer) = transmission.writer {
            return self.receive_write(peer, transmission.frame, rssi);
        }
        if self.discovery_paused {
            return;
        }
        // Full: dropped, the neighbour will be heard again in a moment.
        let _ = self.heard.try_send(Event::Heard {
            frame: transmission.frame,
            rssi: Some(rssi),
        });
    }

    /// A phone writes its number once to each carrier that it meets.
    fn receive_write(&mut self, peer: Peer, frame: Frame, rssi: i16) {
        if let AirState::Airing(_) = self.air_state
            && self.writers.insert(peer.0)
        {
            self.event_queue.push(Event::Written {
                tcn: frame.tcn,
                rssi: Some(rssi),
                peer,
            });
        }
    }

    fn is_up(&self) -> bool {
        match self.condition {
            Condition::Working | Condition::Discoverable | Condition::Refusing => true,
            Condition::Off
            | Condition::Blocked
            | Condition::Missing
            | Condition::ServiceMissing => false,
        }
    }

    fn can_air(&self) -> bool {
        self.is_up() && self.condition != Condition::Discoverable
    }

    fn problem(&self) -> Option<Problem> {
        match self.condition {
            Condition::Working => None,
            Condition::Off => Some(Problem::AdapterOff),
            Condition::Blocked => Some(Problem::AdapterBlocked),
            Condition::Missing => Some(Problem::AdapterMissing),
            Condition::ServiceMissing => Some(Problem::BluetoothdMissing),
            Condition::Discoverable => Some(Problem::AddressNotPrivate),
            Condition::Refusing => match self.air_state {
                AirState::Waiting(_) => Some(Problem::AdvertiseFailed),
                AirState::Resting | AirState::Listening | AirState::Airing(_) => None,
            },
        }
    }

    fn status(&self) -> Status {
        let advertising = matches!(self.air_state, AirState::Airing(_));
        let gone = matches!(
            self.condition,
            Condition::Missing | Condition::ServiceMissing
        );
        let adapter = Adapter {
            name: self.name.clone(),
            powered: self.is_up(),
            selected: true,
            can_advertise: true,
            address: match self.condition {
                Condition::Discoverable => AddressKind::Public,
                Condition::Working
                | Condition::Off
                | Condition::Blocked
                | Condition::Missing
                | Condition::ServiceMissing
                | Condition::Refusing => AddressKind::NonResolvable,
            },
            instances_free: if advertising { 4 } else { 5 },
            recoveries: self.recoveries,
            last_problem: self.last_problem,
        };
        Status {
            mode: self.mode,
            simulated: true,
            advertising,
            scanning: self.air_state != AirState::Resting,
            problems: self
                .problem()
                .map(|problem| (problem, String::new()))
                .into_iter()
                .collect(),
            adapters: if gone { Vec::new() } else { vec![adapter] },
            adverts_ok: self.adverts_ok,
            adverts_failed: self.adverts_failed,
            scan_restarts: 0,
        }
    }
}
