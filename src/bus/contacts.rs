//! `Contacts`: the contact log in sums.
//!
//! Methods only: whether and when somebody met others is nobody else's
//! business, and on the system bus every property and every signal reaches
//! every user. Nothing finer than an hour can be asked for, not even by
//! comparing the answers to two spans that differ by a second: all bounds are
//! whole hours.

use std::sync::Arc;
use std::time::Duration;

use zbus::message::Header;
use zbus::{Connection, interface};

use super::bouncer::Bouncer;
use super::error::Error;
use super::options::{Given, Options};
use super::proxy;
use crate::daemon::{Handle, Request};
use crate::engine::UnixTime;
use crate::store::Bucket;

pub(super) struct Contacts {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
}

const HOUR: u64 = 3600;

/// The last hour that SQLite's 64 bits with sign can name.
const END_OF_TIME: u64 = i64::MAX.unsigned_abs() / HOUR * HOUR;

/// Bars in one histogram: two years of hours would not fit a picture either.
const MAX_BUCKETS: u64 = 10_000;

#[interface(name = "org.tcncoalition.Tcnd1.Contacts", introspection_docs = true)]
impl Contacts {
    /// Totals over a span. Options: from (t) and to (t), seconds since
    /// 1970-01-01 UTC, widened to whole hours; without them, all that is kept.
    /// The answer has numbers (u), distinct ones heard; sightings (u) of them;
    /// oldest (t), the hour of the first contact, absent if there is none;
    /// per_day (a(tuu)), for each UTC day its start, numbers, sightings;
    /// attenuation (a(yu)), measured sightings by attenuation: up to so many
    /// dB, 255 being the rest. Counts stop at the greatest u. Needs the polkit
    /// action org.tcncoalition.tcnd1.contacts-read, as all methods here.
    #[zbus(out_args("summary"))]
    async fn get_summary(
        &self,
        options: Given,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Summary, Error> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = Options::new(options, &[("from", "t"), ("to", "t")])?;
        let from = options.take("from")?.unwrap_or(0);
        let to = options.take("to")?.unwrap_or(u64::MAX);
        let (from, to) = whole_hours(from, to)?;
        let summary = |reply| Request::Summary(from, to, reply);
        Ok(self.handle.ask(summary).await?.into())
    }

    /// Bars over a span, widened to whole hours, each bucket_s seconds wide:
    /// whole hours, 3600 at least, and 10000 bars at most. For each its start
    /// in seconds since 1970-01-01 UTC, the numbers whose contact began in it,
    /// and their sightings. Empty bars may be left out.
    #[zbus(out_args("bars"))]
    async fn get_histogram(
        &self,
        from: u64,
        to: u64,
        bucket_s: u32,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<(u64, u32, u32)>, Error> {
        self.bouncer.admit(connection, &call).await?;
        let (from, to) = whole_hours(from, to)?;
        let bucket = bucket(from, to, bucket_s)?;
        let histogram = |reply| Request::Histogram(from, to, bucket, reply);
        let bars = self.handle.ask(histogram).await?;
        Ok(bars.iter().map(bar).collect())
    }

    /// Counters since the daemon started, and the size of the log, each a t:
    /// rotations, advert_ok, advert_fail, scan_restarts, invalid_frames,
    /// dropped (sightings there was no room for), db_bytes, rows. Clients must
    /// tolerate others.
    #[zbus(out_args("statistics"))]
    async fn get_statistics(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Statistics, Error> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::Statistics).await?.into())
    }
}

fn whole_hours(from: u64, to: u64) -> Result<(UnixTime, UnixTime), Error> {
    if from >= to {
        return Err(Error::InvalidRange("from must be before to"));
    }
    let from = (from / HOUR * HOUR).min(END_OF_TIME - HOUR);
    let to = to.div_ceil(HOUR).saturating_mul(HOUR).min(END_OF_TIME);
    Ok((UnixTime(from), UnixTime(to)))
}

fn bucket(from: UnixTime, to: UnixTime, seconds: u32) -> Result<Duration, Error> {
    let width = u64::from(seconds);
    if width < HOUR || !width.is_multiple_of(HOUR) {
        return Err(Error::InvalidRange(
            "bucket_s must be whole hours: 3600 or a multiple of it",
        ));
    }
    if (to.0 - from.0).div_ceil(width) > MAX_BUCKETS {
        return Err(Error::InvalidRange(
            "more than 10000 bars; ask for a shorter span or wider bars",
        ));
    }
    Ok(Duration::from_secs(width))
}

fn bar(bucket: &Bucket) -> (u64, u32, u32) {
    (
        bucket.start.0,
        proxy::clamped(bucket.numbers),
        proxy::clamped(bucket.sightings),
    )
}
