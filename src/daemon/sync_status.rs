//! How the exchange with servers stands: its sources, its runs, and the matching of
//! what they brought.

use std::time::Duration;

use tcn_protocol::UnixTime;
use tokio::sync::watch;

use super::refusal::Refusal;
use crate::store::{self, Source, Store};

/// Runs in a row that have to fail before it is a problem: a train has tunnels.
const FAILURES: u32 = 2;

/// Reports that were not checked for so long are stale.
const STALE: Duration = Duration::from_secs(48 * 3600);

/// What is done about the deliveries that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    /// None waits.
    #[default]
    Idle,
    /// They are being matched.
    Working,
    /// They wait for the end of a run, or for another attempt after a fault.
    Waiting,
}

/// Where the exchange stands. Not for everyone: labels are what a person chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// All sources, by name.
    pub sources: Vec<Source>,
    /// Runs started since tcnd started.
    pub begun: u64,
    /// Runs ended since the start, well or not.
    pub ended: u64,
    /// Reports of the last run that its sources had not delivered before.
    pub reports: u64,
    /// Exposures that matching brought since it began.
    pub new_exposures: u64,
    /// What is done about the reports that were delivered.
    pub matching: Matching,
}

impl SyncStatus {
    /// When all sources had been checked without a problem; `None` if one never was, or
    /// there is none.
    pub fn checked(&self) -> Option<UnixTime> {
        let checked = self.sources.iter().map(|source| source.checked);
        checked.min().flatten()
    }

    /// Whether the last checks of a source failed.
    pub(super) fn failing(&self) -> bool {
        self.sources
            .iter()
            .any(|source| source.failures >= FAILURES)
    }

    /// Whether what was checked is old. What was checked in the future was checked
    /// by a clock that was ahead, so the true time is not known.
    pub(super) fn stale(&self, now: UnixTime) -> bool {
        self.checked()
            .is_some_and(|at| at.after(STALE) <= now || at > now.after(STALE))
    }

    /// The source of this name.
    pub(super) fn source(&self, name: &str) -> Result<&Source, Refusal> {
        let known = |source: &&Source| source.configured.name == name;
        let source = self.sources.iter().find(known);
        source.ok_or(Refusal::NoSuchSource)
    }
}

/// Tells what the store now says of the sources.
pub(super) async fn refresh(
    store: &Store,
    sync_status: &watch::Sender<SyncStatus>,
) -> Result<(), store::Error> {
    let sources = store.sources().await?;
    sync_status.send_if_modified(|sync_status| {
        let changed = sync_status.sources != sources;
        sync_status.sources = sources;
        changed
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tcn_exchange::help::Help;

    use super::*;
    use crate::store::{NewSource, SourceId};

    #[test]
    fn what_was_checked_long_ago_or_by_a_clock_that_was_ahead_is_stale() {
        let now = UnixTime(1_800_000_000);
        let sync_status = |checked| SyncStatus {
            sources: vec![Source {
                id: SourceId::FILES,
                configured: NewSource {
                    name: "a".to_owned(),
                    label: "A".to_owned(),
                    publish: false,
                    help: Help::default(),
                },
                checked,
                failures: 0,
                problem: String::new(),
            }],
            ..SyncStatus::default()
        };
        let hours = |hours: i64| UnixTime(now.0.saturating_add_signed(hours * 3600));
        for (checked, is_stale) in [
            (hours(0), false),
            (hours(-47), false),
            (hours(-48), true),
            (hours(1), false),
            (hours(49), true),
        ] {
            assert_eq!(
                sync_status(Some(checked)).stale(now),
                is_stale,
                "{checked:?}"
            );
        }
        assert!(!sync_status(None).stale(now), "nothing was checked");
    }
}
