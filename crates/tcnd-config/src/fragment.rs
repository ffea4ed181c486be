//! One file's keys, each with the place where it was set.
//!
//! The parser is written by hand instead of being derived. Derived code stops at its
//! first error and loses lines, and a person who corrects a file wants all errors at
//! once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::document::{Document, kind_of};
use super::{AdapterChoice, Fault, Flaw, Mode, parse_duration};

/// The keys that can be configured, in the order of the shipped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Consent: `true` and `false` decide, absent leaves it to `tcnctl enable`.
    Enabled,
    /// How tcnd takes part: a [`Mode`].
    Mode,
    /// The adapter to use, by its device address or its kernel name.
    Adapter,
    /// Longest time one number stays on the air.
    TcnPeriod,
    /// By how much a period may be shortened at random.
    TcnJitter,
    /// Longest time one report key is used.
    ReportKeyLife,
    /// How long keys and contacts are kept.
    Retention,
    /// Longest time a sighting waits in memory.
    Flush,
    /// How often discovery is restarted.
    DiscoveryRestart,
    /// How long a carried number stays on the air at a time.
    BridgeSlot,
    /// The kernel's timeout of resolvable private addresses.
    RpaTimeout,
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Set<T> {
    pub(super) value: T,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// The keys that one file sets, or several files merged.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    pub(super) enabled: Option<Set<bool>>,
    pub(super) mode: Option<Set<Mode>>,
    pub(super) adapter: Option<Set<AdapterChoice>>,
    pub(super) tcn_period: Option<Set<Duration>>,
    pub(super) tcn_jitter: Option<Set<Duration>>,
    pub(super) report_key_life: Option<Set<Duration>>,
    pub(super) retention: Option<Set<Duration>>,
    pub(super) flush: Option<Set<Duration>>,
    pub(super) discovery_restart: Option<Set<Duration>>,
    pub(super) bridge_slot: Option<Set<Duration>>,
    pub(super) rpa_timeout: Option<Set<Duration>>,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 11] = [
        Self::Enabled,
        Self::Mode,
        Self::Adapter,
        Self::TcnPeriod,
        Self::TcnJitter,
        Self::ReportKeyLife,
        Self::Retention,
        Self::Flush,
        Self::DiscoveryRestart,
        Self::BridgeSlot,
        Self::RpaTimeout,
    ];

    /// The name of the key in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Mode => "mode",
            Self::Adapter => "adapter",
            Self::TcnPeriod => "tcn_period",
            Self::TcnJitter => "tcn_jitter",
            Self::ReportKeyLife => "report_key_life",
            Self::Retention => "retention",
            Self::Flush => "flush",
            Self::DiscoveryRestart => "discovery_restart",
            Self::BridgeSlot => "bridge_slot",
            Self::RpaTimeout => "rpa_timeout",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key that a misspelt one was probably meant to be.
    fn nearest(name: &str) -> Option<Self> {
        const ALIKE: f64 = 0.6;
        let likeness =
            |key: &Self| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), key.name());
        Self::ALL
            .into_iter()
            .filter(|key| likeness(key) >= ALIKE)
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Fragment {
    /// The keys that `text` sets. Its faults are added to `faults`.
    pub(super) fn parse(file: &Path, text: &str, faults: &mut Vec<Fault>) -> Self {
        let document = Document::parse(file, text);
        let mut fragment = Self::default();
        for (name, value, line) in document.entries() {
            if let Err(flaw) = fragment.take(name, value, file, line) {
                faults.push(Fault::at(file, line, flaw));
            }
        }
        faults.extend(document.into_faults());
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
    ) -> Result<(), Flaw> {
        let key = Key::from_name(name).ok_or_else(|| Flaw::UnknownKey {
            key: name.to_owned(),
            nearest: Key::nearest(name),
        })?;
        let value = value.get_ref();
        let slot = match key {
            Key::Enabled => {
                self.enabled = Some(Set::new(boolean(key, value)?, file, line));
                return Ok(());
            }
            Key::Mode => {
                self.mode = Some(Set::new(mode(key, value)?, file, line));
                return Ok(());
            }
            Key::Adapter => {
                let what = "a device address or a kernel name in quotes";
                let adapter = text(key, what, value)?.parse()?;
                self.adapter = Some(Set::new(adapter, file, line));
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
        *slot = Some(Set::new(duration(key, value)?, file, line));
        Ok(())
    }
}

impl<T> Set<T> {
    fn new(value: T, file: &Path, line: usize) -> Self {
        Self {
            value,
            file: file.to_owned(),
            line,
        }
    }
}

fn boolean(key: Key, value: &DeValue<'_>) -> Result<bool, Flaw> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type(key, "true or false", value))
}

fn text<'a>(key: Key, expected: &'static str, value: &'a DeValue<'_>) -> Result<&'a str, Flaw> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(key, expected, value))
}

fn duration(key: Key, value: &DeValue<'_>) -> Result<Duration, Flaw> {
    let text = text(key, "a duration such as \"15min\"", value)?;
    parse_duration(text).map_err(|source| Flaw::NotADuration {
        key,
        text: text.to_owned(),
        source,
    })
}

fn mode(key: Key, value: &DeValue<'_>) -> Result<Mode, Flaw> {
    match text(key, "\"broadcast\", \"full\" or \"relay\"", value)? {
        "broadcast" => Ok(Mode::Broadcast),
        "full" => Ok(Mode::Full),
        "relay" => Ok(Mode::Relay),
        other => Err(Flaw::UnknownMode(other.to_owned())),
    }
}

fn wrong_type(key: Key, expected: &'static str, value: &DeValue<'_>) -> Flaw {
    let found = kind_of(value);
    Flaw::WrongType {
        key,
        expected,
        found,
    }
}
