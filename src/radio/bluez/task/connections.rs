//! Connections: whether peers may connect, which ones do, and which ones we connect to.

use std::mem;
use std::time::Duration;

use tcn_engine::RadioCapabilities;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use super::super::super::{Event, Mode, Order};
use super::super::capability::{AddressPersistence, Capability, Controller, Readiness, capability};
use super::super::discovery::UuidOnlyAdvert;
use super::super::gatt_server::GattAccess;
use super::super::inbound::ConnectionEvent;
use super::super::off_air::AddressTimer;
use super::super::outbound::NUMBER_LIFETIME;
use super::super::reconcile::AdvertState;
use super::super::rpa_schedule::EPOCH_MARGIN;
use super::super::session::AdapterState;
use super::super::timers::Timer;
use super::state::{BluezTask, PrivacyReport};

/// The shortest time between two registrations of the advert because of connections.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

impl BluezTask {
    /// What can be done with the adapter now; none while it cannot be used, or the kernel was
    /// not asked about it yet.
    pub(super) fn readiness(&mut self) -> Option<Readiness> {
        self.read_configured_privacy();
        let capability = self.capability();
        let state = self.state().filter(|state| state.powered)?;
        if self.must_ask_kernel(state) {
            return None;
        }
        let hidden = capability.is_connectable() || !state.discoverable;
        let can_air = capability.can_air && state.active.is_some() && hidden;
        let (airs, listens) = match capability.persistence {
            AddressPersistence::Nothing => (true, true),
            persistence @ (AddressPersistence::Scanner | AddressPersistence::Everything) => {
                self.permitted(persistence)
            }
            AddressPersistence::Adverts(timer) => self.permitted_by_controller(timer),
        };
        Some(Readiness {
            capabilities: RadioCapabilities {
                can_air: can_air && airs,
                can_carry: can_air && capability.can_carry,
                can_listen: listens,
                address_lifetime: match capability.persistence {
                    AddressPersistence::Nothing | AddressPersistence::Adverts(_) => Duration::ZERO,
                    AddressPersistence::Scanner | AddressPersistence::Everything => {
                        self.address_lifetime()
                    }
                },
            },
            connectable: can_air && capability.is_connectable(),
        })
    }

    /// Where an address is kept: whether a number may be on the air now, and whether scanning
    /// is allowed.
    fn permitted(&mut self, persistence: AddressPersistence) -> (bool, bool) {
        let now = self.clock.now();
        if self.plan.is_epoch_active() && !self.plan.is_scan_suppressed() {
            let left = self.rpa_schedule.left(now);
            left.into_iter()
                .for_each(|left| self.timers.set(Timer::Address, left));
            let goes_on = !self.address_taken || left.is_some();
            self.early &= goes_on;
            return (goes_on, goes_on);
        }
        let wait = self.rpa_schedule.wait(now);
        if !wait.is_zero() {
            self.timers.set(Timer::Address, wait);
        }
        let fresh = wait.is_zero() && !self.others_scan();
        // Adverts of an extended controller have new addresses in any case.
        (fresh || persistence == AddressPersistence::Scanner, fresh)
    }

    /// Notes whether one of our frames is on the air, or may be. Called whenever this may have
    /// changed, and before a decision depends on it.
    pub(super) fn update_airing(&mut self) {
        let is_airing = self.registering || self.plan.advert() != AdvertState::Absent;
        if is_airing || self.was_airing {
            self.off_air.airing(self.clock.now());
        }
        self.was_airing = is_airing;
    }

    /// As [`Self::permitted`] where the controller makes the address of all adverts by a timer.
    /// Scanning uses the host's address, and goes on between two numbers.
    fn permitted_by_controller(&mut self, timer: AddressTimer) -> (bool, bool) {
        let listens = !(self.plan.is_scan_suppressed() && self.others_scan());
        if self.plan.is_epoch_active() && self.address_taken {
            return (true, listens);
        }
        let wait = self.off_air.wait(timer, self.clock.now());
        if !wait.is_zero() {
            self.timers.set(Timer::Address, wait);
        }
        (wait.is_zero(), listens)
    }

    /// Another program scans, and so keeps the address for an unknown time.
    fn others_scan(&self) -> bool {
        let discovering = self.state().is_some_and(|state| state.discovering);
        // Where our own discovery pauses, what is told of it comes a moment late, and nothing
        // depends on the scan of another: this epoch has its address.
        discovering && !self.plan.is_scanning() && !self.plan.is_between_windows()
    }

    /// How long a number lasts where an address is kept.
    fn address_lifetime(&self) -> Duration {
        let slack = EPOCH_MARGIN + Duration::from_secs(2);
        let address_lifetime = self.options.rpa_timeout.saturating_sub(slack);
        address_lifetime.max(Duration::from_secs(1))
    }

    /// The pause between two numbers that counts as their handover. A number that has to wait
    /// for longer comes early.
    fn pause(&self) -> Duration {
        EPOCH_MARGIN + self.options.rpa_timeout / 3
    }

