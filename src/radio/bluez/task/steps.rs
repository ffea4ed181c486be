//! How the next step is chosen and started.

use std::sync::Arc;

use bluer::Adapter;
use futures::future::BoxFuture;

use super::super::super::Mode;
use super::super::advert::{self, AdvertHandle, Registrar};
use super::super::bluez_watch::BluezWatch;
use super::super::capability::{AddressPersistence, Evidence};
use super::super::central::{CentralError, MAX_CONNECTION_TIME};
use super::super::discovery::Discovery;
use super::super::inbound;
use super::super::reconcile::Step;
use super::super::session::{BluezConnection, advertising, read_adapter};
use super::super::{Kernel, gatt_server, timers::Timer};
use super::state::{BluezTask, PrivacyReport, StepResult};

impl BluezTask {
    /// Starts the next step, if there is one.
    pub(super) fn start_next(&mut self) -> Option<BoxFuture<'static, StepResult>> {
        let Some(bus) = &self.bus else {
            if self.connect_retry.is_paused() {
                return None;
            }
            return Some(Box::pin(async {
                StepResult::Watching(BluezWatch::connect().await)
            }));
        };
        if !self.present {
            return None;
        }
        let bus = bus.connection().clone();
        let Some(bluez) = &self.bluez else {
            if self.connect_retry.is_paused() {
                return None;
            }
            self.stale.clear();
            return Some(Box::pin(async move {
                StepResult::Connected(BluezConnection::connect(&bus).await)
            }));
        };
        if let Some(name) = bluez.unread().filter(|_| !self.read_retry.is_paused()) {
            let (name, adapter) = (name.clone(), bluez.adapter(name).ok()?);
            let registrar = bluez.registrar().clone();
            return Some(Box::pin(async move {
                StepResult::AdapterRead(name, read_adapter(adapter, bus, registrar).await)
            }));
        }
        if let Some(name) = self.adapter_to_ask() {
            self.ask_kernel_due = false;
            let (kernel, mode) = (Arc::clone(&self.platform.kernel), self.options.mode);
            return Some(Box::pin(async move {
                let report = PrivacyReport::asked(kernel.as_ref(), &name, mode).await;
                StepResult::KernelAsked(name, report)
            }));
        }
        if !self.plan.is_up() {
            return None;
        }
        let (adapter, registrar) = (self.adapter()?, self.registrar()?);
        if self.state().is_some_and(|state| state.active.is_none())
            && !self.advertising_retry.is_paused()
        {
            let without_advertising = self.without_advertising();
            return Some(Box::pin(async move {
                let mut found = Vec::new();
                for adapter in without_advertising {
                    let advertising = advertising(&adapter, &registrar).await;
                    found.push((adapter.name().to_owned(), advertising));
                }
                StepResult::Advertising(found)
            }));
        }
        let Some(step) = self.plan.next() else {
            return self.start_outbound(adapter);
        };
        self.release();
        Some(self.start(step, adapter, registrar, bus))
    }

    /// The adapters that cannot advertise, or cannot yet. Another one may be able to before
    /// the one in use is.
    fn without_advertising(&self) -> Vec<Adapter> {
        let bluez = self.bluez.iter();
        bluez
            .flat_map(|bluez| {
                let adapters = bluez.adapters().iter();
                let without_advertising = adapters.filter(|(_, state)| state.active.is_none());
                without_advertising.filter_map(|(name, _)| bluez.adapter(name).ok())
            })
            .collect()
    }

    /// The adapter in use, if the kernel has to be asked about it.
    fn adapter_to_ask(&self) -> Option<String> {
        let state = self.state().filter(|state| state.powered)?;
        self.chosen
            .clone()
            .filter(|_| self.must_ask_kernel(state) || self.ask_kernel_due)
    }

    /// The next outbound connection, if there is time for one.
    fn start_outbound(&mut self, adapter: Adapter) -> Option<BoxFuture<'static, StepResult>> {
        let capability = self.capability();
        if capability.mode != Mode::Full || !capability.is_connectable() || !self.plan.is_settled()
        {
            return None;
        }
        let now = self.clock.now();
        // A connection uses the address that is kept, and has to end before it expires.
        let ends = self.rpa_schedule.left(now);
        let is_kept = !matches!(capability.persistence, AddressPersistence::Adverts(_));
        if is_kept && ends.is_none_or(|left| left < MAX_CONNECTION_TIME) {
            return None;
        }
        let Some(address) = self.outbound.due(now) else {
            if let Some(wait) = self.outbound.wait(now) {
                self.timers.set(Timer::Outbound, wait);
            }
            return None;
        };
        self.connecting_to = Some(address);
        let (central, clock) = (Arc::clone(&self.platform.central), self.clock);
        Some(Box::pin(async move {
            let read = match inbound::may_connect(&adapter, address).await {
                true => central.read(adapter.name(), address.0).await,
                false => Err(CentralError::Excluded),
            };
            StepResult::OutboundRead(address, clock.now() - now, read)
        }))
    }

    fn start(
        &mut self,
        step: Step,
        adapter: Adapter,
        registrar: Registrar,
        bus: zbus::Connection,
    ) -> BoxFuture<'static, StepResult> {
        match step {
            Step::Inspect => self.inspect(adapter),
            Step::Serve => self.serve(adapter),
            Step::StartScan => {
                self.stale.clear();
                let sink = self.sink.clone();
                Box::pin(
                    async move { StepResult::ScanStarted(Discovery::start(&adapter, sink).await) },
                )
            }
            Step::StopScan => {
                let discovery = self.discovery.take();
                Box::pin(async move {
                    StepResult::ScanStopped(match discovery {
                        Some(discovery) => discovery.stop(&adapter).await,
                        None => Ok(()),
                    })
                })
            }
            Step::Register(frame) => {
                self.stale.clear();
                self.registering = true;
                self.address_taken |= matches!(
                    self.capability().persistence,
                    AddressPersistence::Adverts(_)
                );
                let params = advert::AdvertParams {
                    frame,
                    connectable: self.capability().is_connectable(),
                    timeout: self.options.advert_timeout,
                };
                Box::pin(async move {
                    StepResult::Registered(frame, registrar.register(&adapter, params).await)
                })
            }
            Step::ConfirmGone => self.confirm_gone(adapter, registrar),
            Step::Verify => self.verify(adapter, registrar),
            Step::DisconnectStrangers => {
                let all = self.plan.readable_number().is_none();
                let leaving = self.inbound.strangers(all);
                Box::pin(async move {
                    inbound::disconnect(&adapter, &leaving).await;
                    StepResult::StrangersDisconnected(leaving)
                })
            }
            Step::Renew => {
                self.stale.clear();
                self.server = None;
                self.inbound.unwatch();
                Box::pin(async move {
                    // BlueZ then drops at once everything without a handle.
                    registrar.close().await;
                    StepResult::Renewed(BluezConnection::connect(&bus).await)
                })
            }
        }
    }

    /// Waits until BlueZ has answered that the advert is dropped. If it was not asked, waits
    /// until one advert less is active.
    fn confirm_gone(
        &mut self,
        adapter: Adapter,
        registrar: Registrar,
    ) -> BoxFuture<'static, StepResult> {
        let (most, limit) = self.leaving;
        let unregistration = self.unregistration.take();
        Box::pin(async move {
            StepResult::Gone(match unregistration {
                Some(unregistration) => unregistration.await.unwrap_or(Ok(())).map(|()| true),
                None => {
                    let name = adapter.name();
                    registrar.confirm_gone(name, most, limit).await
                }
            })
        })
    }

    /// Asks whether BlueZ still has our advert, and reads the advertising state.
    fn verify(&self, adapter: Adapter, registrar: Registrar) -> BoxFuture<'static, StepResult> {
        let check = self.advert.as_ref().map(AdvertHandle::check);
        Box::pin(async move {
            let there = match check {
                Some(check) => check.await,
                None => Ok(false),
            };
            let advertising = advertising(&adapter, &registrar).await;
            StepResult::Verified(there.map(|there| (there, advertising)))
        })
    }

    /// Reads the kind of controller and its privacy, which may have changed.
    fn inspect(&self, adapter: Adapter) -> BoxFuture<'static, StepResult> {
        let (kernel, mode) = (Arc::clone(&self.platform.kernel), self.options.mode);
        Box::pin(async move {
            let report = PrivacyReport::asked(kernel.as_ref(), adapter.name(), mode).await;
            StepResult::Inspected(advert::controller(&adapter).await, report)
        })
    }

    fn serve(&mut self, adapter: Adapter) -> BoxFuture<'static, StepResult> {
        self.stale.clear();
        self.server = None;
        let gatt = Arc::clone(&self.gatt);
        Box::pin(async move {
            let serving = async {
                let (watcher, connected) = inbound::watch_devices(&adapter).await?;
                Ok((
                    gatt_server::serve(&adapter, gatt).await?,
                    watcher,
                    connected,
                ))
            };
            StepResult::Served(serving.await)
        })
    }
}

impl PrivacyReport {
    /// Without asking the kernel: for a broadcast this is not needed, and tcnd.service denies
    /// the socket that it takes.
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
