//! Limits on a JSON text, so that it is never held in memory.
//!
//! The parser collects a string to its closing quote and a number to its last digit,
//! and records every level of nesting. So a file of one endless string would need
//! memory without end. [`JsonLimits`] stands between source and parser and examines each
//! byte. Of a string longer than a report needs it passes only the beginning, so the
//! string is one bad item and the next item is found. Any other excess ends the
//! reading.
//!
//! It knows just enough of JSON to tell strings from the bytes between them. The
//! parser checks whether the JSON is well formed.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use thiserror::Error;

use super::text::LONGEST as LONGEST_TEXT;

/// Bytes of a string that pass. Each byte of a report's text may be an escape of six,
/// and one more than a report has shows that the string is too long.
const LONGEST: usize = 6 * (LONGEST_TEXT + 1);

/// Bytes of a string within which it must be possible to cut it. A string that cannot
/// be cut consists of escapes; base64 has none.
const LONGEST_UNCUT: usize = 2 * LONGEST;

/// Levels of nesting; a report has three.
const DEEPEST: usize = 32;

/// More than any report needs.
#[derive(Debug, Error)]
#[error("more text, digits or nesting than a report needs")]
pub(super) struct Excess;

/// A source of JSON without excess.
pub(super) struct JsonLimits<'a, R> {
    source: R,
    /// The line that was reached.
    line: &'a Cell<u64>,
    depth: usize,
    /// Bytes of the text, with its quote, or of the number or word so far.
    run: usize,
    text: Text,
}

/// The state within a string.
#[derive(Clone, Copy)]
enum Text {
    /// Outside of strings.
    Outside,
    /// After this many bytes that are no part of an escape.
    Plain(usize),
    /// After a backslash.
    Escape,
    /// In the part that is left out, after a backslash or not.
    Cut { escape: bool },
}

impl<'a, R: BufRead> JsonLimits<'a, R> {
    /// Limits `source`, and counts its lines on from `line`.
    pub(super) fn new(source: R, line: &'a Cell<u64>) -> Self {
        Self {
            source,
            line,
            depth: 0,
            run: 0,
            text: Text::Outside,
        }
    }

    /// Whether `byte` passes.
    fn admit(&mut self, byte: u8) -> Result<bool, Excess> {
        if byte == b'\n' {
            self.line.set(self.line.get() + 1);
        }
        self.text = match (self.text, byte) {
            (Text::Outside, b'"') => {
                self.run = 0;
                Text::Plain(0)
            }
            (Text::Outside, _) => {
                self.admit_between(byte)?;
                Text::Outside
            }
            (Text::Plain(_) | Text::Cut { escape: false }, b'"') => Text::Outside,
            (Text::Cut { escape }, _) => Text::Cut {
                escape: byte == b'\\' && !escape,
            },
            (Text::Plain(_), b'\\') => Text::Escape,
            (Text::Escape, _) => Text::Plain(0),
            // The longest escape is a `u` and four digits; and an ASCII byte never
            // continues a longer character.
            (Text::Plain(4..), _) if self.run > LONGEST && byte.is_ascii() => {
                Text::Cut { escape: false }
            }
            (Text::Plain(count), _) => Text::Plain(count + 1),
        };
        self.run += 1;
        if self.run > LONGEST_UNCUT && matches!(self.text, Text::Plain(_) | Text::Escape) {
            return Err(Excess);
        }
        Ok(!matches!(self.text, Text::Cut { .. }))
    }

    /// Checks a byte outside strings.
    fn admit_between(&mut self, byte: u8) -> Result<(), Excess> {
        match byte {
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let is_word = byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        self.run = if is_word { self.run } else { 0 };
        if self.depth > DEEPEST || self.run > LONGEST {
            return Err(Excess);
        }
        Ok(())
    }
}

impl<R: BufRead> Read for JsonLimits<'_, R> {
    /// One byte at a time, which is all the parser asks for.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(place) = out.first_mut() else {
            return Ok(0);
        };
        loop {
            let Some(&byte) = self.source.fill_buf()?.first() else {
                return Ok(0);
            };
            self.source.consume(1);
            if self.admit(byte).map_err(io::Error::other)? {
                *place = byte;
                return Ok(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(json: &[u8]) -> io::Result<Vec<u8>> {
        let (line, mut out) = (Cell::new(1), Vec::new());
        JsonLimits::new(json, &line).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_reports_need_comes_through_unchanged() {
        let nested = [b"[".repeat(DEEPEST), b"]".repeat(DEEPEST)].concat();
        let list = [b"[".to_vec(), b"[],{},".repeat(100), b"0]".to_vec()].concat();
        let text = format!("[\"{}\", \"\\\\\", \"\\\"[\"]", "x".repeat(LONGEST));
        for json in [
            &nested[..],
            &list,
            text.as_bytes(),
            b"{\"a\":-1.5e+7,\n\"b\":null}",
        ] {
            assert!(through(json).unwrap() == json);
        }
    }

    #[test]
    fn a_long_text_is_cut_where_no_character_breaks() {
        for piece in [
            "x",
            "\\u0041xxxxxx",
            "\\\"xxxxxxx",
            "\\ud83d\\ude00xxxxxxx",
            "€xxxxxxx",
        ] {
            for shift in 0..14 {
                let long = format!(
                    "[\"{}{}\", \"next\"]",
                    "x".repeat(shift),
                    piece.repeat(LONGEST)
                );
                let cut = through(long.as_bytes()).unwrap();
                assert!(cut.len() < LONGEST_UNCUT, "{piece}");
                let list: Vec<String> = serde_json::from_slice(&cut).unwrap();
                assert!(list[0].len() > LONGEST_TEXT, "{piece}");
                assert_eq!(list[1], "next", "{piece}");
            }
        }
    }

    #[test]
    fn any_other_excess_ends_it() {
        for excess in [
            "[".repeat(DEEPEST + 1),
            "{\"a\":".repeat(DEEPEST + 1),
            format!("[{}", "1".repeat(LONGEST + 2)),
            format!("[\"{}", "\\u0041".repeat(LONGEST)),
            format!("[\"{}", "\\\\".repeat(LONGEST)),
            format!("[\"{}", "€".repeat(LONGEST)),
        ] {
            let error = through(excess.as_bytes()).unwrap_err();
            assert!(error.get_ref().unwrap().is::<Excess>());
        }
    }
}
