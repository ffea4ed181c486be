//! How the results of steps are applied.

use std::time::Duration;

use bluer::Address;
use bluer::gatt::local::ApplicationHandle;
use bluez_mgmt::Privacy;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tcnd_client::Problem;

use super::super::BluezError;
use super::super::advert::{AdvertHandle, RegisterError};
use super::super::capability::{AddressPersistence, Evidence};
use super::super::central::CentralError;
use super::super::discovery::Discovery;
use super::super::inbound::DeviceWatcher;
use super::super::off_air::AddressTimer;
use super::super::outbound::NUMBER_LIFETIME;
use super::super::reconcile::{Registration, ScanStart};
use super::super::session::{AdapterSnapshot, AdapterState, Advertising};
use super::super::timers::Timer;
use super::state::{
    BluezTask, CONNECTION_GONE_TIMEOUT, GONE_TIMEOUT, PrivacyReport, StaleHandle, StepResult,
};

/// Time until the kernel is asked again how a controller changes its addresses.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

impl BluezTask {
    /// Applies the result of a step.
    pub(super) fn apply(&mut self, step_result: StepResult) {
        match step_result {
            StepResult::Watching(Ok((bus, present))) => {
                self.connect_retry.succeed();
                self.bus = Some(bus);
                self.present = present;
            }
            StepResult::Connected(Ok(bluez)) => {
                self.connect_retry.succeed();
                self.bluez = Some(bluez);
            }
            StepResult::Watching(Err(error)) | StepResult::Connected(Err(error)) => {
                self.connection_failed(&error)
            }
            StepResult::AdapterRead(name, result) => self.adapter_read(name, result),
            StepResult::Advertising(found) => self.advertising_read(found),
            StepResult::KernelAsked(name, report) => self.set_privacy(&name, report),
            StepResult::Inspected(Ok(controller), report) => {
                self.plan.inspected(controller);
                if let Some(name) = self.chosen.clone() {
                    self.set_privacy(&name, report);
                }
            }
            StepResult::Served(result) => self.serving(result),
            StepResult::StrangersDisconnected(addresses) => {
                self.inbound.strangers_disconnected(&addresses);
                self.plan.strangers_gone();
            }
            StepResult::OutboundRead(address, took, read) => {
                self.outbound_read(address, took, read)
            }
            StepResult::Inspected(Err(error), _) | StepResult::Verified(Err(error)) => {
                tracing::warn!(error = %error, "BlueZ does not say; connecting again");
                self.lose_connection();
                self.connection_failed(&error);
            }
            StepResult::ScanStarted(result) => self.scan_started(result),
            StepResult::ScanStopped(result) => {
                self.plan.scan_stopped();
                if let Err(error) = result {
                    tracing::warn!(error = %error, "discovery may continue; connecting again");
                    self.plan.renew();
                }
            }
            StepResult::Registered(frame, result) => self.registered(frame, result),
            StepResult::Gone(result) => self.gone(result.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "cannot see our advert go");
                false
            })),
            StepResult::Verified(Ok((there, advertising))) => self.verified(there, advertising),
            StepResult::Renewed(Ok(bluez)) => {
                self.bluez = Some(bluez);
                self.plan.renewed();
            }
            StepResult::Renewed(Err(error)) => {
                self.lose_connection();
                self.connection_failed(&error);
            }
        }
    }

    /// The same, if the adapter went down in between: then only what BlueZ still holds counts.
    pub(super) fn apply_late(&mut self, step_result: StepResult) {
        match step_result {
            StepResult::Registered(_, Ok((handle, active))) => {
                self.advert = Some(handle);
                self.set_active(active);
                self.take_address(AddressPersistence::Everything);
                self.plan.registered_late();
            }
            StepResult::Registered(_, Err(RegisterError::Uncertain { before, .. })) => {
                self.leaving = (before, CONNECTION_GONE_TIMEOUT);
                self.take_address(AddressPersistence::Everything);
                self.plan.registered_late();
                self.plan.renew();
            }
            StepResult::Registered(
                _,
                Err(RegisterError::Discoverable | RegisterError::Refused(_)),
            )
            | StepResult::ScanStarted(Ok(_)) => {}
            StepResult::ScanStarted(Err(_)) => self.plan.renew(),
            step_result @ (StepResult::Watching(_)
            | StepResult::Connected(_)
            | StepResult::AdapterRead(..)
            | StepResult::Advertising(_)
            | StepResult::KernelAsked(..)
            | StepResult::Inspected(..)
            | StepResult::Served(_)
            | StepResult::StrangersDisconnected(_)
            | StepResult::OutboundRead(..)
            | StepResult::ScanStopped(_)
            | StepResult::Gone(_)
            | StepResult::Verified(_)
            | StepResult::Renewed(_)) => self.apply(step_result),
        }
    }

    /// Keeps the handles in the result of a step of another generation, which must not be
    /// dropped yet.
    pub(super) fn put_aside(&mut self, step_result: StepResult) {
        match step_result {
            StepResult::Registered(_, Ok((handle, _))) => {
                self.stale.push(StaleHandle::Advert { _handle: handle });
            }
            StepResult::ScanStarted(Ok(discovery)) => {
                self.stale
                    .push(StaleHandle::Discovery { _handle: discovery });
            }
            StepResult::Connected(Ok(bluez)) | StepResult::Renewed(Ok(bluez)) => {
                self.stale
                    .push(StaleHandle::Connection { _connection: bluez });
            }
            StepResult::Served(Ok((handle, ..))) => {
                self.stale.push(StaleHandle::Server { _handle: handle });
            }
            StepResult::OutboundRead(..) => self.connecting_to = None,
            StepResult::Watching(_)
            | StepResult::AdapterRead(..)
            | StepResult::Advertising(_)
            | StepResult::KernelAsked(..)
            | StepResult::Inspected(..)
            | StepResult::Served(Err(_))
            | StepResult::StrangersDisconnected(_)
            | StepResult::ScanStopped(_)
            | StepResult::Gone(_)
            | StepResult::Verified(_)
            | StepResult::Registered(_, Err(_))
            | StepResult::ScanStarted(Err(_))
            | StepResult::Connected(Err(_))
            | StepResult::Renewed(Err(_)) => {}
        }
    }

    fn adapter_read(&mut self, name: String, result: Result<AdapterSnapshot, BluezError>) {
        if result.is_ok() {
            self.read_retry.succeed();
        } else {
            let pause = self.read_retry.fail();
            self.timers.set(Timer::ReadAdapter, pause);
        }
        if let Some(bluez) = &mut self.bluez {
            bluez.adapter_read(name, result);
        }
    }

    pub(super) fn set_privacy(&mut self, name: &str, report: PrivacyReport) {
        let now = self.clock.now();
        let timer = report.addresses.map(|known| AddressTimer {
            timeout: known.timeout,
            certain_from: now + known.certain_in,
        });
        let by_controller = report.privacy == Evidence::Kernel(Privacy::ByController);
        if by_controller && timer.is_none() {
            // The program that sets the timeout may start later than the controller.
            self.timers.set(Timer::AskKernel, ASK_INTERVAL);
        }
        let bluez = self.bluez.as_mut();
        if let Some(state) = bluez.and_then(|bluez| bluez.state_mut(name)) {
            state.privacy = Some(report.privacy);
            state.timer = timer;
        }
    }

    fn serving(
        &mut self,
        result: Result<(ApplicationHandle, DeviceWatcher, Vec<Address>), BluezError>,
    ) {
        let served = result.is_ok();
        match result {
            Ok((handle, watcher, connected)) => {
                self.server = Some(handle);
                // They connected before the service existed, and cannot read our number.
                self.inbound.watch(watcher, connected);
            }
            Err(error) => {
                tracing::warn!(error = %error, "others cannot connect");
                self.counters.note_error(Problem::ConnectFailed, &error);
            }
        }
        if let Some(pause) = self.plan.serving(served) {
            self.timers.set(Timer::Serve, pause);
        }
    }

    fn outbound_read(
        &mut self,
        address: Address,
        took: Duration,
        read: Result<Vec<u8>, CentralError>,
    ) {
        self.connecting_to = None;
        let tried = !matches!(read, Err(CentralError::Unknown(_) | CentralError::Excluded));
        let number = read.map(|value| value.first_chunk().copied());
        let tcn = match number {
            Ok(Some(bytes)) => Some(TemporaryContactNumber::from_bytes(bytes)),
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "a phone was not read");
                None
            }
        };
        self.outbound
            .attempt_ended(self.clock.now(), address, took, tcn);
        self.timers.set(Timer::ForgetPeers, NUMBER_LIFETIME);
        if let Some(tcn) = tcn {
            self.hear(tcn, None);
        }
        // Connecting stops the kernel's scan until discovery is restarted.
        if tried {
            self.plan.restart_due();
        }
    }

    fn advertising_read(&mut self, found: Vec<(String, Option<Advertising>)>) {
        if found.iter().any(|(_, found)| found.is_some()) {
            self.advertising_retry.succeed();
        } else {
            let pause = self.advertising_retry.fail();
            self.timers.set(Timer::AdvertisingSupport, pause);
        }
        for (name, found) in found {
            let bluez = self.bluez.as_mut();
            if let Some(state) = bluez.and_then(|bluez| bluez.state_mut(&name)) {
                state.advertising(found);
            }
        }
    }

    fn connection_failed(&mut self, error: &BluezError) {
        let pause = self.connect_retry.fail();
        tracing::warn!(error = %error, retry = ?pause, "no connection to BlueZ");
        self.counters.note_error(Problem::BluetoothdMissing, error);
        self.timers.set(Timer::Connect, pause);
    }

    fn scan_started(&mut self, result: Result<Discovery, BluezError>) {
        match result {
            Ok(discovery) => {
                self.discovery = Some(discovery);
                match self.plan.scan_started() {
                    ScanStart::First if self.plan.is_epoch_active() => {
                        self.take_address(AddressPersistence::Scanner);
                    }
                    ScanStart::Restarted => self.counters.scan_restarts += 1,
                    ScanStart::First | ScanStart::Resumed => {}
                }
                let restart = self.options.discovery_restart;
                self.timers.set(Timer::Restart, restart);
            }
            Err(error) => {
                let pause = self.plan.scan_failed();
                tracing::warn!(error = %error, retry = ?pause, "cannot listen");
                self.counters.note_error(Problem::ScanFailed, &error);
                self.timers.set(Timer::Scan, pause);
                if let BluezError::NoAnswer { .. } = error {
                    self.plan.renew(); // BlueZ may start it after all
                }
            }
        }
    }

    fn verified(&mut self, there: bool, advertising: Option<Advertising>) {
        if !there && self.advert.take().is_some() {
            tracing::warn!("our advert was lost");
        }
        if let Some(state) = self.state_mut() {
            state.advertising(advertising);
        }
        self.plan.verified(there);
    }

    fn registered(&mut self, frame: Frame, result: Result<(AdvertHandle, u8), RegisterError>) {
        let (how, error) = match result {
            Ok((handle, active)) => {
                self.counters.adverts_ok += 1;
                self.advert = Some(handle);
                self.set_active(active);
                self.take_address(AddressPersistence::Everything);
                (Registration::Done, None)
            }
            Err(RegisterError::Discoverable) => {
                if let Some(state) = self.state_mut() {
                    state.discoverable = true;
                }
                return;
            }
            Err(RegisterError::Refused(error)) => (Registration::Refused, Some(error)),
            Err(RegisterError::Uncertain { before, error }) => {
                self.leaving = (before, CONNECTION_GONE_TIMEOUT);
                self.take_address(AddressPersistence::Everything);
                (Registration::Uncertain, error)
            }
        };
        let pause = self.plan.registered(frame, how);
        if how != Registration::Done {
            self.counters.adverts_failed += 1;
            if let Some(error) = &error {
                self.counters.note_error(Problem::AdvertiseFailed, error);
            }
            let error = error.map(tracing::field::display);
            tracing::warn!(error, retry = ?pause, "cannot broadcast");
        }
        if let Some(pause) = pause {
            self.timers.set(Timer::Advert, pause);
        }
    }

    fn gone(&mut self, seen: bool) {
        let (most, limit) = self.leaving;
        match seen {
            true => self.plan.gone(),
            false if limit == GONE_TIMEOUT => {
                tracing::warn!("BlueZ does not drop our advert; leaving its connection");
                self.leaving = (most, CONNECTION_GONE_TIMEOUT);
                self.plan.renew();
            }
            false => {
                tracing::error!("adverts of BlueZ did not become fewer; ours may still be aired");
                self.plan.gone();
            }
        }
    }

    /// The scan or advert has started that takes the address which such a controller keeps.
    fn take_address(&mut self, taken_by: AddressPersistence) {
        if self.capability().persistence == taken_by {
            self.rpa_schedule.began(self.step_started, self.clock.now());
            self.address_taken = true;
        }
    }

    fn set_active(&mut self, active: u8) {
        if let Some(state) = self.state_mut() {
            state.active = Some(active);
        }
    }

    fn state_mut(&mut self) -> Option<&mut AdapterState> {
        self.bluez.as_mut()?.state_mut(self.chosen.as_ref()?)
    }
}
