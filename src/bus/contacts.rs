//! `Contacts`: the contact log, as sums and as a whole.
//!
//! Methods only: whether and when a person met others is private, and on the system bus
//! every property and every signal reaches every user. No sum is finer than a quarter
//! of an hour, not even by comparing the answers to two spans that differ by a second:
//! all bounds are whole quarters. They are no coarser, because a local hour or day may
//! begin with any quarter of a UTC hour. Of the present there is only a count: a caller
//! that asks for it repeatedly learns how many were near, and when. The log itself has
//! its own action, and is written to a file of the caller.

use std::sync::Arc;
use std::time::Duration;

use tcn_protocol::UnixTime;
use tcnd_client::proxy;
use tokio::runtime::Handle as Runtime;
use zbus::message::Header;
use zbus::{Connection, OwnedFd, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::export::{self, ExportOptions};
use super::options::{MethodOptions, OptionMap, empty_range};
use super::replies;
use super::tokens;
use super::transfer::Transfers;
use crate::daemon::{ContactsRequest, Handle, OwnReportsRequest, Request};
use crate::store::{Bucket, ExportDir};

pub(super) struct ContactsInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
    pub(super) transfers: Arc<Transfers>,
    pub(super) export_dir: ExportDir,
}

/// Contacts are counted, and kept, in steps of this many seconds.
const QUARTER: u64 = 900;

/// The last quarter of an hour that SQLite's signed 64 bits can express.
const END_OF_TIME: u64 = i64::MAX.unsigned_abs() / QUARTER * QUARTER;

/// What CountNearby counts.
const NEARBY: Duration = Duration::from_secs(60);

/// What GetPresence counts: as long as one number is in use.
const PRESENT: Duration = Duration::from_secs(QUARTER);

/// Bars in one histogram: a hundred days of quarters would not fit a picture either.
const MAX_BUCKETS: u64 = 10_000;

