//! Conversions between times for people and seconds since 1970.
//!
//! People write and read their local calendar; the bus and JSON have only seconds. The
//! time zone is the machine's, or that of `TZ` (tzset(3)).
//!
//! Every day, hour and time that `tcnctl` shows comes from [`local_in`], and every time
//! that a user types is parsed by [`read`]. Where the clock of the zone shows a time
//! twice, or two times have different offsets, the offset is shown too.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan, ZonedDateTime};
use tcn_protocol::UnixTime;
use thiserror::Error;

/// The log keeps the start of a contact by quarters of an hour; all UTC offsets in use
/// are multiples of it.
pub(crate) const QUARTER: u64 = 900;

/// How far back the first symptom may be, in days: as long as anything is kept.
const MAX_SYMPTOM_DAYS: i64 = 14;

/// The typed text is not a valid time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum TimeParseError {
    /// The text has no known form.
    #[error(
        "write it like 2026-11-23, 2026-11-23T18:00, 18:00, today, yesterday, now, 3d, 12h or \
         @1795392000"
    )]
    Unknown,
    /// A day that the calendar of the time zone skipped.
    #[error("the day {0} does not exist in the time zone {1}; give the day before or after")]
    Skipped(Date, String),
    /// Before the earliest possible time.
    #[error("a time cannot be before 1970; omit it to include everything")]
    TooOld,
    /// A first symptom outside of the possible days.
    #[error("give a day from {0} to {1}, which is today")]
    NotASymptomDay(Date, Date),
}

/// The current time in the local time zone.
pub(crate) fn now() -> ZonedDateTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where the time is read"
    )]
    ZonedDateTime::now()
}

/// The start of a span. A day means its first instant; a time that the clock shows
/// twice means the first of the two.
pub(crate) fn parse_from(text: &str) -> Result<Timestamp, TimeParseError> {
    begin(text, &now())
}

/// The end of a span. A day means the instant after it; a time that the clock shows
/// twice means the second of the two.
pub(crate) fn parse_to(text: &str) -> Result<Timestamp, TimeParseError> {
    end(text, &now())
}

/// The day of the first symptom, by the local calendar: today, or one of the 14
/// days before.
pub(crate) fn parse_since(text: &str) -> Result<Date, TimeParseError> {
    since(text, &now())
}

/// Seconds since 1970; nothing here is older.
pub(crate) fn unix_seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

/// The quarters of an hour that hold a span: its start, rounded down, and its end,
/// rounded up.
pub(crate) fn quarters(from: Option<Timestamp>, to: Option<Timestamp>) -> QuarterSpan {
    QuarterSpan {
        from: from.map(|from| unix_seconds(from) / QUARTER * QUARTER),
        to: to.map(|to| unix_seconds(to).div_ceil(QUARTER) * QUARTER),
    }
}

/// A span of whole quarters of an hour, in seconds since 1970. A missing bound means no
/// limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuarterSpan {
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
}

/// A time from the bus in the local time zone; `None` if it is outside the range of the
/// calendar.
pub(crate) fn local(unix_seconds: u64) -> Option<ZonedDateTime> {
    local_in(unix_seconds, &TimeZone::system())
}

/// A time from the bus in a time zone; `None` if it is outside the range of the
/// calendar.
pub(crate) fn local_in(unix_seconds: u64, zone: &TimeZone) -> Option<ZonedDateTime> {
    let seconds = i64::try_from(unix_seconds).ok()?;
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned_datetime(zone.clone()))
}

/// An hour of the local clock. When the clock is set, it may be shorter or longer
/// than 60 minutes, or come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalHour {
    /// The day it belongs to.
    pub(crate) date: Date,
    /// 0 to 23.
    pub(crate) hour: usize,
    /// Its first second since 1970.
    pub(crate) start: u64,
    /// The first second of its day.
    pub(crate) day_start: u64,
}

