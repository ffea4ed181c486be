//! Conversions between times for people and seconds since 1970.
//!
//! People write and read their local calendar; the bus and JSON have only seconds. The
//! time zone is the machine's, or that of `TZ` (tzset(3)).
//!
//! Every day, hour and time that `tcnctl` shows comes from [`local_time`], and every time
//! that a user types is parsed by [`read`].

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan, ZonedDateTime};
use local_time::first_instant;
use thiserror::Error;

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

/// A time from the bus in the local time zone; `None` if it is outside the range of the
/// calendar.
pub(crate) fn local(unix_seconds: u64) -> Option<ZonedDateTime> {
    local_time::local_in(unix_seconds, &TimeZone::system())
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
        let change = local_time::clock_change(date("2011-12-29"), apia.time_zone());
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
}
