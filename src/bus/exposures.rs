//! `Exposures`: what reports of other people mean for this person.
//!
//! The existence of an exposure is about a person's health. So there is no property and
//! no object for it, and `Changed` is sent to each subscriber by name: on the system
//! bus a signal without a destination reaches every user.

use std::sync::Arc;

use tcnd_client::names;
use tcnd_client::proxy;
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::name_watch::{NameWatcher, WatchError, caller, is_present};
use super::options::{MethodOptions, OptionMap, decimal};
use super::replies;
use crate::daemon::{
    ExposureId, Handle, KnownExposure, MatchedReportsRequest, Refusal, Request, StoreRequest,
    SyncStatus,
};

pub(super) struct ExposuresInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
    /// Every subscriber is watched, and every watched client is a subscriber.
    pub(super) subscribers: Arc<NameWatcher>,
}

#[interface(name = "org.tcncoalition.Tcnd1.Exposures", introspection_docs = true)]
impl ExposuresInterface {
    /// Returns all exposures, those of each report in the order of time; dismissed
    /// exposures only with the option dismissed (b). Times are in seconds since
    /// 1970-01-01 UTC. Each exposure has id (s); day (t), the UTC day on which it began;
    /// from (t) and to (t), rounded outward to five minutes; duration_s (u), the time
    /// near, rounded up to five minutes; duration_least_s (u) and duration_most_s (u),
    /// the bounds of that time, rounded outward to five minutes, absent unless discovery
    /// paused when it began or ended; attenuation (a(yu)), the measured sightings by
    /// attenuation, each with its upper bound in dB, 255 for the rest; rssi_max (n), the
    /// strongest signal in dBm, absent if none was measured; carried (s), whose radio was
    /// heard: direct, the other person's own; bridged, another device's; or mixed;
    /// distance (d), distance_least (d) and distance_most (d), an estimate in metres, and
    /// the estimates for a weaker and a stronger sender, absent if the person's own
    /// signal was not measured; sources (as), the sources of the report; since API level
    /// 9 help (a(sss)), for each of these sources that says where people find help its
    /// label, a web page (https) and a telephone number, one of which may be empty;
    /// published (t), when the report was public at the latest; received (t); memo_type
    /// (y) and memo (ay), and since API level 8 what can be read of it: symptoms (as),
    /// tokens, those that tcnctl report create takes, and fever, whose grade was not
    /// said; since (t), the UTC day of the first symptom, absent if the memo does not say
    /// it; text (s), printable text of a stranger, absent if the memo is none; rule (s),
    /// the rule that makes an exposure of contacts: contacts-1 joins contacts while the
    /// gap between them is shorter than rule_gap_s (u) seconds, and computes distances
    /// from rule_reference_rssi (n), the dBm at one metre; seen (b); dismissed (b).
    /// Clients must tolerate other keys and tokens. Needs the polkit action
    /// org.tcncoalition.tcnd1.exposures-read, as all methods of this interface do.
    #[zbus(out_args("exposures"))]
    async fn list(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<proxy::ExposureInfo>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("dismissed", "b")])?;
        let dismissed = options.take("dismissed")?.unwrap_or(false);
        let exposures = self.all().await?.into_iter();
        let wanted = exposures.filter(|exposure| dismissed || !exposure.dismissed);
        Ok(wanted.map(proxy::ExposureInfo::from).collect())
    }

    /// Returns one exposure, dismissed or not, with the same keys as List.
    #[zbus(out_args("exposure"))]
    async fn get(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::ExposureInfo, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.find(&id).await?.into())
    }

    /// Returns at once how many exposures are not seen, and how complete that is:
    /// unseen (u); sources (u), the number of configured sources of reports; checked
    /// (t), the last time by which all of them had been checked successfully, in
    /// seconds since 1970-01-01 UTC, absent if that never happened; failed (a(ss)), for
    /// each source that could not be checked the last time its label and a token of the
    /// problem; waiting (b), whether reports were delivered that are not matched yet.
    /// While a source fails, no source was checked, or reports wait, an exposure may be
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

    /// Marks an exposure as seen.
    async fn mark_seen(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        self.mark(&id, false).await
    }

    /// Marks an exposure as seen and hides it. The daemon keeps it as long as its
    /// contacts, and List returns it only with the option dismissed.
    async fn dismiss(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        self.mark(&id, true).await
    }

    /// Lists a dismissed exposure again. It stays marked as seen.
    async fn restore(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let id = self.find(&id).await?.id;
        let restore = |reply| StoreRequest::RestoreExposure(id, reply);
        Ok(self.handle.ask_store(restore).await?)
    }

    /// Subscribes the caller to Changed, until the caller unsubscribes or leaves the
    /// bus, or the daemon ends: subscribe again when the bus name of tcnd has another
    /// owner. The daemon asks for the permission now, and not at each signal. Since API
    /// level 8 the caller gets Changed at once, before the reply, so that no call of
    /// List or GetSummary is needed. There may be 64 subscribers; one more fails with
    /// Error.Busy.
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
        self.notify_first(connection, &name).await
    }

    /// Ends the subscription of the caller to Changed.
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

    /// Exposures changed; unseen is the number of those that are not seen. The signal
    /// goes only to subscribers.
    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, unseen: u32) -> zbus::Result<()>;
}

impl ExposuresInterface {
    /// Sends the current number to a new subscriber. If the number changes meanwhile,
    /// [`notify_subscribers`] may have sent it already, so the newest is sent again: the
    /// last signal is always right.
    async fn notify_first(
        &self,
        connection: &Connection,
        name: &OwnedUniqueName,
    ) -> Result<(), ErrorReply> {
        let latest = self.handle.watch_unseen();
        let mut sent = None;
        loop {
            let unseen = *latest.borrow();
            if sent == Some(unseen) {
                return Ok(());
            }
            let sending = notify(connection, name, unseen).await;
            sending
                .map_err(|_| ErrorReply::failed("the bus did not take Changed; subscribe again"))?;
            sent = Some(unseen);
        }
    }

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
        let mark = |reply| StoreRequest::MarkExposure(id, dismissed, reply);
        Ok(self.handle.ask_store(mark).await?)
    }
}

/// The two numbers that identify an exposure outside the daemon: the number of its report,
/// and its start, rounded as it is shown. Exposures of one report are an hour apart, so no
/// two have the same.
pub(super) fn public_id(id: ExposureId) -> (u64, u64) {
    (id.report, replies::earlier(id.start))
}

fn parts(id: &str) -> Option<(u64, u64)> {
    let (report, start) = id.split_once('-')?;
    Some((decimal(report)?, decimal(start)?))
}

fn not_on_a_bus() -> ErrorReply {
    ErrorReply::invalid_args("a subscription needs a message bus; call List again instead")
}

fn watch_error(why: WatchError) -> ErrorReply {
    why.reply(
        "have subscribed; end one of them, or call List again",
        "call List again instead",
    )
}

/// Sends `Changed` to each subscriber by its name, and to no other client.
pub(super) async fn notify_subscribers(
    connection: &Connection,
    subscribers: &NameWatcher,
    unseen: u32,
) -> zbus::Result<()> {
    for name in subscribers.names() {
        notify(connection, &name, unseen).await?;
    }
    Ok(())
}

async fn notify(connection: &Connection, name: &OwnedUniqueName, unseen: u32) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(connection, names::ROOT)?;
    let emitter = emitter.set_destination(BusName::from(name));
    ExposuresInterface::changed(&emitter, unseen).await
}
