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

use crate::client::Client;
use crate::error::CliError;
use crate::problems::ProblemText;

/// The document of `status --json`; `docs/tcnctl-json.md` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) state: String,
    pub(crate) enabled: bool,
    /// The reason for the consent state; empty if tcnd does not give one.
    pub(crate) consent: String,
    pub(crate) simulated: bool,
    pub(crate) mode: String,
    pub(crate) advertising: bool,
    pub(crate) scanning: bool,
    pub(crate) scan_mode: String,
    /// Why it listens in this way; empty if tcnd does not tell.
    pub(crate) scan_mode_reason: String,
    pub(crate) number_age: Option<u32>,
    /// When the current number was put on the air, in seconds since 1970.
    pub(crate) number_since: Option<u64>,
    pub(crate) rotation_interval: u32,
    /// The start of a UTC day, in seconds since 1970; `None` is never.
    pub(crate) reports_checked: Option<u64>,
    /// The number of new exposures; `None` if the user may not know it.
    pub(crate) new_exposures: Option<u32>,
    pub(crate) pause: Option<StatusPause>,
    pub(crate) problems: Vec<CurrentProblem>,
    pub(crate) adapters: Vec<StatusAdapter>,
}

/// A problem that tcnd has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CurrentProblem {
    #[serde(flatten)]
    pub(crate) problem: ProblemText,
    /// The error that the system gave, such as that of BlueZ; empty if it gave none.
    pub(crate) detail: String,
    /// Seconds since 1970; `None` if tcnd does not tell.
    pub(crate) since: Option<u64>,
}

/// A pause, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StatusPause {
    /// Seconds since 1970; `None` until resumed.
    pub(crate) until: Option<u64>,
    pub(crate) holds: Vec<PauseHolder>,
}

/// One holder of a pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PauseHolder {
    pub(crate) reason: String,
    pub(crate) application_id: String,
}

/// One Bluetooth adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StatusAdapter {
    pub(crate) name: String,
    pub(crate) powered: bool,
    pub(crate) selected: bool,
    pub(crate) can_advertise: bool,
    pub(crate) private_address: String,
    pub(crate) adv_instances_free: u8,
    pub(crate) recoveries: u32,
    pub(crate) last_problem: Option<ProblemText>,
}

impl Status {
    /// Reads the current state.
    pub(crate) async fn read(client: &Client) -> Result<Self, CliError> {
        let tcnd = client.destination().await?;
        let snapshot = Snapshot::read(client.connection(), tcnd).await;
        Ok(Self::of(client.map_err(snapshot)?))
    }

