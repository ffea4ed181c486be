//! The errors in the registry of sources.

use tcn_exchange::help::{HelpUrlError, InvalidHelpPhone};
use tcn_exchange::source::{InvalidSourceName, ServerUrlError};
use thiserror::Error;

/// The tables of a file.
pub(super) const TOP: [&str; 2] = ["source", "memo_type"];

/// The keys of a source, in the order of the shipped example.
pub(super) const OF_SOURCE: [&str; 13] = [
    "name",
    "kind",
    "url",
    "path",
    "label",
    "help_url",
    "help_phone",
    "memo_types",
    "publish",
    "budget",
    "max_bytes",
    "timeout",
    "allow_http",
];

/// The keys of a memo type.
pub(super) const OF_MEMO_TYPE: [&str; 2] = ["number", "name"];

/// An error in the registry.
#[derive(Debug, Error)]
pub enum SourceDiagnostic {
    /// A value where tables are expected.
    #[error("{0}: write it as [[{0}]], with its keys below")]
    NotATable(&'static str),
    /// A number outside the key's range.
    #[error("{key}: out of range; allowed: {least} to {most}")]
    OutOfRange {
        /// The key.
        key: &'static str,
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
        key: &'static str,
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
    /// An address of help that cannot be shown.
    #[error("help_url: {0}")]
    HelpUrl(#[from] HelpUrlError),
    /// A telephone number that is none.
    #[error("help_phone: {0}")]
    HelpPhone(#[from] InvalidHelpPhone),
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
