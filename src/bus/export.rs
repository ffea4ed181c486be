//! Exports the contact log as lines of text, or as a database.
//!
//! The log is read from the daemon in pages and written page by page, so that it is
//! never held whole. Unless asked otherwise, numbers are masked. Equal numbers have
//! equal masks within one export, and a mask says nothing outside of it. A mask is the
//! first 64 bits of HMAC-SHA256 (RFC 2104) of the number, under a key that is made for
//! the export and destroyed with it.

use std::io::{self, BufWriter, Write};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use tcn_engine::Contact;
use tcn_protocol::{TemporaryContactNumber, UnixTime};
use tokio::runtime::Handle as Runtime;

use super::error::ErrorReply;
use super::options::{MethodOptions, OptionMap, empty_range};
use super::transfer::{FdWriter, write_error};
use crate::daemon::{self, ContactsRequest, Handle, Refusal, Request};
use crate::store::{self, Cursor, ExportDir};

/// Contacts per request.
const PAGE: u32 = 1024;

/// The options of an export: its contents and its format.
#[derive(Debug)]
pub(super) struct ExportOptions {
    format: ExportFormat,
    raw: bool,
    from: UnixTime,
    to: UnixTime,
}

#[derive(Clone, Copy, Debug)]
enum ExportFormat {
    Csv,
    Jsonl,
    Sqlite,
}

impl ExportOptions {
    pub(super) fn new(options: OptionMap) -> Result<Self, ErrorReply> {
        let known = &[("format", "s"), ("raw", "b"), ("from", "t"), ("to", "t")];
        let mut options = MethodOptions::new(options, known)?;
        let format: Option<String> = options.take("format")?;
        let options = Self {
            format: match format.as_deref() {
                None | Some("csv") => ExportFormat::Csv,
                Some("jsonl") => ExportFormat::Jsonl,
                Some("sqlite") => ExportFormat::Sqlite,
                Some(_) => {
                    return Err(ErrorReply::invalid_args(
                        "unknown format; the formats are: csv, jsonl, sqlite",
                    ));
                }
            },
            raw: options.take("raw")?.unwrap_or(false),
            from: UnixTime(options.take("from")?.unwrap_or(0)),
            to: UnixTime(options.take("to")?.unwrap_or(u64::MAX)),
        };
        if options.from >= options.to {
            return Err(empty_range());
        }
        Ok(options)
    }
}

/// Writes the export and returns the number of rows. Blocks.
pub(super) fn write(
    options: &ExportOptions,
    handle: Handle,
    runtime: Runtime,
    export_dir: &ExportDir,
    mut writer: FdWriter,
) -> Result<u64, ErrorReply> {
    let pages = Pages {
        handle,
        runtime,
        cursor: Some(Cursor::since(options.from)),
        from: options.from,
        to: options.to,
        mask: (!options.raw).then(Mask::new),
    };
    match options.format {
        ExportFormat::Csv => write_lines(pages, writer, HEADER, csv),
        ExportFormat::Jsonl => write_lines(pages, writer, "", json),
        ExportFormat::Sqlite => write_database(pages, export_dir, &mut writer),
    }
}

/// A contact, and its number's text in the export.
type NamedContact = (String, Contact);

/// An iterator over the pages of the log.
struct Pages {
    handle: Handle,
    runtime: Runtime,
    /// The position after the last page; `None` at the end.
    cursor: Option<Cursor>,
    from: UnixTime,
    to: UnixTime,
    /// `None` if numbers are shown.
    mask: Option<Mask>,
}

impl Iterator for Pages {
    type Item = Result<Vec<NamedContact>, ErrorReply>;

    /// The next page, which may be empty.
    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.cursor.take()?;
        let page = |reply| Request::Contacts(ContactsRequest::Page(cursor, PAGE, reply));
        let page = match self.runtime.block_on(self.handle.ask(page)) {
            Ok(page) => page,
            Err(refusal) => return Some(Err(refusal.into())),
        };
        // Pages are in order of quarters of an hour, and unordered within one.
        let is_after = |last: &&Contact| Cursor::since(last.start) > Cursor::since(self.to);
        let full = page.len() == PAGE as usize;
        let last = page.last().filter(|last| full && !is_after(last));
        self.cursor = last.map(Cursor::behind);
        let wanted = |contact: &Contact| self.from <= contact.start && contact.start < self.to;
        let contact = page.into_iter().filter(wanted);
        Some(Ok(contact
            .map(|contact| (self.name(&contact.tcn), contact))
            .collect()))
    }
}

impl Pages {
    /// 32 hexadecimal digits of a number, or 16 of its mask.
    fn name(&self, number: &TemporaryContactNumber) -> String {
        match &self.mask {
            Some(mask) => base16ct::lower::encode_string(&mask.of(number)),
            None => base16ct::lower::encode_string(number.as_bytes()),
        }
    }
}

