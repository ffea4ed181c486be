//! The encounters page: how many numbers were heard, by day and by hour, as bars and in words.
//!
//! Days and hours are those of the local calendar. A time in which nothing was heard because
//! this computer did not work is told from one in which no device was near.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, ZonedDateTime};
use local_time::hour_of;

use super::{TextRow, counted};

/// Quarters of an hour, as tcnd counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quarters {
    /// Start, numbers that were heard first in it, and how often these were heard.
    pub(crate) heard: Vec<(u64, u32, u32)>,
    /// Start, and seconds on the air.
    pub(crate) aired: Vec<(u64, u32)>,
}

/// One bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bar {
    /// What it is about: a day or an hour.
    pub(crate) label: String,
    pub(crate) numbers: u32,
    /// This computer was on the air at some time of it.
    pub(crate) worked: bool,
}

impl Bar {
    /// The same in words.
    pub(crate) fn words(&self) -> String {
        let heard = match (self.numbers, self.worked) {
            (0, false) => "nothing was heard, and this computer was not on the air".to_owned(),
            (0, true) => "no device was heard".to_owned(),
            (numbers, _) => format!("{} heard", counted(numbers.into(), "new number")),
        };
        format!("{}: {heard}", self.label)
    }
}

/// A day with its bar, and the bars of its hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DayView {
    pub(crate) bar: Bar,
    /// One for each hour from 0 to 23. Where the clock is set, an hour that it shows twice has
    /// one bar, and one that it leaves out has an empty one.
    pub(crate) hours: Vec<Bar>,
}

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncountersView {
    /// The oldest first; the last is today.
    pub(crate) days: Vec<DayView>,
    pub(crate) total: String,
}

impl EncountersView {
    /// The days since `from`, in seconds since 1970.
    pub(crate) fn new(from: u64, quarters: &Quarters, now: &ZonedDateTime) -> Self {
        let zone = now.time_zone();
        let first = hour_of(from, zone).map_or_else(|| now.date(), |hour| hour.date);
        let mut days = empty_days(first, now.date());
        for (start, numbers, _) in &quarters.heard {
            if let Some((day, hour)) = bars_of(*start, zone, &mut days) {
                for bar in [day, hour] {
                    bar.numbers = bar.numbers.saturating_add(*numbers);
                }
            }
        }
        for (start, seconds) in &quarters.aired {
            if *seconds > 0
                && let Some((day, hour)) = bars_of(*start, zone, &mut days)
            {
                (day.worked, hour.worked) = (true, true);
            }
        }
        let days: Vec<_> = days.into_values().collect();
        let total = total(&days);
        Self { days, total }
    }

    /// All days in words, the newest first.
    pub(crate) fn rows(&self) -> Vec<TextRow> {
        let days = self.days.iter().rev().filter(|day| day.bar.numbers > 0);
        let row = |day: &DayView| {
            TextRow::new(
                &day.bar.label,
                counted(day.bar.numbers.into(), "new number"),
            )
        };
        days.map(row).collect()
    }
}

fn total(days: &[DayView]) -> String {
    let numbers: u64 = days.iter().map(|day| u64::from(day.bar.numbers)).sum();
    let worked = days.iter().filter(|day| day.bar.worked).count();
    let since = days
        .first()
        .map_or_else(String::new, |day| format!(" since {}", day.bar.label));
    match numbers {
        0 if worked == 0 => format!("This computer was not on the air{since}."),
        0 => format!("No device was heard{since}."),
        numbers => format!(
            "{}{since}. A device has a new number every quarter of an hour, so these are fewer \
             devices.",
            counted(numbers, "new number")
        ),
    }
}

fn empty_days(first: Date, last: Date) -> BTreeMap<Date, DayView> {
    let mut days = BTreeMap::new();
    let mut date = first.min(last);
    while date <= last {
        days.insert(date, empty_day(date));
        let Ok(next) = date.checked_add(1.day()) else {
            break;
        };
        date = next;
    }
    days
}

