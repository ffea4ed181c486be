//! Report files of text: one report a line, or wrapped over lines.
//!
//! A line that is long enough for a report is one. Consecutive shorter lines are
//! wrapped text, as `base64`, `openssl base64` and `xxd -p` write it, in base64 or
//! hexadecimal: together they are signed reports one after another. Such a block ends
//! with a line that is shorter than its first, with padding, with a blank line, or at
//! the end of the file.
//!
//! Consecutive lines that are neither are one bad item. If a file has only such lines,
//! it is no report file.

use std::io::{self, BufRead, Read};

use crate::wire;

use super::item::{Item, ItemError, ItemPosition, Items, parse};
use super::text::{LONGEST, SHORTEST, decode, decode_base64, hex_byte, is_hex, is_of_base64};

/// The longest line read whole, in bytes. White space around a report is no error.
const LONGEST_LINE: usize = 2 * LONGEST;

/// The shortest first line of a block that can be distinguished from a word, in bytes.
const SHORTEST_WRAPPED: usize = 24;

/// Reads all lines. Returns whether any of them can have been meant as a report.
pub(super) fn read_lines(
    mut source: impl BufRead,
    first_line: u64,
    items: &mut Items<'_>,
) -> io::Result<bool> {
    let mut lines = Lines {
        items,
        number: first_line,
        block: None,
        strange: None,
        is_meant: false,
    };
    let mut line = Vec::with_capacity(LONGEST_LINE + 1);
    while !lines.items.is_stopped() {
        line.clear();
        let limit = LONGEST_LINE as u64 + 1;
        if source.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() > LONGEST_LINE && !line.ends_with(b"\n") {
            source.skip_until(b'\n')?;
            lines.end_block();
            lines.push(Err(ItemError::TooLong));
        } else {
            lines.take(line.trim_ascii());
        }
        lines.number += 1;
    }
    lines.end_block();
    if lines.is_meant {
        lines.end_strange();
    }
    Ok(lines.is_meant)
}

/// The lines so far.
struct Lines<'a, 'b> {
    items: &'a mut Items<'b>,
    /// The number of this line.
    number: u64,
    /// Wrapped text that has not ended.
    block: Option<Block>,
    /// The first of the lines that are neither, and what is wrong with it.
    strange: Option<(u64, ItemError)>,
    /// Whether a line can have been meant as a report.
    is_meant: bool,
}

impl Lines<'_, '_> {
    fn take(&mut self, line: &[u8]) {
        if line.is_empty() {
            self.end_block();
        } else if is_one_report(line) {
            self.end_block();
            self.push(decode(line).and_then(|bytes| parse(&bytes)));
        } else if line.len() < SHORTEST && line.iter().all(|byte| is_of_base64(*byte)) {
            self.wrapped(line);
        } else if let Some(block) = self.block.as_mut().filter(|block| !block.is_word()) {
            // A damaged line of the block. The start of the next report cannot be
            // found.
            block.fault.get_or_insert(fault_of(line));
        } else if let Some(least) = width_of_damaged(line) {
            self.end_block();
            let mut block = Block::new(line, self.number);
            block.least = least;
            block.fault = Some(fault_of(line));
            self.block = Some(block);
        } else {
            self.end_block();
            let fault = fault_of(line);
            self.strange.get_or_insert((self.number, fault));
        }
    }

    fn wrapped(&mut self, line: &[u8]) {
        let is_next = |block: &Block| line.len() <= block.width;
        if !self.block.as_ref().is_some_and(is_next) {
            self.end_block();
        }
        let block = self.block.take();
        let mut block = block.unwrap_or_else(|| Block::new(line, self.number));
        block.take(line, self.number);
        self.push_reports(&mut block);
        let is_last = line.len() < block.least || line.ends_with(b"=");
        self.block = Some(block);
        if is_last {
            self.end_block();
        }
    }

    /// Hands on the complete reports.
    fn push_reports(&mut self, block: &mut Block) {
        while let Some(report) = block.next() {
            self.push_at(block.at, report);
            block.at = self.number;
            if self.items.is_stopped() {
                return;
            }
        }
    }

    /// The remainder of a block after its last report is a bad item.
    fn end_block(&mut self) {
        let Some(mut block) = self.block.take() else {
            return;
        };
        block.finish();
        self.push_reports(&mut block);
        let Some(fault) = block.left() else {
            return;
        };
        if block.is_word() && !self.is_meant {
            self.strange.get_or_insert((block.at, fault));
        } else {
            self.push_at(block.at, Err(fault));
        }
    }

