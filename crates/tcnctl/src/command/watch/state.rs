//! The state of tcnd that `watch` observes.

use jiff::ZonedDateTime;
use serde::Serialize;
use tcnd_client::watch::Snapshot;

use super::super::status::Status;

/// The observed state of tcnd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct WatchState {
    #[serde(flatten)]
    pub(super) status: Status,
    /// Numbers heard within the last minute; `None` if the user may not know it.
    pub(super) nearby: Option<u32>,
    /// When all sources were last checked successfully; `None` likewise.
    #[serde(skip)]
    pub(super) checked: Option<u64>,
}

impl WatchState {
    pub(super) fn of(snapshot: Snapshot) -> Self {
        Self {
            nearby: snapshot.nearby,
            checked: snapshot.checked,
            status: Status::of(snapshot),
        }
    }

    /// The state without the values that change by themselves from second to second.
    pub(super) fn timeless(&self) -> Self {
        Self {
            status: self.status.timeless(),
            ..self.clone()
        }
    }
}

/// The state of tcnd in one sentence.
pub(super) fn sentence(seen: Option<&WatchState>, now: &ZonedDateTime) -> String {
    seen.map_or_else(
        || "tcnd is not running.".to_owned(),
        |WatchState { status, .. }| {
            let simulation = if status.simulated { " (simulated)" } else { "" };
            status.sentence(now) + simulation
        },
    )
}
