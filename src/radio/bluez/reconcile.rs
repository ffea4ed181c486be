//! What to do next: the decisions of the BlueZ edge, without BlueZ.
//!
//! A [`Plan`] knows what was ordered and what is held, is told what happened,
//! and names one [`Step`] at a time. The task beside it carries steps out and
//! decides nothing.
//!
//! The order of steps is the point. A number and a device address must change
//! together, and BlueZ gives a broadcast advert a fresh address with each
//! registration, but the controller gets in the way:
//!
//! * A *legacy* controller refuses a new random address while it scans. So
//!   the advert is registered first and discovery started after it.
//! * An *extended* one keeps the scanner's own address as long as an advert is
//!   on. So discovery is started first, under an address of its own.
//! * Both are stopped, discovery first, before a new epoch begins, and whoever
//!   is connected is sent away: over a connection two epochs would be one.
//!
//! A number of an epoch that is over is never registered again. Within an epoch
//! the frame is swapped when that is ordered, and registered anew where others
//! may connect, since each of them takes the advert off the air: each time under
//! another address.
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_set_random_addr_sync`; Core
//! Specification Vol 4 Part E 7.8.4.

use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use super::super::{Event, Order};
use super::capability::{Controller, Readiness};
use super::retry::Retry;

/// One thing to do, and then to report on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Find out what kind of controller it is, and whether it is still private.
    Inspect,
    /// Offer what others connect for.
    Serve,
    StartScan,
    StopScan,
    Register(Frame),
    /// See that the advert dropped is gone.
    ConfirmGone,
    /// See whether the advert is still there.
    Verify,
    /// Send away who is connected: all, before a new epoch; otherwise who has
    /// stayed too long.
    DisconnectStrangers,
    /// Replace the connection to BlueZ, with everything that hangs on it.
    Renew,
}

/// Our advert, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AdvertState {
    #[default]
    Absent,
    Airing(Frame),
    /// Dropped or doubtful; to be seen gone before anything else is aired.
    Leaving,
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    Done,
    /// Refused: it was never on the air.
    Refused,
    /// Nobody knows whether it was on the air.
    Uncertain,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Desired {
    #[default]
    Rest,
    Listen,
    Air(Frame),
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Whether the adapter can be used, and then what for.
    up: Option<Readiness>,
    desired: Desired,
    /// The number of ours that is to be told in this epoch.
    own: Option<TemporaryContactNumber>,
    /// What is held belongs to the epoch before and must go first.
    clearing: bool,
    /// Somebody is connected.
    has_strangers: bool,
    /// Whoever was connected has been sent away in this clearing. Once is enough:
    /// who comes again by other ways is told nothing.
    strangers_gone: bool,
    /// The advert has to be registered anew as soon as it is registered.
    refresh_due: bool,
    /// Somebody stayed too long.
    disconnect_due: bool,
    /// Nothing may be listened for in this epoch: it would be asked for under an
    /// address of the one before.
    scan_suppressed: bool,
    served: bool,
    unanswered_rests: u32,
    /// Known once per epoch.
    controller: Option<Controller>,
    scanning: bool,
    /// It ran before in this epoch.
    scanned: bool,
    restart_due: bool,
    advert: AdvertState,
    loss_suspected: bool,
    /// BlueZ says that it dropped the advert.
    released: bool,
    renew_due: bool,
    scan_retry: Retry,
    advert_retry: Retry,
    serve_retry: Retry,
    events: Vec<Event>,
    downs: u64,
}

impl Plan {
    /// Refusals in a row after which a legacy controller listens between two
    /// tries: until then it keeps silent, since a running scan would itself
    /// be the reason for a refusal.
    const SILENT_REFUSALS: u32 = 3;
    /// Refusals after which the connection is replaced: each leaves an object
    /// behind in it.
    const REFUSALS_PER_CONNECTION: u32 = 8;

    pub(super) fn order(&mut self, order: Order) {
        let Some(readiness) = self.up else {
            if order == Order::Rest {
                self.events.push(Event::Rested);
            }
            return; // forgotten, like those that stood when it went down
        };
        self.desired = match order {
            Order::Rest => {
                self.unanswered_rests += 1;
                Desired::Rest
            }
            Order::Air(frame) if readiness.capabilities.can_air => Desired::Air(frame),
            Order::Air(_) | Order::Listen => Desired::Listen,
            Order::Swap(frame) => return self.swap(frame),
        };
        self.own = match self.desired {
            Desired::Air(frame) if !frame.is_bridged() => Some(frame.tcn),
            Desired::Air(_) | Desired::Listen | Desired::Rest => None,
        };
        self.scan_suppressed = false;
        self.strangers_gone = false;
        self.refresh_due = false;
        self.clearing = true;
        self.controller = None;
        self.scanned = false;
        self.restart_due = false;
        (self.scan_retry, self.advert_retry, self.serve_retry) = Default::default();
    }

    fn swap(&mut self, frame: Frame) {
        if let Desired::Air(_) = self.desired {
            self.desired = Desired::Air(frame);
            self.advert_retry = Retry::default();
            if self.advert != AdvertState::Airing(frame) {
                self.leave();
            }
        }
    }

    /// Nothing is listened for until the next order.
    pub(super) fn suppress_scan(&mut self) {
        self.scan_suppressed = matches!(self.desired, Desired::Air(_));
    }

    pub(super) fn is_scan_suppressed(&self) -> bool {
        self.scan_suppressed
    }

    /// The advert has to be registered anew, under another address: somebody
    /// connected, which takes it off the air, or left.
    pub(super) fn refresh(&mut self) {
        if !self.clearing {
            self.advert_retry = Retry::default();
            self.refresh_due = self.advert == AdvertState::Absent;
            self.leave();
        }
    }

    fn leave(&mut self) {
        if let AdvertState::Airing(_) = self.advert {
            self.advert = AdvertState::Leaving;
        }
    }

    /// The state of the adapter now: unusable, or what it can be used for.
    pub(super) fn set_readiness(&mut self, now: Option<Readiness>) {
        match (self.up, now) {
            (None, None) => {}
            (Some(_), None) => self.go_down(),
            (Some(before), Some(readiness)) if before == readiness => {}
            (before, Some(readiness)) => {
                self.up = now;
                let other_air = before.is_some_and(|up| up.connectable != readiness.connectable);
                if !readiness.capabilities.can_air || other_air {
                    self.withdraw(AdvertState::Leaving);
                    // The same for one that was not registered yet, or anew.
                    if let Desired::Air(frame) = self.desired {
                        self.events.push(Event::Withdrawn(frame));
                        self.desired = Desired::Listen;
                    }
                }
                self.served &= readiness.connectable;
                self.events.push(Event::Up(readiness.capabilities));
            }
        }
    }

    fn go_down(&mut self) {
        self.withdraw(AdvertState::Leaving);
        let rests = self.unanswered_rests;
        *self = Self {
            advert: self.advert,
            renew_due: self.renew_due,
            has_strangers: self.has_strangers,
            events: std::mem::take(&mut self.events),
            downs: self.downs + 1,
            ..Self::default()
        };
        self.events.push(Event::Down);
        self.events.extend((0..rests).map(|_| Event::Rested));
    }

    /// Takes the advert off the air for good, and forgets that it was ordered.
    fn withdraw(&mut self, leaves: AdvertState) {
        let AdvertState::Airing(frame) = self.advert else {
            return;
        };
        self.advert = leaves;
        if !self.clearing {
            self.events.push(Event::Withdrawn(frame));
        }
        if self.desired == Desired::Air(frame) {
            self.desired = Desired::Listen;
        }
    }

    /// Everything held is gone, with the service or the adapter it hung on.
    pub(super) fn forget(&mut self) {
        self.advert = AdvertState::Absent;
        self.renew_due = false;
        self.served = false;
        self.has_strangers = false;
    }

    /// The next step, if any. To be asked when the adapter is up and no step
    /// is under way.
    pub(super) fn next(&mut self) -> Option<Step> {
        if self.renew_due {
            return Some(if self.scanning {
                Step::StopScan
            } else {
                Step::Renew
            });
        }
        if self.advert == AdvertState::Leaving {
            return Some(Step::ConfirmGone);
        }
        if self.clearing {
            if self.scanning {
                return Some(Step::StopScan);
            }
            if let AdvertState::Airing(_) = self.advert {
                self.advert = AdvertState::Leaving;
                return Some(Step::ConfirmGone);
            }
            if self.has_strangers && !self.strangers_gone {
                return Some(Step::DisconnectStrangers);
            }
            self.clearing = false;
        }
        if self.desired == Desired::Rest {
            let rests = std::mem::take(&mut self.unanswered_rests);
            self.events.extend((0..rests).map(|_| Event::Rested));
            return None;
        }
        // A doubt that comes while it is seen to is another one.
        if std::mem::take(&mut self.loss_suspected) {
            return Some(Step::Verify);
        }
        match self.controller {
            None => Some(Step::Inspect),
            Some(_) if self.serves() => Some(Step::Serve),
            Some(_) if self.disconnect_due => Some(Step::DisconnectStrangers),
            Some(_) if self.restart_due && self.scanning => Some(Step::StopScan),
            Some(Controller::Extended) => self.scan_then_register(),
            Some(Controller::Legacy) => self.register_then_scan(),
        }
    }

    /// Whether what others connect for has to be offered first.
    fn serves(&self) -> bool {
        self.is_unserved() && !self.serve_retry.is_paused()
    }

    fn is_unserved(&self) -> bool {
        let connectable = self.up.is_some_and(|up| up.connectable);
        connectable && !self.served && matches!(self.desired, Desired::Air(_))
    }

    fn scan(&self) -> Option<Step> {
        let free = !self.scanning && !self.scan_retry.is_paused();
        (free && !self.scan_suppressed).then_some(Step::StartScan)
    }

    /// An extended controller with privacy takes a new address to scan under
    /// only while no advert is on the air, so the first scan of an epoch has to
    /// begin before it.
    fn scan_then_register(&mut self) -> Option<Step> {
        let private = self.up.is_some_and(|up| up.connectable);
        if private && !self.scanned && self.scan().is_some() && self.is_airing() {
            self.leave();
            return Some(Step::ConfirmGone);
        }
        self.scan().or_else(|| self.register())
    }

    fn is_airing(&self) -> bool {
        matches!(self.advert, AdvertState::Airing(_))
    }

    fn register(&self) -> Option<Step> {
        match (self.desired, self.advert) {
            (Desired::Air(frame), AdvertState::Absent)
                if !self.advert_retry.is_paused() && !self.is_unserved() =>
            {
                Some(Step::Register(frame))
            }
            (Desired::Rest | Desired::Listen | Desired::Air(_), _) => None,
        }
    }

    fn register_then_scan(&self) -> Option<Step> {
        match self.register() {
            Some(_) if self.scanning => Some(Step::StopScan),
            Some(register) => Some(register),
            None if self.is_advert_failing()
                && self.advert_retry.failures() < Self::SILENT_REFUSALS =>
            {
                None
            }
            None => self.scan(),
        }
    }

    pub(super) fn inspected(&mut self, controller: Controller) {
        self.controller = Some(controller);
    }

    /// Discovery runs. True if it did before, in this epoch.
    pub(super) fn scan_started(&mut self) -> bool {
        self.scanning = true;
        self.restart_due = false;
        self.scan_retry.succeed();
        std::mem::replace(&mut self.scanned, true)
    }

    /// Discovery could not be started, or ended by itself. Says how long to
    /// wait.
    pub(super) fn scan_failed(&mut self) -> Duration {
        self.scanning = false;
        self.scan_retry.fail()
    }

    pub(super) fn scan_stopped(&mut self) {
        self.scanning = false;
    }

    pub(super) fn restart_due(&mut self) {
        self.restart_due = true;
    }

    /// A registration ended. Says how long to wait before the next one.
    pub(super) fn registered(&mut self, frame: Frame, how: Registration) -> Option<Duration> {
        match how {
            Registration::Done => {
                self.advert_retry.succeed();
                self.advert = AdvertState::Airing(frame);
                // Meanwhile it may be another's turn, or nobody's.
                if self.desired == Desired::Air(frame) {
                    self.events.push(Event::Aired(frame));
                }
                if self.desired != Desired::Air(frame) || std::mem::take(&mut self.refresh_due) {
                    self.leave();
                }
                None
            }
            Registration::Refused => {
                let pause = self.advert_retry.fail();
                if self
                    .advert_retry
                    .failures()
                    .is_multiple_of(Self::REFUSALS_PER_CONNECTION)
                {
                    self.renew_due = true;
                }
                Some(pause)
            }
            Registration::Uncertain => {
                self.advert = AdvertState::Airing(frame);
                self.renew();
                None
            }
        }
    }

    /// An advert of before the adapter went down was registered after all.
    pub(super) fn registered_late(&mut self) {
        self.advert = AdvertState::Leaving;
    }

    /// The advert dropped was seen to be gone, or given up after all.
    pub(super) fn gone(&mut self) {
        self.advert = AdvertState::Absent;
    }

    /// What others connect for is offered; or says how long to wait.
    pub(super) fn serving(&mut self, served: bool) -> Option<Duration> {
        self.served = served;
        if served {
            self.serve_retry.succeed();
            None
        } else {
            Some(self.serve_retry.fail())
        }
    }

    pub(super) fn resume_serve(&mut self) {
        self.serve_retry.resume();
    }

    /// Whether anybody is connected.
    pub(super) fn set_strangers(&mut self, has_strangers: bool) {
        self.has_strangers = has_strangers;
    }

    pub(super) fn disconnect_due(&mut self) {
        self.disconnect_due = true;
    }

    /// Whoever had to go was sent away.
    pub(super) fn strangers_gone(&mut self) {
        self.disconnect_due = false;
        self.strangers_gone = self.clearing;
    }

    /// The advert may be gone, or is: BlueZ `released` it. The number is given up
    /// once it is seen what is left, for a bluetoothd that is being stopped says the
    /// same, and is gone in a moment.
    pub(super) fn suspect_loss(&mut self, released: bool) {
        self.loss_suspected |= self.is_airing();
        self.released |= released && self.is_airing();
    }

    /// Our advert is on the air, as far as BlueZ says.
    pub(super) fn is_on_air(&self) -> bool {
        self.is_airing() && !self.released
    }

    pub(super) fn verified(&mut self, present: bool) {
        self.released &= self.loss_suspected;
        if !present {
            self.withdraw(AdvertState::Absent);
        }
    }

    /// BlueZ may hold something of ours that nobody has a handle to: leave it
    /// all and connect anew.
    pub(super) fn renew(&mut self) {
        self.withdraw(AdvertState::Leaving);
        self.renew_due = true;
    }

    pub(super) fn renewed(&mut self) {
        self.renew_due = false;
        self.scanning = false;
        self.served = false;
    }

    pub(super) fn resume_scan(&mut self) {
        self.scan_retry.resume();
    }

    pub(super) fn resume_advert(&mut self) {
        self.advert_retry.resume();
    }

    pub(super) fn advert(&self) -> AdvertState {
        self.advert
    }

    /// What whoever connects now is told, and whether anybody is listened to:
    /// none while no epoch of ours is on the air.
    pub(super) fn readable_number(&self) -> Option<Option<TemporaryContactNumber>> {
        let connectable = self.up.is_some_and(|up| up.connectable);
        let open = self.is_epoch_active() && connectable && !self.clearing;
        open.then_some(self.own)
    }

    /// An epoch of ours is on the air, or about to be.
    pub(super) fn is_epoch_active(&self) -> bool {
        matches!(self.desired, Desired::Air(_))
    }

    /// Everything ordered is on the air, and runs.
    pub(super) fn is_settled(&self) -> bool {
        self.scanning && !self.clearing && self.is_on_air()
    }

    /// Others may connect, and could not: BlueZ refuses what they come for.
    pub(super) fn is_serve_failing(&self) -> bool {
        self.is_unserved() && self.serve_retry.is_failing()
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// How often the adapter went down.
    pub(super) fn downs(&self) -> u64 {
        self.downs
    }

    pub(super) fn is_scanning(&self) -> bool {
        self.scanning
    }

    /// The advert ordered is refused for now.
    pub(super) fn is_advert_failing(&self) -> bool {
        matches!(self.desired, Desired::Air(_)) && self.advert_retry.is_failing()
    }

    pub(super) fn is_scan_failing(&self) -> bool {
        self.desired != Desired::Rest && self.scan_retry.is_failing()
    }

    /// What there is to tell the daemon since the last time.
    pub(super) fn events(&mut self) -> std::vec::Drain<'_, Event> {
        self.events.drain(..)
    }
}

#[cfg(test)]
mod tests;
