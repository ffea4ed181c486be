//! `tcnctl contacts`: the contact log in sums, by day and hour.
//!
//! Rows never leave the daemon here. Days are the person's own: the daemon
//! counts by hours, and these are put together by the local calendar.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;
use zbus::Variant;

use super::answer::Answer;
use super::args::SpanArgs;
use super::client::Client;
use super::error::CliError;
use super::time;
use crate::bus::proxy::Summary;

/// The document of `contacts --json`; `docs/tcnctl-json.md` describes it.
#[derive(Debug, Serialize)]
struct Contacts {
    from: Option<u64>,
    to: u64,
    numbers: u32,
    sightings: u32,
    oldest: Option<u64>,
    attenuation: Vec<Attenuation>,
    days: Vec<Bar>,
    hours: Vec<Bar>,
}

/// Sightings at most so strongly attenuated.
#[derive(Debug, Serialize)]
struct Attenuation {
    /// Decibel; `None`: more than all others.
    up_to: Option<u8>,
    sightings: u32,
}

/// Contacts that began in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Bar {
    start: u64,
    numbers: u32,
    sightings: u32,
}

pub(super) async fn contacts(
    client: &Client,
    SpanArgs { from, to }: SpanArgs,
    json: bool,
) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let from = from.map(time::unix_seconds);
    let to = time::unix_seconds(to.unwrap_or_else(Timestamp::now));
    let proxy = client.contacts().await?;
    let mut options = HashMap::from([("to", Variant::from(to))]);
    options.extend(from.map(|from| ("from", Variant::from(from))));
    let summary = client.told(proxy.get_summary(options).await)?;
    // Before the oldest contact there is nothing to draw. A contact dated by a
    // clock that was wrong may be half a century old; the bus limits the bars.
    let earliest = to.saturating_sub(MOST_BARS * u64::from(HOUR));
    let first = summary.oldest.max(from).max(Some(earliest));
    let first = first.filter(|first| *first < to);
    let hours = match first {
        Some(first) if summary.numbers > 0 => {
            client.told(proxy.get_histogram(first, to, HOUR).await)?
        }
        _ => Vec::new(),
    };
    let document = Contacts::new(from, to, summary, hours);
    Ok(Answer::new(json, &document, |document| {
        document.render(&ZonedDateTime::now())
    }))
}

const HOUR: u32 = 3600;

/// A little less than the daemon draws, which rounds the span up to hours.
const MOST_BARS: u64 = 9_998;

impl Contacts {
    fn new(from: Option<u64>, to: u64, summary: Summary, hours: Vec<(u64, u32, u32)>) -> Self {
        let attenuation = summary.attenuation.into_iter();
        let hours: Vec<_> = hours.into_iter().map(Bar::new).collect();
        Self {
            from,
            to,
            numbers: summary.numbers,
            sightings: summary.sightings,
            oldest: summary.oldest,
            attenuation: attenuation
                .map(|(bound, sightings)| Attenuation {
                    up_to: (bound != u8::MAX).then_some(bound),
                    sightings,
                })
                .collect(),
            days: days(&hours),
            hours: hours.into_iter().filter(|bar| bar.numbers > 0).collect(),
        }
    }

    fn render(&self, now: &ZonedDateTime) -> String {
        let from = self.from.or(self.oldest);
        let since = from.map_or_else(String::new, |from| {
            format!(" since {}", time::show(from, now))
        });
        if self.numbers == 0 {
            return format!("No contacts{since}.");
        }
        let mut text = format!(
            "{} numbers{since}, heard {} times.\n",
            self.numbers, self.sightings
        );
        self.render_attenuation(&mut text);
        self.render_days(&mut text);
        text
    }

    fn render_attenuation(&self, text: &mut String) {
        let measured: u32 = self.attenuation.iter().map(|a| a.sightings).sum();
        if measured == 0 {
            return;
        }
        text.push_str("How strong the signal was, from very near to far:\n");
        let mut above = None;
        for Attenuation { up_to, sightings } in &self.attenuation {
            let bound = up_to.map_or_else(
                || format!("over {} dB", above.unwrap_or(0)),
                |bound| format!("up to {bound} dB"),
            );
            put(text, format_args!("  {bound:<12} {sightings:>7}\n"));
            above = *up_to;
        }
    }

    /// One line a day; each hour is a bar as high as its share of the busiest.
    fn render_days(&self, text: &mut String) {
        let most = self.hours.iter().map(|bar| bar.numbers).max().unwrap_or(0);
        put(
            text,
            format_args!(
                "{:<10} {:>8} {:>10}  {}\n",
                "Day", "Numbers", "Sightings", "Hours 0 to 23"
            ),
        );
        for day in &self.days {
            let Some(date) = local_date(day.start) else {
                continue;
            };
            let mut hours = [0_u32; 24];
            for bar in &self.hours {
                let time = time::local(bar.start).filter(|time| time.date() == date);
                let hour = time.and_then(|time| usize::try_from(time.hour()).ok());
                if let Some(hour) = hour.and_then(|hour| hours.get_mut(hour)) {
                    *hour = hour.saturating_add(bar.numbers);
                }
            }
            let bars: String = hours.iter().map(|hour| bar_of(*hour, most)).collect();
            put(
                text,
                format_args!(
                    "{date} {:>8} {:>10}  {}\n",
                    day.numbers,
                    day.sightings,
                    bars.trim_end()
                ),
            );
        }
    }
}

impl Bar {
    fn new((start, numbers, sightings): (u64, u32, u32)) -> Self {
        Self {
            start,
            numbers,
            sightings,
        }
    }
}

/// Hours put together by the local calendar; days without contacts are left out.
fn days(hours: &[Bar]) -> Vec<Bar> {
    let mut days: BTreeMap<Date, Bar> = BTreeMap::new();
    for hour in hours.iter().filter(|bar| bar.numbers > 0) {
        let Some(date) = local_date(hour.start) else {
            continue;
        };
        let day = days.entry(date).or_insert(Bar {
            start: start_of_day(hour.start),
            numbers: 0,
            sightings: 0,
        });
        day.numbers = day.numbers.saturating_add(hour.numbers);
        day.sightings = day.sightings.saturating_add(hour.sightings);
    }
    days.into_values().collect()
}

fn local_date(unix_seconds: u64) -> Option<Date> {
    time::local(unix_seconds).map(|time| time.date())
}

fn start_of_day(unix_seconds: u64) -> u64 {
    time::local(unix_seconds)
        .and_then(|time| time.start_of_day().ok())
        .map_or(unix_seconds, |day| time::unix_seconds(day.timestamp()))
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

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_the_share() {
        let bars: String = [0, 1, 5, 10].map(|n| bar_of(n, 10)).into_iter().collect();
        assert_eq!(bars, " ▁▄█");
        assert_eq!(bar_of(u32::MAX, u32::MAX), '█');
    }

    #[test]
    fn nothing_is_said_plainly() {
        let none = Contacts::new(None, 0, Summary::default(), Vec::new());
        let now = "2026-11-23T18:30:00+00:00[UTC]".parse().unwrap();
        assert_eq!(none.render(&now), "No contacts.");
    }
}
