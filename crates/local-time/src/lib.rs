//! Times of the bus in the local calendar, for people.
//!
//! The bus has only seconds since 1970. People read the calendar and the clock of their time
//! zone. Where the clock of a zone shows a time twice, or two times have different offsets,
//! the offset is shown too. [`histogram`] adds up quarters of an hour to local hours and days.

#![forbid(unsafe_code)]

pub mod histogram;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

/// The seconds of a quarter of an hour. The contact log keeps the start of a contact by
/// quarters; all UTC offsets in use are multiples of it.
pub const QUARTER: u64 = 900;

/// The seconds of a day of 24 hours.
pub const DAY: u64 = 86_400;

/// Seconds since 1970; nothing here is older.
pub fn unix_seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

/// A time from the bus in a time zone; `None` if it is outside the range of the
/// calendar.
pub fn local_in(unix_seconds: u64, zone: &TimeZone) -> Option<ZonedDateTime> {
    let seconds = i64::try_from(unix_seconds).ok()?;
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned_datetime(zone.clone()))
}

/// An hour of the local clock. When the clock is set, it may be shorter or longer
/// than 60 minutes, or come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalHour {
    /// The day it belongs to.
    pub date: Date,
    /// 0 to 23.
    pub hour: usize,
    /// Its first second since 1970.
    pub start: u64,
    /// The first second of its day.
    pub day_start: u64,
}

/// The local hour that contains a time; `None` if it is outside the range of the
/// calendar.
pub fn hour_of(unix_seconds: u64, zone: &TimeZone) -> Option<LocalHour> {
    let time = local_in(unix_seconds, zone)?;
    let within = (time.minute().unsigned_abs(), time.second().unsigned_abs());
    let within = u64::from(within.0) * 60 + u64::from(within.1);
    let whole = unix_seconds.saturating_sub(within);
    let same_offset = local_in(whole, zone).is_some_and(|whole| whole.offset() == time.offset());
    let start = if same_offset {
        whole
    } else {
        last_transition(time.timestamp(), zone).unwrap_or(whole)
    };
    Some(LocalHour {
        date: time.date(),
        hour: usize::from(time.hour().unsigned_abs()),
        start,
        day_start: unix_seconds_of_day(&time),
    })
}

/// When the offset of a zone last changed, at or before a time.
fn last_transition(time: Timestamp, zone: &TimeZone) -> Option<u64> {
    let behind = time.checked_add(1.second()).ok()?;
    let last = zone.preceding(behind).next()?;
    Some(unix_seconds(last.timestamp()))
}

fn unix_seconds_of_day(time: &ZonedDateTime) -> u64 {
    time.start_of_day()
        .map_or(0, |day| unix_seconds(day.timestamp()))
}

/// How the clock is set in the course of a day, such as `UTC+02:00 to UTC+01:00`;
/// `None` on most days.
pub fn clock_change(date: Date, zone: &TimeZone) -> Option<String> {
    let first = first_instant(date, zone)?;
    let next = first_instant(date.tomorrow().ok()?, zone)?;
    let (before, after) = (first.offset(), next.offset());
    (before != after).then(|| {
        format!(
            "UTC{} to UTC{}",
            first.strftime("%:z"),
            next.strftime("%:z")
        )
    })
}

/// The first instant of a day, or of the next day if the calendar left this one out.
pub fn first_instant(date: Date, zone: &TimeZone) -> Option<ZonedDateTime> {
    let midnight = date.to_zoned_datetime(zone.clone()).ok()?;
    midnight.start_of_day().ok()
}

/// Whether the clock alone is ambiguous for these times: it shows one of them twice, or
/// they have different offsets from UTC.
pub fn needs_offset(times: &[&ZonedDateTime]) -> bool {
    let twice = |time: &&ZonedDateTime| {
        let same = time.time_zone().to_ambiguous_timestamp(time.datetime());
        same.is_ambiguous()
    };
    times.iter().any(twice)
        || times
            .windows(2)
            .any(|pair| pair[0].offset() != pair[1].offset())
}

/// A time for people: without the date if it is today.
pub fn show(unix_seconds: u64, now: &ZonedDateTime) -> String {
    local_in(unix_seconds, now.time_zone()).map_or_else(
        || OUT_OF_RANGE.to_owned(),
        |time| clock(&time, now, needs_offset(&[&time])),
    )
}

/// A span from one time to another, for people.
pub fn show_span(from: u64, to: u64, now: &ZonedDateTime) -> String {
    let ends = [from, to].map(|end| local_in(end, now.time_zone()));
    let [Some(start), Some(stop)] = &ends else {
        return format!("{} to {}", show(from, now), show(to, now));
    };
    let offsets = needs_offset(&[start, stop]);
    format!(
        "{} to {}",
        clock(start, now, offsets),
        clock(stop, now, offsets)
    )
}

const OUT_OF_RANGE: &str = "outside the range of the calendar";

fn clock(time: &ZonedDateTime, now: &ZonedDateTime, offset: bool) -> String {
    let format = match (time.date() == now.date(), offset) {
        (true, false) => "%H:%M",
        (true, true) => "%H:%M %:z",
        (false, false) => "%Y-%m-%d %H:%M",
        (false, true) => "%Y-%m-%d %H:%M %:z",
    };
    time.strftime(format).to_string()
}

