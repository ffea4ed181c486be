//! One file's keys, each with the place where it was set.
//!
//! The parser is written by hand instead of being derived. Derived code stops at its
//! first error and loses lines, and a person who corrects a file wants all errors at
//! once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::document::{TomlDocument, kind_of};
use super::key::Key;
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
    pub(super) tcn_period: Option<Located<Duration>>,
    pub(super) tcn_jitter: Option<Located<Duration>>,
    pub(super) report_key_life: Option<Located<Duration>>,
    pub(super) retention: Option<Located<Duration>>,
    pub(super) flush: Option<Located<Duration>>,
    pub(super) discovery_restart: Option<Located<Duration>>,
    pub(super) bridge_slot: Option<Located<Duration>>,
    pub(super) rpa_timeout: Option<Located<Duration>>,
}

impl Fragment {
    /// The keys that `text` sets. Its errors are added to `errors`.
    pub(super) fn parse(file: &Path, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let document = TomlDocument::parse(file, text);
        let mut fragment = Self::default();
        for (name, value, line) in document.entries() {
            if let Err(error) = fragment.take(name, value, file, line) {
                diagnostics.push(Diagnostic::at(file, line, error));
            }
        }
        diagnostics.extend(document.into_diagnostics());
        fragment
    }

    /// Merges a later fragment into this one; the later one wins.
    pub(super) fn overlay(&mut self, later: Self) {
        fn over<T>(under: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *under = later;
            }
        }
        over(&mut self.enabled, later.enabled);
        over(&mut self.mode, later.mode);
        over(&mut self.adapter, later.adapter);
        over(&mut self.tcn_period, later.tcn_period);
        over(&mut self.tcn_jitter, later.tcn_jitter);
        over(&mut self.report_key_life, later.report_key_life);
        over(&mut self.retention, later.retention);
        over(&mut self.flush, later.flush);
        over(&mut self.discovery_restart, later.discovery_restart);
        over(&mut self.bridge_slot, later.bridge_slot);
        over(&mut self.rpa_timeout, later.rpa_timeout);
    }

    fn take(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        file: &Path,
        line: usize,
    ) -> Result<(), DiagnosticKind> {
        let key = Key::from_name(name).ok_or_else(|| DiagnosticKind::UnknownKey {
            key: name.to_owned(),
            nearest: Key::nearest(name),
        })?;
        let value = value.get_ref();
        let slot = match key {
            Key::Enabled => {
                self.enabled = Some(Located::new(boolean(key, value)?, file, line));
                return Ok(());
            }
            Key::Mode => {
                self.mode = Some(Located::new(mode(key, value)?, file, line));
                return Ok(());
            }
            Key::Adapter => {
                let what = "a device address or a kernel name in quotes";
                let adapter = text(key, what, value)?.parse()?;
                self.adapter = Some(Located::new(adapter, file, line));
                return Ok(());
            }
            Key::TcnPeriod => &mut self.tcn_period,
            Key::TcnJitter => &mut self.tcn_jitter,
            Key::ReportKeyLife => &mut self.report_key_life,
            Key::Retention => &mut self.retention,
            Key::Flush => &mut self.flush,
            Key::DiscoveryRestart => &mut self.discovery_restart,
            Key::BridgeSlot => &mut self.bridge_slot,
            Key::RpaTimeout => &mut self.rpa_timeout,
        };
        *slot = Some(Located::new(duration(key, value)?, file, line));
        Ok(())
    }
}

impl<T> Located<T> {
    fn new(value: T, file: &Path, line: usize) -> Self {
        Self {
            value,
            file: file.to_owned(),
            line,
        }
    }
}

fn boolean(key: Key, value: &DeValue<'_>) -> Result<bool, DiagnosticKind> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type(key, "true or false", value))
}

fn text<'a>(
    key: Key,
    expected: &'static str,
    value: &'a DeValue<'_>,
) -> Result<&'a str, DiagnosticKind> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(key, expected, value))
}

fn duration(key: Key, value: &DeValue<'_>) -> Result<Duration, DiagnosticKind> {
    let text = text(key, "a duration such as \"15min\"", value)?;
    parse_duration(text).map_err(|source| DiagnosticKind::NotADuration {
        key,
        text: text.to_owned(),
        source,
    })
}

fn mode(key: Key, value: &DeValue<'_>) -> Result<Mode, DiagnosticKind> {
    match text(key, "\"broadcast\", \"full\" or \"relay\"", value)? {
        "broadcast" => Ok(Mode::Broadcast),
        "full" => Ok(Mode::Full),
        "relay" => Ok(Mode::Relay),
        other => Err(DiagnosticKind::UnknownMode(other.to_owned())),
    }
}

fn wrong_type(key: Key, expected: &'static str, value: &DeValue<'_>) -> DiagnosticKind {
    let found = kind_of(value);
    DiagnosticKind::WrongType {
        key,
        expected,
        found,
    }
}
