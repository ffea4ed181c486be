//! `tcnctl contacts`: totals of the contact log, by day and hour.
//!
//! These totals never contain rows. Days and hours are those of the local calendar.
//! The daemon counts by quarters of an hour, of which every UTC offset is a multiple;
//! these are added up by the local calendar.

pub(crate) mod erase;
pub(crate) mod export;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::ZonedDateTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use local_time::histogram::{HistogramBin, QuarterSpan, by_calendar, quarters, query_spans};
use serde::Serialize;
use tcnd_client::proxy::ContactSummary;
use zbus::Variant;

use crate::args::SpanArgs;
use crate::attenuation::{self, AttenuationBucket};
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;
use crate::output::counted;
use crate::time;

/// The document of `contacts --json`; `docs/tcnctl-json.md` describes it.
#[derive(Debug, Serialize)]
struct ContactsDocument {
    from: Option<u64>,
    to: u64,
    numbers: u32,
    sightings: u32,
    oldest: Option<u64>,
    attenuation: Vec<AttenuationBucket>,
    days: Vec<HistogramBin>,
    hours: Vec<HistogramBin>,
}

/// Totals of the contact log, or of the quarters of an hour that hold a span.
pub(crate) async fn contacts(
    client: &Client,
    SpanArgs { from, to }: SpanArgs,
) -> Result<CommandOutput, CliError> {
    let span = quarters(from, to);
    let proxy = client.contacts().await?;
    let bounds = [("from", span.from), ("to", span.to)];
    let bounds = bounds.into_iter();
    let options = bounds.filter_map(|(name, at)| Some((name, Variant::from(at?))));
    let summary = client.map_err(proxy.get_summary(options.collect()).await)?;
    let mut bars = Vec::new();
    for (from, to) in query_spans(&summary.per_day, span) {
        bars.extend(client.map_err(proxy.get_histogram(from, to, QUARTER).await)?);
    }
    let now = time::now();
    let document = ContactsDocument::new(span, &now, summary, bars);
    Ok(client.output(&document, |document| document.render(&now)))
}

const QUARTER: u32 = 900;

impl ContactsDocument {
    fn new(
        span: QuarterSpan,
        now: &ZonedDateTime,
        summary: ContactSummary,
        quarters: Vec<(u64, u32, u32)>,
    ) -> Self {
        let (days, hours) = by_calendar(quarters, now.time_zone());
        Self {
            from: span.from,
            to: span
                .to
                .unwrap_or_else(|| local_time::unix_seconds(now.timestamp())),
            numbers: summary.numbers,
            sightings: summary.sightings,
            oldest: summary.oldest,
            attenuation: attenuation::buckets(summary.attenuation),
            days,
            hours,
        }
    }

    fn render(&self, now: &ZonedDateTime) -> String {
        let from = self.from.or(self.oldest);
        let since = from.map_or_else(String::new, |from| {
            format!(" since {}", local_time::show(from, now))
        });
        if self.numbers == 0 {
            return format!("No contacts{since}.");
        }
        let mut text = format!(
            "{}{since}, heard {}.\n",
            counted(self.numbers.into(), "number"),
            counted(self.sightings.into(), "time"),
        );
        self.render_attenuation(&mut text);
        self.render_days(now.time_zone(), &mut text);
        text
    }

    fn render_attenuation(&self, text: &mut String) {
        let measured: u32 = self.attenuation.iter().map(|a| a.sightings).sum();
        if measured == 0 {
            return;
        }
        text.push_str("How close (signal loss), from very near to far:\n");
        let mut above = None;
        for AttenuationBucket { up_to, sightings } in &self.attenuation {
            let bound = up_to.map_or_else(
                || format!("over {} dB", above.unwrap_or(0)),
                |bound| format!("up to {bound} dB"),
            );
            push(text, format_args!("  {bound:<12} {sightings:>7}\n"));
            above = *up_to;
        }
    }

    /// One line a day. The bar of each hour shows its share of the busiest hour. An hour
    /// that the clock shows twice has one bar for both.
    fn render_days(&self, zone: &TimeZone, text: &mut String) {
        let mut by_clock: BTreeMap<Date, [u32; 24]> = BTreeMap::new();
        for bar in &self.hours {
            let Some(at) = local_time::hour_of(bar.start, zone) else {
                continue;
            };
            let hours = by_clock.entry(at.date).or_default();
            if let Some(hour) = hours.get_mut(at.hour) {
                *hour = hour.saturating_add(bar.numbers);
            }
        }
        let most = by_clock.values().flatten().copied().max().unwrap_or(0);
        push(
            text,
            format_args!(
                "{:<10} {:>8} {:>10}  {}\n",
                "Day", "Numbers", "Sightings", "Hours 0 to 23"
            ),
        );
        for day in &self.days {
            let Some(date) = local_time::hour_of(day.start, zone).map(|hour| hour.date) else {
                continue;
            };
            let hours = by_clock.get(&date).copied().unwrap_or_default();
            let bars: String = hours.iter().map(|hour| bar_of(*hour, most)).collect();
            let change = local_time::clock_change(date, zone);
            let change = change.map_or_else(String::new, |change| {
                format!("  (the clock changes from {change})")
            });
            push(
                text,
                format_args!(
                    "{date} {:>8} {:>10}  {}{change}\n",
                    day.numbers,
                    day.sightings,
                    bars.trim_end()
                ),
            );
        }
    }
}

