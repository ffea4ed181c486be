//! Who may connect, who does, and who is visited: what the edge makes of it.

use std::mem;
use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use super::super::super::{Event, Fitness, Mode, Order};
use super::super::alarm::Alarm;
use super::super::discovery::{Shy, heard};
use super::super::lockstep::LEAVING;
use super::super::off_air::AddressTimer;
use super::super::reach::{Condition, Controller, Keeps, Reach, reach};
use super::super::reconcile::Advert;
use super::super::server::Knock;
use super::super::session::Facts;
use super::super::visitors::Stir;
use super::super::visits::MEMORY;
use super::Edge;
use super::steps::Told;

/// Between registering the advert anew for somebody and for the next.
const CALM: Duration = Duration::from_secs(1);

impl Edge {
    /// What can be done with the adapter; none while it cannot be used, or the
    /// kernel was not asked about it yet.
    pub(super) fn condition(&mut self) -> Option<Condition> {
        self.look_up_privacy();
        let reach = self.reach();
        let facts = self.facts().filter(|facts| facts.powered)?;
        if self.is_asking(facts) {
            return None;
        }
        let hidden = reach.is_connectable() || !facts.discoverable;
        let can_air = reach.can_air && facts.active.is_some() && hidden;
        let (airs, listens) = match reach.keeps {
            Keeps::Nothing => (true, true),
            keeps @ (Keeps::Scanner | Keeps::Everything) => self.permitted(keeps),
            Keeps::Adverts(timer) => self.permitted_by(timer),
        };
        Some(Condition {
            fitness: Fitness {
                can_air: can_air && airs,
                can_carry: can_air && reach.can_carry,
                can_listen: listens,
                hold: match reach.keeps {
                    Keeps::Nothing | Keeps::Adverts(_) => Duration::ZERO,
                    Keeps::Scanner | Keeps::Everything => self.hold(),
                },
            },
            connectable: can_air && reach.is_connectable(),
        })
    }

    /// Where an address is kept: whether a number may be on the air now, and
    /// others be listened for.
    fn permitted(&mut self, keeps: Keeps) -> (bool, bool) {
        let now = self.clock.now();
        if self.plan.is_begun() && !self.plan.is_deaf_by_order() {
            let left = self.lockstep.left(now);
            left.into_iter()
                .for_each(|left| self.alarms.set(Alarm::Address, left));
            let goes_on = !self.kept_step || left.is_some();
            self.early &= goes_on;
            return (goes_on, goes_on);
        }
        let wait = self.lockstep.wait(now);
        if !wait.is_zero() {
            self.alarms.set(Alarm::Address, wait);
        }
        let fresh = wait.is_zero() && !self.others_scan();
        // Adverts of an extended controller have new addresses all the same.
        (fresh || keeps == Keeps::Scanner, fresh)
    }

    /// Notes whether something of ours is on the air, or may be: looked at whenever
    /// that may have changed, and before anything is decided by it.
    pub(super) fn look_at_the_air(&mut self) {
        let is_airing = self.registering || self.plan.advert() != Advert::Absent;
        if is_airing || self.was_airing {
            self.off_air.airing(self.clock.now());
        }
        self.was_airing = is_airing;
    }

    /// As [`Self::permitted`] where the controller makes the address of all adverts by a timer.
    /// Listening has the host's address, and goes on between two numbers.
    fn permitted_by(&mut self, timer: AddressTimer) -> (bool, bool) {
        let listens = !(self.plan.is_deaf_by_order() && self.others_scan());
        if self.plan.is_begun() && self.kept_step {
            return (true, listens);
        }
        let wait = self.off_air.wait(timer, self.clock.now());
        if !wait.is_zero() {
            self.alarms.set(Alarm::Address, wait);
        }
        (wait.is_zero(), listens)
    }

    /// Another program scans, and keeps the address for as long as it likes.
    fn others_scan(&self) -> bool {
        let discovering = self.facts().is_some_and(|facts| facts.discovering);
        discovering && !self.plan.is_scanning()
    }

    /// How long a number lasts where an address is kept.
    fn hold(&self) -> Duration {
        let slack = LEAVING + Duration::from_secs(2);
        let hold = self.options.rpa_timeout.saturating_sub(slack);
        hold.max(Duration::from_secs(1))
    }

