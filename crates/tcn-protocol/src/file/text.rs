//! Bytes written as text: base64, hexadecimal, and text in UTF-16.
//!
//! People and programs write base64 in more than one way, and each can be distinguished
//! from the others without doubt. So all of them are read: the standard alphabet and
//! the one for URLs (RFC 4648, sections 4 and 5), with padding or without, with white
//! space in between. A text that has nothing but hexadecimal digits, and is long enough
//! for a report, is hexadecimal: of base64 that long, one in 10⁷⁷ looks like that.

use std::io::{self, BufRead, Read};

use crate::SignedReport;
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::item::{Item, ItemError, parse};

/// The longest report as text, in hexadecimal, in bytes.
pub(super) const LONGEST: usize = 2 * SignedReport::MAX_LEN;

/// The longest report in base64, in bytes.
const LONGEST_BASE64: usize = SignedReport::MAX_LEN.div_ceil(3) * 4;

/// The shortest report as text, in base64 without padding, in bytes.
pub(super) const SHORTEST: usize = (SignedReport::MIN_LEN * 4).div_ceil(3);

/// Padding may be missing, and the bits that pad the last character may be
/// anything, as CoEpi's server reads it.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

const fn engine(alphabet: &Alphabet) -> GeneralPurpose {
    GeneralPurpose::new(alphabet, LENIENT)
}

static OF_MAIL: GeneralPurpose = engine(&STANDARD);
static OF_URLS: GeneralPurpose = engine(&URL_SAFE);

/// The bytes of a report given as text.
///
/// # Errors
/// More text than a report has, or text that is neither base64 nor hexadecimal.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, ItemError> {
    let text = without_space(text);
    if text.len() <= LONGEST && text.len() >= 2 * SignedReport::MIN_LEN && is_hex(&text) {
        return Ok(text.chunks_exact(2).map(hex_byte).collect());
    }
    of_base64(&text)
}

/// One report as text.
pub(super) fn decode_report(text: &[u8]) -> Item {
    parse(&decode(text)?)
}

/// The bytes of a part of a report given in base64.
///
/// # Errors
/// More text than a report has, or text that is no base64.
pub(super) fn decode_part(text: &[u8]) -> Result<Vec<u8>, ItemError> {
    of_base64(&without_space(text))
}

/// This text without white space, cut at one byte more than a report can have.
fn without_space(text: &[u8]) -> Vec<u8> {
    let text = text.iter().copied();
    let text = text.filter(|byte| !byte.is_ascii_whitespace());
    text.take(LONGEST + 1).collect()
}

fn of_base64(text: &[u8]) -> Result<Vec<u8>, ItemError> {
    if text.len() > LONGEST_BASE64 {
        return Err(ItemError::TooLong);
    }
    decode_base64(text).map_err(ItemError::Base64)
}

/// The bytes of base64 of any length, without white space.
pub(super) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let is_of_urls = text.iter().any(|byte| b"-_".contains(byte));
    let engine = if is_of_urls { &OF_URLS } else { &OF_MAIL };
    engine.decode(text)
}

/// Whether this is an even number of hexadecimal digits.
pub(super) fn is_hex(text: &[u8]) -> bool {
    text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit)
}

/// The value of two hexadecimal digits.
pub(super) fn hex_byte(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16).unwrap_or(0);
        (value << 4) | u8::try_from(digit).unwrap_or(0)
    })
}

/// Whether this byte may occur in base64, in either alphabet.
pub(super) fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

/// UTF-16 as UTF-8. Units that are no character become U+FFFD.
pub(super) struct Utf16<R> {
    source: R,
    big_endian: bool,
    /// The first half of a surrogate pair, until the second is read.
    half: Option<u16>,
    /// A character that was not yet read whole, and how much of it was.
    character: ([u8; 4], usize, usize),
}

impl<R: BufRead> Utf16<R> {
    /// What follows the byte order mark in `source`.
    pub(super) fn new(source: R, big_endian: bool) -> Self {
        Self {
            source,
            big_endian,
            half: None,
            character: ([0; 4], 0, 0),
        }
    }

