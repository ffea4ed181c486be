//! Configuration: nothing panics, every fault names a line that there is, and a
//! source that is accepted is the same when it is written down again.

use std::fmt::Write as _;

use tcn_exchange::source::{Source, SourceLocation};
use tcn_protocol::MemoType;
use tcnd_config::{ConfigError, spell_duration};

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("tcnd.toml");
    std::fs::write(&file, bytes).expect("a temporary file can be written");
    let files = [file];
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    if let Err(error) = tcnd_config::load(&files) {
        assert_named(&error, lines);
    }
    match tcnd_config::load_sources(&files) {
        Err(error) => assert_named(&error, lines),
        Ok(sources) => {
            let text: String = sources.iter().map(written).collect();
            std::fs::write(&files[0], text).expect("a temporary file can be written");
            let again = tcnd_config::load_sources(&files).expect("it was accepted before");
            assert_eq!(again, sources);
        }
    }
}

fn assert_named(error: &ConfigError, lines: usize) {
    assert!(!error.diagnostics().is_empty());
    for fault in error.diagnostics() {
        assert!(!fault.to_string().is_empty());
        let line = fault.line().unwrap_or(1);
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
    }
}

/// A source as a person would write it.
fn written(source: &Source) -> String {
    let (kind, key, place) = match &source.location {
        SourceLocation::CoepiV4(url) => ("coepi-v4", "url", url.url().to_string()),
        SourceLocation::Mirror(url) => ("mirror", "url", url.url().to_string()),
        SourceLocation::Folder(path) => ("folder", "path", path.to_string_lossy().into_owned()),
    };
    let types: Vec<_> = (0..=u8::MAX)
        .filter(|kind| source.memo_types.contains(MemoType::new(*kind)))
        .collect();
    let mut text = format!(
        "[[source]]\nname = \"{}\"\nkind = \"{kind}\"\n",
        source.name
    );
    let _ = writeln!(
        text,
        "{key} = {}\nlabel = {}",
        string(&place),
        string(&source.label)
    );
    let _ = writeln!(text, "memo_types = {types:?}\npublish = {}", source.publish);
    let limits = &source.limits;
    let _ = writeln!(
        text,
        "budget = {}\nmax_bytes = {}",
        limits.budget, limits.max_bytes
    );
    let _ = writeln!(text, "timeout = \"{}\"", spell_duration(limits.timeout));
    if key == "url" {
        text.push_str("allow_http = true\n");
    }
    text
}

/// A basic string of TOML.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