fn bar_of(numbers: u32, most: u32) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if numbers == 0 {
        return ' ';
    }
    let share = u64::from(numbers) * 8 / u64::from(most.max(1));
    let index = usize::try_from(share).unwrap_or(8).clamp(1, 8) - 1;
    BARS[index]
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes all text");
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn bars_grow_with_the_share() {
        let bars: String = [0, 1, 5, 10].map(|n| bar_of(n, 10)).into_iter().collect();
        assert_eq!(bars, " ▁▄█");
        assert_eq!(bar_of(u32::MAX, u32::MAX), '█');
    }

    fn at(time: &str, zone: &str) -> ZonedDateTime {
        let zone = TimeZone::get(zone).expect("tzdata is needed: apt-get install tzdata");
        let time: Timestamp = time.parse().unwrap();
        time.to_zoned_datetime(zone)
    }

    const ALL: QuarterSpan = QuarterSpan {
        from: None,
        to: None,
    };

    /// The output for contacts that began at these times, one number each.
    fn drawn(zone: &str, times: &[&str]) -> (ContactsDocument, String) {
        let start = |time: &&str| local_time::unix_seconds(time.parse().unwrap());
        let quarters: Vec<_> = times.iter().map(|time| (start(time), 1, 2)).collect();
        let summary = ContactSummary {
            numbers: u32::try_from(times.len()).unwrap(),
            oldest: quarters.first().map(|first| first.0),
            ..ContactSummary::default()
        };
        let now = at("2026-12-24T12:00Z", zone);
        let contacts = ContactsDocument::new(ALL, &now, summary, quarters);
        let text = contacts.render(&now);
        (contacts, text)
    }

    #[test]
    fn nothing_is_said_plainly() {
        let now = at("2026-11-23T18:30Z", "UTC");
        let none = ContactsDocument::new(ALL, &now, ContactSummary::default(), Vec::new());
        assert_eq!(none.render(&now), "No contacts.");
    }

    #[test]
    fn midnight_is_that_of_the_zone() {
        // 23:45 and 00:15 in India, 00:00 and 00:30 in Nepal.
        let times = ["2026-11-27T18:15Z", "2026-11-27T18:45Z"];
        let (contacts, text) = drawn("Asia/Kolkata", &times);
        assert_eq!(contacts.days.len(), 2, "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[2],
            format!("2026-11-27        1          2  {}█", " ".repeat(23))
        );
        assert_eq!(lines[3], "2026-11-28        1          2  █");
        let (contacts, text) = drawn("Asia/Kathmandu", &times);
        assert_eq!(
            (contacts.days.len(), contacts.hours.len()),
            (1, 1),
            "{text}"
        );
        assert!(
            text.contains("2026-11-28        2          4  █\n"),
            "{text}"
        );
    }

    #[test]
    fn a_day_on_which_the_clock_is_set_says_so_and_counts_each_hour_once() {
        let cases = [
            (
                "Europe/Berlin",
                ["2026-10-25T00:30Z", "2026-10-25T01:30Z"],
                "2026-10-25        2          4    █  (the clock changes from UTC+02:00 to UTC+01:00)\n",
            ),
            (
                "Australia/Lord_Howe",
                ["2026-04-04T14:45Z", "2026-04-04T15:15Z"],
                "2026-04-05        2          4   █  (the clock changes from UTC+11:00 to UTC+10:30)\n",
            ),
        ];
        for (zone, times, line) in cases {
            let (contacts, text) = drawn(zone, &times);
            assert!(text.contains(line), "{zone}: {text}");
            assert_eq!(
                (contacts.days.len(), contacts.hours.len()),
                (1, 2),
                "{zone}"
            );
            let counted: u32 = contacts.hours.iter().map(|hour| hour.numbers).sum();
            assert_eq!(counted, 2);
        }
        let (contacts, text) = drawn("Pacific/Apia", &["2011-12-30T09:45Z", "2011-12-30T10:00Z"]);
        assert_eq!(contacts.days.len(), 2, "{text}");
        assert!(
            text.contains("\n2011-12-29 ") && text.contains("\n2011-12-31 "),
            "{text}"
        );
    }
}
