//! The errors in the registry of sources.

use std::fmt;

use tcn_exchange::source::{InvalidSourceName, ServerUrlError};
use thiserror::Error;

/// The keys of the registry, in the order of the shipped example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKey {
    /// A source.
    Source,
    /// A memo type that the specification does not name.
    MemoType,
    /// Its name.
    Name,
    /// The protocol of a source.
    Kind,
    /// The address of a server.
    Url,
    /// The path of a folder.
    Path,
    /// The text shown to people.
    Label,
    /// The memo types that are accepted.
    MemoTypes,
    /// Whether our own reports may be published there.
    Publish,
    /// Numbers per run.
    Budget,
    /// Bytes per interval.
    MaxBytes,
    /// The longest wait for an answer.
    Timeout,
    /// Permission to connect without encryption.
    AllowHttp,
    /// The byte of a memo type.
    Number,
}

impl SourceKey {
    /// The tables of a file.
    pub(super) const TOP: [Self; 2] = [Self::Source, Self::MemoType];

    /// The keys of a source.
    pub(super) const OF_SOURCE: [Self; 11] = [
        Self::Name,
        Self::Kind,
        Self::Url,
        Self::Path,
        Self::Label,
        Self::MemoTypes,
        Self::Publish,
        Self::Budget,
        Self::MaxBytes,
        Self::Timeout,
        Self::AllowHttp,
    ];

    /// The keys of a memo type.
    pub(super) const OF_MEMO_TYPE: [Self; 2] = [Self::Number, Self::Name];

    /// The name of the key in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::MemoType => "memo_type",
            Self::Name => "name",
            Self::Kind => "kind",
            Self::Url => "url",
            Self::Path => "path",
            Self::Label => "label",
            Self::MemoTypes => "memo_types",
            Self::Publish => "publish",
            Self::Budget => "budget",
            Self::MaxBytes => "max_bytes",
            Self::Timeout => "timeout",
            Self::AllowHttp => "allow_http",
            Self::Number => "number",
        }
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error in the registry.
#[derive(Debug, Error)]
pub enum SourceDiagnostic {
    /// The key is unknown.
    #[error("unknown key \"{key}\"; {}", suggestion(*.nearest, .known))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The most similar known key, if one is similar.
        nearest: Option<SourceKey>,
        /// All keys that the table may have.
        known: &'static [SourceKey],
    },
    /// A value where tables are expected.
    #[error("{0}: write it as [[{0}]], with its keys below")]
    NotATable(SourceKey),
    /// A required key is missing.
    #[error("{0} is missing")]
    Missing(SourceKey),
    /// A value of another type than the key's.
    #[error("{key}: expected {expected}, found {found}")]
    WrongType {
        /// The key.
        key: SourceKey,
        /// The type that the key takes.
        expected: &'static str,
        /// The type that was given.
        found: &'static str,
    },
    /// A number outside the key's range.
    #[error("{key}: out of range; allowed: {least} to {most}")]
    OutOfRange {
        /// The key.
        key: SourceKey,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// The name is not a token.
    #[error("name: {0}")]
    Name(#[from] InvalidSourceName),
    /// The name is in use already.
    #[error("name: there is another \"{0}\" already; give this one a name of its own")]
    Twice(String),
    /// More sources than are checked.
    #[error("more than {most} sources; take away those that are least needed")]
    TooMany {
        /// The most sources allowed.
        most: usize,
    },
    /// The kind is unknown.
    #[error("kind: unknown kind \"{0}\"; use \"coepi-v4\", \"mirror\" or \"folder\"")]
    Kind(String),
    /// A key that does not apply to a source of this kind.
    #[error("{key}: a source of kind \"{kind}\" has none; take it away")]
    NotForKind {
        /// The key.
        key: SourceKey,
        /// The kind.
        kind: String,
    },
    /// An address that cannot be fetched from.
    #[error("url: {0}")]
    Url(#[from] ServerUrlError),
    /// A path that depends on the directory the program is started in.
    #[error("path: write it from the root, like \"/media/reports\"")]
    RelativePath,
    /// A label that cannot be shown on one line.
    #[error("label: use 1 to 256 bytes on one line")]
    Label,
    /// Publishing to a source that takes no reports.
    #[error("publish: a mirror takes no reports; use the server it mirrors, kind \"coepi-v4\"")]
    MirrorTakesNothing,
    /// A memo type without a known name.
    #[error(
        "memo_types: no such type; use a number from 0 to 255, a registered name like \"CoEpi v1\", \
         or one that [[memo_type]] gives"
    )]
    NoSuchType,
    /// A timeout too short or too long.
    #[error("timeout: write a duration from \"1s\" to \"10min\"")]
    Timeout,
    /// A number that the specification assigned.
    #[error("number: the specification calls this type \"{0}\"; use that name")]
    Registered(&'static str),
    /// A name of a memo type that cannot be shown on one line.
    #[error("name: use 1 to 64 bytes on one line")]
    TypeName,
}

impl SourceDiagnostic {
    /// A key that is not among `known`.
    pub(super) fn unknown(key: &str, known: &'static [SourceKey]) -> Self {
        let mut alike: Option<(SourceKey, f64)> = None;
        for candidate in known {
            let likeness =
                strsim::normalized_damerau_levenshtein(&key.to_lowercase(), candidate.name());
            if likeness >= ALIKE && alike.is_none_or(|(_, best)| likeness > best) {
                alike = Some((*candidate, likeness));
            }
        }
        Self::UnknownKey {
            key: key.to_owned(),
            nearest: alike.map(|(candidate, _)| candidate),
            known,
        }
    }
}

/// How similar a misspelt key must be to a known one, of 1.
const ALIKE: f64 = 0.6;

fn suggestion(nearest: Option<SourceKey>, known: &[SourceKey]) -> String {
    nearest.map_or_else(
        || {
            let names: Vec<_> = known.iter().map(|key| key.name()).collect();
            format!("known keys: {}", names.join(", "))
        },
        |key| format!("did you mean \"{key}\"?"),
    )
}
