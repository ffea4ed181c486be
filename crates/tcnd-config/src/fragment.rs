//! One file's keys, each with the place where it was set.
//!
//! The parser is written by hand instead of being derived. Derived code stops at its
//! first error and loses lines, and a person who corrects a file wants all errors at
//! once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tcn_engine::Listen;

use super::document::TomlDocument;
use super::key::Key;
use super::table::Table;
use super::{AdapterChoice, Diagnostic, DiagnosticKind, Mode, parse_duration};

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// The keys that one file sets, or several files merged.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    pub(super) enabled: Option<Located<bool>>,
    pub(super) mode: Option<Located<Mode>>,
    pub(super) adapter: Option<Located<AdapterChoice>>,
    pub(super) listen: Option<Located<Listen>>,
    /// The keys whose values are durations.
    pub(super) durations: BTreeMap<Key, Located<Duration>>,
}

impl Fragment {
    /// The keys that `text` sets. Its errors are added to `diagnostics`.
    pub(super) fn parse(file: &Path, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let document = TomlDocument::parse(file, text);
        let mut table = Table::new(&document, document.root(), 1, Key::NAMES);
        let mut fragment = Self::default();
        for &key in Key::ALL {
            let name = key.name();
            let (file, line) = (file.to_owned(), table.line(name));
            match key {
                Key::Enabled => {
                    let value = table.boolean(name);
                    fragment.enabled = value.map(|value| Located { value, file, line });
                }
                Key::Mode => {
                    let text = table.text_like(name, "\"broadcast\", \"full\" or \"relay\"");
                    let value = text.and_then(|text| table.check(name, mode(text)));
                    fragment.mode = value.map(|value| Located { value, file, line });
                }
                Key::Adapter => {
                    let text = table.text_like(name, "a device address or a kernel name in quotes");
                    let value = text.and_then(|text| table.check(name, text.parse()));
                    fragment.adapter = value.map(|value| Located { value, file, line });
                }
                Key::Listen => {
                    let text = table.text_like(name, "\"auto\", \"always\" or \"windows\"");
                    let value = text.and_then(|text| table.check(name, listen(text)));
                    fragment.listen = value.map(|value| Located { value, file, line });
                }
                Key::TcnPeriod
                | Key::TcnJitter
                | Key::ReportKeyLife
                | Key::Retention
                | Key::Flush
                | Key::DiscoveryRestart
                | Key::BridgeSlot
                | Key::RpaTimeout => {
                    let text = table.text_like(name, "a duration such as \"15min\"");
                    let value = text.and_then(|text| table.check(name, duration(key, text)));
                    let set = value.map(|value| (key, Located { value, file, line }));
                    fragment.durations.extend(set);
                }
            }
        }
        let found = table.into_diagnostics().into_iter();
        diagnostics.extend(found.map(|(line, error)| Diagnostic::at(file, line, error)));
        diagnostics.extend(document.into_diagnostics());
        fragment
    }

    /// Merges a later fragment into this one; the later one wins.
    pub(super) fn overlay(&mut self, later: Self) {
        self.enabled = later.enabled.or(self.enabled.take());
        self.mode = later.mode.or(self.mode.take());
        self.adapter = later.adapter.or(self.adapter.take());
        self.listen = later.listen.or(self.listen.take());
        self.durations.extend(later.durations);
    }
}

fn duration(key: Key, text: &str) -> Result<Duration, DiagnosticKind> {
    parse_duration(text).map_err(|source| DiagnosticKind::NotADuration {
        key,
        text: text.to_owned(),
        source,
    })
}

fn listen(text: &str) -> Result<Listen, DiagnosticKind> {
    let mut all = Listen::ALL.into_iter();
    let listen = all.find(|listen| listen.name() == text);
    listen.ok_or_else(|| DiagnosticKind::UnknownListen(text.to_owned()))
}

fn mode(text: &str) -> Result<Mode, DiagnosticKind> {
    let mut modes = Mode::CONFIGURABLE.into_iter();
    let mode = modes.find(|mode| mode.name() == text);
    mode.ok_or_else(|| DiagnosticKind::UnknownMode(text.to_owned()))
}
