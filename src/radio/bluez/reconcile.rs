//! What to do next: the decisions of the BlueZ task, without BlueZ.
//!
//! A [`Plan`] knows the last order and what BlueZ holds for us. It is told what happened,
//! and names one [`Step`] at a time. The task carries steps out and decides nothing.
//!
//! The order of steps is the point. A number and a device address must change together.
//! BlueZ gives a broadcast advert a fresh address with each registration, but the
//! controller gets in the way:
//!
//! * A *legacy* controller refuses a new random address while it scans. So the advert is
//!   registered first and discovery started after it.
//! * An *extended* one keeps the scanner's address as long as an advert is on. So discovery
//!   is started first, under an address of its own.
//! * Both are stopped, discovery first, before a new epoch starts, and strangers are
//!   disconnected: a connection over two epochs would link them.
//!
//! A number of a past epoch is never registered again. Within an epoch the frame is
//! swapped when that is ordered. Where peers may connect it is also registered again, since
//! each connection takes the advert off the air: each time under another address.
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_set_random_addr_sync`; Core
//! Specification Vol 4 Part E 7.8.4.

mod step;

use std::mem;
use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use super::super::{Event, Order};
use super::capability::{Controller, Readiness};
use super::retry::Retry;
use step::Desired;
pub(super) use step::{AdvertState, Registration, ScanStart, Step};

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What the adapter can be used for; `None` if it cannot be used.
    up: Option<Readiness>,
    desired: Desired,
    /// Our number, which peers may read in this epoch.
    own: Option<TemporaryContactNumber>,
    /// What BlueZ holds belongs to the previous epoch and must go first.
    clearing: bool,
    /// A stranger is connected.
    has_strangers: bool,
    /// Strangers have been disconnected in this clearing. Once is enough: one that connects
    /// again cannot read anything.
    strangers_gone: bool,
    /// The advert has to be registered again as soon as it is registered.
    refresh_due: bool,
    /// A stranger has been connected for too long.
    disconnect_due: bool,
    /// No scan is allowed in this epoch: it would use an address of the previous one.
    scan_suppressed: bool,
    /// Discovery is stopped by order, until it is ordered again.
    discovery_paused: bool,
    /// Discovery was ordered again, and does not run yet.
    discovery_resumed: bool,
    served: bool,
    unanswered_rests: u32,
    /// Read once per epoch.
    controller: Option<Controller>,
    scanning: bool,
    /// Discovery ran before in this epoch.
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
    /// Refusals in a row after which a legacy controller scans between two tries. Until then
    /// it does not, since a running scan would itself be a reason for a refusal.
    const SILENT_REFUSALS: u32 = 3;
    /// Refusals after which the connection is replaced: each leaves an object on it.
    const REFUSALS_PER_CONNECTION: u32 = 8;

    pub(super) fn order(&mut self, order: Order) {
        let Some(readiness) = self.up else {
            if order == Order::Rest {
                self.events.push(Event::Rested);
            }
            return; // void, like the order that stood when the adapter went down
        };
        self.desired = match order {
            Order::Rest => {
                self.unanswered_rests += 1;
                Desired::Rest
            }
            Order::Air(frame) if readiness.capabilities.can_air => Desired::Air(frame),
            Order::Air(_) | Order::Listen => Desired::Listen,
            Order::Swap(frame) => return self.swap(frame),
            Order::StopDiscovery => return self.discovery_paused = true,
            Order::StartDiscovery => {
                self.discovery_resumed |= mem::take(&mut self.discovery_paused);
                return;
            }
        };
        self.own = match self.desired {
            Desired::Air(frame) if !frame.is_bridged() => Some(frame.tcn),
            Desired::Air(_) | Desired::Listen | Desired::Rest => None,
        };
        self.scan_suppressed = false;
        self.discovery_paused = false;
        self.discovery_resumed = false;
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

    /// No scan until the next order.
    pub(super) fn suppress_scan(&mut self) {
        self.scan_suppressed = matches!(self.desired, Desired::Air(_));
    }

    pub(super) fn is_scan_suppressed(&self) -> bool {
        self.scan_suppressed
    }

    /// The advert has to be registered again, under another address: a peer connected, which
    /// takes it off the air, or disconnected.
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

    /// The adapter can be used for this now; `None` if it cannot be used.
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
                    // The same for a frame that was not registered yet, or not again.
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
            events: mem::take(&mut self.events),
            downs: self.downs + 1,
            ..Self::default()
        };
        self.events.push(Event::Down);
        self.events.extend((0..rests).map(|_| Event::Rested));
    }

    /// Takes the advert off the air for good, and drops its order.
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

    /// Everything that BlueZ held is gone, with the service or the adapter.
    pub(super) fn forget(&mut self) {
        self.advert = AdvertState::Absent;
        self.renew_due = false;
        self.served = false;
        self.has_strangers = false;
    }

    /// The next step, if any. Called when the adapter is up and no step is under way.
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
            let rests = mem::take(&mut self.unanswered_rests);
            self.events.extend((0..rests).map(|_| Event::Rested));
            return None;
        }
        // A suspicion that comes during the check needs another check.
        if mem::take(&mut self.loss_suspected) {
            return Some(Step::Verify);
        }
        // Stopped and started again while another step was under way.
        if self.scanning && !self.restart_due && mem::take(&mut self.discovery_resumed) {
            self.events.push(Event::DiscoveryStarted);
        }
        match self.controller {
            None => Some(Step::Inspect),
            Some(_) if self.serves() => Some(Step::Serve),
            Some(_) if self.disconnect_due => Some(Step::DisconnectStrangers),
            Some(_) if self.scanning && (self.restart_due || self.discovery_paused) => {
                Some(Step::StopScan)
            }
            Some(Controller::Extended) => self.scan_then_register(),
            Some(Controller::Legacy) => self.register_then_scan(),
        }
    }

    /// Whether the GATT service has to be registered first.
    fn serves(&self) -> bool {
        self.is_unserved() && !self.serve_retry.is_paused()
    }

    fn is_unserved(&self) -> bool {
        let connectable = self.up.is_some_and(|up| up.connectable);
        connectable && !self.served && matches!(self.desired, Desired::Air(_))
    }

    fn scan(&self) -> Option<Step> {
        let free = !self.scanning && !self.scan_retry.is_paused();
        // A failure is retried in a pause too, so that it does not last until the next window.
        let wanted = !self.discovery_paused || self.scan_retry.is_failing();
        (free && !self.scan_suppressed && wanted).then_some(Step::StartScan)
    }

    /// An extended controller with privacy takes a new address for scanning only while no
    /// advert is on the air, so the first scan of an epoch has to start before the advert.
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

    /// Discovery runs.
    pub(super) fn scan_started(&mut self) -> ScanStart {
        self.scanning = true;
        self.restart_due = false;
        self.scan_retry.succeed();
        self.events.push(Event::DiscoveryStarted);
        let resumed = mem::take(&mut self.discovery_resumed);
        match mem::replace(&mut self.scanned, true) {
            false => ScanStart::First,
            true if resumed => ScanStart::Resumed,
            true => ScanStart::Restarted,
        }
    }

    /// Discovery could not be started, or ended by itself. Returns how long to wait.
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

    /// A registration ended. Returns how long to wait before the next one.
    pub(super) fn registered(&mut self, frame: Frame, how: Registration) -> Option<Duration> {
        match how {
            Registration::Done => {
                self.advert_retry.succeed();
                self.advert = AdvertState::Airing(frame);
                // In between another frame, or none, may have been ordered.
                if self.desired == Desired::Air(frame) {
                    self.events.push(Event::Aired(frame));
                }
                if self.desired != Desired::Air(frame) || mem::take(&mut self.refresh_due) {
                    self.leave();
                }
                None
            }
            Registration::Refused => {
                let pause = self.advert_retry.fail();
                let failures = self.advert_retry.failures();
                self.renew_due |= failures.is_multiple_of(Self::REFUSALS_PER_CONNECTION);
                Some(pause)
            }
            Registration::Uncertain => {
                self.advert = AdvertState::Airing(frame);
                self.renew();
                None
            }
        }
    }

    /// A registration from before the adapter went down succeeded late.
    pub(super) fn registered_late(&mut self) {
        self.advert = AdvertState::Leaving;
    }

    /// The dropped advert was seen to be gone, or the wait was given up.
    pub(super) fn gone(&mut self) {
        self.advert = AdvertState::Absent;
    }

    /// The GATT service is registered, or not: then returns how long to wait.
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

    /// Whether a stranger is connected.
    pub(super) fn set_strangers(&mut self, has_strangers: bool) {
        self.has_strangers = has_strangers;
    }

    pub(super) fn disconnect_due(&mut self) {
        self.disconnect_due = true;
    }

    /// The strangers that had to go were disconnected.
    pub(super) fn strangers_gone(&mut self) {
        self.disconnect_due = false;
        self.strangers_gone = self.clearing;
    }

    /// The advert may be lost, or is: BlueZ `released` it. The number is given up only after a
    /// check, since a bluetoothd that is being stopped sends the same, and is gone in a
    /// moment.
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

    /// BlueZ may hold something for us to which no handle exists: replace the connection.
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

    /// The number that a peer may read now. The outer `None` means that the service is closed,
    /// since no epoch is on the air; the inner one that there is no number to read.
    pub(super) fn readable_number(&self) -> Option<Option<TemporaryContactNumber>> {
        let connectable = self.up.is_some_and(|up| up.connectable);
        let open = self.is_epoch_active() && connectable && !self.clearing;
        open.then_some(self.own)
    }

    /// An epoch is on the air, or about to be.
    pub(super) fn is_epoch_active(&self) -> bool {
        matches!(self.desired, Desired::Air(_))
    }

    /// The ordered frame is on the air, and discovery is as ordered.
    pub(super) fn is_settled(&self) -> bool {
        self.scanning != self.is_discovery_paused() && !self.clearing && self.is_on_air()
    }

    /// Discovery is stopped by order, or about to run again.
    pub(super) fn is_between_windows(&self) -> bool {
        (self.discovery_paused || self.discovery_resumed) && self.desired != Desired::Rest
    }

    /// Discovery is stopped by order.
    pub(super) fn is_discovery_paused(&self) -> bool {
        self.discovery_paused && self.desired != Desired::Rest && !self.scan_retry.is_failing()
    }

    /// Peers may connect, and cannot: BlueZ refuses the GATT service.
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

    /// The ordered advert is refused for now.
    pub(super) fn is_advert_failing(&self) -> bool {
        matches!(self.desired, Desired::Air(_)) && self.advert_retry.is_failing()
    }

    pub(super) fn is_scan_failing(&self) -> bool {
        self.desired != Desired::Rest && self.scan_retry.is_failing()
    }

    /// The events for the daemon since the last call.
    pub(super) fn events(&mut self) -> std::vec::Drain<'_, Event> {
        self.events.drain(..)
    }
}

#[cfg(test)]
mod tests;
