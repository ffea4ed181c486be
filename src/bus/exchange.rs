//! `Exchange`: transfer of reports to and from servers.
//!
//! This interface is only for `tcnd-sync`. That program has network access, so it gets
//! only the data that it needs: the missing intervals, and the parts to upload, one at a
//! time. It learns nothing of contacts, keys or exposures. The bus policy lets no
//! other user send to this interface, and the bouncer asks polkit all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tcn_exchange::help::{Help, HelpPhone, HelpUrl};
use tcn_exchange::interval::Interval;
use tcn_exchange::upload_result::UploadResult;
use tcn_protocol::wire;
use tcnd_client::proxy;
use zbus::message::Header;
use zbus::{Connection, OwnedFd, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::name_watch::{NameWatcher, WatchError, caller, is_present};
use super::options::{MethodOptions, OptionMap, check_short_line};
use super::transfer::Transfers;
use crate::daemon::{BUDGET, Delivery, ExchangeRequest, Handle, Refusal, Request, StoreRequest};
use crate::store::NewSource;

pub(super) struct ExchangeInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
    pub(super) transfers: Arc<Transfers>,
    /// The owners of the current run and of the current delivery.
    pub(super) runs: NameWatcher,
    pub(super) deliveries: NameWatcher,
}

/// The longest name of a source or a problem, in bytes.
const LONGEST_TOKEN: usize = 64;

#[interface(name = "org.tcncoalition.Tcnd1.Exchange", introspection_docs = true)]
impl ExchangeInterface {
    /// Begins a run. sources has all configured sources, at most 32; the daemon forgets
    /// what it kept about others. Each has name (s), of lower-case letters, digits and
    /// hyphens, at most 64; label (s), which is shown to people, at most 256 bytes;
    /// publish (b), whether reports of this machine may go there; and since API level 9,
    /// absent if there is none, help_url (s), an https page where people find help,
    /// without query and fragment, at most 256 bytes, and help_phone (s), a telephone
    /// number for the same, of digits, spaces and + - ( ) /, at most 32. Other keys are
    /// ignored. Fails with Error.Busy while another run is in progress; a run ends with
    /// End, or when the caller leaves the bus. Returns whether a person asked for the
    /// run: such a run asks also sources that failed lately. Needs the polkit action
    /// org.tcncoalition.tcnd1.exchange, as all methods of this interface do.
    #[zbus(out_args("asked"))]
    async fn begin(
        &self,
        sources: Vec<proxy::SourceInfo>,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<bool, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let sources = sources.into_iter().map(new_source);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let owner = caller(connection, &call);
        if let Some(owner) = &owner {
            let (handle, name) = (self.handle.clone(), owner.to_string());
            let leave = async move { handle.client_disconnected(name).await };
            let watch = self.runs.watch(connection, owner, leave).await;
            watch.map_err(watch_error)?;
        }
        let name = owner.as_ref().map(ToString::to_string);
        let begin = |reply| Request::Exchange(ExchangeRequest::Begin(name, sources, reply));
        let begun = self.handle.ask(begin).await;
        if let Some(owner) = &owner
            && !is_present(connection, owner).await
        {
            // The caller left the bus before the watch was set up.
            self.handle.client_disconnected(owner.to_string()).await;
        }
        Ok(begun?)
    }

    /// Returns the numbers of the intervals that a source has not delivered whole,
    /// oldest first. Intervals have six hours and are counted from 1970. The list
    /// covers the last 14 days, and its last element is the current interval.
    #[zbus(out_args("intervals"))]
    async fn pending(
        &self,
        source: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<u64>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let pending = |reply| StoreRequest::PendingIntervals(source, reply);
        let intervals = self.handle.ask_store(pending).await?;
        Ok(intervals.into_iter().map(Interval::number).collect())
    }

