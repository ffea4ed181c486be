//! Starting the next step.

use std::sync::Arc;

use bluer::Adapter;
use futures::future::BoxFuture;
use tcnd_rpa_timeout::Known;

use super::super::super::Mode;
use super::super::advert::{self, Handle, Registrar};
use super::super::central::{LONGEST_VISIT, VisitError};
use super::super::discovery::Discovery;
use super::super::presence::Presence;
use super::super::reach::{Evidence, Keeps};
use super::super::reconcile::Step;
use super::super::session::{Link, advertising, survey};
use super::super::visitors;
use super::super::{Kernel, alarm::Alarm, server};
use super::{Edge, Outcome};

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
            let registrar = link.registrar().clone();
            return Some(Box::pin(async move {
                Outcome::Surveyed(name, survey(adapter, bus, registrar).await)
            }));
        }
        if let Some(name) = self.unasked() {
            self.ask_due = false;
            let (kernel, mode) = (Arc::clone(&self.surroundings.kernel), self.options.mode);
            return Some(Box::pin(async move {
                let told = Told::asked(kernel.as_ref(), &name, mode).await;
                Outcome::Asked(name, told)
            }));
        }
        if !self.plan.is_up() {
            return None;
        }
        let (adapter, registrar) = (self.adapter()?, self.registrar()?);
        if self.facts().is_some_and(|facts| facts.active.is_none()) && !self.mute_retry.is_paused()
        {
            let mute = self.mute();
            return Some(Box::pin(async move {
                let mut found = Vec::new();
                for adapter in mute {
                    let advertising = advertising(&adapter, &registrar).await;
                    found.push((adapter.name().to_owned(), advertising));
                }
                Outcome::Advertising(found)
            }));
        }
        let Some(step) = self.plan.next() else {
            return self.visit(adapter);
        };
        self.release();
        Some(self.start(step, adapter, registrar, bus))
    }

    /// The adapters that cannot advertise, or cannot yet. One of the others may
    /// come to it before the one in use does.
    fn mute(&self) -> Vec<Adapter> {
        let link = self.link.iter();
        link.flat_map(|link| {
            let adapters = link.adapters().iter();
            let mute = adapters.filter(|(_, facts)| facts.active.is_none());
            mute.filter_map(|(name, _)| link.adapter(name).ok())
        })
        .collect()
    }

    /// The adapter in use, if the kernel has to be asked about it.
    fn unasked(&self) -> Option<String> {
        let facts = self.facts().filter(|facts| facts.powered)?;
        self.chosen
            .clone()
            .filter(|_| self.is_asking(facts) || self.ask_due)
    }

    /// The next visit, if there is time for one.
    fn visit(&mut self, adapter: Adapter) -> Option<BoxFuture<'static, Outcome>> {
        let reach = self.reach();
        if reach.mode != Mode::Full || !reach.is_connectable() || !self.plan.is_calm() {
            return None;
        }
        let now = self.clock.now();
        // A visit goes by the address that is kept, and has to end before it.
        let ends = self.lockstep.left(now);
        let is_kept = !matches!(reach.keeps, Keeps::Adverts(_));
        if is_kept && ends.is_none_or(|left| left < LONGEST_VISIT) {
            return None;
        }
        let Some(address) = self.visits.due(now) else {
            if let Some(wait) = self.visits.wait(now) {
                self.alarms.set(Alarm::Visit, wait);
            }
            return None;
        };
        self.visiting = Some(address);
        let (central, clock) = (Arc::clone(&self.surroundings.central), self.clock);
        Some(Box::pin(async move {
            let read = match visitors::is_free(&adapter, address).await {
                true => central.read(adapter.name(), address.0).await,
                false => Err(VisitError::Spared),
            };
            Outcome::Visited(address, clock.now() - now, read)
        }))
    }

    fn start(
        &mut self,
        step: Step,
        adapter: Adapter,
        registrar: Registrar,
        bus: zbus::Connection,
    ) -> BoxFuture<'static, Outcome> {
        match step {
            Step::Inspect => self.inspect(adapter),
            Step::Serve => self.serve(adapter),
            Step::StartScan => {
                self.remains.clear();
                let ears = self.ears.clone();
                Box::pin(
                    async move { Outcome::ScanStarted(Discovery::start(&adapter, ears).await) },
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
                self.registering = true;
                self.kept_step |= matches!(self.reach().keeps, Keeps::Adverts(_));
                let order = advert::Order {
                    frame,
                    connectable: self.reach().is_connectable(),
                    lives: self.options.advert_timeout,
                };
                Box::pin(async move {
                    Outcome::Registered(frame, registrar.register(&adapter, order).await)
                })
            }
            Step::ConfirmGone => self.confirm_gone(adapter, registrar),
            Step::Verify => self.verify(adapter, registrar),
            Step::Part => {
                let all = self.plan.telling().is_none();
                let leaving = self.visitors.strangers(all);
                Box::pin(async move {
                    visitors::send_away(&adapter, &leaving).await;
                    Outcome::Parted(leaving)
                })
            }
            Step::Renew => {
                self.remains.clear();
                self.server = None;
                self.visitors.unwatch();
                Box::pin(async move {
                    // BlueZ drops what nobody has a handle to, at once.
                    registrar.close().await;
                    Outcome::Renewed(Link::connect(&bus).await)
                })
            }
        }
    }

    /// Waits until BlueZ has answered that the advert is dropped; without anybody
    /// who was asked, until there is one less.
    fn confirm_gone(
        &mut self,
        adapter: Adapter,
        registrar: Registrar,
    ) -> BoxFuture<'static, Outcome> {
        let (most, patience) = self.leaving;
        let parting = self.parting.take();
        Box::pin(async move {
            Outcome::Gone(match parting {
                Some(parting) => parting.await.unwrap_or(Ok(())).map(|()| true),
                None => {
                    let name = adapter.name();
                    registrar.confirm_gone(name, most, patience).await
                }
            })
        })
    }

    /// Asks whether BlueZ still has our advert, and what the adapter has.
    fn verify(&self, adapter: Adapter, registrar: Registrar) -> BoxFuture<'static, Outcome> {
        let check = self.advert.as_ref().map(Handle::check);
        Box::pin(async move {
            let there = match check {
                Some(check) => check.await,
                None => Ok(false),
            };
            let advertising = advertising(&adapter, &registrar).await;
            Outcome::Verified(there.map(|there| (there, advertising)))
        })
    }

    /// Looks at the controller, and whether it is still as private as it was.
    fn inspect(&self, adapter: Adapter) -> BoxFuture<'static, Outcome> {
        let (kernel, mode) = (Arc::clone(&self.surroundings.kernel), self.options.mode);
        Box::pin(async move {
            let told = Told::asked(kernel.as_ref(), adapter.name(), mode).await;
            Outcome::Inspected(advert::controller(&adapter).await, told)
        })
    }

    fn serve(&mut self, adapter: Adapter) -> BoxFuture<'static, Outcome> {
        self.remains.clear();
        self.server = None;
        let door = Arc::clone(&self.door);
        Box::pin(async move {
            let serving = async {
                let (doings, here) = visitors::follow(&adapter).await?;
                Ok((server::serve(&adapter, door).await?, doings, here))
            };
            Outcome::Served(serving.await)
        })
    }
}

/// What is known of the privacy of an adapter, and of the addresses that it makes
/// itself.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) privacy: Evidence,
    pub(super) addresses: Option<Known>,
}

impl Told {
    /// Without asking the kernel: for a broadcast it is not needed, and tcnd.service
    /// denies the socket that it takes.
    pub(super) fn configured(kernel: &dyn Kernel, adapter: &str) -> Self {
        Self {
            privacy: Evidence::Configured(kernel.configured_privacy()),
            addresses: kernel.addresses(adapter),
        }
    }

    async fn asked(kernel: &dyn Kernel, adapter: &str, mode: Mode) -> Self {
        let configured = Self::configured(kernel, adapter);
        if matches!(mode, Mode::Listen | Mode::Broadcast) {
            return configured;
        }
        match kernel.privacy(adapter).await {
            Ok(privacy) => Self {
                privacy: Evidence::Kernel(privacy),
                ..configured
            },
            Err(error) => {
                tracing::warn!(%error, "cannot see whether privacy is on");
                configured
            }
        }
    }
}
