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
//! length byte of this one. A file is read as it comes in and never held: what
//! it can make us keep is one item, a few kilobytes, however long it is. How
//! long it may be, and how much work its items are worth, is for the reader of
//! the items to say; it can stop at any of them, and at any byte of the source.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::json::read_json;
use crate::protocol::{ReportError, SignedReport, wire};

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

/// Where an item stands, from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a stream of reports: the byte it begins with, from 0.
    Byte(u64),
    /// In text: its line, from 1; of a JSON value, the line it ends on.
    Line(u64),
}

/// A file that is no report file as a whole.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// No bytes, only white space, or an empty array.
    #[error("there is no report in the file; check that it was written completely")]
    Empty,
    /// The source broke off. The items before that were handed on.
    #[error("the file could not be read to its end; read it again")]
    Source(#[from] io::Error),
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
    /// More text than the longest report has in base64.
    #[error("longer than a report can be; give each report a line or string of its own")]
    TooLong,
    /// The JSON breaks off here; what would follow is lost.
    #[error("the JSON is malformed at line {line}, column {column}; export the reports again")]
    JsonMalformed {
        /// Line, from 1.
        line: u64,
        /// Column, from 1; 0 before the first.
        column: usize,
    },
    /// A JSON text, number or nesting no report can need; what would follow is
    /// lost.
    #[error(
        "the JSON at line {line} goes beyond all that a report needs; export the reports again"
    )]
    JsonExcessive {
        /// Line, from 1.
        line: u64,
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

/// Reads a report file of whatever format and hands its items on, in order, as
/// they are met, until `sink` breaks off. The format is that of the first
/// bytes.
///
/// # Errors
/// [`FileError`], if there was no item at all or the source failed.
pub fn read(
    source: impl Read,
    mut sink: impl FnMut(Place, Item) -> ControlFlow<()>,
) -> Result<Format, FileError> {
    let mut items = Items {
        sink: &mut sink,
        empty: true,
        stopped: false,
    };
    let format = read_items(source, &mut items)?;
    if items.empty {
        return Err(FileError::Empty);
    }
    Ok(format)
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
const HEAD_LEN: usize = 64;

/// The most that is asked of the source at once, in bytes.
const BUFFER_LEN: usize = 8 << 10;

/// The longest report in base64, in bytes.
pub(super) const LONGEST_TEXT: usize = SignedReport::MAX_LEN.div_ceil(3) * 4;

/// The longest line taken up whole, in bytes: white space around the report is
/// no fault of it.
const LONGEST_LINE: usize = 2 * LONGEST_TEXT;

/// Tells the format by the first bytes and reads what follows in it.
fn read_items(mut source: impl Read, items: &mut Items<'_>) -> io::Result<Format> {
    let mut head = Vec::with_capacity(HEAD_LEN);
    source
        .by_ref()
        .take(HEAD_LEN as u64)
        .read_to_end(&mut head)?;
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);
    if !is_text(text) {
        let source = BufReader::with_capacity(BUFFER_LEN, head.chain(source));
        return read_tcn(source, items).map(|()| Format::Tcn);
    }
    let mut source = BufReader::with_capacity(BUFFER_LEN, text.chain(source));
    let line = skip_blank(&mut source)?;
    match source.fill_buf()?.first() {
        Some(b'[' | b'{' | b'"') => read_json(source, line, items).map(|()| Format::Json),
        Some(_) | None => read_base64(source, line, items).map(|()| Format::Base64),
    }
}

/// Whether bytes that begin so are text.
///
/// Of 64 random bytes 24 are printable on average, and 48 once in 10⁹ times;
/// so three quarters tell text, even text with a few bytes damaged.
fn is_text(head: &[u8]) -> bool {
    let printable = head
        .iter()
        .filter(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
        .count();
    printable * 4 >= head.len() * 3
}

/// Skips white space and gives the line that the rest begins on, from 1.
fn skip_blank(source: &mut impl BufRead) -> io::Result<u64> {
    let mut line = 1;
    loop {
        let bytes = match source.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let blank = bytes.len() - bytes.trim_ascii_start().len();
        if blank == 0 {
            return Ok(line);
        }
        line += bytes[..blank]
            .iter()
            .map(|&b| u64::from(b == b'\n'))
            .sum::<u64>();
        source.consume(blank);
    }
}

/// Where items go.
pub(super) struct Items<'a> {
    sink: &'a mut dyn FnMut(Place, Item) -> ControlFlow<()>,
    empty: bool,
    stopped: bool,
}

impl Items<'_> {
    /// Hands an item on. Not to be called once nobody wants any more.
    pub(super) fn push(&mut self, place: Place, item: Item) {
        self.empty = false;
        self.stopped = (self.sink)(place, item).is_break();
    }

    /// Whether nobody wants any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }
}

fn read_tcn(mut source: impl Read, items: &mut Items<'_>) -> io::Result<()> {
    let mut report = Vec::with_capacity(SignedReport::MAX_LEN);
    let mut start = 0;
    while !items.is_stopped() {
        report.clear();
        fill(&mut source, SignedReport::MIN_LEN, &mut report)?;
        if let Some(len) = wire::declared_len(&report) {
            fill(&mut source, len, &mut report)?;
        }
        if report.is_empty() {
            break;
        }
        items.push(
            Place::Byte(start),
            wire::parse(&report).map_err(ItemError::from),
        );
        start += report.len() as u64;
    }
    Ok(())
}

/// Reads until there are `len` bytes, or the source ends.
fn fill(source: &mut impl Read, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let missing = len.saturating_sub(bytes.len());
    source.take(missing as u64).read_to_end(bytes)?;
    Ok(())
}

fn read_base64(mut source: impl BufRead, mut number: u64, items: &mut Items<'_>) -> io::Result<()> {
    let mut line = Vec::with_capacity(LONGEST_LINE + 1);
    while !items.is_stopped() {
        line.clear();
        let limit = LONGEST_LINE as u64 + 1;
        if source.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() > LONGEST_LINE && !line.ends_with(b"\n") {
            source.skip_until(b'\n')?;
            items.push(Place::Line(number), Err(ItemError::TooLong));
        } else if !line.trim_ascii().is_empty() {
            items.push(Place::Line(number), decode(line.trim_ascii()));
        }
        number += 1;
    }
    Ok(())
}

/// One report in base64.
pub(super) fn decode(text: &[u8]) -> Item {
    Ok(wire::parse(&decode_bytes(text)?)?)
}

/// A report, or a part of one, in base64.
pub(super) fn decode_bytes(text: &[u8]) -> Result<Vec<u8>, ItemError> {
    if text.len() > LONGEST_TEXT {
        return Err(ItemError::TooLong);
    }
    STANDARD.decode(text).map_err(ItemError::Base64)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(f, "byte {byte}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}