/// The local hour that contains a time; `None` if it is outside the range of the
/// calendar.
pub(crate) fn hour_of(unix_seconds: u64, zone: &TimeZone) -> Option<LocalHour> {
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
pub(crate) fn clock_change(date: Date, zone: &TimeZone) -> Option<String> {
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
fn first_instant(date: Date, zone: &TimeZone) -> Option<ZonedDateTime> {
    let midnight = date.to_zoned_datetime(zone.clone()).ok()?;
    midnight.start_of_day().ok()
}

/// Whether the clock alone is ambiguous for these times: it shows one of them twice, or
/// they have different offsets from UTC.
pub(crate) fn needs_offset(times: &[&ZonedDateTime]) -> bool {
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
pub(crate) fn show(unix_seconds: u64, now: &ZonedDateTime) -> String {
    local_in(unix_seconds, now.time_zone()).map_or_else(
        || OUT_OF_RANGE.to_owned(),
        |time| clock(&time, now, needs_offset(&[&time])),
    )
}

/// A span from one time to another, for people.
pub(crate) fn show_span(from: u64, to: u64, now: &ZonedDateTime) -> String {
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
pub(crate) fn day(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| OUT_OF_RANGE.to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// A duration for people: only the largest unit, rounded down.
pub(crate) fn duration(seconds: u64) -> String {
    let units = [(UnixTime::DAY, "day"), (3600, "hour"), (60, "minute")];
    let Some((length, unit)) = units.into_iter().find(|(length, _)| seconds >= *length) else {
        return "less than a minute".to_owned();
    };
    match seconds / length {
        1 => format!("1 {unit}"),
        n => format!("{n} {unit}s"),
    }
}

/// What a typed time denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParsedTime {
    Day(Date),
    Wall(DateTime),
    Instant(Timestamp),
}

fn begin(text: &str, now: &ZonedDateTime) -> Result<Timestamp, TimeParseError> {
    let time = match read(text, now)? {
        ParsedTime::Day(date) => first_instant(date, now.time_zone()).map(|day| day.timestamp()),
        ParsedTime::Wall(time) => {
            let time = now.time_zone().to_ambiguous_timestamp(time);
            time.earlier().ok()
        }
        ParsedTime::Instant(time) => Some(time),
    };
    not_too_old(time.ok_or(TimeParseError::Unknown)?)
}

fn end(text: &str, now: &ZonedDateTime) -> Result<Timestamp, TimeParseError> {
    let time = match read(text, now)? {
        ParsedTime::Day(date) => {
            let next = date.tomorrow().map_err(|_| TimeParseError::Unknown)?;
            first_instant(next, now.time_zone()).map(|day| day.timestamp())
        }
        ParsedTime::Wall(time) => {
            let time = now.time_zone().to_ambiguous_timestamp(time);
            time.later().ok()
        }
        ParsedTime::Instant(time) => Some(time),
    };
    not_too_old(time.ok_or(TimeParseError::Unknown)?)
}

fn since(text: &str, now: &ZonedDateTime) -> Result<Date, TimeParseError> {
    let date = match read(text, now)? {
        ParsedTime::Day(date) => date,
        ParsedTime::Wall(time) => time.date(),
        ParsedTime::Instant(time) => time.to_zoned_datetime(now.time_zone().clone()).date(),
    };
    let today = now.date();
    let oldest = today.saturating_sub(MAX_SYMPTOM_DAYS.days());
    if (oldest..=today).contains(&date) {
        Ok(date)
    } else {
        Err(TimeParseError::NotASymptomDay(oldest, today))
    }
}

/// Accepts a day before 1970 that contains the first second of 1970: the user means the
/// beginning.
fn not_too_old(time: Timestamp) -> Result<Timestamp, TimeParseError> {
    if time.as_duration() < -SignedDuration::from_hours(24) {
        Err(TimeParseError::TooOld)
    } else {
        Ok(time)
    }
}

/// Parses every typed time.
fn read(text: &str, now: &ZonedDateTime) -> Result<ParsedTime, TimeParseError> {
    let text = text.trim();
    let found = match text.to_ascii_lowercase().as_str() {
        "now" => Some(ParsedTime::Instant(now.timestamp())),
        "today" => Some(ParsedTime::Day(now.date())),
        "yesterday" => yesterday(now).map(ParsedTime::Day),
        _ => None,
    };
    let found = found
        .or_else(|| unix(text))
        .or_else(|| bare_date(text))
        .or_else(|| bare_clock(text, now))
        .or_else(|| text.parse().ok().map(ParsedTime::Instant))
        .or_else(|| {
            Some(ParsedTime::Instant(
                text.parse::<ZonedDateTime>().ok()?.timestamp(),
            ))
        })
        .or_else(|| text.parse().ok().map(ParsedTime::Wall))
        .or_else(|| back(text, now))
        .ok_or(TimeParseError::Unknown)?;
    match found {
        ParsedTime::Day(date) if is_skipped(date, now.time_zone()) => {
            let zone = now.time_zone().iana_name().unwrap_or("of this machine");
            Err(TimeParseError::Skipped(date, zone.to_owned()))
        }
        ParsedTime::Day(_) | ParsedTime::Wall(_) | ParsedTime::Instant(_) => Ok(found),
    }
}

/// The day before today; if the calendar left that one out, the day before it.
fn yesterday(now: &ZonedDateTime) -> Option<Date> {
    let today = now.start_of_day().ok()?;
    Some(today.checked_sub(1.second()).ok()?.date())
}

/// Whether the clock of a zone never showed this day.
fn is_skipped(date: Date, zone: &TimeZone) -> bool {
    first_instant(date, zone).is_some_and(|first| first.date() != date)
}

/// jiff also parses the date at the start of a longer text, and drops the rest.
fn bare_date(text: &str) -> Option<ParsedTime> {
    let date = text.parse().ok().map(ParsedTime::Day);
    date.filter(|_| text.len() <= "2026-11-23".len())
}

/// A time without a date is today's.
fn bare_clock(text: &str, now: &ZonedDateTime) -> Option<ParsedTime> {
    let digits = text.chars().all(|c| c.is_ascii_digit() || c == ':');
    if !digits || !text.contains(':') {
        return None;
    }
    let time: Time = text.parse().ok()?;
    Some(ParsedTime::Wall(now.date().to_datetime(time)))
}

fn unix(text: &str) -> Option<ParsedTime> {
    let seconds = text.strip_prefix('@')?.parse().ok()?;
    Timestamp::from_second(seconds)
        .ok()
        .map(ParsedTime::Instant)
}

/// "3d" and "3d ago" are the same: times here are never in the future.
fn back(text: &str, now: &ZonedDateTime) -> Option<ParsedTime> {
    let span: Span = SpanParser::new().parse_span(text).ok()?;
    let then = now.checked_sub(span.abs()).ok()?;
    Some(ParsedTime::Instant(then.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-23T18:30:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        let zoned: ZonedDateTime = format!("{text}[Europe/Berlin]").parse().unwrap();
        zoned.timestamp()
    }

    /// A time with its offset, for changes of the clock.
    fn zoned(text: &str) -> ZonedDateTime {
        text.parse().unwrap()
    }

    fn seconds(text: &str) -> u64 {
        unix_seconds(text.parse().unwrap())
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn people_are_understood() {
        let cases = [
            ("2026-11-20", "2026-11-20T00:00"),
            ("today", "2026-11-23T00:00"),
            ("Yesterday", "2026-11-22T00:00"),
            ("now", "2026-11-23T18:30"),
            ("2026-11-20T18:00", "2026-11-20T18:00"),
            ("2026-11-20 18:00", "2026-11-20T18:00"),
            ("2026-11-20T17:00Z", "2026-11-20T18:00"),
            (
                "2026-11-20T18:00:00+01:00[Europe/Berlin]",
                "2026-11-20T18:00",
            ),
            ("@1795193999", "2026-11-20T17:59:59"),
            ("08:15", "2026-11-23T08:15"),
            ("3d", "2026-11-20T18:30"),
            ("3d ago", "2026-11-20T18:30"),
            ("90min", "2026-11-23T17:00"),
            ("1mo", "2026-10-23T18:30"),
        ];
        for (text, expected) in cases {
            assert_eq!(begin(text, &now()), Ok(at(expected)), "{text}");
        }
        for text in [
            "",
            "soon",
            "900",
            "2026-13-01",
            "@",
            "-",
            "25:00",
            ":",
            "1:2:3:4",
        ] {
            assert_eq!(begin(text, &now()), Err(TimeParseError::Unknown), "{text}");
            assert_eq!(end(text, &now()), Err(TimeParseError::Unknown), "{text}");
            assert_eq!(since(text, &now()), Err(TimeParseError::Unknown), "{text}");
        }
        for text in ["1900-01-01", "@-90000", "1900-01-01T00:00"] {
            assert_eq!(begin(text, &now()), Err(TimeParseError::TooOld), "{text}");
            assert_eq!(end(text, &now()), Err(TimeParseError::TooOld), "{text}");
        }
        assert!(begin("1970-01-01", &now()).is_ok());
    }

    #[test]
    fn a_last_day_is_included_whole() {
        assert_eq!(end("2026-11-20", &now()), Ok(at("2026-11-21T00:00")));
        assert_eq!(end("today", &now()), Ok(at("2026-11-24T00:00")));
        let hour = end("2026-11-20T18:00", &now());
        assert_eq!(hour, Ok(at("2026-11-20T18:00")), "a time is no day");
        // The day the clocks go back has 25 hours.
        assert_eq!(end("2026-10-25", &now()), Ok(at("2026-10-26T00:00")));
    }

    /// A span becomes longer.
    #[test]
    fn a_time_that_comes_twice_or_never_loses_nothing() {
        let cases = [
            ("2026-10-25T02:30", "2026-10-25T00:30Z", "2026-10-25T01:30Z"),
            ("2026-03-29T02:30", "2026-03-29T00:30Z", "2026-03-29T01:30Z"),
        ];
        for (text, first, last) in cases {
            assert_eq!(begin(text, &now()), Ok(first.parse().unwrap()), "{text}");
            assert_eq!(end(text, &now()), Ok(last.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_day_that_the_calendar_left_out_is_named() {
        let apia = zoned("2011-12-31T09:00:00+14:00[Pacific/Apia]");
        let skipped = TimeParseError::Skipped(date("2011-12-30"), "Pacific/Apia".to_owned());
        assert_eq!(begin("2011-12-30", &apia), Err(skipped.clone()));
        assert_eq!(end("2011-12-30", &apia), Err(skipped));
        let whole = (begin("yesterday", &apia), end("2011-12-29", &apia));
        let expected = ("2011-12-29T10:00Z", "2011-12-30T10:00Z");
        assert_eq!(whole.0, Ok(expected.0.parse().unwrap()));
        assert_eq!(whole.1, Ok(expected.1.parse().unwrap()));
        assert_eq!(begin("today", &apia), Ok(expected.1.parse().unwrap()));
        let change = clock_change(date("2011-12-29"), apia.time_zone());
        assert_eq!(change.as_deref(), Some("UTC-10:00 to UTC+14:00"));
    }

    #[test]
    fn an_illness_begins_today_or_on_one_of_the_14_days_before() {
        // A morning that is on the day before in UTC, and an evening that is on the day
        // after.
        let zones = [
            zoned("2026-11-29T08:00:00+13:00[Pacific/Auckland]"),
            zoned("2026-11-29T20:00:00-10:00[Pacific/Honolulu]"),
            zoned("2026-11-29T00:05:00+05:45[Asia/Kathmandu]"),
        ];
        for now in zones {
            for (text, day) in [
                ("today", "2026-11-29"),
                ("now", "2026-11-29"),
                ("yesterday", "2026-11-28"),
                ("3d", "2026-11-26"),
                ("2026-11-15", "2026-11-15"),
                ("2026-11-20T23:59", "2026-11-20"),
            ] {
                assert_eq!(since(text, &now), Ok(date(day)), "{text} {now}");
            }
            let refused = TimeParseError::NotASymptomDay(date("2026-11-15"), date("2026-11-29"));
            for text in [
                "2026-11-30",
                "2026-12-25",
                "2026-11-14",
                "1900-01-01",
                "15d",
                "1y",
            ] {
                assert_eq!(since(text, &now), Err(refused.clone()), "{text} {now}");
            }
        }
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
    fn spans_are_widened_to_quarters() {
        let span = |from, to| {
            let time = |at| Timestamp::from_second(at).unwrap();
            let span = quarters(Some(time(from)), Some(time(to)));
            (span.from.unwrap(), span.to.unwrap())
        };
        assert_eq!(span(900, 1800), (900, 1800));
        assert_eq!(span(901, 1801), (900, 2700));
        assert_eq!(span(1799, 1800), (900, 1800));
        assert_eq!(quarters(None, None).from, None);
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
