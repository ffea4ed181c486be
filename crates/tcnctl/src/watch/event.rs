//! Events between two readings of tcnd's state.

use jiff::ZonedDateTime;
use serde::Serialize;

use super::{Seen, sentence};
use crate::problems::Explained;

/// One event. In JSON `event` is its token; expect others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// The state of tcnd has changed.
    State {
        #[serde(skip)]
        sentence: String,
    },
    /// A new problem.
    ProblemBegan(Explained),
    /// A problem is over.
    ProblemEnded(Explained),
    /// Another number is on the air.
    NewNumber,
    /// All sources of reports were checked.
    ReportsChecked,
    /// There are this many new exposures, more than before.
    NewExposures { count: u32 },
    /// This many different numbers were heard within the last minute.
    Nearby { count: u32 },
}

impl Event {
    /// The event in words, if it has any.
    pub(super) fn say(&self) -> Option<String> {
        Some(match self {
            Self::State { sentence } => sentence.clone(),
            Self::ProblemBegan(problem) => format!(
                "Problem: {} Cure: {}",
                printable::line(&problem.sentence),
                printable::line(&problem.cure)
            ),
            Self::ProblemEnded(problem) => {
                format!(
                    "No problem any more: {}",
                    printable::line(&problem.sentence)
                )
            }
            Self::NewNumber => "A new number is on the air.".to_owned(),
            Self::ReportsChecked => "The reports of others were fetched.".to_owned(),
            Self::NewExposures { count: 1 } => "1 new exposure; see: tcnctl exposures".to_owned(),
            Self::NewExposures { count } => {
                format!("{count} new exposures; see: tcnctl exposures")
            }
            Self::Nearby { count } => near(*count),
        })
    }
}

/// The number of devices nearby, in words.
pub(super) fn near(count: u32) -> String {
    match count {
        0 => "nobody near who broadcasts a number".to_owned(),
        n => format!("{n} near"),
    }
}

/// The events between two states. If tcnd was not running before, only its start.
pub(super) fn events(
    before: Option<&Seen>,
    now: Option<&Seen>,
    clock: &ZonedDateTime,
) -> Vec<Event> {
    let state = |seen| Event::State {
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
    let problems = |seen: &Seen| -> Vec<_> {
        let problems = seen.status.problems.iter();
        problems.map(|current| current.problem.clone()).collect()
    };
    let (had, have) = (problems(old), problems(new));
    let began = have.iter().filter(|problem| !had.contains(problem));
    events.extend(began.cloned().map(Event::ProblemBegan));
    let ended = had.iter().filter(|problem| !have.contains(problem));
    events.extend(ended.cloned().map(Event::ProblemEnded));
    let since = new.status.number_since;
    if since.is_some() && since != old.status.number_since {
        events.push(Event::NewNumber);
    }
    // The day is public, the time is not.
    let day = new.status.reports_checked.is_some()
        && new.status.reports_checked != old.status.reports_checked;
    let time = new.checked.is_some() && old.checked.is_some() && new.checked != old.checked;
    if day || time {
        events.push(Event::ReportsChecked);
    }
    let unseen = |seen: &Seen| seen.status.new_exposures.unwrap_or(0);
    if unseen(new) > unseen(old) {
        let count = unseen(new);
        events.push(Event::NewExposures { count });
    }
    if let Some(count) = new.nearby
        && new.nearby != old.nearby
    {
        events.push(Event::Nearby { count });
    }
    events
}
