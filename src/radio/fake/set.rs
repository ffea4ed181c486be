//! One simulated radio set: what [`super::super::bluez`] does, without BlueZ.
//!
//! It keeps the border's promises to the letter, since the daemon is tested
//! against it: events in the same order, troubles by the same names, a number
//! withdrawn once and never aired again.

use std::collections::BTreeSet;
use std::time::Duration;

use tcn_protocol::beacon::Frame;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{self, MissedTickBehavior};

use super::super::event_queue::EventQueue;
use super::super::{Adapter, AddressKind, Capabilities, Event, Mode, Order, Peer, Status, Trouble};
use super::dice::Dice;
use super::{Condition, Transmission};

/// Between two adverts of one set. The real interval is a fraction of it, but
/// a controller reports a sender only about once in some seconds.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What is on the air of what was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Resting,
    Listening,
    /// Ordered, but the adapter refuses it for now.
    Waiting(Frame),
    Airing(Frame),
}

pub(super) struct Set {
    id: u64,
    name: String,
    mode: Mode,
    dice: Dice,
    ether: broadcast::Sender<Transmission>,
    heard: mpsc::Sender<Event>,
    event_queue: EventQueue,
    condition: Condition,
    doing: Doing,
    /// Who told their number to this carrier.
    told: BTreeSet<u64>,
    adverts_ok: u64,
    adverts_failed: u64,
    recoveries: u32,
    last_trouble: Option<Trouble>,
}

impl Set {
    pub(super) fn new(
        name: &str,
        mode: Mode,
        mut dice: Dice,
        ether: broadcast::Sender<Transmission>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            id: dice.id(),
            name: name.to_owned(),
            mode,
            dice,
            ether,
            heard: events.clone(),
            event_queue: EventQueue::new(events),
            condition: Condition::Working,
            doing: Doing::Resting,
            told: BTreeSet::new(),
            adverts_ok: 0,
            adverts_failed: 0,
            recoveries: 0,
            last_trouble: None,
        }
    }

    /// Works until nobody orders or listens any more.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut condition: watch::Receiver<Condition>,
    ) {
        let mut ether = self.ether.subscribe();
        let mut beat = time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                        self.become_(now);
                    }
                    Err(_) => switched = false, // no switch any more: it stays as it is
                },
                order = orders.recv(), if !self.event_queue.is_full() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                transmission = ether.recv() => if let Ok(transmission) = transmission {
                    self.hear(&transmission);
                },
                _ = beat.tick() => self.transmit(),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Rest => {
                self.doing = Doing::Resting;
                self.event_queue.push(Event::Rested);
            }
            Order::Listen => self.doing = self.listening(),
            Order::Air(frame) if self.can_air() => {
                self.told.clear();
                self.air(frame);
            }
            Order::Air(_) => self.doing = self.listening(),
            Order::Swap(frame) => match self.doing {
                Doing::Airing(_) | Doing::Waiting(_) => self.air(frame),
                Doing::Resting | Doing::Listening => {}
            },
        }
    }

    fn listening(&self) -> Doing {
        if self.is_up() {
            Doing::Listening
        } else {
            Doing::Resting
        }
    }

    fn air(&mut self, frame: Frame) {
        if self.condition == Condition::Refusing {
            self.adverts_failed += 1;
            self.doing = Doing::Waiting(frame);
        } else {
            self.adverts_ok += 1;
            self.doing = Doing::Airing(frame);
            self.event_queue.push(Event::Aired(frame));
        }
    }

    fn become_(&mut self, condition: Condition) {
        let (was_up, could_air) = (self.is_up(), self.can_air());
        self.condition = condition;
        self.last_trouble = self.trouble().or(self.last_trouble);
        if !self.can_air()
            && let Doing::Airing(frame) = self.doing
        {
            self.event_queue.push(Event::Withdrawn(frame));
        }
        match (was_up, self.is_up()) {
            (true, false) => {
                self.doing = Doing::Resting;
                self.event_queue.push(Event::Down);
            }
            (false, true) => {
                self.recoveries += 1;
                self.announce();
            }
            (true, true) if could_air != self.can_air() => {
                self.doing = match self.doing {
                    Doing::Resting => Doing::Resting,
                    Doing::Listening | Doing::Waiting(_) | Doing::Airing(_) => Doing::Listening,
                };
                self.announce();
            }
            (true, true) => {
                if let Doing::Waiting(frame) = self.doing {
                    self.air(frame);
                }
            }
            (false, false) => {}
        }
    }

    fn announce(&mut self) {
        self.event_queue.push(Event::Up(Capabilities {
            can_air: self.can_air(),
            can_carry: matches!(self.mode, Mode::Full | Mode::Relay),
            can_listen: true,
            address_lifetime: Duration::ZERO,
        }));
    }

    fn transmit(&self) {
        if let Doing::Airing(frame) = self.doing {
            // An error says that nobody listens, which is how air is.
            let _ = self.ether.send(Transmission {
                from: self.id,
                frame,
                rssi: None,
                by: None,
            });
        }
    }

    fn hear(&mut self, transmission: &Transmission) {
        if self.doing == Doing::Resting || transmission.from == self.id {
            return;
        }
        let rssi = transmission
            .rssi
            .unwrap_or_else(|| -60 + self.dice.fading(8));
        if let Some(peer) = transmission.by {
            return self.listen_to(peer, transmission.frame, rssi);
        }
        // Full: dropped, the neighbour will be heard again in a moment.
        let _ = self.heard.try_send(Event::Heard {
            frame: transmission.frame,
            rssi: Some(rssi),
        });
    }

    /// A phone tells its number once to each carrier it meets.
    fn listen_to(&mut self, peer: Peer, frame: Frame, rssi: i16) {
        if let Doing::Airing(_) = self.doing
            && self.told.insert(peer.0)
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

    fn trouble(&self) -> Option<Trouble> {
        match self.condition {
            Condition::Working => None,
            Condition::Off => Some(Trouble::AdapterOff),
            Condition::Blocked => Some(Trouble::AdapterBlocked),
            Condition::Missing => Some(Trouble::AdapterMissing),
            Condition::ServiceMissing => Some(Trouble::BluetoothdMissing),
            Condition::Discoverable => Some(Trouble::AddressNotPrivate),
            Condition::Refusing => match self.doing {
                Doing::Waiting(_) => Some(Trouble::AdvertiseFailed),
                Doing::Resting | Doing::Listening | Doing::Airing(_) => None,
            },
        }
    }

    fn status(&self) -> Status {
        let advertising = matches!(self.doing, Doing::Airing(_));
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
            last_trouble: self.last_trouble,
        };
        Status {
            mode: self.mode,
            simulated: true,
            advertising,
            scanning: self.doing != Doing::Resting,
            troubles: self.trouble().into_iter().collect(),
            adapters: if gone { Vec::new() } else { vec![adapter] },
            adverts_ok: self.adverts_ok,
            adverts_failed: self.adverts_failed,
            scan_restarts: 0,
        }
    }
}