    /// Keeps the reports that a source delivered for an interval. Returns when the
    /// daemon has read the file to its end; the file may be empty. The daemon matches
    /// the reports when the run is over, so neither the reply nor its time depends on
    /// the contacts. Options: whole (b), true if the interval had been over for ten
    /// minutes when the source was asked, and this is all of it, so that it need not be
    /// asked for again; budget (t), how many numbers the daemon may compute, at most
    /// 500 million, which is also the default. A contact that began after the end of
    /// the interval is no exposure according to this source. The reply counts (t):
    /// accepted, delivered by this source for the first time; duplicate, delivered by
    /// it before; malformed, not a report; too_large, beyond the budget, or beyond the
    /// bytes that a source may deliver in a day: 512 MiB, and with more than four
    /// sources an equal share of 2 GiB each. Fails with Error.Busy while another
    /// delivery is in progress.
    #[zbus(out_args("delivered"))]
    async fn deliver(
        &self,
        source: String,
        interval: u64,
        file: OwnedFd,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::DeliveryCounts, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("whole", "b"), ("budget", "t")])?;
        let cancelled = Arc::<AtomicBool>::default();
        let delivery = Delivery {
            source,
            interval: Interval::new(interval).ok_or_else(unknown_interval)?,
            whole: options.take("whole")?.unwrap_or(false),
            budget: options.take("budget")?.unwrap_or(BUDGET).min(BUDGET),
            reports: Box::new(self.transfers.reader(file, Arc::clone(&cancelled))?),
        };
        let caller = caller(connection, &call);
        if let Some(caller) = &caller {
            let leave = async move { cancelled.store(true, Ordering::Relaxed) };
            let watch = self.deliveries.watch(connection, caller, leave).await;
            watch.map_err(watch_error)?;
        }
        let deliver = |reply| Request::Exchange(ExchangeRequest::Deliver(delivery, reply));
        let counted = self.handle.ask(deliver).await;
        if let Some(caller) = &caller {
            self.deliveries.unwatch(caller);
        }
        Ok(counted?)
    }

    /// Takes the next part of a report of this machine that is due for this source:
    /// part (t), its local number, and report (ay), one signed report; both are absent
    /// if none is due. The daemon records first that the part left. If the outcome of a
    /// part is not told within a quarter of an hour, the part is handed out again.
    #[zbus(out_args("upload"))]
    async fn take_part(
        &self,
        source: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::UploadPart, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let take = |reply| StoreRequest::TakePart(source, reply);
        let (part, signed) = self.handle.ask_store(take).await?.unzip();
        let report = signed.map(|signed| wire::write(&signed));
        Ok(proxy::UploadPart { part, report })
    }

    /// Records the outcome of a part: accepted, the server has it; refused, the server
    /// does not want it; failed, the server did not get it, and it is tried again.
    /// Options: reason (s), the message of the server or the network, at most 256
    /// bytes; retry_after (u), for how many seconds the server wants no further
    /// request.
    async fn settle_part(
        &self,
        part: u64,
        outcome: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("reason", "s"), ("retry_after", "u")])?;
        let reason: String = options.take("reason")?.unwrap_or_default();
        let retry_after: Option<u32> = options.take("retry_after")?;
        check_short_line("reason", &reason)?;
        let seconds = |seconds| Duration::from_secs(u64::from(seconds));
        let result = UploadResult::from_token(&outcome, reason, retry_after.map(seconds));
        let result = result.ok_or_else(|| {
            let known = "unknown outcome; the outcomes are: accepted, refused, failed";
            ErrorReply::invalid_args(known)
        })?;
        let settle = |reply| StoreRequest::SettlePart(part, result, reply);
        Ok(self.handle.ask_store(settle).await?)
    }

    /// Records the result for a source: problem is empty if the source was checked
    /// successfully; otherwise it is a token of lower-case letters, digits and hyphens,
    /// at most 64, such as unreachable.
    async fn record(
        &self,
        source: String,
        problem: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        if !problem.is_empty() && !is_token(&problem) {
            return Err(not_a_token());
        }
        let record = |reply| StoreRequest::RecordCheck(source, problem, reply);
        Ok(self.handle.ask_store(record).await?)
    }

    /// Ends the run.
    async fn end(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let end = |reply| Request::Exchange(ExchangeRequest::End(reply));
        self.handle.ask(end).await?;
        if let Some(owner) = caller(connection, &call) {
            self.runs.unwatch(&owner);
        }
        Ok(())
    }
}

fn new_source(source: proxy::SourceInfo) -> Result<NewSource, ErrorReply> {
    if !is_token(&source.name) {
        return Err(not_a_token());
    }
    check_short_line("label", &source.label)?;
    Ok(NewSource {
        name: source.name,
        label: source.label,
        publish: source.publish,
        help: help(source.help_url, source.help_phone)?,
    })
}

fn help(url: Option<String>, phone: Option<String>) -> Result<Help, ErrorReply> {
    let url = url.map(|url| HelpUrl::new(&url)).transpose();
    let phone = phone.map(|phone| HelpPhone::new(&phone)).transpose();
    Ok(Help {
        url: url.map_err(|why| ErrorReply::invalid_args(format!("help_url: {why}")))?,
        phone: phone.map_err(|why| ErrorReply::invalid_args(format!("help_phone: {why}")))?,
    })
}

fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= LONGEST_TOKEN && text.bytes().all(fits)
}

fn not_a_token() -> ErrorReply {
    ErrorReply::invalid_args(
        "not a valid name or problem; it has 1 to 64 lower-case letters, digits and hyphens",
    )
}

fn unknown_interval() -> ErrorReply {
    Refusal::InvalidRange("no interval has this number; call Pending").into()
}

fn watch_error(why: WatchError) -> ErrorReply {
    why.reply("exchange reports; try again", "try again")
}
