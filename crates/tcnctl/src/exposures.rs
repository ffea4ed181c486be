//! `exposures`: when the user was near a person who made a report, and the evidence for
//! it; and how complete the answer is. "None" may mean that no source was checked.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::json;
use tcn_protocol::{Memo, MemoType};
use tcnd_client::proxy;
use zbus::Variant;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;
use super::memo::reading;
use super::status::Status;
use super::{hex, time};

/// The document of `exposures --json`.
#[derive(Debug, Serialize)]
struct Exposures {
    exposures: Vec<Exposure>,
    /// The number of all exposures, dismissed or not.
    known: usize,
    unseen: usize,
    dismissed: usize,
    #[serde(flatten)]
    extent: Extent,
}

/// How complete the answer is; null where that is unknown.
#[derive(Debug, Default, Serialize)]
struct Extent {
    /// The number of configured sources of reports.
    sources: Option<u32>,
    /// When all sources were last checked successfully, in seconds since 1970.
    checked: Option<u64>,
    failed: Option<Vec<Failed>>,
    /// Whether fetched reports are not matched yet.
    waiting: Option<bool>,
    /// Whether the sources were not checked for two days.
    stale: bool,
}

/// A source that could not be checked.
#[derive(Debug, Serialize)]
struct Failed {
    label: String,
    problem: String,
}

/// One exposure; the document of `exposures show --json`.
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

/// Sightings with at most this attenuation.
#[derive(Debug, Serialize)]
struct Attenuation {
    /// In decibel; `None`: more than all others.
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

/// The evidence for an exposure.
#[derive(Debug, Serialize)]
struct Rule {
    name: String,
    gap_s: u32,
    reference_rssi: i16,
}

pub(super) async fn list(client: &Client, all: bool, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let options = HashMap::from([("dismissed", Variant::from(true))]);
    let found = client.told(client.exposures().await?.list(options).await)?;
    let extent = Extent::read(client).await?;
    let mut exposures: Vec<_> = found.into_iter().map(Exposure::new).collect();
    exposures.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
    let count = |is: fn(&Exposure) -> bool| exposures.iter().filter(|one| is(one)).count();
    let (unseen, dismissed) = (count(|one| !one.seen), count(|one| one.dismissed));
    let known = exposures.len();
    exposures.retain(|exposure| all || !exposure.dismissed);
    let document = Exposures {
        exposures,
        known,
        unseen,
        dismissed,
        extent,
    };
    Ok(Answer::new(json, &document, Exposures::render))
}

/// How many exposures are new. `None` if the caller may know that only with a password;
/// then nothing shows whether there are any.
pub(super) async fn unseen(client: &Client) -> Option<u32> {
    let exposures = client.exposures().await.ok()?;
    Some(exposures.get_summary().await.ok()?.unseen)
}

pub(super) async fn show(client: &Client, id: &str, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let proxy = client.exposures().await?;
    let exposure = Exposure::new(client.told(proxy.get(id).await)?);
    // Output for a program does not mark exposures as seen.
    if !json {
        client.told(proxy.mark_seen(id).await)?;
    }
    Ok(Answer::new(json, &exposure, Exposure::explain))
}

pub(super) async fn dismiss(client: &Client, id: &str, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.exposures().await?.dismiss(id).await)?;
    Ok(Answer::new(
        json,
        &json!({"id": id, "dismissed": true}),
        |_| {
            format!(
                "Exposure {id} is not listed any more; tcnctl exposures --all lists it too.\n\
                 To take that back: tcnctl exposures restore {id}"
            )
        },
    ))
}

pub(super) async fn restore(client: &Client, id: &str, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    client.told(client.exposures().await?.restore(id).await)?;
    Ok(Answer::new(
        json,
        &json!({"id": id, "dismissed": false}),
        |_| format!("Exposure {id} is listed again."),
    ))
}

impl Extent {
    /// A user who had to give a password for the list is not asked for it again: then
    /// only public facts are known.
    async fn read(client: &Client) -> Result<Self, CliError> {
        let status = Status::read(client).await?;
        let has = |token: &str| {
            status
                .problems
                .iter()
                .any(|current| current.problem.token == token)
        };
        let stale = has("reports-stale");
        let Ok(summary) = client.exposures().await?.get_summary().await else {
            return Ok(Self {
                checked: status.reports_checked,
                stale,
                ..Self::default()
            });
        };
        let failed = summary.failed.into_iter();
        Ok(Self {
            sources: Some(summary.sources),
            checked: summary.checked,
            failed: Some(
                failed
                    .map(|(label, problem)| Failed { label, problem })
                    .collect(),
            ),
            waiting: Some(summary.waiting),
            stale,
        })
    }

    /// Why an exposure may be missing.
    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        match (self.sources, self.checked) {
            (Some(0), _) => gaps.push(
                "No source of reports is configured: only files that were imported were looked \
                 through. Sources stand in /etc/tcnd/sources.d."
                    .to_owned(),
            ),
            (_, None) => gaps.push(
                "No source was checked yet, so nothing can be known. To check now: tcnctl report \
                 check"
                    .to_owned(),
            ),
            (_, Some(at)) if self.stale => gaps.push(format!(
                "The sources were last checked on {}: an exposure may be missing. To check now: \
                 tcnctl report check",
                time::day(at)
            )),
            (_, Some(_)) => {}
        }
        for Failed { label, problem } in self.failed.iter().flatten() {
            gaps.push(format!(
                "{} could not be gone through ({}): an exposure may be missing.",
                printable::line(label),
                printable::line(problem)
            ));
        }
        if self.waiting == Some(true) {
            gaps.push(
                "Reports that were fetched are still to be matched: an exposure may be missing."
                    .to_owned(),
            );
        }
        gaps
    }
}

impl Exposure {
    fn new(of: proxy::ExposureInfo) -> Self {
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

    /// Day, time and duration.
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

    /// The distance, or why it is unknown.
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
        let _ = writeln!(text, "  Report      says: {}", printable::line(says));
        let _ = writeln!(
            text,
            "  From        {}",
            printable::line(self.sources.join(", "))
        );
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
        let name = printable::line(name);
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
        let mut text = String::new();
        match (self.exposures.len(), self.dismissed) {
            (0, 0) => text.push_str(
                "None known. To look for yourself in reports: tcnctl report import FILE\n",
            ),
            (0, 1) => text.push_str(
                "None but 1 that was dismissed. It is listed by: tcnctl exposures --all\n",
            ),
            (0, n) => {
                let _ = writeln!(
                    text,
                    "None but {n} that were dismissed. They are listed by: tcnctl exposures --all"
                );
            }
            (_, _) => {}
        }
        for exposure in &self.exposures {
            let mark = match (exposure.dismissed, exposure.seen) {
                (true, _) => "  dismissed",
                (false, false) => "  new",
                (false, true) => "",
            };
            let _ = writeln!(text, "{}  {}{mark}", exposure.id, exposure.when());
            let _ = writeln!(text, "    {}", exposure.how_far());
            if let Some(says) = &exposure.memo_reading {
                let _ = writeln!(text, "    the report says: {}", printable::line(says));
            }
        }
        if !self.exposures.is_empty() {
            if self.unseen == 0 {
                text.push_str("None of them is new. ");
            }
            text.push_str("All about one: tcnctl exposures show ID\n");
        }
        for gap in self.extent.gaps() {
            text.push_str(&gap);
            text.push('\n');
        }
        text
    }
}
