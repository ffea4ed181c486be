//! Histograms of contacts by local hour and day.
//!
//! tcnd counts by quarters of an hour, of which every UTC offset is a multiple.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{DAY, QUARTER, hour_of, unix_seconds};

/// Contacts that began in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HistogramBin {
    /// When the span began, in seconds since 1970.
    pub start: u64,
    /// How many numbers were heard first in it.
    pub numbers: u32,
    /// How often these were heard.
    pub sightings: u32,
}

/// The quarters of an hour that hold a span: its start, rounded down, and its end,
/// rounded up.
pub fn quarters(from: Option<Timestamp>, to: Option<Timestamp>) -> QuarterSpan {
    QuarterSpan {
        from: from.map(|from| unix_seconds(from) / QUARTER * QUARTER),
        to: to.map(|to| unix_seconds(to).div_ceil(QUARTER) * QUARTER),
    }
}

/// A span of whole quarters of an hour, in seconds since 1970. A missing bound means no
/// limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarterSpan {
    /// The start; a multiple of 900.
    pub from: Option<u64>,
    /// The end; a multiple of 900.
    pub to: Option<u64>,
}

/// The longest span that is requested at once, in whole days: 10,000 bars at most.
const MAX_QUERY_SPAN: u64 = 100 * DAY;

/// The parts of a span that have contacts, by UTC day, each short enough for one request.
/// One contact that a wrong clock dated half a century back makes a separate part, not
/// half a century of bars.
pub fn query_spans(days: &[(u64, u32, u32)], span: QuarterSpan) -> Vec<(u64, u64)> {
    let mut query_spans: Vec<(u64, u64)> = Vec::new();
    for (start, ..) in days {
        let from = span.from.map_or(*start, |from| from.max(*start));
        let end = start.saturating_add(DAY);
        let to = span.to.map_or(end, |to| to.min(end));
        match query_spans.last_mut() {
            Some(last) if to.saturating_sub(last.0) <= MAX_QUERY_SPAN => last.1 = to,
            Some(_) | None => query_spans.push((from, to)),
        }
    }
    query_spans.retain(|(from, to)| from < to);
    query_spans
}

impl HistogramBin {
    const fn empty(start: u64) -> Self {
        Self {
            start,
            numbers: 0,
            sightings: 0,
        }
    }

    fn add(&mut self, numbers: u32, sightings: u32) {
        self.numbers = self.numbers.saturating_add(numbers);
        self.sightings = self.sightings.saturating_add(sightings);
    }
}

/// Quarters of an hour, added up to days and hours of the local calendar. Days and
/// hours without contacts are left out.
pub fn by_calendar(
    quarters: Vec<(u64, u32, u32)>,
    zone: &TimeZone,
) -> (Vec<HistogramBin>, Vec<HistogramBin>) {
    let (mut days, mut hours) = (BTreeMap::new(), BTreeMap::new());
    for (start, numbers, sightings) in quarters {
        let Some(at) = hour_of(start, zone).filter(|_| numbers > 0) else {
            continue;
        };
        for (bars, start) in [(&mut days, at.day_start), (&mut hours, at.start)] {
            let bar = bars.entry(start).or_insert(HistogramBin::empty(start));
            bar.add(numbers, sightings);
        }
    }
    (days.into_values().collect(), hours.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: QuarterSpan = QuarterSpan {
        from: None,
        to: None,
    };

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
    fn only_days_that_have_contacts_are_drawn_and_none_too_long() {
        let days = [0, DAY, 300 * DAY, 20_000 * DAY];
        let days: Vec<_> = days.into_iter().map(|day| (day, 1, 1)).collect();
        let all = [
            (0, 2 * DAY),
            (300 * DAY, 301 * DAY),
            (20_000 * DAY, 20_001 * DAY),
        ];
        assert_eq!(query_spans(&days, ALL), all);
        let some = QuarterSpan {
            from: Some(900),
            to: Some(300 * DAY + 900),
        };
        let expected = [(900, 2 * DAY), (300 * DAY, 300 * DAY + 900)];
        assert_eq!(query_spans(&days, some), expected);
        let long: Vec<_> = (0..365).map(|day| (day * DAY, 1, 1)).collect();
        let drawn = query_spans(&long, ALL);
        assert_eq!((drawn[0], drawn.len()), ((0, 100 * DAY), 4));
    }
}