/// The masks of numbers in one export.
struct Mask(Hmac<Sha256>);

impl Mask {
    /// Bytes of the mask that are shown. Among 65,536 numbers, two have the same mask
    /// with a probability of one in eight thousand million.
    const SHOWN: usize = 8;

    fn new() -> Self {
        Self::with_key(&daemon::random_key())
    }

    fn with_key(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    fn of(&self, number: &TemporaryContactNumber) -> [u8; Self::SHOWN] {
        let mut hash = self.0.clone();
        hash.update(number.as_bytes());
        let hash = hash.finalize().into_bytes();
        std::array::from_fn(|at| hash[at])
    }
}

fn write_lines(
    pages: Pages,
    writer: FdWriter,
    header: &str,
    line: fn(&mut dyn Write, &NamedContact) -> io::Result<()>,
) -> Result<u64, ErrorReply> {
    let mut out = BufWriter::new(writer);
    let failed = |error: io::Error| write_error(&error);
    out.write_all(header.as_bytes()).map_err(failed)?;
    let mut rows = 0;
    for page in pages {
        for contact in page? {
            line(&mut out, &contact).map_err(failed)?;
            rows += 1;
        }
    }
    out.flush().map_err(failed)?;
    Ok(rows)
}

const HEADER: &str = "number,first,last,rssi_max,rssi_mean,sightings,\
                      to_55_db,to_63_db,to_73_db,over_73_db,bridged,\
                      unheard_before_s,unheard_after_s\r\n";

/// RFC 4180. No value in a row needs quotes.
fn csv(out: &mut dyn Write, (number, contact): &NamedContact) -> io::Result<()> {
    let dbm = |rssi: Option<i16>| rssi.map(|rssi| rssi.to_string()).unwrap_or_default();
    let [to_55, to_63, to_73, over] = contact.signal.attenuation;
    write!(
        out,
        "{number},{},{},{},{},{},{to_55},{to_63},{to_73},{over},{},{},{}\r\n",
        contact.start.0,
        contact.end.0,
        dbm(contact.signal.max),
        dbm(contact.signal.mean()),
        contact.signal.sightings(),
        u8::from(contact.bridged),
        contact.unheard.before,
        contact.unheard.after,
    )
}

#[derive(Serialize)]
struct Row<'a> {
    number: &'a str,
    first: u64,
    last: u64,
    rssi_max: Option<i16>,
    rssi_mean: Option<i16>,
    sightings: u32,
    to_55_db: u32,
    to_63_db: u32,
    to_73_db: u32,
    over_73_db: u32,
    bridged: bool,
    unheard_before_s: u8,
    unheard_after_s: u8,
}

fn json(out: &mut dyn Write, (number, contact): &NamedContact) -> io::Result<()> {
    let [to_55_db, to_63_db, to_73_db, over_73_db] = contact.signal.attenuation;
    let row = Row {
        number,
        first: contact.start.0,
        last: contact.end.0,
        rssi_max: contact.signal.max,
        rssi_mean: contact.signal.mean(),
        sightings: contact.signal.sightings(),
        to_55_db,
        to_63_db,
        to_73_db,
        over_73_db,
        bridged: contact.bridged,
        unheard_before_s: contact.unheard.before,
        unheard_after_s: contact.unheard.after,
    };
    serde_json::to_writer(&mut *out, &row)?;
    out.write_all(b"\n")
}

fn write_database(
    pages: Pages,
    export_dir: &ExportDir,
    writer: &mut FdWriter,
) -> Result<u64, ErrorReply> {
    let failed = |fault: store::Error| ErrorReply::from(Refusal::from(fault));
    let mut database = export_dir.begin().map_err(failed)?;
    let mut rows = 0;
    for page in pages {
        let page = page?;
        database.add(&page).map_err(failed)?;
        rows += page.len() as u64;
    }
    let mut whole = database.finish().map_err(failed)?;
    let written = io::copy(&mut whole, writer).and_then(|_| writer.flush());
    written.map_err(|error| write_error(&error))?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mask is the start of HMAC-SHA256: by `openssl dgst -sha256 -mac HMAC`.
    #[test]
    fn a_mask_is_hmac_sha256_under_the_key_of_the_export() {
        let number = TemporaryContactNumber::from_bytes([0x19; 16]);
        let mask = |key| base16ct::lower::encode_string(&Mask::with_key(&[key; 32]).of(&number));
        assert_eq!(mask(0xc0), "095084c777cd22c0");
        assert_eq!(mask(0x01), "66c2f191111e66ab");
        assert_ne!(Mask::new().of(&number), Mask::new().of(&number));
    }
}
