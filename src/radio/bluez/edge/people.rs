//! Who may connect, who does, and who is visited: what the edge makes of it.

use std::time::Duration;

use crate::protocol::TemporaryContactNumber;
use crate::protocol::beacon::Frame;

use super::super::super::{Event, Fitness, Mode, Order};
use super::super::alarm::Alarm;
use super::super::discovery::{Shy, heard};
use super::super::reach::{Condition, Controller, Keeps, Reach, reach};
use super::super::server::Knock;
use super::super::session::Facts;
use super::super::visitors::Stir;
use super::Edge;

impl Edge {
    /// What can be done with the adapter; none while it cannot be used, or the
    /// kernel was not asked about it yet.
    pub(super) fn condition(&mut self) -> Option<Condition> {
        let reach = self.reach();
        let facts = self.facts().filter(|facts| facts.powered)?;
        if self.is_asking(facts) {
            return None;
        }
        let hidden = reach.is_connectable() || !facts.discoverable;
        let can_air = reach.can_air && facts.active.is_some() && hidden;
        let held = self.held(reach);
        Some(Condition {
            fitness: Fitness {
                can_air: can_air && held != Keeps::Everything,
                can_carry: can_air && reach.can_carry,
                can_listen: held != Keeps::Scanner,
                hold: match reach.keeps {
                    Keeps::Nothing => Duration::ZERO,
                    Keeps::Scanner | Keeps::Everything => self.options.hold,
                },
            },
            connectable: can_air && reach.is_connectable(),
        })
    }

    /// Which address the next number has to wait for, or the one on the air to
    /// listen with.
    fn held(&mut self, reach: Reach) -> Keeps {
        let wait = self.lockstep.wait(self.clock.now());
        let waits = !self.plan.is_begun() || self.plan.is_deaf_by_order();
        if reach.keeps == Keeps::Nothing || wait.is_zero() || !waits {
            return Keeps::Nothing;
        }
        self.alarms.set(Alarm::Address, wait);
        reach.keeps
    }

    pub(super) fn ordered(&mut self, order: Order) {
        self.plan.order(order);
        let wait = self.lockstep.wait(self.clock.now());
        let begins = matches!(order, Order::Air(_));
        if begins && self.reach().keeps == Keeps::Scanner && !wait.is_zero() {
            self.plan.hush();
        }
    }

    /// What may be done on the adapter in use.
    pub(super) fn reach(&self) -> Reach {
        let facts = self.facts();
        let privacy = facts.and_then(|facts| facts.privacy).flatten();
        let controller = facts.map_or(Controller::Legacy, |facts| facts.controller);
        reach(self.options.mode, privacy, controller)
    }

    /// Whether the kernel has to be asked first.
    pub(super) fn is_asking(&self, facts: &Facts) -> bool {
        let needed = matches!(self.options.mode, Mode::Full | Mode::Relay);
        needed && facts.privacy.is_none()
    }

    pub(super) fn knocked(&mut self, knock: &Knock) {
        match *knock {
            Knock::Read(address) => self.visitors.suspect(address),
            Knock::Told(address, tcn, rssi) => {
                self.visitors.suspect(address);
                if self.options.mode == Mode::Full {
                    self.visits.learned(self.clock.now(), address, tcn);
                }
                let peer = self.door.name(address);
                self.outbox.push(Event::Told { tcn, rssi, peer });
            }
        }
    }

    pub(super) fn stirred(&mut self, stir: Stir) {
        match stir {
            // We came to them.
            Stir::Came { address, .. } if Some(address) == self.visiting => {}
            Stir::Came { address, stranger } => {
                self.visitors.came(address, stranger);
                self.air_anew();
            }
            Stir::Left(address) => {
                if self.visitors.left(address) {
                    self.air_anew();
                }
            }
            Stir::Overstayed(address) => {
                if self.visitors.overstayed(address) {
                    self.plan.part_due();
                }
            }
        }
    }

    /// Whoever connects takes the advert off the air until they leave, unless it
    /// is registered anew. For that moment nothing is on the air, and an address
    /// that is kept must not change: it would last into the next epoch.
    fn air_anew(&mut self) {
        let steady = match self.reach().keeps {
            Keeps::Nothing => true,
            Keeps::Scanner => !self.plan.is_scanning() || self.is_settled(),
            Keeps::Everything => self.is_settled(),
        };
        if steady {
            self.plan.refresh();
        }
    }

    fn is_settled(&self) -> bool {
        self.lockstep.is_settled(self.clock.now())
    }

    pub(super) fn noticed(&mut self, shy: Shy) {
        let known = self.visits.heard(self.clock.now(), shy.address, shy.rssi);
        if let Some(tcn) = known {
            self.hear(tcn, shy.rssi);
        }
    }

    /// A number that its sender does not broadcast.
    pub(super) fn hear(&mut self, tcn: TemporaryContactNumber, rssi: i16) {
        let frame = Frame::own(tcn);
        // Full: dropped, it will be heard again in a moment.
        let _ = self.ears.events.try_send(heard(frame, Some(rssi)));
    }
}
