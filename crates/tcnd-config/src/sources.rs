//! The registry of sources: the servers, mirrors and folders, and what each may do.
//!
//! ```toml
//! [[source]]
//! name = "example"
//! kind = "coepi-v4"
//! url = "https://reports.example.org/v4/tcnreport/0.4.0"
//!
//! [[memo_type]]
//! number = 77
//! name = "example-v1"
//! ```
//!
//! Files are found as the fragments of tcnd are, in `sources.d`. They do not override
//! each other but add up. A name that occurs twice is an error, because two files that
//! use it for different sources would share one record. As with settings, nothing is
//! guessed, and every error is reported at once.

mod entry;
mod error;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

pub use error::SourceDiagnostic;

use error::{OF_MEMO_TYPE, OF_SOURCE, TOP};

use tcn_exchange::source::Source;
use tcn_protocol::MemoType;

use super::document::TomlDocument;
use super::paths::SOURCE_DIRECTORIES;
use super::read;
use super::table::Table;
use super::{ConfigError, Diagnostic, DiagnosticKind};

/// The most sources that can be configured.
pub const MAX_SOURCES: usize = 32;

/// The files [`load_sources`] reads, in order.
///
/// # Errors
/// A directory of the registry that cannot be read.
pub fn source_files(explicit: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostic> {
    read::files_or(explicit, &SOURCE_DIRECTORIES)
}

/// The sources of these files or, if there are none, of the registry of the
/// system.
///
/// # Errors
/// Every error in any of them. A registry with an error gives no sources.
pub fn load_sources(explicit: &[PathBuf]) -> Result<Vec<Source>, ConfigError> {
    let files = source_files(explicit).map_err(|diagnostic| ConfigError::new(vec![diagnostic]))?;
    let mut registry = Registry::default();
    let diagnostics = read::read_each(&files, |file, text, diagnostics| {
        registry.read(file, text, diagnostics);
    });
    read::finish(registry.sources, &files, diagnostics)
}

/// The sources and types read so far.
#[derive(Default)]
struct Registry {
    sources: Vec<Source>,
    /// Types that a file defines, in addition to the specification's.
    types: Vec<(String, MemoType)>,
}

impl Registry {
    fn read(&mut self, file: &Path, text: &str, diagnostics: &mut Vec<Diagnostic>) {
        let document = TomlDocument::parse(file, text);
        let mut top = Table::new(&document, document.root(), 1, &TOP);
        let mut found = Vec::new();
        // Memo types first: a source may use one that is defined below it.
        for key in ["memo_type", "source"] {
            for entry in top.tables(key) {
                found.extend(self.entry(&document, key, entry));
            }
        }
        found.extend(top.into_diagnostics());
        let at = |(line, error)| Diagnostic::at(file, line, error);
        diagnostics.extend(found.into_iter().map(at));
        diagnostics.extend(document.into_diagnostics());
    }

    /// Reads a `[[source]]` or a `[[memo_type]]`. Returns its errors.
    fn entry<'a>(
        &mut self,
        document: &TomlDocument<'a>,
        key: &'static str,
        entry: &Spanned<DeValue<'a>>,
    ) -> Vec<(usize, DiagnosticKind)> {
        let line = document.line(entry.span().start);
        let DeValue::Table(fields) = entry.get_ref() else {
            return vec![(line, SourceDiagnostic::NotATable(key).into())];
        };
        if key == "source" {
            let mut table = Table::new(document, fields, line, &OF_SOURCE);
            if let Some(source) = entry::source(&mut table, &self.types) {
                self.add(source, &mut table);
            }
            return table.into_diagnostics();
        }
        let mut table = Table::new(document, fields, line, &OF_MEMO_TYPE);
        if let Some((name, kind)) = entry::memo_type(&mut table) {
            if entry::named(&name, &self.types).is_some() {
                table.diagnostic("name", SourceDiagnostic::Twice(name));
            } else {
                self.types.push((name, kind));
            }
        }
        table.into_diagnostics()
    }

    fn add(&mut self, source: Source, table: &mut Table<'_, '_>) {
        if self.sources.iter().any(|other| other.name == source.name) {
            let error = SourceDiagnostic::Twice(source.name.to_string());
            table.diagnostic("name", error);
        } else if self.sources.len() == MAX_SOURCES {
            let error = SourceDiagnostic::TooMany { most: MAX_SOURCES };
            table.diagnostic("name", error);
        } else {
            self.sources.push(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tcn_exchange::help::{Help, HelpPhone, HelpUrl};
    use tcn_exchange::source::{Limits, MemoTypes, ServerUrl, SourceLocation};

    use super::*;
    use crate::fault_table::{diagnosed, faults};

    const SHIPPED: &str = include_str!("../../../packaging/sources.d/example.toml.disabled");

    const LEAST: &str =
        "[[source]]\nname = \"a\"\nkind = \"mirror\"\nurl = \"https://a.example.org\"\n";

    /// Files, and below each what is wrong with it.
    const FAULTS: &str = r#"

[[sorce]]
F:2: unknown key "sorce"; did you mean "source"?

x = 1
F:1: unknown key "x"; known keys: source, memo_type

source = 1
F:1: source: write it as [[source]], with its keys below

[[source]]
kind = "folder"
path = "/a"
F:1: name is missing

[[source]]
name = "a"
F:1: kind is missing

[[source]]
name = "a"
kind = "coepi-v4"
F:1: url is missing

[[source]]
name = "A"
kind = "folder"
path = "/a"
F:2: name: use 1 to 64 of a-z, 0-9 and -, the first one no -

[[source]]
name = "a"
kind = "ftp"
F:3: kind: unknown kind "ftp"; use "coepi-v4", "mirror" or "folder"

[[source]]
name = "a"
kind = "folder"
path = "a"
F:4: path: write it from the root, like "/media/reports"

[[source]]
name = "a"
kind = "folder"
path = "/a"
url = "https://a.example.org"
F:5: url: a source of kind "folder" has none; take it away

[[source]]
name = "a"
kind = "mirror"
url = "http://a.example.org"
F:4: url: everyone on the path can read and change http traffic; use https, or set allow_http = true

[[memo_type]]
name = "x"
number = 0
F:3: number: the specification calls this type "CoEpi v1"; use that name

[[memo_type]]
name = "x"
number = 256
F:3: number: out of range; allowed: 0 to 255
"#;

    /// The same of lines that are below [`LEAST`].
    const FAULTS_OF_A_MIRROR: &str = r#"
publsh = true
F:5: unknown key "publsh"; did you mean "publish"?

publish = true
F:5: publish: a mirror takes no reports; use the server it mirrors, kind "coepi-v4"

publish = 1
F:5: publish: expected true or false, found an integer

label = ""
F:5: label: use 1 to 256 bytes on one line

help_url = "http://a.example.org"
F:5: help_url: only https: everyone on the path can read and change other traffic

help_url = "https://a.example.org/?id=1"
F:5: help_url: remove ? or # and the text after it; name a page whose address has neither

help_phone = "call us"
F:5: help_phone: use 1 to 32 of the digits 0 to 9, spaces and + - ( ) /, with a digit among them

help_phone = 116117
F:5: help_phone: expected a text in quotes, found an integer

budget = 1
F:5: budget: out of range; allowed: 65535 to 500000000

max_bytes = -1
F:5: max_bytes: out of range; allowed: 1024 to 1073741824

timeout = "11min"
F:5: timeout: write a duration from "1s" to "10min"

memo_types = ["CoEpi"]
F:5: memo_types: no such type; use a number from 0 to 255, a registered name like "CoEpi v1", or one that [[memo_type]] gives

memo_types = 1
F:5: memo_types: expected a list, found an integer

budget =
F:5: string values must be quoted, expected literal string

[[source]]
name = "a"
kind = "mirror"
url = "https://a.example.org"
F:6: name: there is another "a" already; give this one a name of its own
"#;

    fn read(text: &str) -> Result<Vec<Source>, String> {
        diagnosed(text, load_sources)
    }

    #[test]
    fn nothing_configured_means_no_source() {
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn a_source_needs_a_name_and_a_place() {
        let sources = read(LEAST).unwrap();
        let [source] = sources.as_slice() else {
            panic!("{sources:?}");
        };
        assert_eq!((source.name.as_str(), source.label.as_str()), ("a", "a"));
        assert_eq!(source.memo_types, MemoTypes::ALL);
        assert!(!source.publish && source.help.is_none());
        assert_eq!(source.limits, Limits::default());
    }

    #[test]
    fn the_shipped_example_is_in_order_and_names_every_key() {
        let sources = read(SHIPPED).unwrap();
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["example", "example-mirror", "stick"]);
        let own = MemoTypes::NONE
            .with(MemoType::COEPI_V1)
            .with(MemoType::new(77));
        assert_eq!(sources[0].memo_types, own);
        assert!(sources[0].publish && !sources[1].publish && sources[2].publish);
        assert_eq!(sources[0].limits, Limits::default());
        assert_eq!(
            sources[2].location,
            SourceLocation::Folder("/media/reports".into())
        );
        for key in OF_SOURCE.iter().chain(&OF_MEMO_TYPE) {
            assert!(SHIPPED.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    #[test]
    fn every_key_is_taken_over() {
        let sources = read(
            "[[source]]\nname = \"a\"\nkind = \"coepi-v4\"\nurl = \"http://a.example.org/v4\"\n\
             allow_http = true\nlabel = \"A\"\nmemo_types = [2, \"mine\"]\npublish = true\n\
             help_url = \"https://a.example.org/help\"\nhelp_phone = \"+1 (2) 3\"\n\
             budget = 1_000_000\nmax_bytes = 0x10000\ntimeout = \"2min\"\n\
             [[memo_type]]\nnumber = 9\nname = \"mine\"\n",
        )
        .unwrap();
        let url = ServerUrl::new("http://a.example.org/v4", true).unwrap();
        let expected = Source {
            name: "a".parse().unwrap(),
            location: SourceLocation::CoepiV4(url),
            label: "A".to_owned(),
            help: Help {
                url: Some(HelpUrl::new("https://a.example.org/help").unwrap()),
                phone: Some(HelpPhone::new("+1 (2) 3").unwrap()),
            },
            memo_types: MemoTypes::NONE
                .with(MemoType::ITO_V1)
                .with(MemoType::new(9)),
            publish: true,
            limits: Limits {
                budget: 1_000_000,
                max_bytes: 65_536,
                timeout: Duration::from_secs(120),
            },
        };
        assert_eq!(sources, [expected]);
    }

    #[test]
    fn each_fault_is_named_by_line_and_cure() {
        for (text, expected) in faults(FAULTS) {
            assert_eq!(read(&text).unwrap_err(), expected, "{text}");
        }
        for (lines, expected) in faults(FAULTS_OF_A_MIRROR) {
            assert_eq!(read(&format!("{LEAST}{lines}")).unwrap_err(), expected);
        }
    }

    #[test]
    fn all_faults_come_at_once_in_order_of_line() {
        let diagnostics =
            read("[[source]]\nnam = \"a\"\nkind = 1\n\n[[source]]\nurl = 2\nx = 3").unwrap_err();
        let lines: Vec<_> = diagnostics.lines().map(|line| &line[..4]).collect();
        assert_eq!(lines, ["F:1:", "F:2:", "F:3:", "F:5:", "F:5:", "F:7:"]);
    }

    #[test]
    fn there_are_not_more_sources_than_are_gone_through() {
        let one = |n| LEAST.replace("\"a\"", &format!("\"a{n}\""));
        let all: String = (0..MAX_SOURCES).map(one).collect();
        assert_eq!(read(&all).unwrap().len(), MAX_SOURCES);
        let error = read(&format!("{all}{}", one(99))).unwrap_err();
        assert_eq!(
            error,
            "F:130: more than 32 sources; take away those that are least needed"
        );
    }
}
