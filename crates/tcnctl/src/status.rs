//! `tcnctl status`: the state of tcnd, for a user who does not know it yet.
//!
//! Everything here but the number of new exposures is public, so it needs no password.
//! The number of exposures is shown only to users who may see it without a password.
//! One `GetAll` gives one instant: sentences from properties read one by one could
//! contradict each other.

use std::collections::HashMap;

use jiff::ZonedDateTime;
use serde::Serialize;
use tcnd_client::watch::Snapshot;
use zbus::OwnedVariant;

use super::client::Client;
use super::error::CliError;
use super::problems::Explained;
use super::time;

/// The document of `status --json`; `docs/tcnctl-json.md` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) enabled: bool,
    /// The reason for the consent state; empty if tcnd does not give one.
    pub(super) consent: String,
    pub(super) simulated: bool,
    pub(super) mode: String,
    pub(super) advertising: bool,
    pub(super) scanning: bool,
    pub(super) scan_mode: String,
    pub(super) number_age: Option<u32>,
    /// When the current number was put on the air, in seconds since 1970.
    pub(super) number_since: Option<u64>,
    pub(super) rotation_interval: u32,
    /// The start of a UTC day, in seconds since 1970; `None` is never.
    pub(super) reports_checked: Option<u64>,
    /// The number of new exposures; `None` if the user may not know it.
    pub(super) new_exposures: Option<u32>,
    pub(super) pause: Option<Pause>,
    pub(super) problems: Vec<CurrentProblem>,
    pub(super) adapters: Vec<Adapter>,
}

/// A problem that tcnd has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CurrentProblem {
    #[serde(flatten)]
    pub(super) problem: Explained,
    /// The error that the system gave, such as that of BlueZ; empty if it gave none.
    pub(super) detail: String,
    /// Seconds since 1970; `None` if tcnd does not tell.
    pub(super) since: Option<u64>,
}

/// A pause, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pause {
    /// Seconds since 1970; `None` until resumed.
    pub(super) until: Option<u64>,
    pub(super) holds: Vec<Hold>,
}

/// One holder of a pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Hold {
    pub(super) reason: String,
    pub(super) application_id: String,
}

/// One Bluetooth adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Adapter {
    pub(super) name: String,
    pub(super) powered: bool,
    pub(super) selected: bool,
    pub(super) can_advertise: bool,
    pub(super) private_address: String,
    pub(super) adv_instances_free: u8,
    pub(super) recoveries: u32,
    pub(super) last_problem: Option<Explained>,
}

impl Status {
    /// Reads the current state.
    pub(super) async fn read(client: &Client) -> Result<Self, CliError> {
        let tcnd = client.destination().await?;
        let snapshot = Snapshot::read(client.connection(), tcnd).await;
        Ok(Self::of(client.told(snapshot)?))
    }

    /// As of a snapshot.
    pub(super) fn of(snapshot: Snapshot) -> Self {
        let adapters = snapshot.adapters.into_iter();
        let mut adapters: Vec<_> = adapters
            .map(|properties| Adapter::from_properties(&mut Properties(properties)))
            .collect();
        adapters.sort_by(|a, b| a.name.cmp(&b.name));
        let mut status = Self::from_properties(&mut Properties(snapshot.manager), adapters);
        status.new_exposures = snapshot.new_exposures;
        status
    }

    /// The parts that do not change by themselves from second to second.
    pub(super) fn timeless(&self) -> Self {
        Self {
            number_age: None,
            ..self.clone()
        }
    }

    /// The state in one sentence.
    pub(super) fn sentence(&self, now: &ZonedDateTime) -> String {
        match (self.state.as_str(), &self.pause) {
            ("starting", _) => "tcnd is starting.".to_owned(),
            ("running", _) => self.running().to_owned(),
            ("degraded", _) if !self.advertising && !self.scanning => {
                "tcnd is enabled, but it neither broadcasts nor listens.".to_owned()
            }
            ("degraded", _) => "tcnd is running, but not all of it works.".to_owned(),
            (
                "paused",
                Some(Pause {
                    until: Some(end), ..
                }),
            ) => format!(
                "tcnd is paused until {}: no number of yours is on the air.",
                time::show(*end, now)
            ),
            ("paused", _) => {
                "tcnd is paused until somebody resumes it: no number of yours is on the air."
                    .to_owned()
            }
            ("idle", _) if !self.enabled => {
                format!("tcnd is idle: {}, so nothing is broadcast.", self.refusal())
            }
            ("idle", _) => "tcnd is idle: there is no Bluetooth adapter it could use.".to_owned(),
            (state, _) => format!(
                "tcnd is in a state this tcnctl does not know: {}.",
                printable::line(state)
            ),
        }
    }