    /// An address is kept for now, and something waits for another one.
    pub(super) fn is_held(&self) -> bool {
        let now = self.clock.now();
        let waits = !self.rpa_schedule.wait(now).is_zero();
        let held = (self.early && waits) || self.others_scan();
        match self.capability().persistence {
            AddressPersistence::Nothing => false,
            AddressPersistence::Scanner => self.plan.is_scan_suppressed() && held,
            AddressPersistence::Everything => !self.plan.is_epoch_active() && held,
            AddressPersistence::Adverts(_) if self.plan.is_epoch_active() => {
                self.plan.is_scan_suppressed()
            }
            AddressPersistence::Adverts(timer) => {
                self.early && !self.off_air.wait(timer, now).is_zero()
            }
        }
    }

    pub(super) fn ordered(&mut self, order: Order) {
        self.plan.order(order);
        let now = self.clock.now();
        let persistence = self.capability().persistence;
        let (wait, pause) = match persistence {
            AddressPersistence::Adverts(timer) => (self.off_air.wait(timer, now), timer.handover()),
            AddressPersistence::Nothing
            | AddressPersistence::Scanner
            | AddressPersistence::Everything => (self.rpa_schedule.wait(now), self.pause()),
        };
        if order == Order::Rest {
            self.early = wait > pause;
        }
        if let Order::Air(_) = order {
            self.address_taken = false;
            // The adapter may be another since the number before, or private now.
            self.early |= wait > pause;
            let suppressed = match persistence {
                AddressPersistence::Scanner => !wait.is_zero() || self.others_scan(),
                // A number that has to wait is not aired, so only this case is left.
                AddressPersistence::Adverts(_) => self.others_scan(),
                AddressPersistence::Nothing | AddressPersistence::Everything => false,
            };
            if suppressed {
                self.plan.suppress_scan();
            }
        }
    }

    /// What is allowed on the adapter in use.
    pub(super) fn capability(&self) -> Capability {
        let state = self.state();
        let evidence = state.and_then(|state| state.privacy);
        let controller = state.map_or(Controller::Legacy, |state| state.controller);
        let timer = state.and_then(|state| state.timer);
        capability(self.options.mode, evidence, timer, controller)
    }

    /// Whether the kernel has to be asked first.
    pub(super) fn must_ask_kernel(&self, state: &AdapterState) -> bool {
        let needed = matches!(self.options.mode, Mode::Full | Mode::Relay);
        needed && state.privacy.is_none()
    }

    /// Reads the privacy setting in bluetoothd's configuration, where the kernel is not asked.
    fn read_configured_privacy(&mut self) {
        let is_known = self.state().is_none_or(|state| state.privacy.is_some());
        if self.options.mode != Mode::Broadcast || is_known {
            return;
        }
        if let Some(name) = self.chosen.clone() {
            let report = PrivacyReport::configured(self.platform.kernel.as_ref(), &name);
            self.set_privacy(&name, report);
        }
    }

    pub(super) fn gatt_accessed(&mut self, access: &GattAccess) {
        match *access {
            GattAccess::Read(address) => self.inbound.mark_stranger(address),
            GattAccess::Written(address, tcn) => {
                let rssi = self.outbound.rssi(address);
                self.inbound.mark_stranger(address);
                if self.options.mode == Mode::Full {
                    self.outbound.learned(self.clock.now(), address, tcn);
                    self.timers.set(Timer::ForgetPeers, NUMBER_LIFETIME);
                }
                let peer = self.gatt.peer(address);
                self.event_queue.push(Event::Written { tcn, rssi, peer });
            }
        }
    }

    pub(super) fn connection_event(&mut self, event: ConnectionEvent) {
        match event {
            // An outbound connection.
            ConnectionEvent::Connected { address, .. } if Some(address) == self.connecting_to => {}
            // An inbound connection takes the advert off the air until it ends, unless the
            // advert is registered again.
            ConnectionEvent::Connected { address, stranger } => {
                self.inbound.connected(address, stranger);
                self.gatt.admit(address);
                self.refresh();
            }
            ConnectionEvent::Disconnected(address) => {
                if self.inbound.disconnected(address) {
                    self.refresh();
                }
            }
            ConnectionEvent::TimedOut(id) => {
                if self.inbound.timed_out(id) {
                    self.plan.disconnect_due();
                }
            }
            // The watch begins again with the service.
            ConnectionEvent::WatchLost => {
                if let Some(pause) = self.plan.serving(false) {
                    self.timers.set(Timer::Serve, pause);
                }
            }
        }
    }

    /// Registers the advert again: at once, unless that was done a moment ago. A crowd of
    /// peers must not make bluetoothd work for each of them.
    fn refresh(&mut self) {
        if self.timers.is_set(Timer::Refresh) {
            self.refresh_pending = true;
        } else {
            self.plan.refresh();
            self.timers.set(Timer::Refresh, REFRESH_INTERVAL);
        }
    }

    pub(super) fn refresh_if_pending(&mut self) {
        if mem::take(&mut self.refresh_pending) {
            self.refresh();
        }
    }

    pub(super) fn uuid_only_heard(&mut self, uuid_only: UuidOnlyAdvert) {
        let known = self
            .outbound
            .heard(self.clock.now(), uuid_only.address, uuid_only.rssi);
        if let Some(tcn) = known {
            self.hear(tcn, uuid_only.rssi);
        }
    }

    /// A number that its sender does not broadcast.
    pub(super) fn hear(&mut self, tcn: TemporaryContactNumber, rssi: Option<i16>) {
        let frame = Frame::own(tcn);
        // A full queue drops it: it will be heard again in a moment.
        let _ = self.sink.events.try_send(Event::Heard { frame, rssi });
    }
}