    /// As of a snapshot.
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        let adapters = snapshot.adapters.into_iter();
        let mut adapters: Vec<_> = adapters
            .map(|properties| StatusAdapter::from_properties(&mut PropertyMap(properties)))
            .collect();
        adapters.sort_by(|a, b| a.name.cmp(&b.name));
        let mut status = Self::from_properties(&mut PropertyMap(snapshot.manager), adapters);
        status.new_exposures = snapshot.new_exposures;
        status
    }

    /// The parts that do not change by themselves from second to second.
    pub(crate) fn timeless(&self) -> Self {
        Self {
            number_age: None,
            ..self.clone()
        }
    }

    /// The state in one sentence.
    pub(crate) fn sentence(&self, now: &ZonedDateTime) -> String {
        match (self.state.as_str(), &self.pause) {
            ("starting", _) => "tcnd is starting.".to_owned(),
            ("running", _) => self.running_sentence().to_owned(),
            ("degraded", _) if !self.advertising && !self.scanning => {
                "tcnd is enabled, but it neither broadcasts nor listens.".to_owned()
            }
            ("degraded", _) => "tcnd is running, but not all of it works.".to_owned(),
            (
                "paused",
                Some(StatusPause {
                    until: Some(end), ..
                }),
            ) => format!(
                "tcnd is paused until {}: no number of yours is on the air.",
                local_time::show(*end, now)
            ),
            ("paused", _) => {
                "tcnd is paused until it is resumed: no number of yours is on the air.".to_owned()
            }
            ("idle", _) if !self.enabled => {
                format!(
                    "tcnd is idle: {}, so nothing is broadcast.",
                    self.no_consent_reason()
                )
            }
            ("idle", _) => {
                "tcnd is idle: there is no Bluetooth adapter that it can use.".to_owned()
            }
            (state, _) => format!(
                "tcnd is in a state that this tcnctl does not know: {}.",
                printable::line(state)
            ),
        }
    }

    /// The activity of a running daemon, by what is on the air.
    fn running_sentence(&self) -> &'static str {
        match (self.mode.as_str(), self.advertising, self.scanning) {
            ("relay", true, true) => {
                "tcnd is running: it carries the numbers of others and listens for them. It has no \
                 number of its own."
            }
            ("relay", true, false) => {
                "tcnd is running: it carries the numbers of others, and does not listen at the \
                 moment. It has no number of its own."
            }
            ("listen", false, true) => {
                "tcnd is running: it listens for the numbers of others. It has no number of its own."
            }
            (_, true, true) => {
                "tcnd is running: it broadcasts a number and listens for those of others."
            }
            (_, true, false) => {
                "tcnd is running: it broadcasts a number, and does not listen at the moment."
            }
            (_, false, true) => {
                "tcnd is running: it listens for the numbers of others, and broadcasts none at the \
                 moment."
            }
            (_, false, false) => {
                "tcnd is running, but neither broadcasts nor listens at the moment."
            }
        }
    }

    /// Why there is no consent.
    pub(crate) fn no_consent_reason(&self) -> &'static str {
        match self.consent.as_str() {
            "never" => "consent has not been given yet",
            "withdrawn" => "consent was withdrawn",
            "configured" => "the configuration says enabled = false",
            _ => "there is no consent",
        }
    }

    /// How to give consent if there is none.
    pub(crate) fn how_to_consent(&self) -> &'static str {
        match self.consent.as_str() {
            "configured" => {
                "remove `enabled` from /etc/tcnd/config.d, then: systemctl reload tcnd; tcnctl enable"
            }
            _ => "tcnctl enable",
        }
    }

    /// The next step for the user, if there is one that is not a problem.
    fn next_step(&self) -> Option<String> {
        match self.state.as_str() {
            "paused" => Some("resume it with: tcnctl resume".to_owned()),
            "idle" if !self.enabled => Some(format!("consent with: {}", self.how_to_consent())),
            _ => None,
        }
    }

    /// A note about new exposures, if there are any.
    pub(crate) fn exposures_text(&self) -> Option<String> {
        match self.new_exposures? {
            0 => None,
            1 => Some("1 new exposure; see: tcnctl exposures".to_owned()),
            n => Some(format!("{n} new exposures; see: tcnctl exposures")),
        }
    }

    /// The complete status for a terminal, as of now.
    pub(crate) fn render(&self, now: &ZonedDateTime) -> String {
        let age = self.number_age.map_or_else(String::new, |age| {
            format!(" that is {} old", local_time::duration(age.into()))
        });
        self.render_with(&age, now)
    }

    /// The complete status for text that stays on a screen: with times instead of ages.
    pub(crate) fn render_lasting(&self, now: &ZonedDateTime) -> String {
        let since = self.number_since.map_or_else(String::new, |since| {
            format!(" since {}", local_time::show(since, now))
        });
        self.render_with(&since, now)
    }

    /// `age` is the text for the age of the number on the air.
    fn render_with(&self, age: &str, now: &ZonedDateTime) -> String {
        let mut lines = vec![self.sentence(now)];
        if self.simulated {
            lines.push("This is a simulation: the devices nearby are not real.".to_owned());
        }
        let mut row = |label: &str, text: String| lines.push(format!("  {label:<12} {text}"));
        if let Some(mode) = self.mode_text() {
            row("Mode", mode);
        }
        if let Some(exposures) = self.exposures_text() {
            row("Exposures", exposures);
        }
        row("On the air", self.advertising_text(age));
        row("Listening", self.listening_text());
        for adapter in &self.adapters {
            row("Adapter", adapter.render());
        }
        if let Some(at) = self.reports_checked {
            row(
                "Reports",
                format!("last fetched on {}", local_time::day(at)),
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
                row("  since", local_time::show(since, now));
            }
            row("  cure", current.problem.cure.clone());
        }
        if let Some(step) = self.next_step() {
            row("Next", step);
        }
        lines.join("\n")
    }

    /// The mode, unless it is the usual one.
    fn mode_text(&self) -> Option<String> {
        Some(match self.mode.as_str() {
            "broadcast" => return None,
            "full" => "full: other devices can connect".to_owned(),
            "relay" => "relay: other devices can connect, and their numbers are carried".to_owned(),
            "listen" => "listen: a relay to which no device can connect".to_owned(),
            other => printable::clean(other),
        })
    }

    fn listening_text(&self) -> String {
        if !self.scanning {
            return "no".to_owned();
        }
        let how = match self.scan_mode.as_str() {
            "windows" => "for 5 s at a time",
            "short-windows" => "for 2 s at a time",
            _ => return "yes".to_owned(),
        };
        let why = match self.scan_mode_reason.as_str() {
            "configured" => ", as configured",
            "battery" => ", because this computer runs on battery",
            "power-saver" => ", because the power profile saves power",
            "audio" => ", because sound is streamed over Bluetooth",
            "device" => ", because a paired device uses Bluetooth too",
            _ => "",
        };
        format!("yes, {how}{why}")
    }

    fn advertising_text(&self, age: &str) -> String {
        if !self.advertising {
            return "no".to_owned();
        }
        let span = local_time::duration(self.rotation_interval.into());
        if self.mode == "relay" {
            return format!("yes, for others; its identifier changes within {span}");
        }
        format!("yes, a number{age}; each is replaced within {span}")
    }

    fn from_properties(properties: &mut PropertyMap, adapters: Vec<StatusAdapter>) -> Self {
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
            scan_mode_reason: properties.take("ScanModeReason"),
            number_age: age.filter(|_| advertising),
            number_since: properties.find("CurrentTcnSince").filter(|at| *at != 0),
            rotation_interval: properties.take("RotationInterval"),
            reports_checked: properties.find("ReportsCheckedAt").filter(|at| *at != 0),
            new_exposures: None,
            pause: StatusPause::from_properties(properties),
            problems: CurrentProblem::from_properties(properties),
            adapters,
        }
    }
}

