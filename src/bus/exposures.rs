//! `Exposures`: what reports of other people mean for this person.
//!
//! The existence of an exposure is about a person's health. So there is no property and
//! no object for it, and `Changed` is sent to each subscriber by name: on the system
//! bus a signal without a destination reaches every user.

use std::sync::Arc;

use tcnd_client::{names, proxy};
use zbus::message::Header;
use zbus::names::BusName;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::name_watch::{NameWatcher, WatchError, caller, is_present};
use super::options::{MethodOptions, OptionMap, decimal};
use super::replies;
use crate::daemon::{
    ExposureId, Handle, KnownExposure, MatchedReportsRequest, Refusal, Request, SyncStatus,
};

pub(super) struct ExposuresInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
    /// Every subscriber is watched, and every watched client is a subscriber.
    pub(super) subscribers: Arc<NameWatcher>,
}

#[interface(name = "org.tcncoalition.Tcnd1.Exposures", introspection_docs = true)]
impl ExposuresInterface {
    /// All exposures, of each report in order of time; those that were
    /// dismissed only with the option dismissed (b). Of each, times being in
    /// seconds since 1970-01-01 UTC: id (s); day (t), the UTC day it began on;
    /// from (t) and to (t), rounded outward to five minutes; duration_s (u)
    /// within contacts, rounded up to five minutes; attenuation (a(yu)),
    /// measured sightings by attenuation: up to so many dB, 255 being the
    /// rest; rssi_max (n), the strongest signal in dBm, absent if none was
    /// measured; carried (s), whose radio was heard: direct, the person's own,
    /// bridged, another device's, or mixed; distance (d), distance_least (d)
    /// and distance_most (d), an estimate in metres and for senders that much
    /// weaker and stronger, absent if the person's own signal was not
    /// measured; sources (as), where the report came from; published (t), by
    /// when it was public; received (t); memo_type (y) and memo (ay); rule (s),
    /// the rule that made the exposure of contacts, contacts-1: they belong
    /// together while the gap between them is shorter than rule_gap_s (u)
    /// seconds, and distances are reckoned from rule_reference_rssi (n), the
    /// dBm at one metre; seen (b); dismissed (b). Clients must tolerate other
    /// keys and tokens. Needs the polkit action
    /// org.tcncoalition.tcnd1.exposures-read, as all methods here.
    #[zbus(out_args("exposures"))]
    async fn list(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<proxy::Exposure>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("dismissed", "b")])?;
        let dismissed = options.take("dismissed")?.unwrap_or(false);
        let exposures = self.all().await?.into_iter();
        let wanted = exposures.filter(|exposure| dismissed || !exposure.dismissed);
        Ok(wanted.map(proxy::Exposure::from).collect())
    }

    /// One of them, dismissed or not, with the same keys.
    #[zbus(out_args("exposure"))]
    async fn get(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Exposure, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.find(&id).await?.into())
    }

    /// How many nobody has seen, at once, and how far that goes: unseen (u);
    /// sources (u), of reports, that are configured; checked (t), when all of
    /// them had been gone through well, in seconds since 1970-01-01 UTC, absent
    /// if they never were; failed (a(ss)), of those that could not be gone
    /// through the last time the label and a token of what was wrong; waiting
    /// (b), whether reports that were delivered are not matched yet. While a
    /// source fails, none was checked, or reports wait, an exposure may be
    /// missing. Clients must tolerate other keys.
    #[zbus(out_args("summary"))]
    async fn get_summary(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::ExposureSummary, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let unseen = *self.handle.watch_unseen().borrow();
        let sync_status: SyncStatus = self.handle.watch_sync_status().borrow().clone();
        Ok(replies::exposure_summary(unseen, sync_status))
    }

    /// The person has seen it.
    async fn mark_seen(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        self.mark(&id, false).await
    }

    /// The person has seen it and does not want to see it again. It comes back
    /// with the option dismissed of List, and is kept as long as its contacts.
    async fn dismiss(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        self.mark(&id, true).await
    }

    /// Lists one again that was dismissed; it stays seen.
    async fn restore(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let id = self.find(&id).await?.id;
        let restore = |reply| Request::MatchedReports(MatchedReportsRequest::Restore(id, reply));
        Ok(self.handle.ask(restore).await?)
    }

    /// Has Changed sent to the caller, until it unsubscribes, leaves the bus, or
    /// the daemon ends: subscribe again when its name has another owner.
    /// Whether the caller may is asked now, not at each signal. There may be 64
    /// subscribers; more are Error.Busy.
    async fn subscribe(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let name = caller(connection, &call).ok_or_else(not_on_a_bus)?;
        let watch = self.subscribers.watch(connection, &name, async {});
        watch.await.map_err(watch_error)?;
        if !is_present(connection, &name).await {
            self.subscribers.unwatch(&name);
        }
        Ok(())
    }

    /// Has Changed sent to the caller no longer.
    async fn unsubscribe(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let name = caller(connection, &call).ok_or_else(not_on_a_bus)?;
        self.subscribers.unwatch(&name);
        Ok(())
    }

    /// Exposures changed; so many have not been seen. Sent to subscribers
    /// alone.
    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, unseen: u32) -> zbus::Result<()>;
}

impl ExposuresInterface {
    async fn all(&self) -> Result<Vec<KnownExposure>, Refusal> {
        let all = |reply| Request::MatchedReports(MatchedReportsRequest::Exposures(reply));
        self.handle.ask(all).await
    }

    async fn find(&self, id: &str) -> Result<KnownExposure, ErrorReply> {
        let named = parts(id).ok_or(Refusal::NoSuchExposure)?;
        let all = self.all().await?;
        let found = all.into_iter().find(|known| public_id(known.id) == named);
        Ok(found.ok_or(Refusal::NoSuchExposure)?)
    }

    async fn mark(&self, id: &str, dismissed: bool) -> Result<(), ErrorReply> {
        let id = self.find(id).await?.id;
        let mark =
            |reply| Request::MatchedReports(MatchedReportsRequest::Mark(id, dismissed, reply));
        Ok(self.handle.ask(mark).await?)
    }
}

/// The numbers that identify an exposure outside the daemon: that of its report, and
/// its start as coarse as it is shown. Exposures of one report are an hour apart, so no
/// two have the same.
pub(super) fn public_id(id: ExposureId) -> (u64, u64) {
    (id.report, replies::earlier(id.start))
}

fn parts(id: &str) -> Option<(u64, u64)> {
    let (report, start) = id.split_once('-')?;
    Some((decimal(report)?, decimal(start)?))
}

fn not_on_a_bus() -> ErrorReply {
    ErrorReply::InvalidArgs(
        "a subscription needs a message bus between us; call List again".to_owned(),
    )
}

fn watch_error(why: WatchError) -> ErrorReply {
    match why {
        WatchError::TooMany => ErrorReply::Busy(
            "too many programs have subscribed; end one of them, or call List again",
        ),
        WatchError::Unavailable => {
            ErrorReply::Failed("the bus does not tell when you leave it; call List again instead")
        }
    }
}

/// Sends `Changed` to each subscriber by its name, and to no other client.
pub(super) async fn notify_subscribers(
    connection: &Connection,
    subscribers: &NameWatcher,
    unseen: u32,
) -> zbus::Result<()> {
    for name in subscribers.names() {
        let emitter = SignalEmitter::new(connection, names::ROOT)?;
        let emitter = emitter.set_destination(BusName::from(name));
        ExposuresInterface::changed(&emitter, unseen).await?;
    }
    Ok(())
}
