//! `tcnctl exposures`: when this computer was near a person who made a report, the evidence
//! for it, and how complete the list is. An empty list may mean that no source was
//! checked.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use tcn_protocol::{Memo, MemoType};
use tcnd_client::proxy;
use zbus::Variant;

use crate::attenuation::{self, AttenuationBucket};
use crate::client::Client;
use crate::command::status::Status;
use crate::error::CliError;
use crate::memo::reading;
use crate::output::CommandOutput;
use crate::time;

/// The document of `exposures --json`.
#[derive(Debug, Serialize)]
struct ExposuresDocument {
    exposures: Vec<ExposureDocument>,
    /// The number of all exposures, dismissed or not.
    known: usize,
    unseen: usize,
    dismissed: usize,
    #[serde(flatten)]
    coverage: Coverage,
}

/// How complete the list is; null where that is unknown.
#[derive(Debug, Default, Serialize)]
struct Coverage {
    /// The number of configured sources of reports.
    sources: Option<u32>,
    /// When all sources were last checked successfully, in seconds since 1970.
    checked: Option<u64>,
    failed: Option<Vec<FailedSource>>,
    /// Whether fetched reports are not matched yet.
    waiting: Option<bool>,
    /// Whether the sources were not checked for two days.
    stale: bool,
}

/// A source that could not be checked.
#[derive(Debug, Serialize)]
struct FailedSource {
    label: String,
    problem: String,
}

/// One exposure; the document of `exposures show --json`.
#[derive(Debug, Serialize)]
struct ExposureDocument {
    id: String,
    day: u64,
    from: u64,
    to: u64,
    duration_s: u32,
    duration_least_s: Option<u32>,
    duration_most_s: Option<u32>,
    attenuation: Vec<AttenuationBucket>,
    rssi_max: Option<i16>,
    carried: String,
    distance: Option<DistanceDocument>,
    sources: Vec<String>,
    help: Vec<HelpDocument>,
    published: u64,
    received: u64,
    memo_type: u8,
    memo: String,
    memo_reading: Option<String>,
    rule: RuleDocument,
    seen: bool,
    dismissed: bool,
}

/// Where a source of the report says that people find help; null where it says nothing.
#[derive(Debug, Serialize)]
struct HelpDocument {
    label: String,
    url: Option<String>,
    phone: Option<String>,
}

/// In metres.
#[derive(Debug, Serialize)]
struct DistanceDocument {
    estimate: f64,
    least: f64,
    most: f64,
}

/// The rule that makes an exposure from contacts.
#[derive(Debug, Serialize)]
struct RuleDocument {
    name: String,
    gap_s: u32,
    reference_rssi: i16,
}

pub(crate) async fn list(client: &Client, all: bool) -> Result<CommandOutput, CliError> {
    let options = HashMap::from([("dismissed", Variant::from(true))]);
    let found = client.map_err(client.exposures().await?.list(options).await)?;
    let coverage = Coverage::read(client).await?;
    let mut exposures: Vec<_> = found.into_iter().map(ExposureDocument::new).collect();
    exposures.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
    let count = |is: fn(&ExposureDocument) -> bool| exposures.iter().filter(|one| is(one)).count();
    let (unseen, dismissed) = (count(|one| !one.seen), count(|one| one.dismissed));
    let known = exposures.len();
    exposures.retain(|exposure| all || !exposure.dismissed);
    let document = ExposuresDocument {
        exposures,
        known,
        unseen,
        dismissed,
        coverage,
    };
    Ok(client.output(&document, ExposuresDocument::render))
}

/// How many exposures are new. `None` if the caller may know that only with a password;
/// then nothing shows whether there are any.
pub(crate) async fn unseen(client: &Client) -> Option<u32> {
    let exposures = client.exposures().await.ok()?;
    Some(exposures.get_summary().await.ok()?.unseen)
}

pub(crate) async fn show(client: &Client, id: &str) -> Result<CommandOutput, CliError> {
    let proxy = client.exposures().await?;
    let exposure = ExposureDocument::new(client.map_err(proxy.get(id).await)?);
    // Output for a program does not mark exposures as seen.
    if !client.json {
        client.map_err(proxy.mark_seen(id).await)?;
    }
    Ok(client.output(&exposure, ExposureDocument::render))
}

pub(crate) async fn dismiss(client: &Client, id: &str) -> Result<CommandOutput, CliError> {
    client.map_err(client.exposures().await?.dismiss(id).await)?;
    Ok(client.output(&json!({"id": id, "dismissed": true}), |_| {
        format!(
            "Exposure {id} is hidden. tcnctl exposures --all lists it too.\n\
                 To list it again: tcnctl exposures restore {id}"
        )
    }))
}

pub(crate) async fn restore(client: &Client, id: &str) -> Result<CommandOutput, CliError> {
    client.map_err(client.exposures().await?.restore(id).await)?;
    Ok(client.output(&json!({"id": id, "dismissed": false}), |_| {
        format!("Exposure {id} is listed again.")
    }))
}

