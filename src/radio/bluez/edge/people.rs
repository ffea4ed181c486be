//! Who may connect, who does, and who is visited: what the edge makes of it.

use std::time::Duration;

use crate::protocol::TemporaryContactNumber;
use crate::protocol::beacon::Frame;

use super::super::super::{Event, Fitness, Mode};
use super::super::alarm::Alarm;
use super::super::discovery::{Shy, heard};
use super::super::reach::{Controller, Reach, reach};
use super::super::reconcile::Condition;
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
        let wait = self.lockstep.wait(self.clock.now());
        let held = reach.keeps_address && !self.plan.is_begun() && !wait.is_zero();
        if held {
            self.alarms.set(Alarm::Address, wait);
        }
        Some(Condition {
            fitness: Fitness {
                can_air: can_air && !held,
                can_carry: can_air && reach.can_carry,
                hold: if reach.keeps_address {
                    self.options.hold
                } else {
                    Duration::ZERO
                },
            },
            connectable: can_air && reach.is_connectable(),
        })
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
    /// is registered anew. Where that would not give it a new address, it may be
    /// that it does: then the address would be gone too early.
    fn air_anew(&mut self) {
        let keeps = self.reach().keeps_address;
        if !keeps || self.lockstep.is_settled(self.clock.now()) {
            self.plan.refresh();
        }
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
