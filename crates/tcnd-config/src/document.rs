//! A TOML text, key by key, each with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Diagnostic, DiagnosticKind};

/// The readable part of a text.
pub(super) struct TomlDocument<'a> {
    table: Spanned<DeTable<'a>>,
    text: &'a str,
    broken: Vec<Diagnostic>,
}

/// A key, its value, and the line it is on.
pub(super) type TomlEntry<'d, 'a> = (&'d str, &'d Spanned<DeValue<'a>>, usize);

impl<'a> TomlDocument<'a> {
    pub(super) fn parse(file: &Path, text: &'a str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut broken: Vec<Diagnostic> = errors
            .into_iter()
            .map(|error| {
                let at = error.span().map_or(0, |span| span.start);
                Diagnostic::at(file, line_of(text, at), DiagnosticKind::Syntax(error))
            })
            .collect();
        // The parser's further complaints about a line follow from its first.
        broken.dedup_by_key(|diagnostic| diagnostic.line());
        Self {
            table,
            text,
            broken,
        }
    }

    /// The table of the document itself.
    pub(super) fn root(&self) -> &DeTable<'a> {
        self.table.get_ref()
    }

    /// The keys of a table in it.
    pub(super) fn entries_of<'d>(
        &'d self,
        table: &'d DeTable<'a>,
    ) -> impl Iterator<Item = TomlEntry<'d, 'a>> {
        let entry = |(name, value): (&'d Spanned<_>, _)| {
            let name: &'d Spanned<std::borrow::Cow<'a, str>> = name;
            (&**name.get_ref(), value, self.line(name.span().start))
        };
        // The parser's reading of a broken line is a guess, not a setting.
        let is_sound = |line: usize| {
            self.broken
                .iter()
                .all(|diagnostic| diagnostic.line() != Some(line))
        };
        let entries = table.iter().map(entry);
        entries.filter(move |(_, _, line)| is_sound(*line))
    }

    /// The line of this offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }

    /// The lines that are not TOML.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.broken
    }
}

/// The line of this offset in a text, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The type of a value, in words.
pub(super) const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
