//! The settings of the page, in TOML. Every setting has a default.

use std::path::PathBuf;

use printable::is_line;
use serde::Deserialize;
use tcnd_config::{ConfigError, load_merged};
use url::Url;

/// The file that is read without `--config`.
const SYSTEM_FILE: &str = "/etc/tcnd/kiosk.toml";

/// What explains contact tracing, unless another address is set: the coalition's
/// specification.
const EXPLANATION: &str = "https://github.com/TCNCoalition/TCN";

/// The longest text and the longest address, in bytes. With both the page still fits a screen
/// of 1024 by 600 pixels.
const MAX_TEXT: usize = 160;
const MAX_ADDRESS: usize = 80;

/// The settings of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PageSettings {
    /// Whom to ask. The page leaves the line out if it is empty.
    pub(crate) questions: Line,
    /// What the QR code leads to.
    pub(crate) explanation: Address,
}

/// Text of one line, at most 160 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Line(pub(crate) String);

impl TryFrom<String> for Line {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_line(&text) && text.len() <= MAX_TEXT {
            return Ok(Self(text.trim().to_owned()));
        }
        Err("expected text of one line, at most 160 bytes, without invisible characters")
    }
}

/// An address of the web.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Address(pub(crate) String);

impl Default for Address {
    fn default() -> Self {
        Self(EXPLANATION.to_owned())
    }
}

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let shown = |url: &Url| {
            let is_web = matches!(url.scheme(), "https" | "http");
            let is_secret = !url.username().is_empty() || url.password().is_some();
            // Encoded, since letters such as ä take six bytes then.
            is_web && !is_secret && url.as_str().len() <= MAX_ADDRESS
        };
        let url = Url::parse(&text).ok().filter(shown);
        url.map(|url| Self(url.into())).ok_or(
            "expected an address such as \"https://example.org\", without a password, of at most \
             80 bytes",
        )
    }
}

impl PageSettings {
    /// The files that [`load`](Self::load) reads, in order.
    pub(crate) fn files(named: &[PathBuf]) -> Vec<PathBuf> {
        let system = PathBuf::from(SYSTEM_FILE);
        if named.is_empty() && system.exists() {
            vec![system]
        } else {
            named.to_vec()
        }
    }

    /// Loads the settings in these files, or in the system's file if none is named.
    ///
    /// # Errors
    /// The first error of each file.
    pub(crate) fn load(named: &[PathBuf]) -> Result<Self, ConfigError> {
        load_merged(&Self::files(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../packaging/kiosk.toml");

    fn load(text: &str) -> Result<PageSettings, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kiosk.toml");
        std::fs::write(&file, text).unwrap();
        PageSettings::load(std::slice::from_ref(&file)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_changes_nothing_and_names_every_setting() {
        assert_eq!(load(SHIPPED), Ok(PageSettings::default()));
        let all: Vec<_> = SHIPPED
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with(' '))
            .collect();
        let set = load(&all.join("\n")).unwrap();
        assert_eq!(set.explanation, PageSettings::default().explanation);
        assert!(!set.questions.0.is_empty());
    }

    #[test]
    fn blanks_are_no_question() {
        assert_eq!(load("questions = \"  \"").unwrap(), PageSettings::default());
    }

    #[test]
    fn each_fault_is_named_by_line_and_cure() {
        for (text, line, cure) in [
            ("\nquestion = \"x\"", 2, "questions"),
            ("questions = 7", 1, "expected a string"),
            ("questions = \"a\\nb\"", 1, "text of one line"),
            ("questions = \"\\u202e\"", 1, "without invisible characters"),
            ("explanation = \"example.org\"", 1, "https://example.org"),
            (
                "explanation = \"file:///etc/passwd\"",
                1,
                "https://example.org",
            ),
            ("explanation = \"javascript:1\"", 1, "https://example.org"),
            (
                "explanation = \"https://a:b@c.org\"",
                1,
                "without a password",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(&format!("kiosk.toml:{line}:")), "{error}");
            assert!(error.contains(cure), "{text}: {error}");
        }
        let encoded = format!("explanation = \"https://example.org/{}\"", "ä".repeat(20));
        assert!(load(&encoded).unwrap_err().contains("80 bytes"));
        let long = format!("explanation = \"https://example.org/{}\"", "x".repeat(80));
        assert!(load(&long).unwrap_err().contains("80 bytes"));
        let long = format!("questions = \"{}\"", "x".repeat(161));
        assert!(load(&long).unwrap_err().contains("160 bytes"));
    }
}