    /// The activity of a running daemon, by what is on the air.
    fn running(&self) -> &'static str {
        match (self.mode.as_str(), self.advertising, self.scanning) {
            ("relay", true, true) => {
                "tcnd is running: it carries others' numbers on and listens for them, without a \
                 number of its own."
            }
            ("relay", true, false) => {
                "tcnd is running: it carries others' numbers on, without one of its own, and does \
                 not listen at the moment."
            }
            ("listen", false, true) => {
                "tcnd is running: it listens for others' numbers, and has none of its own."
            }
            (_, true, true) => "tcnd is running: it broadcasts a number and listens for others'.",
            (_, true, false) => {
                "tcnd is running: it broadcasts a number, and does not listen at the moment."
            }
            (_, false, true) => {
                "tcnd is running: it listens for others' numbers, and broadcasts none at the moment."
            }
            (_, false, false) => {
                "tcnd is running, but neither broadcasts nor listens at the moment."
            }
        }
    }

    /// Why there is no consent.
    pub(super) fn refusal(&self) -> &'static str {
        match self.consent.as_str() {
            "never" => "nobody has consented yet",
            "withdrawn" => "broadcasting was withdrawn",
            "configured" => "the configuration says enabled = false",
            _ => "there is no consent",
        }
    }

    /// How to give consent if there is none.
    pub(super) fn way_to_consent(&self) -> &'static str {
        match self.consent.as_str() {
            "configured" => {
                "take `enabled` out of /etc/tcnd/config.d, then: systemctl reload tcnd; tcnctl enable"
            }
            _ => "tcnctl enable",
        }
    }

    /// The next step for the user, if there is one that is not a problem.
    fn advice(&self) -> Option<String> {
        match self.state.as_str() {
            "paused" => Some("resume it with: tcnctl resume".to_owned()),
            "idle" if !self.enabled => Some(format!("consent with: {}", self.way_to_consent())),
            _ => None,
        }
    }

    /// A note about new exposures, if there are any.
    pub(super) fn exposed(&self) -> Option<String> {
        match self.new_exposures? {
            0 => None,
            1 => Some("1 new exposure; see: tcnctl exposures".to_owned()),
            n => Some(format!("{n} new exposures; see: tcnctl exposures")),
        }
    }

    /// The complete status for a terminal, as of now.
    pub(super) fn render(&self, now: &ZonedDateTime) -> String {
        let age = self.number_age.map_or_else(String::new, |age| {
            format!(" that is {} old", time::say(age.into()))
        });
        self.render_with(&age, now)
    }

    /// The complete status for text that stays on a screen: with times instead of ages.
    pub(super) fn render_lasting(&self, now: &ZonedDateTime) -> String {
        let since = self.number_since.map_or_else(String::new, |since| {
            format!(" since {}", time::show(since, now))
        });
        self.render_with(&since, now)
    }

    /// `age` is the text for the age of the number on the air.
    fn render_with(&self, age: &str, now: &ZonedDateTime) -> String {
        let mut lines = vec![self.sentence(now)];
        if self.simulated {
            lines.push("This is a simulation: the neighbourhood is made up.".to_owned());
        }
        let mut row = |label: &str, text: String| lines.push(format!("  {label:<12} {text}"));
        if let Some(mode) = self.way() {
            row("Mode", mode);
        }
        if let Some(exposed) = self.exposed() {
            row("Exposures", exposed);
        }
        row("On the air", self.air(age));
        row("Listening", yes_no(self.scanning).to_owned());
        for adapter in &self.adapters {
            row("Adapter", adapter.render());
        }
        if let Some(at) = self.reports_checked {
            row(
                "Reports",
                format!("others' were last fetched on {}", time::day(at)),
            );
        }
        for hold in self.pause.iter().flat_map(|pause| &pause.holds) {
            row("Paused for", hold.render());
        }
        for current in &self.problems {
            row("Problem", current.problem.sentence.clone());
            if !current.detail.is_empty() {
                row("  error", printable::clean(&current.detail));
            }
            if let Some(since) = current.since {
                row("  since", time::show(since, now));
            }
            row("  cure", current.problem.cure.clone());
        }
        if let Some(advice) = self.advice() {
            row("Next", advice);
        }
        lines.join("\n")
    }

    /// How it takes part, if not in the usual mode.
    fn way(&self) -> Option<String> {
        Some(match self.mode.as_str() {
            "broadcast" => return None,
            "full" => "full: others can connect".to_owned(),
            "relay" => "relay: others can connect, and are carried on".to_owned(),
            "listen" => "listen: a relay that nobody may connect to".to_owned(),
            other => printable::clean(other),
        })
    }

    fn air(&self, age: &str) -> String {
        if !self.advertising {
            return "no".to_owned();
        }
        let span = time::say(self.rotation_interval.into());
        if self.mode == "relay" {
            return format!("yes, for others; by another name within {span}");
        }
        format!("yes, a number{age}; each is replaced within {span}")
    }

    fn from_properties(properties: &mut Properties, adapters: Vec<Adapter>) -> Self {
        let advertising = properties.take("Advertising");
        // A busy daemon leaves it out.
        let age = properties.find("CurrentTcnAge");
        Self {
            version: properties.take("Version"),
            state: properties.take("State"),
            enabled: properties.take("Enabled"),
            consent: properties.take("Consent"),
            simulated: properties.take("Simulated"),
            mode: properties.take("Mode"),
            advertising,
            scanning: properties.take("Scanning"),
            scan_mode: properties.take("ScanMode"),
            number_age: age.filter(|_| advertising),
            number_since: properties.find("CurrentTcnSince").filter(|at| *at != 0),
            rotation_interval: properties.take("RotationInterval"),
            reports_checked: properties.find("ReportsCheckedAt").filter(|at| *at != 0),
            new_exposures: None,
            pause: Pause::from_properties(properties),
            problems: CurrentProblem::from_properties(properties),
            adapters,
        }
    }
}

