//! One table of a file, read key by key.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{TomlDocument, TomlEntry, kind_of};
use super::{DiagnosticKind, SourceDiagnostic};

/// The entries of a table, and its errors so far.
pub(super) struct Table<'d, 'a> {
    entries: Vec<TomlEntry<'d, 'a>>,
    /// The line on which the table begins.
    line: usize,
    diagnostics: Vec<(usize, DiagnosticKind)>,
}

impl<'d, 'a> Table<'d, 'a> {
    /// A table that may have these keys; any other is an error.
    pub(super) fn new(
        document: &'d TomlDocument<'a>,
        table: &'d DeTable<'a>,
        line: usize,
        known: &'static [&'static str],
    ) -> Self {
        let entries: Vec<_> = document.entries_of(table).collect();
        let strangers = entries.iter().filter(|(name, _, _)| !known.contains(name));
        let diagnostics = strangers.map(|(name, _, line)| {
            let key = (*name).to_owned();
            (*line, DiagnosticKind::UnknownKey { key, known })
        });
        Self {
            diagnostics: diagnostics.collect(),
            entries,
            line,
        }
    }

    /// The errors of the table, each with its line.
    pub(super) fn into_diagnostics(self) -> Vec<(usize, DiagnosticKind)> {
        self.diagnostics
    }

    /// Whether there is no error so far.
    pub(super) fn is_sound(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Notes an error at the line of this key, or of the table.
    pub(super) fn diagnostic(&mut self, key: &'static str, error: impl Into<DiagnosticKind>) {
        self.diagnostics.push((self.line(key), error.into()));
    }

    /// The line of this key, or of the table.
    pub(super) fn line(&self, key: &str) -> usize {
        self.entry(key).map_or(self.line, |(_, line)| line)
    }

    /// Records the error in the value of this key, if it has one.
    pub(super) fn check<T>(
        &mut self,
        key: &'static str,
        value: Result<T, impl Into<DiagnosticKind>>,
    ) -> Option<T> {
        value.map_err(|error| self.diagnostic(key, error)).ok()
    }

    /// Whether this key is set.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    /// Records an error if this key is missing.
    pub(super) fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            self.diagnostic(key, DiagnosticKind::Missing(key));
        }
    }

    /// A text, if one is set.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'d str> {
        self.text_like(key, "a text in quotes")
    }

    /// A text of the form `expected`, if one is set.
    pub(super) fn text_like(
        &mut self,
        key: &'static str,
        expected: &'static str,
    ) -> Option<&'d str> {
        self.value(key, expected, DeValue::as_str)
    }

    /// A boolean, if one is set.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.value(key, "true or false", DeValue::as_bool)
    }

    /// A list, if one is set.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<&'d Spanned<DeValue<'a>>>> {
        self.value(key, "a list", |value| {
            value.as_array().map(|list| list.iter().collect())
        })
    }

    /// The entries of `[[key]]`, if there are some.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<&'d Spanned<DeValue<'a>>> {
        match self.entry(key) {
            None => Vec::new(),
            Some((DeValue::Array(list), _)) => list.iter().collect(),
            Some(_) => {
                self.diagnostic(key, SourceDiagnostic::NotATable(key));
                Vec::new()
            }
        }
    }

    /// A number in this range, if one is set.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let digits = self.value(key, "an integer", DeValue::as_integer)?;
        // A negative number, or one too long to parse, is out of every range.
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let in_range = number.filter(|number| range.contains(number));
        let error = SourceDiagnostic::OutOfRange {
            key,
            least: *range.start(),
            most: *range.end(),
        };
        self.check(key, in_range.ok_or(error))
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'d DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let (value, _) = self.entry(key)?;
        let found = kind_of(value);
        let error = DiagnosticKind::WrongType {
            key,
            expected,
            found,
        };
        self.check(key, read(value).ok_or(error))
    }

    fn entry(&self, key: &str) -> Option<(&'d DeValue<'a>, usize)> {
        let mut entries = self.entries.iter();
        let (_, value, line) = entries.find(|(name, _, _)| *name == key)?;
        Some((value.get_ref(), *line))
    }
}
