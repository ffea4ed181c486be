//! Report files: `tcn`, `base64`, `json`; detected on reading.
//!
//! | format | is |
//! |---|---|
//! | `tcn` | signed reports one after another, as they are signed |
//! | `base64` | one report a line, standard alphabet, padded; blank lines are skipped |
//! | `json` | an array of such base64 strings, as CoEpi's servers answer |
//!
//! JSON is also read as a single item without the array, as an array under the
//! key `reports`, and with items that are objects in Covid Watch's form: the
//! fields of a report, bytes in base64 (covidwatch-cloud-functions 5663604^,
//! `submitReport`).
//!
//! A file comes from anywhere. One bad item costs only itself wherever the
//! next can be found: the next line, the next element, the next report by the
//! length byte of this one. What a file can make us keep is bounded by
//! [`MAX_LEN`], and by the number of reports that fit in so many bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::json::read_json;
use crate::protocol::{ReportError, SignedReport, wire};

/// The largest report file read, in bytes: 64 MiB, half a million reports.
pub const MAX_LEN: usize = 64 << 20;

/// The most items read of one file: as many as there is room for reports.
pub const MAX_ITEMS: usize = MAX_LEN / SignedReport::MIN_LEN;

/// How reports stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Signed reports one after another.
    Tcn,
    /// One a line.
    Base64,
    /// An array of strings.
    Json,
}

/// One item of a file: a report, yet to be verified, or what is wrong with it.
pub type Item = Result<SignedReport, ItemError>;

/// A report file, read.
#[derive(Debug)]
pub struct ReportFile {
    /// The format found.
    pub format: Format,
    /// Its items, in order; at least one, at most [`MAX_ITEMS`].
    pub items: Vec<Item>,
}

/// A file that is no report file as a whole.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// No bytes, only white space, or an empty array.
    #[error("there is no report in the file; check that it was written completely")]
    Empty,
    /// More than [`MAX_LEN`] bytes.
    #[error("the file has {len} bytes, at most {MAX_LEN} are read; split it")]
    TooLarge {
        /// Bytes that were given.
        len: usize,
    },
    /// More than [`MAX_ITEMS`] items.
    #[error("the file has more than {MAX_ITEMS} items; split it")]
    TooManyItems,
}

/// An item that is no report. No variant carries bytes of it.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemError {
    /// The bytes are not those of a report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The text is not base64.
    #[error("not base64 of the standard alphabet with padding; export the report again")]
    Base64(#[source] base64::DecodeError),
    /// The JSON breaks off here; what would follow is lost.
    #[error("the JSON is malformed at line {line}, column {column}; export the reports again")]
    JsonMalformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 before the first.
        column: usize,
    },
    /// A JSON value that is neither a string nor an object.
    #[error("the JSON item is neither a base64 string nor an object; give one of them a report")]
    NotAReport,
    /// A JSON object without one of the fields of a report, or with a value
    /// there that does not fit.
    #[error("the field {name} is missing or has a wrong value; ask its sender for a whole report")]
    Field {
        /// The name of the field.
        name: &'static str,
    },
}

/// Reads a report file of whatever format.
///
/// # Errors
/// [`FileError`], if there is nothing to go through item by item.
pub fn read(input: &[u8]) -> Result<ReportFile, FileError> {
    if input.len() > MAX_LEN {
        return Err(FileError::TooLarge { len: input.len() });
    }
    let text = input
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(input)
        .trim_ascii();
    let format = detect(input, text)?;
    let mut items = Items(Vec::new());
    match format {
        Format::Tcn => read_tcn(input, &mut items),
        Format::Base64 => read_base64(text, &mut items),
        Format::Json => read_json(text, &mut items),
    }
    match items.0.len() {
        0 => Err(FileError::Empty),
        1..=MAX_ITEMS => Ok(ReportFile {
            format,
            items: items.0,
        }),
        _ => Err(FileError::TooManyItems),
    }
}

/// Writes reports so that [`read`] finds them again.
pub fn write(format: Format, reports: &[SignedReport]) -> Vec<u8> {
    let encoded = reports
        .iter()
        .map(|report| STANDARD.encode(wire::write(report)));
    match format {
        Format::Tcn => reports.iter().flat_map(wire::write).collect(),
        Format::Base64 => encoded
            .flat_map(|line| line.into_bytes().into_iter().chain([b'\n']))
            .collect(),
        // The standard alphabet needs no escape in JSON.
        Format::Json => {
            let strings: Vec<_> = encoded.map(|text| format!("\"{text}\"")).collect();
            format!("[{}]\n", strings.join(",\n ")).into_bytes()
        }
    }
}

/// What some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A report begins with 64 bytes that are a key and a hash.
const RANDOM_LEN: usize = 64;

/// Tells the format by how the input begins.
///
/// Of 64 random bytes 24 are printable on average, and 48 once in 10⁹ times;
/// so three quarters tell text, even text with a few bytes damaged.
fn detect(input: &[u8], text: &[u8]) -> Result<Format, FileError> {
    let Some(first) = text.first() else {
        return Err(FileError::Empty);
    };
    let head = &input[..input.len().min(RANDOM_LEN)];
    let printable = head
        .iter()
        .filter(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
        .count();
    Ok(match first {
        _ if printable * 4 < head.len() * 3 => Format::Tcn,
        b'[' | b'{' | b'"' => Format::Json,
        _ => Format::Base64,
    })
}

/// Items so far. One past [`MAX_ITEMS`] is kept to tell that there were more.
pub(super) struct Items(Vec<Item>);

impl Items {
    pub(super) fn push(&mut self, item: Item) {
        if !self.is_full() {
            self.0.push(item);
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() > MAX_ITEMS
    }
}

fn read_tcn(mut input: &[u8], items: &mut Items) {
    while !input.is_empty() && !items.is_full() {
        match wire::parse_first(input) {
            Ok((report, rest)) => {
                items.push(Ok(report));
                input = rest;
            }
            Err(error) => {
                items.push(Err(error.into()));
                let len = wire::declared_len(input).unwrap_or(input.len());
                input = input.get(len..).unwrap_or_default();
            }
        }
    }
}

fn read_base64(text: &[u8], items: &mut Items) {
    for line in text
        .split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|l| !l.is_empty())
    {
        items.push(decode(line));
    }
}

/// One report in base64.
pub(super) fn decode(text: &[u8]) -> Item {
    Ok(wire::parse(
        &STANDARD.decode(text).map_err(ItemError::Base64)?,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `read` refuses such a file either way; this is about what it holds
    /// until then.
    #[test]
    fn no_file_makes_us_hold_more_than_one_item_too_many() {
        let mut items = Items(Vec::new());
        read_base64(&b"x\n".repeat(MAX_ITEMS + 1000), &mut items);
        assert_eq!(items.0.len(), MAX_ITEMS + 1);
    }
}
