//! State kept between runs: back-off of sources, and validators that save transfers.
//!
//! None of it is necessary. A file that is missing, or written by another program, only
//! costs requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tcn_exchange::backoff::Backoff;
use tcn_exchange::interval::Interval;
use tcn_exchange::source::SourceName;
use tcn_protocol::UnixTime;

/// The file in the state directory.
const FILE_NAME: &str = "memory.json";

/// The most bytes read of it; a thousand times what is written for one source.
const MAX_BYTES: u64 = 1 << 20;

/// The state of all sources.
#[derive(Debug)]
pub(super) struct SyncState {
    directory: PathBuf,
    sources: BTreeMap<String, SourceState>,
}

/// The state of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SourceState {
    failures: u32,
    until: u64,
    pub(super) validator: Option<Validator>,
    /// The first interval that the last run did not reach within its limits. The next
    /// run starts with it, so that none is left out for ever.
    pub(super) resume: Option<u64>,
}

/// The version of the current interval that tcnd has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validator {
    pub(super) interval: u64,
    /// The URL of that version: another URL has its own tags.
    pub(super) url: String,
    pub(super) tag: String,
}

impl SourceState {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff {
            failures: self.failures,
            until: UnixTime(self.until),
        }
    }

    #[must_use]
    pub(super) fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.failures = backoff.failures;
        self.until = backoff.until.0;
        self
    }

    /// The tag for a conditional request.
    pub(super) fn tag(&self, interval: Interval, url: &str) -> Option<&str> {
        let validator = self.validator.as_ref()?;
        let same = validator.interval == interval.number() && validator.url == url;
        same.then_some(validator.tag.as_str())
    }
}

impl SyncState {
    /// Reads the state in the directory; empty if there is none.
    pub(super) fn read(directory: &Path) -> Self {
        let sources = match parse(&directory.join(FILE_NAME)) {
            Ok(sources) => sources,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "{FILE_NAME} cannot be read; the state starts empty");
                BTreeMap::new()
            }
        };
        Self {
            directory: directory.to_owned(),
            sources,
        }
    }

    pub(super) fn of(&self, source: &SourceName) -> SourceState {
        let found = self.sources.get(source.as_str());
        found.cloned().unwrap_or_default()
    }

    /// Stores this, on disk too. The file is replaced as a whole.
    pub(super) fn store(&mut self, source: &SourceName, what: SourceState) -> io::Result<()> {
        if self.of(source) == what {
            return Ok(());
        }
        self.sources.insert(source.to_string(), what);
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        serde_json::to_writer(&mut file, &self.sources)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(self.directory.join(FILE_NAME))?;
        Ok(())
    }
}

fn parse(path: &Path) -> io::Result<BTreeMap<String, SourceState>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_state() -> SourceState {
        SourceState {
            validator: Some(Validator {
                interval: 7,
                url: "https://example.org/".to_owned(),
                tag: "\"x\"".to_owned(),
            }),
            ..SourceState::default()
        }
    }

    #[test]
    fn what_was_kept_is_there_in_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let name: SourceName = "a".parse().unwrap();
        let mut state = SyncState::read(directory.path());
        assert_eq!(state.of(&name), SourceState::default());
        let backoff = Backoff {
            failures: 3,
            until: UnixTime(99),
        };
        let what = source_state().with_backoff(backoff);
        state.store(&name, what.clone()).unwrap();
        let again = SyncState::read(directory.path()).of(&name);
        assert_eq!(again, what);
        assert_eq!(again.backoff(), backoff);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_costs_requests_only() {
        let directory = tempfile::tempdir().unwrap();
        let name: SourceName = "a".parse().unwrap();
        for damage in ["", "{", "[]", "{\"a\": 1}", "\0"] {
            std::fs::write(directory.path().join(FILE_NAME), damage).unwrap();
            let mut state = SyncState::read(directory.path());
            assert_eq!(state.of(&name), SourceState::default());
            state.store(&name, source_state()).unwrap();
            assert_eq!(SyncState::read(directory.path()).of(&name), source_state());
        }
    }

    #[test]
    fn a_tag_is_for_one_interval_at_one_address() {
        let interval = |n| Interval::new(n).unwrap();
        let url = "https://example.org/";
        assert_eq!(source_state().tag(interval(7), url), Some("\"x\""));
        assert_eq!(source_state().tag(interval(8), url), None);
        assert_eq!(
            source_state().tag(interval(7), "https://example.com/"),
            None
        );
    }
}
