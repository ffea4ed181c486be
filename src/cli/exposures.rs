//! `exposures`: when one was near somebody who made a report, and why we say so.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::json;
use zbus::Variant;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::memo::reading;
use super::{hex, time};
use crate::bus::proxy;
use crate::protocol::{Memo, MemoType};

/// The document of `exposures --json`.
#[derive(Debug, Serialize)]
struct Exposures {
    exposures: Vec<Exposure>,
}

/// One of them; the document of `exposures show --json`.
#[derive(Debug, Serialize)]
struct Exposure {
    id: String,
    day: u64,
    from: u64,
    to: u64,
    duration_s: u32,
    attenuation: Vec<Attenuation>,
    rssi_max: Option<i16>,
    carried: String,
    distance: Option<Distance>,
    sources: Vec<String>,
    published: u64,
    received: u64,
    memo_type: u8,
    memo: String,
    memo_reading: Option<String>,
    rule: Rule,
    seen: bool,
    dismissed: bool,
}

/// Sightings at most so strongly attenuated.
#[derive(Debug, Serialize)]
struct Attenuation {
    /// Decibel; `None`: more than all others.
    up_to: Option<u8>,
    sightings: u32,
}

/// In metres.
#[derive(Debug, Serialize)]
struct Distance {
    estimate: f64,
    least: f64,
    most: f64,
}

/// By what contacts became an exposure.
#[derive(Debug, Serialize)]
struct Rule {
    name: String,
    gap_s: u32,
    reference_rssi: i16,
}

pub(super) async fn list(client: &Client, all: bool, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let options = HashMap::from([("dismissed", Variant::from(all))]);
    let found = client.told(client.exposures().await?.list(options).await)?;
    let mut exposures: Vec<_> = found.into_iter().map(Exposure::new).collect();
    exposures.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
    Ok(Answer::new(
        json,
        &Exposures { exposures },
        Exposures::render,
    ))
}

pub(super) async fn show(client: &Client, id: &str, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let proxy = client.exposures().await?;
    let exposure = Exposure::new(client.told(proxy.get(id).await)?);
    client.told(proxy.mark_seen(id).await)?;
    Ok(Answer::new(json, &exposure, Exposure::explain))
}

pub(super) async fn dismiss(client: &Client, id: &str, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.exposures().await?.dismiss(id).await)?;
    Ok(Answer::new(
        json,
        &json!({"id": id, "dismissed": true}),
        |_| format!("Exposure {id} is not listed any more; tcnctl exposures --all lists it too."),
    ))
}

impl Exposure {
    fn new(of: proxy::Exposure) -> Self {
        let kind = MemoType::new(of.memo_type);
        let memo = Memo::new(kind, of.memo.as_slice()).ok();
        let attenuation = of.attenuation.into_iter();
        let distance = of.distance.zip(of.distance_least).zip(of.distance_most);
        Self {
            id: of.id,
            day: of.day,
            from: of.from,
            to: of.to,
            duration_s: of.duration_s,
            attenuation: attenuation
                .map(|(bound, sightings)| Attenuation {
                    up_to: (bound != u8::MAX).then_some(bound),
                    sightings,
                })
                .collect(),
            rssi_max: of.rssi_max,
            carried: of.carried,
            distance: distance.map(|((estimate, least), most)| Distance {
                estimate,
                least,
                most,
            }),
            sources: of.sources,
            published: of.published,
            received: of.received,
            memo_type: of.memo_type,
            memo: hex(&of.memo),
            memo_reading: memo.as_ref().and_then(reading),
            rule: Rule {
                name: of.rule,
                gap_s: of.rule_gap_s,
                reference_rssi: of.rule_reference_rssi,
            },
            seen: of.seen,
            dismissed: of.dismissed,
        }
    }

    /// Day and clock, and how long.
    fn when(&self) -> String {
        let (Some(from), Some(to)) = (time::local(self.from), time::local(self.to)) else {
            return "beyond all calendars".to_owned();
        };
        let offset = if time::needs_offset(&[&from, &to]) {
            " %:z"
        } else {
            ""
        };
        let day = if from.date() == to.date() {
            ""
        } else {
            "%Y-%m-%d "
        };
        let end = to.strftime(&format!("{day}%H:%M{offset}")).to_string();
        let start = from
            .strftime(&format!("%a %Y-%m-%d %H:%M{offset}"))
            .to_string();
        format!("{start} to {end}, {} min near", self.duration_s / 60)
    }

    /// How far away, or why nobody can tell.
    fn how_far(&self) -> String {
        match (&self.distance, self.carried.as_str()) {
            (Some(far), _) => format!(
                "some {:.0} m away, between {:.1} and {:.0} m",
                far.estimate, far.least, far.most
            ),
            (None, "bridged" | "mixed") => {
                "through another radio, so up to twice as far away as one hears".to_owned()
            }
            (None, _) => "at an unknown distance".to_owned(),
        }
    }

    fn explain(&self) -> String {
        let now = ZonedDateTime::now();
        let mut text = format!("Exposure {}\n  When        {}\n", self.id, self.when());
        let _ = writeln!(text, "  How far     {}", self.how_far());
        for bucket in &self.attenuation {
            let bound = bucket
                .up_to
                .map_or_else(|| "weaker".to_owned(), |bound| format!("to {bound} dB"));
            let _ = writeln!(text, "  {bound:<10}  heard {} times", bucket.sightings);
        }
        let says = self.memo_reading.clone();
        let says = says.unwrap_or_else(|| format!("{} (type {})", self.memo, self.memo_type));
        let _ = writeln!(text, "  Report      says: {says}");
        let _ = writeln!(text, "  From        {}", self.sources.join(", "));
        let (public, here) = (
            time::show(self.published, &now),
            time::show(self.received, &now),
        );
        let _ = writeln!(text, "              public by {public}, here since {here}");
        let Rule {
            name,
            gap_s,
            reference_rssi,
        } = &self.rule;
        let _ = writeln!(
            text,
            "  Why         Numbers of this report are in your contact log, first heard before it\n              \
             was public. What is less than {} min apart is one exposure (rule {name}).\n              \
             Distances are reckoned from {reference_rssi} dBm at one metre and may be three times\n              \
             less or more; nobody has checked who made the report.",
            gap_s / 60
        );
        text
    }
}

impl Exposures {
    fn render(&self) -> String {
        if self.exposures.is_empty() {
            return "None known. To look for yourself in reports: tcnctl report import FILE"
                .to_owned();
        }
        let mut text = String::new();
        for exposure in &self.exposures {
            let mark = if exposure.seen { "" } else { "  new" };
            let _ = writeln!(text, "{}  {}{mark}", exposure.id, exposure.when());
            let _ = writeln!(text, "    {}", exposure.how_far());
            if let Some(says) = &exposure.memo_reading {
                let _ = writeln!(text, "    the report says: {says}");
            }
        }
        text.push_str("All about one: tcnctl exposures show ID");
        text
    }
}
