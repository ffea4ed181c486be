//! Report files: `tcn`, `base64`, `json`; detected on reading.
//!
//! | format | is |
//! |---|---|
//! | `tcn` | signed reports one after another, as they are signed |
//! | `base64` | one report a line; blank lines are skipped |
//! | `json` | an array of such base64 strings, as CoEpi's servers answer |
//!
//! These variants are also read, because they can be recognised without doubt: base64
//! in the alphabet for URLs, without padding, or wrapped over lines; hexadecimal, one
//! report a line or wrapped; text in UTF-16 or UTF-8 with a byte order mark; and any of
//! these compressed once by gzip. JSON is also read as a single item without the array,
//! as an array under the key `reports`, and with items that are objects in Covid
//! Watch's form: the fields of a report, bytes in base64 (covidwatch-cloud-functions
//! 5663604^, `submitReport`). For a file of another kind the error names the kind
//! ([`Foreign`]).
//!
//! A file can come from any source. One bad item costs only itself wherever the next
//! can be found: the next line, the next element, the next report by the length byte of
//! this one. A file is parsed as it is read and never held: a file of any length needs
//! a few kilobytes of memory, and the window of gzip. The receiver of the items limits
//! the length of the file and the work for its items; it can stop at any item, and at
//! any byte of the source. The size of a decompressed file is limited here.

mod foreign;
mod item;
mod json;
mod json_limits;
mod lines;
mod text;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use thiserror::Error;

pub use self::foreign::Foreign;
pub use self::item::{Item, ItemError, ItemPosition};

use self::item::Items;
use self::json::read_json;
use self::lines::read_lines;
use self::text::Utf16;
use crate::{SignedReport, wire};

/// The format of the reports in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Signed reports one after another.
    Tcn,
    /// One report a line, in base64. Hexadecimal and wrapped lines are read too.
    Base64,
    /// An array of strings.
    Json,
}

/// A file that is no report file as a whole.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// No bytes, only white space, or an empty array.
    #[error("there is no report in the file; check that it was written completely")]
    Empty,
    /// It is a file of another kind.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// It is compressed, and the compressed data break off or are damaged. The items
    /// before that were handed on.
    #[error("it is packed with gzip and breaks off or is damaged; get the file again")]
    Packing,
    /// It is compressed, and more than [`MOST_UNPACKED`] comes out of it. The items
    /// before that were handed on.
    #[error("more than 2 GiB come out of it; split it")]
    TooLarge,
    /// The source failed. The items before that were handed on.
    #[error("the file could not be read to its end; read it again")]
    Source(#[from] io::Error),
}

/// The most bytes that are decompressed from a file: 2 GiB.
pub const MOST_UNPACKED: u64 = 2 << 30;

/// Reads a report file of any format and hands its items on, in order, as they are
/// read, until `sink` stops. The first bytes decide the format. A file that is
/// compressed by gzip is decompressed, once.
///
/// # Errors
/// [`FileError`], if there was no item at all, the file is of another kind, or
/// the source failed.
pub fn read(
    source: impl Read,
    mut sink: impl FnMut(ItemPosition, Item) -> ControlFlow<()>,
) -> Result<Format, FileError> {
    let (head, source) = head_of(source);
    if !is_gzip(&head) || is_stream(&head) {
        return read_head(&head, source, &mut sink);
    }
    let failed = Cell::new(false);
    let source = Watched {
        source: Read::chain(&head[..], source),
        failed: &failed,
    };
    let unpacked = MultiGzDecoder::new(BufReader::new(source));
    let mut unpacked = unpacked.take(MOST_UNPACKED + 1);
    let (head, rest) = head_of(&mut unpacked);
    let read = if is_gzip(&head) || head.starts_with(ZSTD) {
        Err(Foreign::PackedTwice.into())
    } else {
        read_head(&head, rest, &mut sink)
    };
    match read {
        _ if unpacked.limit() == 0 => Err(FileError::TooLarge),
        Err(FileError::Source(_)) if !failed.get() => Err(FileError::Packing),
        read => read,
    }
}

/// Reads a report file as [`read`] does, but does not decompress it.
///
/// # Errors
/// As of [`read`].
pub fn read_unpacked(
    source: impl Read,
    mut sink: impl FnMut(ItemPosition, Item) -> ControlFlow<()>,
) -> Result<Format, FileError> {
    let (head, source) = head_of(source);
    read_head(&head, source, &mut sink)
}