    /// Hands on the item of this line.
    fn push(&mut self, item: Item) {
        self.push_at(self.number, item);
    }

    /// Hands an item on, after the items before it.
    fn push_at(&mut self, line: u64, item: Item) {
        self.is_meant = true;
        self.end_strange();
        if !self.items.is_stopped() {
            self.items.push(ItemPosition::Line(line), item);
        }
    }

    fn end_strange(&mut self) {
        if let Some((line, fault)) = self.strange.take()
            && !self.items.is_stopped()
        {
            self.items.push(ItemPosition::Line(line), Err(fault));
        }
    }
}

/// Whether this line is long enough for a report, and is a report's text except for
/// some damage.
fn is_one_report(line: &[u8]) -> bool {
    let fitting = line.iter().filter(|byte| is_of_base64(**byte)).count();
    line.len() >= SHORTEST && fitting * 8 >= line.len() * 7
}

/// The least width of wrapped text that begins with this line, if the line is such text
/// except for a little damage.
fn width_of_damaged(line: &[u8]) -> Option<usize> {
    let fitting = line.iter().filter(|byte| is_of_base64(**byte)).count();
    let is_damaged = (SHORTEST_WRAPPED..SHORTEST).contains(&line.len());
    (is_damaged && fitting * 16 >= line.len() * 15).then_some(fitting)
}

/// Why this line is not the text of a report.
fn fault_of(line: &[u8]) -> ItemError {
    let fault = decode_base64(line).err();
    fault.map_or(ItemError::TooLong, ItemError::Base64)
}

/// Lines of wrapped text.
struct Block {
    /// The number of the line that the next report begins on.
    at: u64,
    /// How long its first line is.
    width: usize,
    /// A line that is shorter than this is the last one.
    least: usize,
    is_hex: bool,
    /// Characters that are no whole byte yet.
    text: Vec<u8>,
    /// Bytes that are no complete report yet.
    bytes: Vec<u8>,
    /// Why the rest of it is lost.
    fault: Option<ItemError>,
}

impl Block {
    fn new(line: &[u8], number: u64) -> Self {
        Self {
            at: number,
            width: line.len(),
            least: line.len(),
            is_hex: line.len() >= SHORTEST_WRAPPED && is_hex(line),
            text: Vec::new(),
            bytes: Vec::new(),
            fault: None,
        }
    }

    /// Takes a line, whose length is bounded.
    fn take(&mut self, line: &[u8], number: u64) {
        if self.fault.is_some() {
            return;
        }
        if self.bytes.is_empty() && self.text.is_empty() {
            self.at = number;
        }
        self.text.extend_from_slice(line);
        let group = if self.is_hex { 2 } else { 4 };
        let whole = self.text.len() - self.text.len() % group;
        let text: Vec<u8> = self.text.drain(..whole).collect();
        self.decode(&text);
    }

    fn decode(&mut self, text: &[u8]) {
        if self.is_hex && is_hex(text) {
            self.bytes.extend(text.chunks_exact(2).map(hex_byte));
            return;
        }
        match decode_base64(text) {
            Ok(bytes) if !self.is_hex => self.bytes.extend(bytes),
            Ok(_) => {
                let length = base64::DecodeError::InvalidLength(text.len());
                self.fault = Some(ItemError::Base64(length));
            }
            Err(error) => self.fault = Some(ItemError::Base64(error)),
        }
    }

    /// Whether its first line is as short as a word.
    const fn is_word(&self) -> bool {
        self.width < SHORTEST_WRAPPED
    }

    /// Takes the characters that no line after it completes.
    fn finish(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.fault.is_none() {
            self.decode(&text);
        }
    }

    /// The next complete report.
    fn next(&mut self) -> Option<Item> {
        let length = wire::declared_len(&self.bytes)?;
        (self.bytes.len() >= length).then(|| {
            let report: Vec<u8> = self.bytes.drain(..length).collect();
            parse(&report)
        })
    }

    /// What is wrong with the remainder, if anything is.
    fn left(&mut self) -> Option<ItemError> {
        let fault = self.fault.take();
        fault.or_else(|| match self.bytes.is_empty() {
            true => None,
            false => parse(&self.bytes).err(),
        })
    }
}