    /// The pause between two numbers that belongs to their handover; what has to
    /// wait for longer comes early.
    fn pause(&self) -> Duration {
        LEAVING + self.options.rpa_timeout / 3
    }

    /// An address is kept for now, and keeps something from being done.
    pub(super) fn is_held(&self) -> bool {
        let now = self.clock.now();
        let waits = !self.lockstep.wait(now).is_zero();
        let held = (self.early && waits) || self.others_scan();
        match self.reach().keeps {
            Keeps::Nothing => false,
            Keeps::Scanner => self.plan.is_deaf_by_order() && held,
            Keeps::Everything => !self.plan.is_begun() && held,
            Keeps::Adverts(_) if self.plan.is_begun() => self.plan.is_deaf_by_order(),
            Keeps::Adverts(timer) => self.early && !self.off_air.wait(timer, now).is_zero(),
        }
    }

    pub(super) fn ordered(&mut self, order: Order) {
        self.plan.order(order);
        let now = self.clock.now();
        let keeps = self.reach().keeps;
        let (wait, pause) = match keeps {
            Keeps::Adverts(timer) => (self.off_air.wait(timer, now), timer.handover()),
            Keeps::Nothing | Keeps::Scanner | Keeps::Everything => {
                (self.lockstep.wait(now), self.pause())
            }
        };
        if order == Order::Rest {
            self.early = wait > pause;
        }
        if let Order::Air(_) = order {
            self.kept_step = false;
            // The adapter may be another since the number before, or private now.
            self.early |= wait > pause;
            let hushed = match keeps {
                Keeps::Scanner => !wait.is_zero() || self.others_scan(),
                // What waits is not aired, so only this is left.
                Keeps::Adverts(_) => self.others_scan(),
                Keeps::Nothing | Keeps::Everything => false,
            };
            if hushed {
                self.plan.hush();
            }
        }
    }

    /// What may be done on the adapter in use.
    pub(super) fn reach(&self) -> Reach {
        let facts = self.facts();
        let evidence = facts.and_then(|facts| facts.privacy);
        let controller = facts.map_or(Controller::Legacy, |facts| facts.controller);
        let timer = facts.and_then(|facts| facts.timer);
        reach(self.options.mode, evidence, timer, controller)
    }

    /// Whether the kernel has to be asked first.
    pub(super) fn is_asking(&self, facts: &Facts) -> bool {
        let needed = matches!(self.options.mode, Mode::Full | Mode::Relay);
        needed && facts.privacy.is_none()
    }

    /// Looks up what bluetoothd is configured to, where the kernel is not asked.
    fn look_up_privacy(&mut self) {
        let is_known = self.facts().is_none_or(|facts| facts.privacy.is_some());
        if self.options.mode != Mode::Broadcast || is_known {
            return;
        }
        if let Some(name) = self.chosen.clone() {
            let told = Told::configured(self.surroundings.kernel.as_ref(), &name);
            self.told(&name, told);
        }
    }

    pub(super) fn knocked(&mut self, knock: &Knock) {
        match *knock {
            Knock::Read(address) => self.visitors.suspect(address),
            Knock::Told(address, tcn) => {
                let rssi = self.visits.signal(address);
                self.visitors.suspect(address);
                if self.options.mode == Mode::Full {
                    self.visits.learned(self.clock.now(), address, tcn);
                    self.alarms.set(Alarm::Forget, MEMORY);
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
            // Whoever connects takes the advert off the air until they leave,
            // unless it is registered anew.
            Stir::Came { address, stranger } => {
                self.visitors.came(address, stranger);
                self.door.admit(address);
                self.refresh();
            }
            Stir::Left(address) => {
                if self.visitors.left(address) {
                    self.refresh();
                }
            }
            Stir::Overstayed(stay) => {
                if self.visitors.overstayed(stay) {
                    self.plan.part_due();
                }
            }
        }
    }

    /// Registers the advert anew: at once, unless that was done a moment ago. A
    /// crowd at the door is not to have bluetoothd work for each of them.
    fn refresh(&mut self) {
        if self.alarms.is_set(Alarm::Refresh) {
            self.crowded = true;
        } else {
            self.plan.refresh();
            self.alarms.set(Alarm::Refresh, CALM);
        }
    }

    pub(super) fn refresh_for_the_crowd(&mut self) {
        if mem::take(&mut self.crowded) {
            self.refresh();
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
