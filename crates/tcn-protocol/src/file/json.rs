//! The JSON of report files, read as a stream.
//!
//! Items are handed on as they are read, so a file that breaks off keeps the items
//! before. No more than one item is ever held: other values are skipped, and the
//! [`JsonLimits`] passes no string longer than a report needs. For the same reason fields
//! are read loosely and checked afterwards: a number in the place of a string is one
//! bad item, not the end of the file.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead};

use crate::{ReportError, SignedReport, wire};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::item::{Item, ItemError, ItemPosition, Items};
use super::json_limits::{Excess, JsonLimits};
use super::text;

/// Reads all items of a JSON text that begins on `first_line` of its file.
pub(super) fn read_json(
    source: impl BufRead,
    first_line: u64,
    items: &mut Items<'_>,
) -> io::Result<()> {
    let line = Cell::new(first_line);
    let mut json = serde_json::Deserializer::from_reader(JsonLimits::new(source, &line));
    let reports = ReportsVisitor {
        items: &mut *items,
        line: &line,
    };
    let Err(error) = reports.deserialize(&mut json).and_then(|()| json.end()) else {
        return Ok(());
    };
    if items.is_stopped() {
        return Ok(());
    }
    let fault = match error.classify() {
        Category::Io => {
            let error = io::Error::from(error);
            if !error.get_ref().is_some_and(|inner| inner.is::<Excess>()) {
                return Err(error);
            }
            ItemError::JsonExcessive { line: line.get() }
        }
        Category::Syntax | Category::Data | Category::Eof => ItemError::JsonMalformed {
            line: first_line - 1 + error.line() as u64,
            column: error.column(),
        },
    };
    items.push(ItemPosition::Line(line.get()), Err(fault));
    Ok(())
}

/// The places for a list of reports or a single one: the text itself, and the value of
/// `reports`.
struct ReportsVisitor<'a, 'b> {
    items: &'a mut Items<'b>,
    /// The line that is being read.
    line: &'a Cell<u64>,
}

impl ReportsVisitor<'_, '_> {
    /// Hands an item on. An error, which ends the reading, if it is the last one
    /// wanted.
    fn push<E: Error>(&mut self, item: Item) -> Result<(), E> {
        self.items.push(ItemPosition::Line(self.line.get()), item);
        if self.items.is_stopped() {
            return Err(E::custom("no more items are wanted"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ReportsVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReportsVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signed reports")
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.push(text::decode_report(text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<Loose>()? {
            self.push(value.report())?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let mut fields = Fields::default();
        let mut held_reports = false;
        while let Some(key) = object.next_key::<String>()? {
            if key == "reports" {
                held_reports = true;
                object.next_value_seed(ReportsVisitor {
                    items: &mut *self.items,
                    line: self.line,
                })?;
            } else {
                fields.take(&key, &mut object)?;
            }
        }
        if held_reports {
            return Ok(());
        }
        self.push(fields.report())
    }
}

const RVK: &str = "report_verification_public_key_bytes";
const LINK: &str = "temporary_contact_key_bytes";
const J1: &str = "start_index";
const J2: &str = "end_index";
const MEMO_TYPE: &str = "memo_type";
const MEMO: &str = "memo_data";
const SIGNATURE: &str = "signature_bytes";

/// The fields of a report in Covid Watch's form.
#[derive(Default)]
struct Fields {
    rvk: Loose,
    link: Loose,
    j1: Loose,
    j2: Loose,
    memo_type: Loose,
    memo: Loose,
    signature: Loose,
}

impl Fields {
    /// Takes the value that follows `key`, or skips it.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        let field = match key {
            RVK => &mut self.rvk,
            LINK => &mut self.link,
            J1 => &mut self.j1,
            J2 => &mut self.j2,
            MEMO_TYPE => &mut self.memo_type,
            MEMO => &mut self.memo,
            SIGNATURE => &mut self.signature,
            _ => return object.next_value::<IgnoredAny>().map(drop),
        };
        *field = object.next_value()?;
        Ok(())
    }

    /// Puts the fields in the order of the wire format and parses that, so that only
    /// one parser decides what a report is.
    fn report(&self) -> Item {
        let memo = self.memo.bytes(MEMO)?;
        let length_byte = u8::try_from(memo.len())
            .map_err(|_wider| ReportError::MemoTooLong { have: memo.len() })?;
        let mut bytes = Vec::with_capacity(SignedReport::MIN_LEN + memo.len());
        bytes.extend_from_slice(&self.rvk.array::<32>(RVK)?);
        bytes.extend_from_slice(&self.link.array::<32>(LINK)?);
        bytes.extend_from_slice(&self.j1.number::<u16>(J1)?.to_le_bytes());
        bytes.extend_from_slice(&self.j2.number::<u16>(J2)?.to_le_bytes());
        bytes.push(self.memo_type.number(MEMO_TYPE)?);
        bytes.push(length_byte);
        bytes.extend_from_slice(&memo);
        bytes.extend_from_slice(&self.signature.array::<64>(SIGNATURE)?);
        Ok(wire::parse(&bytes)?)
    }
}

/// Any JSON value, of which only what a report can need is kept.
#[derive(Default)]
enum Loose {
    Text(String),
    Number(u64),
    Object(Box<Fields>),
    #[default]
    Other,
}

impl Loose {
    fn report(&self) -> Item {
        match self {
            Self::Text(text) => text::decode_report(text.as_bytes()),
            Self::Object(fields) => fields.report(),
            Self::Number(_) | Self::Other => Err(ItemError::NotAReport),
        }
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, ItemError> {
        match self {
            Self::Text(text) => text::decode_part(text.as_bytes()),
            Self::Number(_) | Self::Object(_) | Self::Other => Err(ItemError::Field { name }),
        }
    }

    fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], ItemError> {
        self.bytes(name)?
            .try_into()
            .map_err(|_length| ItemError::Field { name })
    }

    fn number<T: TryFrom<u64>>(&self, name: &'static str) -> Result<T, ItemError> {
        match self {
            Self::Number(number) => {
                T::try_from(*number).map_err(|_range| ItemError::Field { name })
            }
            Self::Text(_) | Self::Object(_) | Self::Other => Err(ItemError::Field { name }),
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Loose, A::Error> {
        let mut fields = Box::<Fields>::default();
        while let Some(key) = object.next_key::<String>()? {
            fields.take(&key, &mut object)?;
        }
        Ok(Loose::Object(fields))
    }
}
