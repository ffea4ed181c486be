//! What follows from the outcome of a step.

use std::time::Duration;

use bluer::Address;
use bluer::gatt::local::ApplicationHandle;
use bluez_mgmt::Privacy;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use super::super::Fault;
use super::super::advert::{Handle, Refusal};
use super::super::alarm::Alarm;
use super::super::central::VisitError;
use super::super::discovery::{Discovery, RSSI_UNKNOWN};
use super::super::off_air::AddressTimer;
use super::super::reach::{Evidence, Keeps};
use super::super::reconcile::Registration;
use super::super::session::{Advertising, Survey};
use super::super::visitors::Doings;
use super::super::visits::MEMORY;
use super::{Edge, LEAVE, LINGER, Outcome, Remains, Told};

/// Until it is asked again by what a controller makes its addresses.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Edge {
    /// Takes note of what a step came to.
    pub(super) fn conclude(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Watching(Ok((bus, present))) => {
                self.connect_retry.succeed();
                self.bus = Some(bus);
                self.present = present;
            }
            Outcome::Linked(Ok(link)) => {
                self.connect_retry.succeed();
                self.link = Some(link);
            }
            Outcome::Watching(Err(fault)) | Outcome::Linked(Err(fault)) => self.unlinked(&fault),
            Outcome::Surveyed(name, result) => self.surveyed(name, result),
            Outcome::Advertising(found) => self.advertising_read(found),
            Outcome::Asked(name, told) => self.told(&name, told),
            Outcome::Inspected(Ok(controller), told) => {
                self.plan.inspected(controller);
                if let Some(name) = self.chosen.clone() {
                    self.told(&name, told);
                }
            }
            Outcome::Served(result) => self.serving(result),
            Outcome::Parted(addresses) => {
                self.visitors.sent_away(&addresses);
                self.plan.parted();
            }
            Outcome::Visited(address, took, read) => self.visited(address, took, read),
            Outcome::Inspected(Err(fault), _) | Outcome::Verified(Err(fault)) => {
                tracing::warn!(error = %fault, "BlueZ does not tell; connecting anew");
                self.lose_link();
                self.unlinked(&fault);
            }
            Outcome::ScanStarted(result) => self.scan_started(result),
            Outcome::ScanStopped(result) => {
                self.plan.scan_stopped();
                if let Err(fault) = result {
                    tracing::warn!(error = %fault, "discovery may go on; connecting anew");
                    self.plan.renew();
                }
            }
            Outcome::Registered(frame, result) => self.registered(frame, result),
            Outcome::Gone(result) => self.gone(result.unwrap_or_else(|fault| {
                tracing::warn!(error = %fault, "cannot see our advert go");
                false
            })),
            Outcome::Verified(Ok((there, advertising))) => self.verified(there, advertising),
            Outcome::Renewed(Ok(link)) => {
                self.link = Some(link);
                self.plan.renewed();
            }
            Outcome::Renewed(Err(fault)) => {
                self.lose_link();
                self.unlinked(&fault);
            }
        }
    }

    /// The same, when the adapter went down meanwhile: what came of it belongs
    /// to nobody any more.
    pub(super) fn conclude_late(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Registered(_, Ok((handle, active))) => {
                self.advert = Some(handle);
                self.set_active(active);
                self.keep_step(Keeps::Everything);
                self.plan.registered_late();
            }
            Outcome::Registered(_, Err(Refusal::Doubtful { before, .. })) => {
                self.leaving = (before, LINGER);
                self.keep_step(Keeps::Everything);
                self.plan.registered_late();
                self.plan.renew();
            }
            Outcome::Registered(_, Err(Refusal::Discoverable | Refusal::Refused(_)))
            | Outcome::ScanStarted(Ok(_)) => {}
            Outcome::ScanStarted(Err(_)) => self.plan.renew(),
            outcome @ (Outcome::Watching(_)
            | Outcome::Linked(_)
            | Outcome::Surveyed(..)
            | Outcome::Advertising(_)
            | Outcome::Asked(..)
            | Outcome::Inspected(..)
            | Outcome::Served(_)
            | Outcome::Parted(_)
            | Outcome::Visited(..)
            | Outcome::ScanStopped(_)
            | Outcome::Gone(_)
            | Outcome::Verified(_)
            | Outcome::Renewed(_)) => self.conclude(outcome),
        }
    }

    /// What a step of another generation brought must not be dropped yet.
    pub(super) fn put_aside(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Registered(_, Ok((handle, _))) => {
                self.remains.push(Remains::Advert { _handle: handle });
            }
            Outcome::ScanStarted(Ok(discovery)) => {
                self.remains.push(Remains::Discovery { _handle: discovery });
            }
            Outcome::Linked(Ok(link)) | Outcome::Renewed(Ok(link)) => {
                self.remains.push(Remains::Link { _link: link });
            }
            Outcome::Served(Ok((handle, ..))) => {
                self.remains.push(Remains::Server { _handle: handle });
            }
            Outcome::Visited(..) => self.visiting = None,
            Outcome::Watching(_)
            | Outcome::Surveyed(..)
            | Outcome::Advertising(_)
            | Outcome::Asked(..)
            | Outcome::Inspected(..)
            | Outcome::Served(Err(_))
            | Outcome::Parted(_)
            | Outcome::ScanStopped(_)
            | Outcome::Gone(_)
            | Outcome::Verified(_)
            | Outcome::Registered(_, Err(_))
            | Outcome::ScanStarted(Err(_))
            | Outcome::Linked(Err(_))
            | Outcome::Renewed(Err(_)) => {}
        }
    }

    fn surveyed(&mut self, name: String, result: Result<Survey, Fault>) {
        if result.is_ok() {
            self.survey_retry.succeed();
        } else {
            let pause = self.survey_retry.fail();
            self.alarms.set(Alarm::Survey, pause);
        }
        if let Some(link) = &mut self.link {
            link.surveyed(name, result);
        }
    }

    pub(super) fn told(&mut self, name: &str, told: Told) {
        let now = self.clock.now();
        let timer = told.addresses.map(|known| AddressTimer {
            timeout: known.timeout,
            certain_from: now + known.certain_in,
        });
        let by_controller = told.privacy == Evidence::Kernel(Privacy::ByController);
        if by_controller && timer.is_none() {
            // The program that sets it may come later than the controller.
            self.alarms.set(Alarm::Ask, ASK_AGAIN);
        }
        let link = self.link.as_mut();
        if let Some(facts) = link.and_then(|link| link.facts_mut(name)) {
            facts.privacy = Some(told.privacy);
            facts.timer = timer;
        }
    }

    fn serving(&mut self, result: Result<(ApplicationHandle, Doings, Vec<Address>), Fault>) {
        let served = result.is_ok();
        match result {
            Ok((handle, doings, here)) => {
                self.server = Some(handle);
                // They came before anybody could come for it, and are told nothing.
                self.visitors.watch(doings, here);
            }
            Err(fault) => tracing::warn!(error = %fault, "others cannot connect"),
        }
        if let Some(pause) = self.plan.serving(served) {
            self.alarms.set(Alarm::Serve, pause);
        }
    }

    fn visited(&mut self, address: Address, took: Duration, read: Result<Vec<u8>, VisitError>) {
        self.visiting = None;
        let tried = !matches!(read, Err(VisitError::Unknown(_) | VisitError::Spared));
        let number = read.map(|value| value.first_chunk().copied());
        let tcn = match number {
            Ok(Some(bytes)) => Some(TemporaryContactNumber::from_bytes(bytes)),
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "a phone was not read");
                None
            }
        };
        self.visits.visited(self.clock.now(), address, took, tcn);
        self.alarms.set(Alarm::Forget, MEMORY);
        if let Some(tcn) = tcn {
            self.hear(tcn, RSSI_UNKNOWN);
        }
        // Connecting stops the kernel's scan until the next round of it.
        if tried {
            self.plan.restart_due();
        }
    }

    fn advertising_read(&mut self, found: Vec<(String, Option<Advertising>)>) {
        if found.iter().any(|(_, found)| found.is_some()) {
            self.mute_retry.succeed();
        } else {
            let pause = self.mute_retry.fail();
            self.alarms.set(Alarm::Mute, pause);
        }
        for (name, found) in found {
            let link = self.link.as_mut();
            if let Some(facts) = link.and_then(|link| link.facts_mut(&name)) {
                facts.advertising(found);
            }
        }
    }

    fn unlinked(&mut self, fault: &Fault) {
        let pause = self.connect_retry.fail();
        tracing::warn!(error = %fault, retry = ?pause, "no connection to BlueZ");
        self.alarms.set(Alarm::Connect, pause);
    }

    fn scan_started(&mut self, result: Result<Discovery, Fault>) {
        match result {
            Ok(discovery) => {
                self.discovery = Some(discovery);
                if self.plan.scan_started() {
                    self.tally.scan_restarts += 1;
                } else if self.plan.is_begun() {
                    self.keep_step(Keeps::Scanner);
                }
                let restart = self.options.discovery_restart;
                self.alarms.set(Alarm::Restart, restart);
            }
            Err(fault) => {
                let pause = self.plan.scan_failed();
                tracing::warn!(error = %fault, retry = ?pause, "cannot listen");
                self.alarms.set(Alarm::Scan, pause);
                if let Fault::Silent { .. } = fault {
                    self.plan.renew(); // BlueZ may start it after all
                }
            }
        }
    }

    fn verified(&mut self, there: bool, advertising: Option<Advertising>) {
        if !there && self.advert.take().is_some() {
            tracing::warn!("our advert was lost");
        }
        if let Some(facts) = self.facts_mut() {
            facts.advertising(advertising);
        }
        self.plan.verified(there);
    }

    fn registered(&mut self, frame: Frame, result: Result<(Handle, u8), Refusal>) {
        let (how, fault) = match result {
            Ok((handle, active)) => {
                self.tally.adverts_ok += 1;
                self.advert = Some(handle);
                self.set_active(active);
                self.keep_step(Keeps::Everything);
                (Registration::Done, None)
            }
            Err(Refusal::Discoverable) => {
                if let Some(facts) = self.facts_mut() {
                    facts.discoverable = true;
                }
                return;
            }
            Err(Refusal::Refused(fault)) => (Registration::Refused, Some(fault)),
            Err(Refusal::Doubtful { before, fault }) => {
                self.leaving = (before, LINGER);
                self.keep_step(Keeps::Everything);
                (Registration::Doubtful, fault)
            }
        };
        let pause = self.plan.registered(frame, how);
        if how != Registration::Done {
            self.tally.adverts_failed += 1;
            let error = fault.map(tracing::field::display);
            tracing::warn!(error, retry = ?pause, "cannot broadcast");
        }
        if let Some(pause) = pause {
            self.alarms.set(Alarm::Advert, pause);
        }
    }

    fn gone(&mut self, seen: bool) {
        let (most, patience) = self.leaving;
        match seen {
            true => self.plan.gone(),
            false if patience == LEAVE => {
                tracing::warn!("BlueZ does not drop our advert; leaving its connection");
                self.leaving = (most, LINGER);
                self.plan.renew();
            }
            false => {
                tracing::error!("adverts of BlueZ did not become fewer; ours may still be aired");
                self.plan.gone();
            }
        }
    }

    /// What takes the address that such a controller keeps has begun.
    fn keep_step(&mut self, taken_by: Keeps) {
        if self.reach().keeps == taken_by {
            self.lockstep.began(self.step_from, self.clock.now());
            self.kept_step = true;
        }
    }

    fn set_active(&mut self, active: u8) {
        if let Some(facts) = self.facts_mut() {
            facts.active = Some(active);
        }
    }

    fn facts_mut(&mut self) -> Option<&mut super::Facts> {
        self.link.as_mut()?.facts_mut(self.chosen.as_ref()?)
    }
}