/// A day without anything.
fn empty_day(date: Date) -> DayView {
    let label = date.strftime("%A, %-d %B").to_string();
    let hour = |hour: u8| Bar {
        label: format!("{label}, {hour}:00 to {}:00", hour + 1),
        ..Bar::default()
    };
    DayView {
        hours: (0..24).map(hour).collect(),
        bar: Bar {
            label,
            ..Bar::default()
        },
    }
}

/// The bars of the day and of the hour that a time belongs to.
fn bars_of<'a>(
    at: u64,
    zone: &TimeZone,
    days: &'a mut BTreeMap<Date, DayView>,
) -> Option<(&'a mut Bar, &'a mut Bar)> {
    let at = hour_of(at, zone)?;
    let day = days.get_mut(&at.date)?;
    Some((&mut day.bar, day.hours.get_mut(at.hour)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(text: &str) -> ZonedDateTime {
        text.parse().unwrap()
    }

    fn at(text: &str) -> u64 {
        local_time::unix_seconds(text.parse().unwrap())
    }

    #[test]
    fn days_and_hours_are_local_and_silence_is_told_from_solitude() {
        let now = now("2026-11-28T18:00:00+05:45[Asia/Kathmandu]");
        let quarters = Quarters {
            heard: vec![
                (at("2026-11-27T18:00Z"), 2, 9),
                (at("2026-11-27T18:15Z"), 1, 1),
            ],
            aired: vec![
                (at("2026-11-27T18:15Z"), 900),
                (at("2026-11-28T01:00Z"), 900),
            ],
        };
        let view = EncountersView::new(at("2026-11-26T00:00Z"), &quarters, &now);
        let days: Vec<_> = view.days.iter().map(|day| day.bar.words()).collect();
        assert_eq!(
            days,
            [
                "Thursday, 26 November: nothing was heard, and this computer was not on the air",
                "Friday, 27 November: 2 new numbers heard",
                "Saturday, 28 November: 1 new number heard",
            ]
        );
        assert_eq!(
            view.days[2].hours[0].words(),
            "Saturday, 28 November, 0:00 to 1:00: 1 new number heard"
        );
        assert_eq!(
            view.days[2].hours[6].words(),
            "Saturday, 28 November, 6:00 to 7:00: no device was heard"
        );
        assert_eq!(view.rows().len(), 2);
        assert!(
            view.total
                .starts_with("3 new numbers since Thursday, 26 November.")
        );
    }

    #[test]
    fn no_number_is_lost_on_the_day_on_which_the_clock_is_set() {
        for (zone, noon, from) in [
            (
                "Europe/Berlin",
                "2026-10-25T12:00:00+01:00",
                "2026-10-24T22:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-05T12:00:00+10:30",
                "2026-04-04T13:00Z",
            ),
            (
                "Pacific/Apia",
                "2011-12-31T12:00:00+14:00",
                "2011-12-29T10:00Z",
            ),
        ] {
            let now = now(&format!("{noon}[{zone}]"));
            let from = at(from);
            let until = local_time::unix_seconds(now.timestamp());
            let heard = (from..until).step_by(900).map(|start| (start, 1, 1));
            let quarters = Quarters {
                heard: heard.collect(),
                aired: Vec::new(),
            };
            let view = EncountersView::new(from, &quarters, &now);
            let sum =
                |bars: &mut dyn Iterator<Item = &Bar>| bars.map(|bar| bar.numbers).sum::<u32>();
            let all = u32::try_from(quarters.heard.len()).unwrap();
            assert_eq!(
                sum(&mut view.days.iter().map(|day| &day.bar)),
                all,
                "{zone}"
            );
            assert_eq!(
                sum(&mut view.days.iter().flat_map(|day| &day.hours)),
                all,
                "{zone}"
            );
        }
    }

    #[test]
    fn nothing_is_said_plainly() {
        let now = now("2026-11-28T18:00:00+00:00[UTC]");
        let view = EncountersView::new(at("2026-11-28T00:00Z"), &Quarters::default(), &now);
        assert_eq!(
            view.total,
            "This computer was not on the air since Saturday, 28 November."
        );
        let later = EncountersView::new(u64::MAX, &Quarters::default(), &now);
        assert_eq!(later.days.len(), 1);
    }
}