    /// The next unit. Half a unit at the end is no character.
    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut bytes = Vec::with_capacity(2);
        self.source.by_ref().take(2).read_to_end(&mut bytes)?;
        Ok(match bytes[..] {
            [] => None,
            [first, second] if self.big_endian => Some(u16::from_be_bytes([first, second])),
            [first, second] => Some(u16::from_le_bytes([first, second])),
            _ => Some(0xfffd),
        })
    }

    /// The next character.
    fn next(&mut self) -> io::Result<Option<char>> {
        let first = match self.half.take() {
            Some(unit) => Some(unit),
            None => self.unit()?,
        };
        let Some(first) = first else {
            return Ok(None);
        };
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(Some(one(&[first])));
        }
        let second = self.unit()?;
        match second {
            Some(unit) if (0xdc00..0xe000).contains(&unit) => Ok(Some(one(&[first, unit]))),
            other => {
                self.half = other;
                Ok(Some(char::REPLACEMENT_CHARACTER))
            }
        }
    }
}

/// The character of these units.
fn one(units: &[u16]) -> char {
    let mut characters = char::decode_utf16(units.iter().copied());
    let first = characters.next().and_then(Result::ok);
    first.unwrap_or(char::REPLACEMENT_CHARACTER)
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < out.len() {
            let (bytes, start, end) = &mut self.character;
            if start == end {
                // What was read before an error is handed on first.
                let next = match self.next() {
                    Err(_) if written > 0 => break,
                    next => next?,
                };
                let Some(next) = next else {
                    break;
                };
                let (bytes, start, end) = &mut self.character;
                *end = next.encode_utf8(bytes).len();
                *start = 0;
                continue;
            }
            let count = (*end - *start).min(out.len() - written);
            out[written..written + count].copy_from_slice(&bytes[*start..*start + count]);
            *start += count;
            written += count;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;

    use super::*;

    #[test]
    fn base64_is_read_however_it_is_written() {
        let bytes: Vec<u8> = (56..=255).collect();
        let standard = general_purpose::STANDARD.encode(&bytes);
        let urls = general_purpose::URL_SAFE.encode(&bytes);
        assert!(standard != urls && standard.ends_with('='));
        let wrapped: Vec<_> = standard
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        for text in [
            standard.clone(),
            standard.trim_end_matches('=').to_owned(),
            urls.clone(),
            urls.trim_end_matches('=').to_owned(),
            format!(" {standard}\r\n"),
            wrapped.join("\n"),
            wrapped.join("\r\n\t "),
        ] {
            assert_eq!(decode(text.as_bytes()), Ok(bytes.clone()), "{text}");
        }
        for text in ["AA=A", "A", "AA*A", "-A+A", "\u{e4}AAA"] {
            let read = decode(text.as_bytes());
            assert!(matches!(read, Err(ItemError::Base64(_))), "{text}");
        }
    }

    #[test]
    fn only_what_is_long_enough_for_a_report_is_hexadecimal() {
        let bytes: Vec<u8> = (0..134).map(|n| n ^ 0xa5).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(decode(hex.as_bytes()), Ok(bytes.clone()));
        assert_eq!(decode(hex.to_uppercase().as_bytes()), Ok(bytes));
        assert_eq!(decode(b"0123").unwrap().len(), 3, "this is base64");
        let long = "0".repeat(LONGEST + 2);
        assert_eq!(decode(long.as_bytes()), Err(ItemError::TooLong));
        assert_eq!(decode(&b" ".repeat(5000)), Ok(Vec::new()));
    }

    #[test]
    fn utf_16_becomes_utf_8_in_pieces_of_any_length() {
        let text = "[\"AA\u{e4}\u{20ac}\u{1f600}\"]\n";
        for big_endian in [false, true] {
            let units = text.encode_utf16();
            let bytes: Vec<u8> = units
                .flat_map(|unit| match big_endian {
                    true => unit.to_be_bytes(),
                    false => unit.to_le_bytes(),
                })
                .collect();
            for piece in 1..7 {
                let mut read = Vec::new();
                let mut source = Utf16::new(&bytes[..], big_endian);
                let mut out = vec![0; piece];
                while let count @ 1.. = source.read(&mut out).unwrap() {
                    read.extend_from_slice(&out[..count]);
                }
                assert_eq!(String::from_utf8(read).unwrap(), text, "{piece}");
            }
        }
        // Halves of pairs, and of a unit.
        for (bytes, text) in [
            (&b"\x00\xd8a\0"[..], "\u{fffd}a"),
            (b"\x00\xdca\0", "\u{fffd}a"),
            (b"\x00\xd8\x00\xd8\x00\xdc", "\u{fffd}\u{10000}"),
            (b"\x00\xd8", "\u{fffd}"),
            (b"a\0b", "a\u{fffd}"),
        ] {
            let mut read = String::new();
            Utf16::new(bytes, false).read_to_string(&mut read).unwrap();
            assert_eq!(read, text, "{bytes:?}");
        }
    }
}
