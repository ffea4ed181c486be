//! The exchange with servers, by way of `tcnd-sync`: what is fetched, what leaves.
//!
//! tcnd has no network. `tcnd-sync` has one, and systemd starts it at intervals. Each run
//! names its sources, asks which intervals they have not delivered yet, delivers reports,
//! and takes the parts that are due. Everything that must not be lost is written here,
//! beside the contacts; so a run may end at any point.
//!
//! No answer to a run depends on the contacts, and neither does the time that it takes:
//! deliveries are read and kept here, and matched when the run is over.
//!
//! The requests of a run that need only the store, such as for the next part, are in
//! `store_handlers.rs`.
//!
//! A report of this machine starts no run of `tcnd-sync`, because every user of the
//! machine can see a run, and would learn of the report: parts wait for the next run. Only
//! a person who asks for it has a run started at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tcn_exchange::backfill;
use tcnd_client::proxy::DeliveryCounts;

use super::driver::Driver;
use super::intake::{self, Delivery, IncomingDelivery};
use super::refusal::Refusal;
use super::reply::{Later, respond, respond_later};
use super::requests::{ExchangeRequest, MOST_SOURCES};
use super::{clock, sync_status};
use crate::store::NewSource;

impl Driver {
    pub(super) async fn answer_exchange(&mut self, request: ExchangeRequest) {
        match request {
            ExchangeRequest::Begin(owner, sources, reply) => {
                respond_later(reply, self.begin_run(owner, sources));
            }
            ExchangeRequest::Deliver(delivery, reply) => {
                respond_later(reply, self.deliver(delivery));
            }
            ExchangeRequest::End(reply) => {
                self.end_run().await;
                respond(reply, Ok(()));
            }
            ExchangeRequest::TriggerSync(reply) => respond(reply, self.exchange.ask().trigger()),
        }
    }

    fn begin_run(&mut self, owner: Option<String>, sources: Vec<NewSource>) -> Later<bool> {
        clock::plausible()?;
        if sources.len() > MOST_SOURCES {
            let many = "too many sources; there may be 32 at most";
            return Err(Refusal::InvalidArgument(many));
        }
        let asked = self.exchange.begin(owner)?;
        self.match_queue.stop(&self.exchange.sync_status);
        let (store, sync_status) = (self.store.clone(), self.exchange.sync_status());
        Ok(Box::pin(async move {
            store.set_sources(sources).await?;
            sync_status::refresh(&store, &sync_status).await?;
            Ok(asked)
        }))
    }

    /// A run ends with the connection it came by.
    pub(super) async fn run_disconnected(&mut self, name: &str) {
        if self.exchange.is_of(name) {
            tracing::warn!("tcnd-sync left before it was done");
            self.end_run().await;
        }
    }

    /// What the run delivered is matched from now on.
    async fn end_run(&mut self) {
        if self.exchange.end() {
            self.match_deliveries().await;
        }
    }

    /// Matches the deliveries that wait, unless a run is under way.
    pub(super) async fn match_deliveries(&mut self) {
        if self.exchange.is_running() {
            return;
        }
        self.write_out().await;
        let (unseen, sync_status) = (self.unseen(), self.exchange.sync_status());
        self.match_queue.start(&self.store, unseen, sync_status);
    }

    fn deliver(&mut self, mut delivery: Delivery) -> Later<DeliveryCounts> {
        let now = clock::now().wall;
        let status = self.exchange.sync_status.borrow().clone();
        let known = status.source(&delivery.source)?;
        let (source, label) = (known.id, known.configured.label.clone());
        let interval = delivery.interval;
        if interval.start() > now || interval < backfill::oldest(now) {
            let wrong = "the interval is not one that is asked for; call Pending again";
            return Err(Refusal::InvalidRange(wrong));
        }
        let busy = "another delivery is under way; wait until it is done";
        let permit = Arc::clone(&self.exchange.intake).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::InUse(busy))?;
        // The file was read before now, but the request was made when the
        // interval was over by the same clock.
        delivery.whole &= interval.is_over(now);
        let intake = IncomingDelivery {
            delivery,
            source,
            label,
            now,
            permit,
        };
        let stop = Arc::<AtomicBool>::default();
        self.exchange.stop = Arc::clone(&stop);
        let counts = self.exchange.counts();
        let answer = intake::start(intake, self.store.until(Arc::clone(&stop)), stop);
        Ok(Box::pin(async move {
            let counted = answer.await.map_err(|_| Refusal::Gone)??;
            counts.add(&counted);
            Ok(counted)
        }))
    }

    /// Looks up how the last runs went; after a start and a wipe.
    pub(super) fn refresh_sync_status(&self) {
        let (store, sync_status) = (self.store.clone(), self.exchange.sync_status());
        tokio::spawn(async move {
            if let Err(fault) = sync_status::refresh(&store, &sync_status).await {
                tracing::warn!(%fault, "the sources of reports could not be read");
            }
        });
    }
}