impl CurrentProblem {
    fn from_properties(properties: &mut Properties) -> Vec<Self> {
        let tokens: Vec<String> = properties.take("Problems");
        let details: Vec<(String, String, u64)> = properties.take("ProblemDetails");
        let of = |token: String| {
            let known = details.iter().find(|(of, ..)| *of == token);
            Self {
                problem: Explained::new(&token),
                detail: known
                    .map(|(_, detail, _)| detail.clone())
                    .unwrap_or_default(),
                since: known.map(|(.., since)| *since),
            }
        };
        tokens.into_iter().map(of).collect()
    }
}

impl Pause {
    fn from_properties(properties: &mut Properties) -> Option<Self> {
        let until: u64 = properties.take("PausedUntil");
        let holds: Vec<HashMap<String, OwnedVariant>> = properties.take("PauseHolds");
        (until != 0).then(|| Self {
            until: (until != u64::MAX).then_some(until),
            holds: holds
                .into_iter()
                .map(|hold| Hold::from_properties(&mut Properties(hold)))
                .collect(),
        })
    }
}

impl Hold {
    fn from_properties(properties: &mut Properties) -> Self {
        Self {
            reason: properties.take("reason"),
            application_id: properties.take("application_id"),
        }
    }

    fn render(&self) -> String {
        match (self.reason.as_str(), self.application_id.as_str()) {
            ("", "") => "no reason given".to_owned(),
            (reason, "") => printable::clean(reason),
            ("", application) => printable::clean(application),
            (reason, application) => {
                format!(
                    "{} ({})",
                    printable::line(reason),
                    printable::line(application)
                )
            }
        }
    }
}

impl Adapter {
    fn from_properties(properties: &mut Properties) -> Self {
        let last_problem: String = properties.take("LastProblem");
        Self {
            name: properties.take("Name"),
            powered: properties.take("Powered"),
            selected: properties.take("Selected"),
            can_advertise: properties.take("CanAdvertise"),
            private_address: properties.take("PrivateAddress"),
            adv_instances_free: properties.take("AdvInstancesFree"),
            recoveries: properties.take("RecoveryCount"),
            last_problem: (!last_problem.is_empty()).then(|| Explained::new(&last_problem)),
        }
    }

    fn render(&self) -> String {
        let power = if self.powered { "on" } else { "off" };
        let used = if self.selected {
            "in use"
        } else {
            "not in use"
        };
        let mut text = format!("{}, {power}, {used}", printable::line(&self.name));
        if self.powered && !self.can_advertise {
            text.push_str(", cannot broadcast");
        }
        if self.private_address == "public" {
            text.push_str(", address not private");
        }
        text
    }
}

/// Properties of one interface, taken one by one. One that is missing, or has another
/// type, counts as its default: the daemon may be older.
struct Properties(HashMap<String, OwnedVariant>);

impl Properties {
    fn take<T: TryFrom<OwnedVariant> + Default>(&mut self, name: &str) -> T {
        self.find(name).unwrap_or_default()
    }

    fn find<T: TryFrom<OwnedVariant>>(&mut self, name: &str) -> Option<T> {
        T::try_from(self.0.remove(name)?).ok()
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
