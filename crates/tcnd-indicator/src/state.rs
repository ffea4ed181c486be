//! What a person may see of tcnd at one moment. Pure.

use tcnd_client::notices;
use tcnd_client::watch::{PropertyMap, Snapshot};

/// The name by which tcnd, and the other programs of the desktop, know this one.
pub(crate) const APPLICATION_ID: &str = "org.tcncoalition.Tcnd1.Indicator";

/// The greatest time on the bus: until `Resume`.
pub(crate) const UNTIL_RESUMED: u64 = u64::MAX;

/// The state of a running tcnd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcndState {
    /// `Manager.State`, a token.
    pub(crate) state: String,
    pub(crate) enabled: bool,
    pub(crate) advertising: bool,
    pub(crate) simulated: bool,
    /// Tokens.
    pub(crate) problems: Vec<String>,
    /// In seconds since 1970; 0 if not paused, [`UNTIL_RESUMED`] if only `Resume` ends it.
    pub(crate) paused_until: u64,
    /// Cookies of all pauses, with the application id that each has.
    pub(crate) pauses: Vec<(u32, String)>,
    /// tcnd can check sources of reports, and there are some.
    pub(crate) can_check: bool,
    /// Exposures that are not seen; `None` if tcnd did not say it to this user.
    pub(crate) unseen: Option<u32>,
    /// tcnd refused to say it to this user.
    pub(crate) refused: bool,
}

impl TcndState {
    /// Takes what is needed from a snapshot.
    pub(crate) fn of(mut snapshot: Snapshot) -> Self {
        let features: Vec<String> = snapshot.take("Features").unwrap_or_default();
        // Before API level 8 tcnd does not say how many sources there are.
        let sources = snapshot.take("ReportSources").unwrap_or(1_u32);
        Self {
            state: snapshot.take("State").unwrap_or_default(),
            enabled: snapshot.take("Enabled").unwrap_or_default(),
            advertising: snapshot.take("Advertising").unwrap_or_default(),
            simulated: snapshot.take("Simulated").unwrap_or_default(),
            problems: snapshot.take("Problems").unwrap_or_default(),
            paused_until: snapshot.take("PausedUntil").unwrap_or_default(),
            pauses: pauses(&mut snapshot),
            can_check: sources > 0 && features.iter().any(|feature| feature == "check"),
            unseen: snapshot.new_exposures,
            refused: snapshot.exposures_refused,
        }
    }

    /// Whether tcnd should be at work and is not.
    pub(crate) fn is_stopped(&self) -> bool {
        self.enabled && matches!(self.state.as_str(), "degraded" | "idle")
    }

    /// The sentences of the problems, in English.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        let sentence = |token: &String| match notices::problem(token) {
            Some(notice) => notice.sentence.to_owned(),
            None => format!("Another problem: {}", printable::clean(token)),
        };
        self.problems.iter().map(sentence)
    }
}

fn pauses(snapshot: &mut Snapshot) -> Vec<(u32, String)> {
    let holds: Vec<PropertyMap> = snapshot.take("PauseHolds").unwrap_or_default();
    let hold = |mut hold: PropertyMap| {
        let application_id = hold.remove("application_id");
        let application_id = application_id.and_then(|id| String::try_from(id).ok());
        // Before API level 8 a pause has no cookie, and no pause has the cookie 0.
        let cookie = hold.remove("cookie").and_then(|it| u32::try_from(it).ok());
        (cookie.unwrap_or(0), application_id.unwrap_or_default())
    };
    holds.into_iter().map(hold).collect()
}
