//! Events between two readings of tcnd's state.

use jiff::ZonedDateTime;
use serde::Serialize;

use super::state::{WatchState, sentence};
use crate::problems::ProblemText;

/// One event. In JSON `event` is its token; expect others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum StatusEvent {
    /// The state of tcnd has changed.
    State {
        #[serde(skip)]
        sentence: String,
    },
    /// A new problem.
    ProblemBegan(ProblemText),
    /// A problem is over.
    ProblemEnded(ProblemText),
    /// A new number is on the air.
    NewNumber,
    /// All sources of reports were checked.
    ReportsChecked,
    /// There are this many new exposures, more than before.
    NewExposures { count: u32 },
    /// This many different numbers were heard within the last minute.
    Nearby { count: u32 },
}

impl StatusEvent {
    /// The event in words, if people should see it.
    pub(crate) fn text(&self) -> Option<String> {
        Some(match self {
            Self::State { sentence } => sentence.clone(),
            Self::ProblemBegan(problem) => format!(
                "Problem: {} Cure: {}",
                printable::line(&problem.sentence),
                printable::line(&problem.cure)
            ),
            Self::ProblemEnded(problem) => {
                format!("Problem ended: {}", printable::line(&problem.sentence))
            }
            Self::NewNumber => "A new number is on the air.".to_owned(),
            Self::ReportsChecked => "Reports were fetched from all sources.".to_owned(),
            Self::NewExposures { count: 1 } => "1 new exposure; see: tcnctl exposures".to_owned(),
            Self::NewExposures { count } => {
                format!("{count} new exposures; see: tcnctl exposures")
            }
            Self::Nearby { count } => nearby_text(*count),
        })
    }
}

/// The number of devices nearby, in words.
pub(crate) fn nearby_text(count: u32) -> String {
    match count {
        0 => "No device nearby broadcasts a number.".to_owned(),
        1 => "1 device nearby.".to_owned(),
        n => format!("{n} devices nearby."),
    }
}

/// The events between two states. If tcnd was not running before, only its start.
pub(crate) fn events(
    before: Option<&WatchState>,
    now: Option<&WatchState>,
    clock: &ZonedDateTime,
) -> Vec<StatusEvent> {
    let state = |seen| StatusEvent::State {
        sentence: sentence(seen, clock),
    };
    let (Some(old), Some(new)) = (before, now) else {
        return vec![state(now)];
    };
    let mut events = Vec::new();
    if sentence(Some(old), clock) != sentence(Some(new), clock)
        || old.status.state != new.status.state
    {
        events.push(state(Some(new)));
    }
    let problems = |seen: &WatchState| -> Vec<_> {
        let problems = seen.status.problems.iter();
        problems.map(|current| current.problem.clone()).collect()
    };
    let (old_problems, new_problems) = (problems(old), problems(new));
    let began = new_problems
        .iter()
        .filter(|problem| !old_problems.contains(problem));
    events.extend(began.cloned().map(StatusEvent::ProblemBegan));
    let ended = old_problems
        .iter()
        .filter(|problem| !new_problems.contains(problem));
    events.extend(ended.cloned().map(StatusEvent::ProblemEnded));
    let since = new.status.number_since;
    if since.is_some() && since != old.status.number_since {
        events.push(StatusEvent::NewNumber);
    }
    // The day is public, the time is not.
    let day = new.status.reports_checked.is_some()
        && new.status.reports_checked != old.status.reports_checked;
    let time = new.checked.is_some() && old.checked.is_some() && new.checked != old.checked;
    if day || time {
        events.push(StatusEvent::ReportsChecked);
    }
    let unseen = |seen: &WatchState| seen.status.new_exposures.unwrap_or(0);
    if unseen(new) > unseen(old) {
        let count = unseen(new);
        events.push(StatusEvent::NewExposures { count });
    }
    if let Some(count) = new.nearby
        && new.nearby != old.nearby
    {
        events.push(StatusEvent::Nearby { count });
    }
    events
}