/// The UTC day that begins at a time.
pub fn day(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| OUT_OF_RANGE.to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// A duration for people: only the largest unit, rounded down.
pub fn duration(seconds: u64) -> String {
    let units = [(DAY, "day"), (3600, "hour"), (60, "minute")];
    let Some((length, unit)) = units.into_iter().find(|(length, _)| seconds >= *length) else {
        return "less than a minute".to_owned();
    };
    match seconds / length {
        1 => format!("1 {unit}"),
        n => format!("{n} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-23T18:30:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    fn seconds(text: &str) -> u64 {
        unix_seconds(text.parse().unwrap())
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// A zone, a time, and its local day, hour and start of the hour. On Lord Howe Island
    /// the clock goes from 02:00 back to 01:30, the second half of hour 1 comes twice; and
    /// from 02:00 on to 02:30, half an hour is missing.
    const CIVIL: &str = "\
Asia/Kolkata         2026-11-27T18:45Z 2026-11-28  0 2026-11-27T18:30Z
Asia/Kolkata         2026-11-27T18:15Z 2026-11-27 23 2026-11-27T17:30Z
Asia/Kathmandu       2026-11-27T18:15Z 2026-11-28  0 2026-11-27T18:15Z
Asia/Kathmandu       2026-11-27T18:14Z 2026-11-27 23 2026-11-27T17:15Z
Pacific/Auckland     2026-11-27T11:00Z 2026-11-28  0 2026-11-27T11:00Z
Australia/Lord_Howe  2026-04-04T14:45Z 2026-04-05  1 2026-04-04T14:00Z
Australia/Lord_Howe  2026-04-04T15:05Z 2026-04-05  1 2026-04-04T15:00Z
Australia/Lord_Howe  2026-04-04T15:30Z 2026-04-05  2 2026-04-04T15:30Z
Australia/Lord_Howe  2026-10-03T15:29Z 2026-10-04  1 2026-10-03T14:30Z
Australia/Lord_Howe  2026-10-03T15:45Z 2026-10-04  2 2026-10-03T15:30Z
Europe/Berlin        2026-10-25T00:30Z 2026-10-25  2 2026-10-25T00:00Z
Europe/Berlin        2026-10-25T01:30Z 2026-10-25  2 2026-10-25T01:00Z
Europe/Berlin        2026-03-29T00:59Z 2026-03-29  1 2026-03-29T00:00Z
Europe/Berlin        2026-03-29T01:00Z 2026-03-29  3 2026-03-29T01:00Z
America/New_York     2026-11-01T05:50Z 2026-11-01  1 2026-11-01T05:00Z
America/New_York     2026-11-01T06:10Z 2026-11-01  1 2026-11-01T06:00Z
Pacific/Apia         2011-12-30T09:59Z 2011-12-29 23 2011-12-30T09:00Z
Pacific/Apia         2011-12-30T10:00Z 2011-12-31  0 2011-12-30T10:00Z
";

    #[test]
    fn hours_and_days_are_those_of_the_zone() {
        for row in CIVIL.lines() {
            let row: Vec<_> = row.split_whitespace().collect();
            let [zone, time, day, hour, start] = row[..] else {
                panic!("{row:?}");
            };
            let zone = TimeZone::get(zone).expect("tzdata is needed: apt-get install tzdata");
            let found = hour_of(seconds(time), &zone).unwrap();
            let expected = (date(day), hour.parse().unwrap(), seconds(start));
            assert_eq!(
                (found.date, found.hour, found.start),
                expected,
                "{zone:?} {time}"
            );
        }
    }

    #[test]
    fn no_span_ends_before_it_begins() {
        let cases = [
            (
                "America/New_York",
                ("2026-11-01T05:50Z", "2026-11-01T06:10Z"),
                "2026-11-01 01:50 -04:00 to 2026-11-01 01:10 -05:00",
            ),
            (
                "Europe/Berlin",
                ("2026-10-25T00:50Z", "2026-10-25T01:10Z"),
                "2026-10-25 02:50 +02:00 to 2026-10-25 02:10 +01:00",
            ),
            (
                "Europe/Berlin",
                ("2026-03-29T00:50Z", "2026-03-29T01:10Z"),
                "2026-03-29 01:50 +01:00 to 2026-03-29 03:10 +02:00",
            ),
            (
                "Australia/Lord_Howe",
                ("2026-04-04T14:55Z", "2026-04-04T15:05Z"),
                "2026-04-05 01:55 +11:00 to 2026-04-05 01:35 +10:30",
            ),
            (
                "Asia/Kathmandu",
                ("2026-11-27T18:10Z", "2026-11-27T18:20Z"),
                "2026-11-27 23:55 to 2026-11-28 00:05",
            ),
        ];
        for (zone, (from, to), expected) in cases {
            let now = now().with_time_zone(TimeZone::get(zone).unwrap());
            assert_eq!(show_span(seconds(from), seconds(to), &now), expected);
        }
        let twice = show(seconds("2026-10-25T01:10Z"), &now());
        assert_eq!(twice, "2026-10-25 02:10 +01:00");
        assert_eq!(show(seconds("2026-11-23T07:00Z"), &now()), "08:00");
    }

    #[test]
    fn spans_are_said_by_their_largest_unit() {
        for (seconds, said) in [
            (0, "less than a minute"),
            (60, "1 minute"),
            (299, "4 minutes"),
            (3600, "1 hour"),
            (200_000, "2 days"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }
}
