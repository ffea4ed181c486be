//! Time between people and seconds since 1970.
//!
//! People write and read their own calendar; the bus and JSON know only the
//! seconds. The time zone is the machine's, or `TZ`'s (tzset(3)).

use jiff::civil::{Date, DateTime};
use jiff::fmt::friendly::SpanParser;
use jiff::{Span, Timestamp, ToSpan, ZonedDateTime};
use thiserror::Error;

/// Neither date nor time nor span.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("write it like 2026-11-23, 2026-11-23T18:00, today, yesterday, 3d or @1795392000")]
pub(super) struct NotATime;

/// The beginning of a span: a day means its first instant.
pub(super) fn parse_from(text: &str) -> Result<Timestamp, NotATime> {
    parse(text, &ZonedDateTime::now(), 0)
}

/// The end of a span: a day means the instant after it.
pub(super) fn parse_to(text: &str) -> Result<Timestamp, NotATime> {
    parse(text, &ZonedDateTime::now(), 1)
}

/// Seconds since 1970; nothing here is older.
pub(super) fn unix_seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

/// A time of the bus in the person's time zone; `None` if it is beyond all
/// calendars.
pub(super) fn local(unix_seconds: u64) -> Option<ZonedDateTime> {
    let seconds = i64::try_from(unix_seconds).ok()?;
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned_datetime(jiff::tz::TimeZone::system()))
}

/// A time as people read it: only the clock if it is today.
pub(super) fn show(unix_seconds: u64, now: &ZonedDateTime) -> String {
    local(unix_seconds).map_or_else(
        || "the end of time".to_owned(),
        |time| {
            let today = time.date() == now.date();
            let format = if today { "%H:%M" } else { "%Y-%m-%d %H:%M" };
            time.strftime(format).to_string()
        },
    )
}

/// The UTC day that begins at a time.
pub(super) fn day(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| "the end of time".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// A span as people say it: the largest unit only, rounded down.
pub(super) fn say(seconds: u64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let Some((length, unit)) = units.into_iter().find(|(length, _)| seconds >= *length) else {
        return "less than a minute".to_owned();
    };
    match seconds / length {
        1 => format!("1 {unit}"),
        n => format!("{n} {unit}s"),
    }
}

fn parse(text: &str, now: &ZonedDateTime, days_on: i8) -> Result<Timestamp, NotATime> {
    let zone = now.time_zone();
    let day = |date: Date| {
        let date = date.checked_add(days_on.days()).ok()?;
        Some(date.to_zoned_datetime(zone.clone()).ok()?.timestamp())
    };
    let found = match text {
        "now" => Some(now.timestamp()),
        "today" => day(now.date()),
        "yesterday" => now.date().yesterday().ok().and_then(day),
        _ => None,
    };
    found
        .or_else(|| unix(text))
        .or_else(|| {
            text.parse()
                .ok()
                .and_then(day)
                .filter(|_| is_bare_date(text))
        })
        .or_else(|| text.parse::<Timestamp>().ok())
        .or_else(|| Some(text.parse::<ZonedDateTime>().ok()?.timestamp()))
        .or_else(|| {
            let wall: DateTime = text.parse().ok()?;
            Some(wall.to_zoned_datetime(zone.clone()).ok()?.timestamp())
        })
        .or_else(|| back(text, now))
        .ok_or(NotATime)
}

/// jiff reads the date out of a longer text as well, and drops the rest.
fn is_bare_date(text: &str) -> bool {
    text.len() <= "2026-11-23".len()
}

fn unix(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(text.strip_prefix('@')?.parse().ok()?).ok()
}

/// "3d" and "3d ago" are the same: nothing here lies ahead.
fn back(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let span: Span = SpanParser::new().parse_span(text).ok()?;
    Some(now.checked_sub(span.abs()).ok()?.timestamp())
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

    #[test]
    fn people_are_understood() {
        let cases = [
            ("2026-11-20", "2026-11-20T00:00"),
            ("today", "2026-11-23T00:00"),
            ("yesterday", "2026-11-22T00:00"),
            ("now", "2026-11-23T18:30"),
            ("2026-11-20T18:00", "2026-11-20T18:00"),
            ("2026-11-20 18:00", "2026-11-20T18:00"),
            ("2026-11-20T17:00Z", "2026-11-20T18:00"),
            ("@1795193999", "2026-11-20T17:59:59"),
            ("3d", "2026-11-20T18:30"),
            ("3d ago", "2026-11-20T18:30"),
            ("90min", "2026-11-23T17:00"),
            ("1mo", "2026-10-23T18:30"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, &now(), 0), Ok(at(expected)), "{text}");
        }
        for text in ["", "soon", "900", "2026-13-01", "@", "-"] {
            assert_eq!(parse(text, &now(), 0), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn a_last_day_is_included_whole() {
        assert_eq!(parse("2026-11-20", &now(), 1), Ok(at("2026-11-21T00:00")));
        assert_eq!(parse("today", &now(), 1), Ok(at("2026-11-24T00:00")));
        let hour = parse("2026-11-20T18:00", &now(), 1);
        assert_eq!(hour, Ok(at("2026-11-20T18:00")), "a time is no day");
        // The day the clocks go back has 25 hours.
        assert_eq!(parse("2026-10-25", &now(), 1), Ok(at("2026-10-26T00:00")));
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
            assert_eq!(say(seconds), said);
        }
    }
}
