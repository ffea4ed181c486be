//! Events for the journal: a problem that begins, the end of all problems, consent
//! given and withdrawn.
//!
//! Each line names its MESSAGE_ID, so that `journalctl -x` says what helps. A
//! field that is written in capitals reaches the journal under that very name;
//! see `run::log`.

use std::collections::BTreeSet;

use tcnd_client::Problem;
use tcnd_client::notices::{self, Notice};

use super::snapshot::{Consent, Snapshot};

/// What was written last.
#[derive(Debug)]
pub(super) struct Journal {
    consent: Consent,
    enabled: bool,
    problems: BTreeSet<&'static str>,
}

/// A line of the journal.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Something is wrong.
    Problem(&'static Notice),
    /// Something was done.
    Event(&'static Notice),
}

impl Journal {
    /// Nothing is wrong yet, and this consent, or none, stands since an earlier
    /// start.
    pub(super) fn new(consent: Consent, enabled: bool) -> Self {
        Self {
            consent,
            enabled,
            problems: BTreeSet::new(),
        }
    }

    /// Writes what is new.
    pub(super) fn write(&mut self, snapshot: &Snapshot) {
        for line in self.lines(snapshot) {
            match line {
                Line::Problem(Notice {
                    id: Some(id),
                    token,
                    sentence,
                    ..
                }) => tracing::warn!(MESSAGE_ID = *id, TCND_PROBLEM = *token, "{sentence}"),
                Line::Event(notice) => event(notice),
                // The journal is not told.
                Line::Problem(Notice { id: None, .. }) => {}
            }
        }
    }

    fn lines(&mut self, snapshot: &Snapshot) -> Vec<Line> {
        let mut lines = Vec::new();
        let before = std::mem::replace(&mut self.consent, snapshot.consent);
        if std::mem::replace(&mut self.enabled, snapshot.enabled) != snapshot.enabled {
            lines.push(Line::Event(match (snapshot.enabled, before) {
                // No new consent: what the configuration forbade is there again.
                (true, Consent::Configured) if snapshot.consent == Consent::Given => {
                    &notices::CONSENT_RESTORED
                }
                (true, _) => &notices::CONSENT_GIVEN,
                (false, _) => &notices::CONSENT_TAKEN,
            }));
        }
        let now = snapshot.problems.keys().copied().map(Problem::token);
        let now: BTreeSet<_> = now.filter(|token| is_told(token)).collect();
        let begun = now.difference(&self.problems);
        lines.extend(begun.filter_map(|token| notices::problem(token).map(Line::Problem)));
        if now.is_empty() && !self.problems.is_empty() {
            lines.push(Line::Event(&notices::WELL_AGAIN));
        }
        self.problems = now;
        lines
    }
}

/// Whether the journal may know of this problem.
fn is_told(token: &str) -> bool {
    notices::problem(token).is_some_and(|notice| notice.id.is_some())
}

/// Tells of something that was done.
pub(super) fn event(notice: &Notice) {
    let Notice { id, sentence, .. } = notice;
    tracing::info!(MESSAGE_ID = *id, "{sentence}");
}

/// Tells that new settings were refused.
pub(super) fn config_rejected(fault: &tcnd_config::ConfigError) {
    let Notice { id, sentence, .. } = notices::NOT_APPLIED;
    tracing::error!(MESSAGE_ID = id, TCND_FAULT = %fault, "{sentence}");
}

#[cfg(test)]
mod tests {
    use tcnd_config::Settings;

    use super::*;
    use crate::daemon::{ProblemDetails, starting};

    fn snapshot(enabled: bool, problems: &[Problem]) -> Snapshot {
        Snapshot {
            enabled,
            consent: if enabled {
                Consent::Given
            } else {
                Consent::Withdrawn
            },
            problems: problems
                .iter()
                .map(|problem| (*problem, ProblemDetails::default()))
                .collect(),
            ..starting(&Settings::default())
        }
    }

    fn problem(token: &str) -> Line {
        Line::Problem(notices::problem(token).unwrap())
    }

    #[test]
    fn a_problem_is_told_when_it_begins_and_once_when_all_is_well() {
        let (off, full) = (Problem::AdapterOff, Problem::StorageFull);
        let mut journal = Journal::new(Consent::Given, true);
        assert_eq!(journal.lines(&snapshot(true, &[])), []);
        assert_eq!(
            journal.lines(&snapshot(true, &[off])),
            [problem("adapter-off")]
        );
        let both = snapshot(true, &[off, full]);
        assert_eq!(journal.lines(&both), [problem("storage-full")]);
        assert_eq!(journal.lines(&both), []);
        assert_eq!(journal.lines(&snapshot(true, &[full])), []);
        let well = [Line::Event(&notices::WELL_AGAIN)];
        assert_eq!(journal.lines(&snapshot(true, &[])), well);
        assert_eq!(journal.lines(&snapshot(true, &[])), []);
    }

    #[test]
    fn consent_is_told_when_it_changes_and_not_at_the_start() {
        let (yes, no) = (snapshot(true, &[]), snapshot(false, &[]));
        let mut journal = Journal::new(Consent::Given, true);
        assert_eq!(journal.lines(&yes), []);
        assert_eq!(journal.lines(&no), [Line::Event(&notices::CONSENT_TAKEN)]);
        assert_eq!(journal.lines(&no), []);
        assert_eq!(journal.lines(&yes), [Line::Event(&notices::CONSENT_GIVEN)]);
    }

    /// By whom, is told as it is: a line that is taken out of the configuration
    /// is not consent.
    #[test]
    fn what_the_configuration_forbade_is_not_told_as_consent() {
        let by = |consent, enabled| Snapshot {
            consent,
            ..snapshot(enabled, &[])
        };
        let mut journal = Journal::new(Consent::Configured, false);
        assert_eq!(journal.lines(&by(Consent::Configured, false)), []);
        let restored = [Line::Event(&notices::CONSENT_RESTORED)];
        assert_eq!(journal.lines(&by(Consent::Given, true)), restored);
        let taken = [Line::Event(&notices::CONSENT_TAKEN)];
        assert_eq!(journal.lines(&by(Consent::Configured, false)), taken);
        assert_eq!(journal.lines(&by(Consent::Never, false)), []);
        assert_eq!(journal.lines(&by(Consent::Configured, false)), []);
        let given = [Line::Event(&notices::CONSENT_GIVEN)];
        assert_eq!(journal.lines(&by(Consent::Configured, true)), given);
    }

    /// The journal would say when a report was made.
    #[test]
    fn a_number_taken_out_of_turn_leaves_no_line() {
        let held = Problem::AddressHeld;
        let mut journal = Journal::new(Consent::Given, true);
        assert_eq!(journal.lines(&snapshot(true, &[held])), []);
        assert_eq!(journal.lines(&snapshot(true, &[])), []);
        let with_another = snapshot(true, &[held, Problem::Crowded]);
        assert_eq!(journal.lines(&with_another), [problem("crowded")]);
        let well = [Line::Event(&notices::WELL_AGAIN)];
        assert_eq!(journal.lines(&snapshot(true, &[held])), well);
    }
}