#[interface(name = "org.tcncoalition.Tcnd1.Contacts", introspection_docs = true)]
impl ContactsInterface {
    /// Returns totals over a span. Options: from (t) and to (t), in seconds since
    /// 1970-01-01 UTC, widened to whole quarters of an hour; without them, the span is
    /// all that is kept. The reply has numbers (u), the distinct numbers that were
    /// heard; sightings (u) of them; oldest (t), the quarter of an hour of the first
    /// contact, absent if there is none; per_day (a(tuu)), for each UTC day its start,
    /// numbers and sightings; attenuation (a(yu)), the measured sightings by
    /// attenuation, each with its upper bound in dB, 255 for the rest. Counts stop at
    /// the greatest u. Needs the polkit action org.tcncoalition.tcnd1.contacts-read, as
    /// all methods of this interface do except GetPresence, ExportLog and Erase.
    #[zbus(out_args("summary"))]
    async fn get_summary(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::ContactSummary, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("from", "t"), ("to", "t")])?;
        let from = options.take("from")?.unwrap_or(0);
        let to = options.take("to")?.unwrap_or(u64::MAX);
        let (from, to) = whole_quarters(from, to)?;
        let summary = |reply| Request::Summary(from, to, reply);
        Ok(self.handle.ask(summary).await?.into())
    }

    /// Returns the bars of a histogram over a span, which is widened to whole quarters
    /// of an hour. Each bar is bucket_s seconds wide: 900 or a multiple of it. There
    /// may be at most 10000 bars. Clients can combine bars of 900 seconds into the
    /// hours and days of every time zone. Each bar has its start, in seconds since
    /// 1970-01-01 UTC, the numbers whose contact began in it, and their sightings.
    /// Empty bars may be absent.
    #[zbus(out_args("bars"))]
    async fn get_histogram(
        &self,
        from: u64,
        to: u64,
        bucket_s: u32,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<(u64, u32, u32)>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let (from, to) = whole_quarters(from, to)?;
        let bucket = bucket(from, to, bucket_s)?;
        let histogram = |reply| Request::Histogram(from, to, bucket, reply);
        let bars = self.handle.ask(histogram).await?;
        Ok(bars.iter().map(bar).collect())
    }

    /// Returns counters since the daemon started, and the size of the log, each a t:
    /// rotations, advert_ok, advert_fail, scan_restarts, invalid_frames, dropped
    /// (sightings for which there was no space), db_bytes, rows. Clients must tolerate
    /// others.
    #[zbus(out_args("statistics"))]
    async fn get_statistics(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::DaemonStatistics, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::Statistics).await?)
    }

    /// Returns how many different numbers were heard within the last minute. That is
    /// the number of people nearby with a device that broadcasts, plus one for each of
    /// them who took a new number meanwhile.
    #[zbus(out_args("numbers"))]
    async fn count_nearby(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let nearby = |reply| Request::Nearby(NEARBY, reply);
        Ok(self.handle.ask(nearby).await?)
    }

    /// Returns how long numbers of this machine were on the air, so that clients can tell
    /// a time without contacts from one in which the daemon did not work. The span is
    /// widened to whole quarters of an hour, and may have at most 10000. Each quarter has
    /// its start, in seconds since 1970-01-01 UTC, and the seconds on the air. Quarters
    /// without any are absent. The daemon knows this for as long as it keeps what is
    /// needed for reports. A relay has no number of its own. Since API level 8.
    #[zbus(out_args("quarters"))]
    async fn get_activity(
        &self,
        from: u64,
        to: u64,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<(u64, u32)>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let (from, to) = whole_quarters(from, to)?;
        if (to.0 - from.0) / QUARTER > MAX_BUCKETS {
            return Err(ErrorReply::invalid_range(
                "more than 10000 quarters of an hour; ask for a shorter span",
            ));
        }
        let activity = |reply| Request::OwnReports(OwnReportsRequest::Activity(from, to, reply));
        let quarters = self.handle.ask(activity).await?;
        let quarter =
            |(start, time): (UnixTime, Duration)| (start.0, replies::clamped(time.as_secs()));
        Ok(quarters.into_iter().map(quarter).collect())
    }

    /// Returns in a word how many different numbers were heard within the last quarter of
    /// an hour: none; few, at most 5; some, at most 20; or many. Each device takes a new
    /// number every quarter of an hour, so it counts once or twice. The word is for
    /// screens that everyone sees: an exact number would show when a person is alone.
    /// There are no options yet. Clients must tolerate other tokens. Needs the polkit
    /// action org.tcncoalition.tcnd1.presence-read. Since API level 8.
    #[zbus(out_args("presence"))]
    async fn get_presence(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<&'static str, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        MethodOptions::new(options, &[])?;
        let present = |reply| Request::Nearby(PRESENT, reply);
        Ok(tokens::presence(self.handle.ask(present).await?))
    }

    /// Writes the contacts to a file. Returns the number of rows when the file has all
    /// of them. Options: format (s), csv by default, jsonl or sqlite; from (t) and to
    /// (t), in seconds since 1970-01-01 UTC, for contacts that began in that span; raw
    /// (b), true to include numbers. Otherwise each number is masked: equal numbers
    /// have equal masks of 16 hexadecimal digits within one export. A mask has no
    /// meaning outside of its export, also not in the next one. Columns, in each
    /// format: number; first and last, when it was heard, in seconds since 1970-01-01
    /// UTC; rssi_max and rssi_mean in dBm, empty or null if never measured; sightings;
    /// to_55_db, to_63_db, to_73_db and over_73_db, the measured sightings by
    /// attenuation in dB; bridged, whether another device relayed the number;
    /// unheard_before_s and unheard_after_s, the seconds before first and after last in
    /// which discovery paused and the number may have been near. CSV is as
    /// in RFC 4180, with a header; jsonl has one object per line; sqlite has one table,
    /// contact. Rows are in the order of the quarter of an hour in which they began.
    /// The caller must read from a pipe or socket during the call: after 30 seconds
    /// without progress the call fails with Error.Failed. A fifth export at the same
    /// time fails with Error.Busy. Needs the polkit action
    /// org.tcncoalition.tcnd1.contacts-export.
    #[zbus(out_args("rows"))]
    async fn export_log(
        &self,
        file: OwnedFd,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let selection = ExportOptions::new(options)?;
        let writer = self.transfers.writer(file)?;
        let (handle, export_dir) = (self.handle.clone(), self.export_dir.clone());
        let runtime = Runtime::current();
        let write = move |writer| export::write(&selection, handle, runtime, &export_dir, writer);
        writer.work(write).await
    }

    /// Destroys the contacts that began at or after from and before to, both in seconds
    /// since 1970-01-01 UTC. Their bytes leave the file, and all exposures that result
    /// from them are destroyed too. Returns the number of contacts. Needs the polkit
    /// action org.tcncoalition.tcnd1.erase.
    #[zbus(out_args("rows"))]
    async fn erase(
        &self,
        from: u64,
        to: u64,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        if from >= to {
            return Err(empty_range());
        }
        let (from, to) = (UnixTime(from), UnixTime(to));
        let erase = |reply| Request::Contacts(ContactsRequest::Erase(from, to, reply));
        Ok(self.handle.ask(erase).await?)
    }
}

fn whole_quarters(from: u64, to: u64) -> Result<(UnixTime, UnixTime), ErrorReply> {
    if from >= to {
        return Err(empty_range());
    }
    let from = (from / QUARTER * QUARTER).min(END_OF_TIME - QUARTER);
    let to = to
        .div_ceil(QUARTER)
        .saturating_mul(QUARTER)
        .min(END_OF_TIME);
    Ok((UnixTime(from), UnixTime(to)))
}

fn bucket(from: UnixTime, to: UnixTime, seconds: u32) -> Result<Duration, ErrorReply> {
    let width = u64::from(seconds);
    if width < QUARTER || !width.is_multiple_of(QUARTER) {
        return Err(ErrorReply::invalid_range(
            "bucket_s must be whole quarters of an hour: 900 or a multiple of it",
        ));
    }
    if (to.0 - from.0).div_ceil(width) > MAX_BUCKETS {
        return Err(ErrorReply::invalid_range(
            "more than 10000 bars; ask for a shorter span or wider bars",
        ));
    }
    Ok(Duration::from_secs(width))
}

fn bar(bucket: &Bucket) -> (u64, u32, u32) {
    (
        bucket.start.0,
        replies::clamped(bucket.numbers),
        replies::clamped(bucket.sightings),
    )
}