/// Whether a file that begins with these bytes is compressed by gzip. Four bytes
/// suffice. Of files that begin with a random key, one in 2²⁷ matches by chance.
pub fn is_gzip(head: &[u8]) -> bool {
    // The only method defined, and three reserved flags that are zero (RFC 1952,
    // section 2.3.1).
    matches!(head, [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0)
}

/// Writes reports in a form that [`read`] reads.
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

/// The byte order mark that some editors put before text: U+FEFF in UTF-8, and in
/// UTF-16 of either byte order.
const MARK_8: &[u8] = b"\xEF\xBB\xBF";
const MARK_16_LE: &[u8] = b"\xFF\xFE";
const MARK_16_BE: &[u8] = b"\xFE\xFF";

/// The first bytes of data compressed by zstd (RFC 8878, section 3.1.1).
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// Bytes by which the format is decided: more than twenty of the longest reports.
const HEAD_LEN: usize = 8 << 10;

/// A report begins with 64 bytes that are a key and a hash.
const KEY_AND_HASH: usize = 64;

/// The most bytes that are read from the source at once.
const BUFFER_LEN: usize = 8 << 10;

/// A source that records whether it failed itself.
struct Watched<'a, R> {
    source: R,
    failed: &'a Cell<bool>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer);
        if read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted)
        {
            self.failed.set(true);
        }
        read
    }
}

/// The first bytes of a source, and what follows them.
fn head_of<R: Read>(mut source: R) -> (Vec<u8>, Rest<R>) {
    let mut head = Vec::with_capacity(HEAD_LEN);
    let read = source.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head);
    let fault = read.err();
    (head, Rest { fault, source })
}

/// What follows the first bytes of a source: its error there, if any.
struct Rest<R> {
    fault: Option<io::Error>,
    source: R,
}

impl<R: Read> Read for Rest<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.source.read(buffer),
        }
    }
}

/// Reads the items of a file whose first bytes are `head`.
fn read_head(
    head: &[u8],
    source: impl Read,
    sink: &mut dyn FnMut(ItemPosition, Item) -> ControlFlow<()>,
) -> Result<Format, FileError> {
    let mut items = Items::new(sink);
    let format = read_items(head, source, &mut items)?;
    if items.is_empty() {
        return Err(FileError::Empty);
    }
    Ok(format)
}

/// Detects the format by the first bytes and reads the rest in it.
fn read_items(head: &[u8], source: impl Read, items: &mut Items<'_>) -> Result<Format, FileError> {
    let buffered = |head, source| BufReader::with_capacity(BUFFER_LEN, Read::chain(head, source));
    if is_stream(head) {
        return Ok(read_tcn(buffered(head, source), items).map(|()| Format::Tcn)?);
    }
    if let Some(foreign) = Foreign::of(head)
        && !is_base64(head)
    {
        return Err(foreign.into());
    }
    for (mark, big_endian) in [(MARK_16_LE, false), (MARK_16_BE, true)] {
        if let Some(text) = head.strip_prefix(mark) {
            let text = Utf16::new(buffered(text, source), big_endian);
            return read_text(BufReader::with_capacity(BUFFER_LEN, text), items);
        }
    }
    let text = head.strip_prefix(MARK_8).unwrap_or(head);
    if is_text(text) {
        return read_text(buffered(text, source), items);
    }
    Ok(read_tcn(buffered(head, source), items).map(|()| Format::Tcn)?)
}

/// Reads text of any kind.
fn read_text(mut source: impl BufRead, items: &mut Items<'_>) -> Result<Format, FileError> {
    let line = skip_blank(&mut source)?;
    match source.fill_buf()?.first().copied() {
        Some(b'[' | b'{' | b'"') => Ok(read_json(source, line, items).map(|()| Format::Json)?),
        Some(b'<') => Err(Foreign::Markup.into()),
        Some(_) if !read_lines(source, line, items)? && !items.is_stopped() => {
            Err(Foreign::Text.into())
        }
        Some(_) | None => Ok(Format::Base64),
    }
}

/// Whether a file that begins with these bytes certainly holds signed reports one after
/// another: the signature of one of them is valid. Such bytes are no text, whatever
/// else they look like.
fn is_stream(head: &[u8]) -> bool {
    let mut rest = head;
    while let Some(length) = wire::declared_len(rest) {
        let Some((report, after)) = rest.split_at_checked(length) else {
            return false;
        };
        if wire::parse(report).is_ok_and(|report| report.verify().is_ok()) {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether bytes that begin like this may be base64. A report in base64 may look like
/// the first bytes of another kind of file, but the rest of such a file never looks
/// like base64.
fn is_base64(head: &[u8]) -> bool {
    let start = &head[..head.len().min(KEY_AND_HASH)];
    start
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b"+/-_=".contains(b))
}

/// Whether bytes that begin like this are text.
///
/// Of 64 random bytes 24 are printable on average, and 48 once in 10⁹ times. So three
/// quarters identify text, even text with a few damaged bytes. Text in other letters
/// than ASCII's is UTF-8 without control characters.
fn is_text(head: &[u8]) -> bool {
    let start = &head[..head.len().min(KEY_AND_HASH)];
    let printable = start
        .iter()
        .filter(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
        .count();
    let is_strange = |byte: u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let utf_8 = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    // The last character may be cut.
    let is_utf_8 = utf_8.len() + 3 >= start.len() && !utf_8.bytes().any(is_strange);
    printable * 4 >= start.len() * 3 || is_utf_8
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
            ItemPosition::Byte(start),
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
