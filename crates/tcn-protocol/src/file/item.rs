//! The items of a report file, and where they go.
//!
//! Every reader of a format hands its items on and keeps none of them.

use std::fmt;
use std::ops::ControlFlow;

use thiserror::Error;

use crate::{ReportError, SignedReport, wire};

/// One item of a file: a report, yet to be verified, or what is wrong with it.
pub type Item = Result<SignedReport, ItemError>;

/// The position of an item, from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemPosition {
    /// In a stream of reports: its first byte, counted from 0.
    Byte(u64),
    /// In text: its line, from 1; of a JSON value, the line it ends on.
    Line(u64),
}

impl fmt::Display for ItemPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(f, "byte {byte}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

/// An item that is no report. No variant carries bytes of it.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemError {
    /// The bytes are not those of a report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The text is not base64.
    #[error("neither base64 nor hexadecimal; export the report again")]
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
    /// A JSON string, number or nesting that no report can need; what would follow is
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
    /// A JSON object that lacks a field of a report, or has a wrong value in it.
    #[error("the field {name} is missing or has a wrong value; ask its sender for a whole report")]
    Field {
        /// The name of the field.
        name: &'static str,
    },
}

/// The receiver of items.
pub(super) struct Items<'a> {
    sink: &'a mut dyn FnMut(ItemPosition, Item) -> ControlFlow<()>,
    empty: bool,
    stopped: bool,
}

impl<'a> Items<'a> {
    /// Items that go to `sink`, until it stops.
    pub(super) fn new(sink: &'a mut dyn FnMut(ItemPosition, Item) -> ControlFlow<()>) -> Self {
        Self {
            sink,
            empty: true,
            stopped: false,
        }
    }

    /// Hands an item on. Must not be called after `sink` has stopped.
    pub(super) fn push(&mut self, place: ItemPosition, item: Item) {
        self.empty = false;
        self.stopped = (self.sink)(place, item).is_break();
    }

    /// Whether there was no item.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    /// Whether `sink` has stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }
}

/// One signed report.
pub(super) fn parse(bytes: &[u8]) -> Item {
    Ok(wire::parse(bytes)?)
}
