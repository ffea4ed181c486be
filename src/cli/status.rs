//! `tcnctl status`: what tcnd does, for somebody who has never heard of it.
//!
//! Everything here is public, so it needs no password. One `GetAll` is one
//! instant: sentences made of properties read one by one could contradict each
//! other.

use std::collections::HashMap;

use jiff::ZonedDateTime;
use serde::Serialize;
use zbus::OwnedVariant;

use super::client::Client;
use super::error::CliError;
use super::problems::Explained;
use super::time;
use crate::bus::names;

/// The document of `status --json`; `docs/tcnctl-json.md` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) enabled: bool,
    pub(super) simulated: bool,
    pub(super) mode: String,
    pub(super) advertising: bool,
    pub(super) scanning: bool,
    pub(super) scan_mode: String,
    pub(super) number_age: Option<u32>,
    pub(super) rotation_interval: u32,
    /// The start of a UTC day, in seconds since 1970; `None` is never.
    pub(super) reports_checked: Option<u64>,
    pub(super) pause: Option<Pause>,
    pub(super) problems: Vec<Explained>,
    pub(super) adapters: Vec<Adapter>,
}

/// That it is paused, and by whom.
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
    /// As of now.
    pub(super) async fn read(client: &Client) -> Result<Self, CliError> {
        let properties = client.properties().await?;
        let manager = names::MANAGER
            .try_into()
            .expect("the constant is an interface name");
        let properties = client.told(properties.get_all(manager).await)?;
        let objects = client.objects().await?;
        let objects = client.told(objects.get_managed_objects().await)?;
        let mut adapters: Vec<_> = objects
            .into_values()
            .filter_map(|mut interfaces| interfaces.remove(names::ADAPTER))
            .map(|properties| Adapter::from_properties(&mut Properties(properties)))
            .collect();
        adapters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self::from_properties(&mut Properties(properties), adapters))
    }

    /// All that does not change by itself from second to second.
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
            ("running", _) => {
                "tcnd is running: it broadcasts a number and listens for others'.".to_owned()
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
                "tcnd is idle: nobody has consented yet, so nothing is broadcast.".to_owned()
            }
            ("idle", _) => "tcnd is idle: there is no Bluetooth adapter it could use.".to_owned(),
            (state, _) => format!("tcnd is in a state this tcnctl does not know: {state}."),
        }
    }

    /// What to do next, if there is something that is no problem.
    fn advice(&self) -> Option<&'static str> {
        match self.state.as_str() {
            "paused" => Some("resume it with: tcnctl resume"),
            "idle" if !self.enabled => Some("consent with: tcnctl enable"),
            _ => None,
        }
    }

    /// The whole of it for a terminal.
    pub(super) fn render(&self, now: &ZonedDateTime) -> String {
        let mut lines = vec![self.sentence(now)];
        if self.simulated {
            lines.push("This is a simulation: the neighbourhood is made up.".to_owned());
        }
        let mut row = |label: &str, text: String| lines.push(format!("  {label:<12} {text}"));
        if let Some(mode) = self.way() {
            row("Mode", mode);
        }
        row("On the air", self.air());
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
        for problem in &self.problems {
            row("Problem", problem.sentence.clone());
            row("  cure", problem.cure.clone());
        }
        if let Some(advice) = self.advice() {
            row("Next", advice.to_owned());
        }
        lines.join("\n")
    }

    /// How it takes part, where that is another way than most do.
    fn way(&self) -> Option<String> {
        Some(match self.mode.as_str() {
            "broadcast" => return None,
            "full" => "full: others can connect".to_owned(),
            "relay" => "relay: others can connect, and are carried on".to_owned(),
            "listen" => "listen: a relay that nobody may connect to".to_owned(),
            other => printable(other),
        })
    }

    fn air(&self) -> String {
        if !self.advertising {
            return "no".to_owned();
        }
        let span = time::say(self.rotation_interval.into());
        let age = self.number_age.map_or_else(String::new, |age| {
            format!(" that is {} old", time::say(age.into()))
        });
        if self.mode == "relay" {
            return format!("yes, for others; by another name within {span}");
        }
        format!("yes, a number{age}; each is replaced within {span}")
    }

    fn from_properties(properties: &mut Properties, adapters: Vec<Adapter>) -> Self {
        let advertising = properties.take("Advertising");
        // A busy daemon leaves it out.
        let age = properties.find("CurrentTcnAge");
        let problems: Vec<String> = properties.take("Problems");
        Self {
            version: properties.take("Version"),
            state: properties.take("State"),
            enabled: properties.take("Enabled"),
            simulated: properties.take("Simulated"),
            mode: properties.take("Mode"),
            advertising,
            scanning: properties.take("Scanning"),
            scan_mode: properties.take("ScanMode"),
            number_age: age.filter(|_| advertising),
            rotation_interval: properties.take("RotationInterval"),
            reports_checked: properties.find("ReportsCheckedAt").filter(|at| *at != 0),
            pause: Pause::from_properties(properties),
            problems: problems.iter().map(|token| Explained::new(token)).collect(),
            adapters,
        }
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
            (reason, "") => printable(reason),
            ("", application) => printable(application),
            (reason, application) => {
                format!("{} ({})", printable(reason), printable(application))
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
        let mut text = format!("{}, {power}, {used}", self.name);
        if self.powered && !self.can_advertise {
            text.push_str(", cannot broadcast");
        }
        if self.private_address == "public" {
            text.push_str(", address not private");
        }
        text
    }
}

/// Properties of one interface, to be taken one by one. One that is not there,
/// or has another type, counts as its default: the daemon may be older.
struct Properties(HashMap<String, OwnedVariant>);

impl Properties {
    fn take<T: TryFrom<OwnedVariant> + Default>(&mut self, name: &str) -> T {
        self.find(name).unwrap_or_default()
    }

    fn find<T: TryFrom<OwnedVariant>>(&mut self, name: &str) -> Option<T> {
        T::try_from(self.0.remove(name)?).ok()
    }
}

/// Texts of other programs do not get to control the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
