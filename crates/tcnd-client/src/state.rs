//! The public state of tcnd, as programs of the desktop show it.
//!
//! A [`Snapshot`] has properties by name. Here they are a struct, with a
//! value for each that an older tcnd does not have.

use crate::proxy::PauseHold;
use crate::watch::{PropertyMap, Snapshot};

/// The greatest time on the bus: until `Resume`.
pub const UNTIL_RESUMED: u64 = u64::MAX;

/// What was last known of tcnd.
#[expect(
    clippy::large_enum_variant,
    reason = "a program has one or two of them"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tcnd {
    /// It does not run.
    #[default]
    NotRunning,
    /// It runs, and does not answer.
    Silent,
    /// It runs.
    Running(TcndState),
}

impl Tcnd {
    /// The state, if it is known.
    pub const fn state(&self) -> Option<&TcndState> {
        match self {
            Self::Running(state) => Some(state),
            Self::NotRunning | Self::Silent => None,
        }
    }
}

/// The state of a running tcnd. `dbus/interfaces` documents the properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcndState {
    /// `Manager.State`, a token.
    pub state: String,
    /// Whether consent was given.
    pub enabled: bool,
    /// `Manager.Consent`, a token: how consent was given or withheld.
    pub consent: String,
    /// `Manager.Mode`, a token.
    pub mode: String,
    /// Something is on the air.
    pub advertising: bool,
    /// It listens for other devices.
    pub scanning: bool,
    /// `Manager.ScanMode`, a token: how it listens.
    pub scan_mode: String,
    /// `Manager.ScanModeReason`, a token: why it listens in this way.
    pub scan_mode_reason: String,
    /// The neighbourhood is simulated.
    pub simulated: bool,
    /// Tokens, see [`notices`](crate::notices).
    pub problems: Vec<String>,
    /// When the current number went on the air, in seconds since 1970; 0 without one.
    pub number_since: u64,
    /// The longest time that one number stays on the air, in seconds.
    pub rotation_interval: u32,
    /// In seconds since 1970; 0 if not paused, [`UNTIL_RESUMED`] if only `Resume` ends it.
    pub paused_until: u64,
    /// All pauses.
    pub pauses: Vec<PauseHold>,
    /// How long contacts are kept, in seconds; 0 before API level 8.
    pub retention: u32,
    /// How many sources of reports there are; `None` before API level 8.
    pub sources: Option<u32>,
    /// tcnd can check sources of reports, and there are some.
    pub can_check: bool,
    /// The last time by which all sources had been checked successfully, in seconds since
    /// 1970; 0 if they never were.
    pub checked: u64,
    /// Exposures that are not seen; `None` if tcnd did not say it to this user.
    pub unseen: Option<u32>,
    /// tcnd refused to say it to this user.
    pub refused: bool,
    /// Numbers heard within the last minute; `None` if tcnd did not say it to this user.
    pub nearby: Option<u32>,
}

impl TcndState {
    /// Takes what is needed from a snapshot.
    pub fn of(mut snapshot: Snapshot) -> Self {
        let features: Vec<String> = snapshot.take("Features").unwrap_or_default();
        let sources = snapshot.take("ReportSources");
        Self {
            state: snapshot.take("State").unwrap_or_default(),
            enabled: snapshot.take("Enabled").unwrap_or_default(),
            consent: snapshot.take("Consent").unwrap_or_default(),
            mode: snapshot.take("Mode").unwrap_or_default(),
            advertising: snapshot.take("Advertising").unwrap_or_default(),
            scanning: snapshot.take("Scanning").unwrap_or_default(),
            scan_mode: snapshot.take("ScanMode").unwrap_or_default(),
            scan_mode_reason: snapshot.take("ScanModeReason").unwrap_or_default(),
            simulated: snapshot.take("Simulated").unwrap_or_default(),
            problems: snapshot.take("Problems").unwrap_or_default(),
            number_since: snapshot.take("CurrentTcnSince").unwrap_or_default(),
            rotation_interval: snapshot.take("RotationInterval").unwrap_or_default(),
            paused_until: snapshot.take("PausedUntil").unwrap_or_default(),
            pauses: pauses(&mut snapshot),
            retention: snapshot.take("Retention").unwrap_or_default(),
            sources,
            can_check: sources != Some(0) && features.iter().any(|feature| feature == "check"),
            checked: snapshot.take("ReportsCheckedAt").unwrap_or_default(),
            unseen: snapshot.new_exposures,
            refused: snapshot.exposures_refused,
            nearby: snapshot.nearby,
        }
    }

    /// Whether tcnd should be at work and is not.
    pub fn is_stopped(&self) -> bool {
        self.enabled && matches!(self.state.as_str(), "degraded" | "idle")
    }
}

fn pauses(snapshot: &mut Snapshot) -> Vec<PauseHold> {
    let holds: Vec<PropertyMap> = snapshot.take("PauseHolds").unwrap_or_default();
    let text = |hold: &mut PropertyMap, key: &str| {
        let text = hold
            .remove(key)
            .and_then(|text| String::try_from(text).ok());
        text.unwrap_or_default()
    };
    let hold = |mut hold: PropertyMap| PauseHold {
        reason: text(&mut hold, "reason"),
        application_id: text(&mut hold, "application_id"),
        cookie: hold.remove("cookie").and_then(|it| u32::try_from(it).ok()),
        until: hold.remove("until").and_then(|it| u64::try_from(it).ok()),
    };
    holds.into_iter().map(hold).collect()
}
