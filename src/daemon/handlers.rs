//! Handlers of the requests that the bus sends.
//!
//! The client may have gone away meanwhile; then its answer is dropped in silence.
//! Queries of the store wait behind what was already written, and are answered from
//! tasks of their own, so that a long query cannot delay a rotation.

use std::time::Duration;

use tcn_engine::{Hold, Input};
use tcn_protocol::UnixTime;
use tcnd_client::proxy::DaemonStatistics;

use super::clock;
use super::driver::Driver;
use super::journal;
use super::refusal::Refusal;
use super::reply::Reply;
use super::reply::{respond, respond_async};
use super::requests::{PauseRequest, Request};

/// Longest pause; more is "until resumed".
const LONGEST_PAUSE: Duration = Duration::from_secs(366 * UnixTime::DAY);

impl Driver {
    pub(super) async fn answer(&mut self, request: Request) {
        match request {
            Request::Enable(reply) => respond(reply, self.set_consent(true).await),
            Request::Disable(reply) => respond(reply, self.set_consent(false).await),
            Request::Pause(pause, reply) => respond(reply, self.pause(pause).await),
            Request::Resume(cookie, reply) => respond(reply, self.resume(cookie).await),
            Request::ClientDisconnected(name) => {
                self.holds.client_disconnected(&name);
                self.run_disconnected(&name).await;
                self.pause_changed(clock::now()).await;
            }
            Request::Rotate(reply) => respond(reply, self.rotate().await),
            Request::ConfirmClock(reply) => respond(reply, self.confirm_clock().await),
            Request::Synchronised(asked, synchronised) => {
                let said = Input::Synchronised(asked, synchronised);
                self.tell(clock::now(), said).await;
            }
            Request::Summary(from, to, reply) => {
                self.write_out().await;
                let store = self.store.clone();
                respond_async(reply, async move { Ok(store.summary(from, to).await?) });
            }
            Request::Histogram(from, to, bucket, reply) => {
                self.write_out().await;
                let store = self.store.clone();
                respond_async(reply, async move {
                    Ok(store.histogram(from, to, bucket).await?)
                });
            }
            Request::Statistics(reply) => self.statistics(reply).await,
            Request::Reload(reply) => respond(reply, self.reload_asked().await),
            Request::SelfTest(reply) => respond(reply, Ok(self.self_test())),
            Request::TcnAge(reply) => {
                let now = clock::now();
                let since = self.engine.view(now).airing_since;
                respond(reply, Ok(since.map(|since| now.boot.saturating_sub(since))));
            }
            Request::Nearby(within, reply) => {
                let near = self.engine.nearby(clock::now(), within);
                respond(reply, Ok(u32::try_from(near).unwrap_or(u32::MAX)));
            }
            Request::Sleep(reply) => self.prepare_sleep(reply).await,
            Request::Wake(reply) => respond(reply, self.wake_up().await),
            Request::Contacts(request) => self.answer_contacts(request).await,
            Request::OwnReports(request) => self.answer_own_reports(request).await,
            Request::MatchedReports(request) => self.answer_matched_reports(request).await,
            Request::Exchange(request) => self.answer_exchange(request).await,
        }
    }

    async fn set_consent(&mut self, consent: bool) -> Result<(), Refusal> {
        if self.settings.consent.is_some_and(|set| set != consent) {
            return Err(Refusal::Configured);
        }
        self.consent_changed(consent).await;
        Ok(())
    }

    async fn pause(&mut self, asked: PauseRequest) -> Result<u32, Refusal> {
        if asked.reason.len().max(asked.application_id.len()) > printable::MAX_TEXT {
            return Err(Refusal::InvalidArgument(
                "reason or application id is too long; each may have 256 bytes at most",
            ));
        }
        if asked.duration > LONGEST_PAUSE {
            return Err(Refusal::InvalidArgument(
                "a pause takes a year at most; zero means until resumed",
            ));
        }
        let now = clock::now();
        let hold = Hold {
            reason: asked.reason,
            application_id: asked.application_id,
            owner: asked.owner,
            ends: (!asked.duration.is_zero()).then(|| now.later(asked.duration)),
        };
        let cookie = self.holds.add(hold).ok_or(Refusal::Busy)?;
        self.pause_changed(now).await;
        Ok(cookie)
    }

    async fn resume(&mut self, cookie: u32) -> Result<(), Refusal> {
        if cookie == 0 {
            self.holds.clear();
        } else if !self.holds.remove(cookie) {
            return Err(Refusal::NotFound);
        }
        self.pause_changed(clock::now()).await;
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), Refusal> {
        let now = clock::now();
        if self.engine.view(now).airing_since.is_none() {
            return Err(Refusal::OffAir);
        }
        self.tell(now, Input::Rotate).await;
        Ok(())
    }

    async fn confirm_clock(&mut self) -> Result<(), Refusal> {
        let now = clock::plausible()?;
        self.tell(now, Input::ClockConfirmed).await;
        Ok(())
    }

    async fn reload_asked(&mut self) -> Result<(), Refusal> {
        self.reload().await.map_err(|fault| {
            journal::config_rejected(&fault);
            Refusal::InvalidArgument(
                "the configuration has faults and was not applied; see `tcnctl config check`",
            )
        })
    }

    async fn statistics(&mut self, reply: Reply<DaemonStatistics>) {
        self.write_out().await;
        let view = self.engine.view(clock::now());
        let mut statistics = DaemonStatistics {
            rotations: view.rotations,
            advert_ok: self.status.adverts_ok,
            advert_fail: self.status.adverts_failed,
            scan_restarts: self.status.scan_restarts,
            invalid_frames: self.invalid_frames,
            dropped: view.dropped,
            ..DaemonStatistics::default()
        };
        let store = self.store.clone();
        respond_async(reply, async move {
            let size = store.size().await?;
            statistics.db_bytes = size.bytes;
            statistics.rows = size.rows;
            Ok(statistics)
        });
    }

    /// Hands the store what the engine still holds, so that answers are whole.
    pub(super) async fn write_out(&mut self) {
        self.engine.flush(clock::now());
        self.carry_out().await;
    }
}
