//! The errors of a configuration: where they are, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::key::Key;
use super::{NotADuration, NotAnAdapter, SourceDiagnostic, spell_duration};

/// A configuration from which nothing is started. It has at least one error, in the
/// order the files are applied and by line in each.
#[derive(Debug)]
pub struct ConfigError {
    diagnostics: Vec<Diagnostic>,
}

/// One thing wrong in one file.
#[derive(Debug)]
pub struct Diagnostic {
    file: PathBuf,
    line: Option<usize>,
    kind: Box<DiagnosticKind>,
}

/// What can be wrong.
#[derive(Debug, Error)]
pub enum DiagnosticKind {
    /// The file or directory could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// It is not TOML.
    #[error("{}", .0.message())]
    Syntax(#[source] toml::de::Error),
    /// The key is unknown.
    #[error("unknown key \"{key}\"; {}", suggestion(.key, .known))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// All keys that the table may have.
        known: &'static [&'static str],
    },
    /// A required key is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value of another type than the key's.
    #[error("{key}: expected {expected}, found {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// The type that the key takes.
        expected: &'static str,
        /// The type that was given.
        found: &'static str,
    },
    /// A text that is not a duration.
    #[error("{key}: \"{text}\" is no duration; {source}")]
    NotADuration {
        /// The key.
        key: Key,
        /// The text as written.
        text: String,
        /// Why it is not a duration.
        source: NotADuration,
    },
    /// A duration outside the key's range.
    #[error("{key}: {} is out of range; allowed: {} to {}", spell_duration(*.value), spell_duration(*.least), spell_duration(*.most))]
    OutOfRange {
        /// The key.
        key: Key,
        /// The value as written.
        value: std::time::Duration,
        /// The least allowed.
        least: std::time::Duration,
        /// The most allowed.
        most: std::time::Duration,
    },
    /// The mode is unknown.
    #[error("mode: unknown mode \"{0}\"; use \"broadcast\", \"full\" or \"relay\"")]
    UnknownMode(String),
    /// The choice how much to listen is unknown.
    #[error("listen: unknown choice \"{0}\"; use \"auto\", \"always\" or \"windows\"")]
    UnknownListen(String),
    /// A text that names no adapter. The message does not repeat it, because it may
    /// resemble a device address.
    #[error("adapter: {0}; see: bluetoothctl list, ls /sys/class/bluetooth")]
    NotAnAdapter(#[from] NotAnAdapter),
    /// The jitter is more than half of the period; reported at the jitter.
    #[error("tcn_jitter: {} is more than half of tcn_period ({}); shorten it or lengthen tcn_period", spell_duration(*.jitter), spell_duration(*.period))]
    JitterTooLong {
        /// `tcn_jitter`.
        jitter: std::time::Duration,
        /// `tcn_period`.
        period: std::time::Duration,
    },
    /// The same, where only the period was set.
    #[error("tcn_period: tcn_jitter ({}) is more than half of it; lengthen it or shorten tcn_jitter", spell_duration(*.jitter))]
    PeriodTooShort {
        /// `tcn_jitter`.
        jitter: std::time::Duration,
    },
    /// A key that would be shorter than one number.
    #[error("report_key_life: {} is shorter than tcn_period ({})", spell_duration(*.life), spell_duration(*.period))]
    KeyLifeTooShort {
        /// `report_key_life`.
        life: std::time::Duration,
        /// `tcn_period`.
        period: std::time::Duration,
    },
    /// Keys would be destroyed while they are in use.
    #[error("retention: {} is shorter than report_key_life ({}); shorten that as well", spell_duration(*.retention), spell_duration(*.life))]
    RetentionTooShort {
        /// `retention`.
        retention: std::time::Duration,
        /// `report_key_life`.
        life: std::time::Duration,
    },
    /// An error in the registry of sources.
    #[error(transparent)]
    Source(#[from] SourceDiagnostic),
}

impl ConfigError {
    pub(super) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }

    /// Every error; never empty.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Every error; never empty.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }
}

impl fmt::Display for ConfigError {
    /// One error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Diagnostic {
    pub(super) fn in_file(file: &Path, kind: DiagnosticKind) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            kind: Box::new(kind),
        }
    }

    pub(super) fn at(file: &Path, line: usize, kind: DiagnosticKind) -> Self {
        Self {
            line: Some(line),
            ..Self::in_file(file, kind)
        }
    }

    /// The file that has the error.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line of the error, counted from 1, if it is on one.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The error itself.
    pub fn kind(&self) -> &DiagnosticKind {
        &self.kind
    }
}

impl fmt::Display for Diagnostic {
    /// `FILE:LINE: MESSAGE`, as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", printable::path(&self.file))?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", printable::line(&self.kind))
    }
}

impl std::error::Error for Diagnostic {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.kind)
    }
}

/// The key that a misspelt one was probably meant to be, or all keys.
fn suggestion(key: &str, known: &[&'static str]) -> String {
    const ALIKE: f64 = 0.6;
    let key = key.to_lowercase();
    let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(&key, known);
    let alike = known.iter().filter(|known| likeness(known) >= ALIKE);
    match alike.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => format!("known keys: {}", known.join(", ")),
    }
}