impl Coverage {
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
                    .map(|(label, problem)| FailedSource { label, problem })
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
                "No source of reports is configured: only imported files were matched. Configure \
                 sources in /etc/tcnd/sources.d."
                    .to_owned(),
            ),
            (_, None) => gaps.push(
                "No source has been checked yet, so exposures may be missing. To check now: \
                 tcnctl report check"
                    .to_owned(),
            ),
            (_, Some(at)) if self.stale => gaps.push(format!(
                "The sources were last checked on {}: an exposure may be missing. To check now: \
                 tcnctl report check",
                local_time::day(at)
            )),
            (_, Some(_)) => {}
        }
        for FailedSource { label, problem } in self.failed.iter().flatten() {
            gaps.push(format!(
                "{} could not be checked ({}): an exposure may be missing.",
                printable::line(label),
                printable::line(problem)
            ));
        }
        if self.waiting == Some(true) {
            gaps.push(
                "Some fetched reports are not matched yet: an exposure may be missing.".to_owned(),
            );
        }
        gaps
    }
}

impl ExposureDocument {
    fn new(reply: proxy::ExposureInfo) -> Self {
        let kind = MemoType::new(reply.memo_type);
        let memo = Memo::new(kind, reply.memo.as_slice()).ok();
        let distance = reply
            .distance
            .zip(reply.distance_least)
            .zip(reply.distance_most);
        Self {
            id: reply.id,
            day: reply.day,
            from: reply.from,
            to: reply.to,
            duration_s: reply.duration_s,
            duration_least_s: reply.duration_least_s,
            duration_most_s: reply.duration_most_s,
            attenuation: attenuation::buckets(reply.attenuation),
            rssi_max: reply.rssi_max,
            carried: reply.carried,
            distance: distance.map(|((estimate, least), most)| DistanceDocument {
                estimate,
                least,
                most,
            }),
            sources: reply.sources,
            help: reply
                .help
                .into_iter()
                .flatten()
                .map(HelpDocument::new)
                .collect(),
            published: reply.published,
            received: reply.received,
            memo_type: reply.memo_type,
            memo: base16ct::lower::encode_string(&reply.memo),
            memo_reading: memo.as_ref().and_then(reading),
            rule: RuleDocument {
                name: reply.rule,
                gap_s: reply.rule_gap_s,
                reference_rssi: reply.rule_reference_rssi,
            },
            seen: reply.seen,
            dismissed: reply.dismissed,
        }
    }

    /// Day, time and duration.
    fn when(&self) -> String {
        let (Some(from), Some(to)) = (time::local(self.from), time::local(self.to)) else {
            return "outside the range of the calendar".to_owned();
        };
        let offset = if local_time::needs_offset(&[&from, &to]) {
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
        format!("{start} to {end}, {} near", self.how_long())
    }

    fn how_long(&self) -> String {
        match (self.duration_least_s, self.duration_most_s) {
            (Some(least), Some(most)) => {
                format!("between {} and {} min", least / 60, most / 60)
            }
            (_, _) => format!("{} min", self.duration_s / 60),
        }
    }

    /// The distance, or why it is unknown.
    fn distance_text(&self) -> String {
        match (&self.distance, self.carried.as_str()) {
            (Some(far), _) => format!(
                "about {:.0} m away, between {:.1} and {:.0} m",
                far.estimate, far.least, far.most
            ),
            (None, "bridged" | "mixed") => {
                "heard through another radio, so up to twice the range away".to_owned()
            }
            (None, _) => "at an unknown distance".to_owned(),
        }
    }

    fn render(&self) -> String {
        let now = time::now();
        let mut text = format!("Exposure {}\n  When        {}\n", self.id, self.when());
        let _ = writeln!(text, "  How far     {}", self.distance_text());
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
            local_time::show(self.published, &now),
            local_time::show(self.received, &now),
        );
        let _ = writeln!(text, "              published by {public}, received {here}");
        for help in &self.help {
            let _ = writeln!(text, "  Help        {}", printable::line(help.shown()));
        }
        let RuleDocument {
            name,
            gap_s,
            reference_rssi,
        } = &self.rule;
        let name = printable::line(name);
        let _ = writeln!(
            text,
            "  Why         Numbers of this report are in your contact log, first heard before it\n              \
             was published. Contacts less than {} min apart are one exposure (rule {name}).\n              \
             Distances assume {reference_rssi} dBm at one metre; the true distance may be three times\n              \
             less or more. The identity of the person who made the report was not checked.",
            gap_s / 60
        );
        text
    }
}

impl HelpDocument {
    fn new((label, url, phone): (String, String, String)) -> Self {
        let said = |text: String| (!text.is_empty()).then_some(text);
        Self {
            label,
            url: said(url),
            phone: said(phone),
        }
    }

    fn shown(&self) -> String {
        let places: Vec<_> = [&self.phone, &self.url]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        format!("{}: {}", self.label, places.join(", "))
    }
}

impl ExposuresDocument {
    fn render(&self) -> String {
        let mut text = String::new();
        match (self.exposures.len(), self.dismissed) {
            (0, 0) => text.push_str(
                "No known exposures. To match reports from a file: tcnctl report import FILE\n",
            ),
            (0, 1) => text.push_str(
                "No exposures but 1 that was dismissed. To list it: tcnctl exposures --all\n",
            ),
            (0, n) => {
                let _ = writeln!(
                    text,
                    "No exposures but {n} that were dismissed. To list them: tcnctl exposures --all"
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
            let _ = writeln!(text, "    {}", exposure.distance_text());
            if let Some(says) = &exposure.memo_reading {
                let _ = writeln!(text, "    the report says: {}", printable::line(says));
            }
        }
        if !self.exposures.is_empty() {
            if self.unseen == 0 {
                text.push_str("None of them is new. ");
            }
            text.push_str("Details of one: tcnctl exposures show ID\n");
        }
        for gap in self.coverage.gaps() {
            text.push_str(&gap);
            text.push('\n');
        }
        text
    }
}
