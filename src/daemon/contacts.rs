//! The contact log as a whole: handed out in pages, erased, wiped.
//!
//! What still grows in memory is written before the log is read or erased, and
//! forgotten by the engine where the log is: a contact that was erased must not
//! come back with its next sighting.

use std::pin::pin;
use std::time::Duration;

use tcn_engine::Input;
use tcn_protocol::UnixTime;
use tokio::time::timeout;

use super::driver::Driver;
use super::refusal::Refusal;
use super::reply::Reply;
use super::reply::{respond, respond_async};
use super::requests::ContactsRequest;
use super::{clock, exposures, journal};
use crate::store;
use tcnd_client::notices;

impl Driver {
    pub(super) async fn answer_contacts(&mut self, request: ContactsRequest) {
        match request {
            ContactsRequest::Page(cursor, limit, reply) => {
                self.write_out().await;
                let store = self.store.clone();
                respond_async(
                    reply,
                    async move { Ok(store.contacts(cursor, limit).await?) },
                );
            }
            ContactsRequest::Erase(from, to, reply) => self.erase(from, to, reply).await,
            ContactsRequest::Wipe(reply) => {
                let wiped = self.wipe().await;
                respond(reply, wiped);
            }
        }
    }

    async fn erase(&mut self, from: UnixTime, to: UnixTime, reply: Reply<u64>) {
        self.write_out().await;
        self.tell(clock::now(), Input::Erased(from, to)).await;
        let (store, unseen) = (self.store.clone(), self.unseen());
        respond_async(reply, async move {
            let erased = store.erase(from, to).await?;
            exposures::recount(&store, &unseen).await?;
            Ok(erased)
        });
    }

    /// Everything is taken off the air first, and nothing heard is kept until it
    /// is done; then all is as after the installation.
    async fn wipe(&mut self) -> Result<(), Refusal> {
        let now = clock::now();
        self.end_import();
        self.tell(now, Input::Consent(false)).await;
        self.tell(now, Input::Wiped).await;
        let wiped = self.wipe_store().await;
        self.holds.clear();
        self.reset_decisions();
        self.pause_changed(now).await;
        self.tell(clock::now(), Input::Wiped).await;
        let consent = self.has_consent();
        self.tell(clock::now(), Input::Consent(consent)).await;
        exposures::recount(&self.store, &self.unseen()).await?;
        self.refresh_sync_status();
        self.match_deliveries().await;
        wiped?;
        journal::event(&notices::WIPED);
        Ok(())
    }

    /// Overwriting a large log on a slow disk takes longer than the interval of the
    /// watchdog.
    async fn wipe_store(&mut self) -> Result<(), store::Error> {
        const OFTEN: Duration = Duration::from_secs(1);
        let store = self.store.clone();
        let mut wiping = pin!(store.wipe());
        loop {
            match timeout(OFTEN, &mut wiping).await {
                Ok(wiped) => return wiped,
                Err(_) => self.notifier.feed(clock::now().boot),
            }
        }
    }
}
