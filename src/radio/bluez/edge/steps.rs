//! Starting the next step, and what follows from its outcome.

use bluer::Adapter;
use bluer::adv::AdvertisementHandle;
use futures::future::BoxFuture;

use crate::protocol::beacon::Frame;

use super::super::advert::{self, Refusal};
use super::super::discovery::Discovery;
use super::super::presence::Presence;
use super::super::reconcile::{Registration, Step};
use super::super::session::{Link, advertising, survey};
use super::super::{Fault, alarm::Alarm};
use super::{Edge, LEAVE, LINGER, Outcome, Remains};

impl Edge {
    /// The next step, started.
    pub(super) fn begin(&mut self) -> Option<BoxFuture<'static, Outcome>> {
        let Some(bus) = &self.bus else {
            if self.connect_retry.is_paused() {
                return None;
            }
            return Some(Box::pin(async {
                Outcome::Watching(Presence::connect().await)
            }));
        };
        if !self.present {
            return None;
        }
        let bus = bus.connection().clone();
        let Some(link) = &self.link else {
            if self.connect_retry.is_paused() {
                return None;
            }
            self.remains.clear();
            return Some(Box::pin(async move {
                Outcome::Linked(Link::connect(&bus).await)
            }));
        };
        if let Some(name) = link.unread().filter(|_| !self.survey_retry.is_paused()) {
            let (name, adapter) = (name.clone(), link.adapter(name).ok()?);
            return Some(Box::pin(async move {
                Outcome::Surveyed(name, survey(adapter, bus).await)
            }));
        }
        if !self.plan.is_up() {
            return None;
        }
        let adapter = self.adapter()?;
        let mute = self.facts().is_some_and(|facts| facts.active.is_none());
        if let Some(name) = self
            .chosen
            .clone()
            .filter(|_| mute && !self.mute_retry.is_paused())
        {
            return Some(Box::pin(async move {
                Outcome::Advertising(name, advertising(&adapter).await)
            }));
        }
        let step = self.plan.next()?;
        self.release();
        Some(self.start(step, adapter, bus))
    }

    fn start(
        &mut self,
        step: Step,
        adapter: Adapter,
        bus: zbus::Connection,
    ) -> BoxFuture<'static, Outcome> {
        match step {
            Step::Inspect => {
                Box::pin(async move { Outcome::Inspected(advert::inspect(&adapter).await) })
            }
            Step::StartScan => {
                self.remains.clear();
                let heard = self.heard.clone();
                Box::pin(
                    async move { Outcome::ScanStarted(Discovery::start(&adapter, heard).await) },
                )
            }
            Step::StopScan => {
                let discovery = self.discovery.take();
                Box::pin(async move {
                    Outcome::ScanStopped(match discovery {
                        Some(discovery) => discovery.stop(&adapter).await,
                        None => Ok(()),
                    })
                })
            }
            Step::Register(frame) => {
                self.remains.clear();
                let lives = self.options.advert_timeout;
                Box::pin(async move {
                    Outcome::Registered(frame, advert::register(&adapter, frame, lives).await)
                })
            }
            Step::ConfirmGone => {
                let (most, patience) = self.leaving;
                Box::pin(async move {
                    Outcome::Gone(advert::confirm_gone(&adapter, most, patience).await)
                })
            }
            Step::Verify => {
                Box::pin(async move { Outcome::Verified(advert::count(&adapter).await) })
            }
            Step::Renew => {
                self.remains.clear();
                Box::pin(async move { Outcome::Renewed(Link::connect(&bus).await) })
            }
        }
    }

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
            Outcome::Surveyed(name, result) => {
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
            Outcome::Advertising(name, found) => self.advertising_read(&name, found),
            Outcome::Inspected(Ok(controller)) => self.plan.inspected(controller),
            Outcome::Inspected(Err(fault)) | Outcome::Verified(Err(fault)) => {
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
            Outcome::Verified(Ok(active)) => self.plan.verified(active > 0),
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
                self.plan.registered_late();
            }
            Outcome::Registered(_, Err(Refusal::Doubtful { before, .. })) => {
                self.leaving = (before, LINGER);
                self.plan.registered_late();
                self.plan.renew();
            }
            Outcome::Registered(_, Err(Refusal::Discoverable | Refusal::Refused(_)))
            | Outcome::ScanStarted(Ok(_)) => {}
            Outcome::ScanStarted(Err(_)) => self.plan.renew(),
            outcome @ (Outcome::Watching(_)
            | Outcome::Linked(_)
            | Outcome::Surveyed(..)
            | Outcome::Advertising(..)
            | Outcome::Inspected(_)
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
            Outcome::Watching(_)
            | Outcome::Surveyed(..)
            | Outcome::Advertising(..)
            | Outcome::Inspected(_)
            | Outcome::ScanStopped(_)
            | Outcome::Gone(_)
            | Outcome::Verified(_)
            | Outcome::Registered(_, Err(_))
            | Outcome::ScanStarted(Err(_))
            | Outcome::Linked(Err(_))
            | Outcome::Renewed(Err(_)) => {}
        }
    }

    fn advertising_read(&mut self, name: &str, found: Option<(u8, u8)>) {
        if found.is_some() {
            self.mute_retry.succeed();
        } else {
            let pause = self.mute_retry.fail();
            self.alarms.set(Alarm::Mute, pause);
        }
        let link = self.link.as_mut();
        if let Some(facts) = link.and_then(|link| link.facts_mut(name)) {
            facts.advertising(found);
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

    fn registered(&mut self, frame: Frame, result: Result<(AdvertisementHandle, u8), Refusal>) {
        let (how, fault) = match result {
            Ok((handle, active)) => {
                self.tally.adverts_ok += 1;
                self.advert = Some(handle);
                self.set_active(active);
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
            true => {
                self.set_active(most);
                self.plan.gone();
            }
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

    fn set_active(&mut self, active: u8) {
        if let Some(facts) = self.facts_mut() {
            facts.active = Some(active);
        }
    }

    fn facts_mut(&mut self) -> Option<&mut super::Facts> {
        self.link.as_mut()?.facts_mut(self.chosen.as_ref()?)
    }
}