impl CurrentProblem {
    fn from_properties(properties: &mut PropertyMap) -> Vec<Self> {
        let tokens: Vec<String> = properties.take("Problems");
        let details: Vec<(String, String, u64)> = properties.take("ProblemDetails");
        let of = |token: String| {
            let known = details.iter().find(|(of, ..)| *of == token);
            Self {
                problem: ProblemText::new(&token),
                detail: known
                    .map(|(_, detail, _)| detail.clone())
                    .unwrap_or_default(),
                since: known.map(|(.., since)| *since),
            }
        };
        tokens.into_iter().map(of).collect()
    }
}

impl StatusPause {
    fn from_properties(properties: &mut PropertyMap) -> Option<Self> {
        let until: u64 = properties.take("PausedUntil");
        let holds: Vec<HashMap<String, OwnedVariant>> = properties.take("PauseHolds");
        (until != 0).then(|| Self {
            until: (until != u64::MAX).then_some(until),
            holds: holds
                .into_iter()
                .map(|hold| PauseHolder::from_properties(&mut PropertyMap(hold)))
                .collect(),
        })
    }
}

impl PauseHolder {
    fn from_properties(properties: &mut PropertyMap) -> Self {
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

impl StatusAdapter {
    fn from_properties(properties: &mut PropertyMap) -> Self {
        let last_problem: String = properties.take("LastProblem");
        Self {
            name: properties.take("Name"),
            powered: properties.take("Powered"),
            selected: properties.take("Selected"),
            can_advertise: properties.take("CanAdvertise"),
            private_address: properties.take("PrivateAddress"),
            adv_instances_free: properties.take("AdvInstancesFree"),
            recoveries: properties.take("RecoveryCount"),
            last_problem: (!last_problem.is_empty()).then(|| ProblemText::new(&last_problem)),
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
struct PropertyMap(HashMap<String, OwnedVariant>);

impl PropertyMap {
    fn take<T: TryFrom<OwnedVariant> + Default>(&mut self, name: &str) -> T {
        self.find(name).unwrap_or_default()
    }

    fn find<T: TryFrom<OwnedVariant>>(&mut self, name: &str) -> Option<T> {
        T::try_from(self.0.remove(name)?).ok()
    }
}
