//! Many reports expanded at once.
//!
//! A number costs three compressions of SHA-256, two for `H_tck` and one for
//! `H_tcn`. Inside a report each waits for the one before; reports do not wait
//! for each other. So four reports are expanded in turn, block by block, and a
//! processor that looks ahead works on all four. The padded blocks of a report
//! are laid out once; from number to number only the key and index in them
//! change. When a report ends, the next takes its lane.
//!
//! The numbers are those of `Report::temporary_contact_numbers`, which is the
//! form to read.
//!
//! Spec: TCN 6b64d09, README "Key Derivation"; FIPS 180-4, 5.1.1 and 5.3.3.

use std::ops::{ControlFlow, Range};
use std::slice;

use sha2::block_api::compress256;

use crate::protocol::{RatchetIndex, Report, TemporaryContactNumber};

/// Shows `visit` every number that `reports` disclose, each with the position
/// its report was given with and its index; in order within a report, mixed
/// between reports. Ends early when `visit` breaks, with its reason.
///
/// Reports are asked for as lanes become free, at most four ahead.
pub fn expand<'a, B>(
    reports: impl IntoIterator<Item = (usize, &'a Report)>,
    mut visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut waiting = reports
        .into_iter()
        .filter_map(|(position, report)| Lane::new(position, report));
    let mut lanes: Vec<Lane> = waiting.by_ref().take(ABREAST).collect();
    while !lanes.is_empty() {
        let numbers = step(&mut lanes);
        for (lane, number) in lanes.iter().zip(numbers) {
            visit(lane.position, lane.index, number)?;
        }
        lanes
            .retain_mut(|lane| lane.advance() || waiting.next().map(|next| *lane = next).is_some());
    }
    ControlFlow::Continue(())
}

/// Lanes: four hide the latency of one compression; more gain nothing.
const ABREAST: usize = 4;

/// `H^(0)` of SHA-256.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A report on its way.
struct Lane {
    position: usize,
    /// Of the number that comes next, or came last.
    index: RatchetIndex,
    last: RatchetIndex,
    /// `"H_TCK" || rvk || tck`, 69 bytes, padded.
    tck: [u8; 2 * BLOCK],
    /// `"H_TCN" || le_u16(index) || tck`, 39 bytes, padded.
    tcn: [u8; BLOCK],
}

const BLOCK: usize = 64;

/// Where `tck` stands in the message of `H_tck`, and in that of `H_tcn`. They
/// end with it.
const IN_TCK: Range<usize> = 5 + 32..5 + 32 + 32;
const IN_TCN: Range<usize> = 5 + 2..5 + 2 + 32;

impl Lane {
    /// `None` if the report discloses nothing.
    fn new(position: usize, report: &Report) -> Option<Self> {
        let index = report.j1();
        let last = RatchetIndex::new(report.j2()).filter(|last| *last >= index)?;
        let mut lane = Self {
            position,
            index,
            last,
            tck: padded(IN_TCK.end),
            tcn: padded(IN_TCN.end),
        };
        lane.tck[..5].copy_from_slice(b"H_TCK");
        lane.tck[5..IN_TCK.start].copy_from_slice(report.rvk().as_bytes());
        lane.tck[IN_TCK].copy_from_slice(report.link());
        lane.tcn[..5].copy_from_slice(b"H_TCN");
        Some(lane)
    }

    /// Block 0 or 1 of the message whose hash is the next key.
    fn tck_block(&self, which: usize) -> &[[u8; BLOCK]] {
        let (blocks, _) = self.tck.as_chunks();
        &blocks[which..=which]
    }

    /// Puts a key where its number is made of it, and the next key.
    fn set_tck(&mut self, tck: &[u8; 32]) {
        self.tcn[5..IN_TCN.start].copy_from_slice(&self.index.get().to_le_bytes());
        self.tcn[IN_TCN].copy_from_slice(tck);
        self.tck[IN_TCK].copy_from_slice(tck);
    }

    /// Goes on to the next index, unless this was the last.
    fn advance(&mut self) -> bool {
        let next = self.index.next().filter(|next| *next <= self.last);
        next.map(|next| self.index = next).is_some()
    }
}

/// Room for a message of `length` bytes, below 8192, and its padding.
fn padded<const N: usize>(length: usize) -> [u8; N] {
    let mut blocks = [0; N];
    blocks[length] = 0x80;
    let bits = length as u64 * 8;
    blocks[N - 8..].copy_from_slice(&bits.to_be_bytes());
    blocks
}

/// One number of each lane, a block of each in turn.
///
/// A key is stored as soon as it is known: three compressions lie between that
/// and the first look at it, time enough for it to arrive.
fn step(lanes: &mut [Lane]) -> [TemporaryContactNumber; ABREAST] {
    let mut states = [INITIAL; ABREAST];
    for (lane, state) in lanes.iter().zip(&mut states) {
        compress256(state, lane.tck_block(0));
    }
    for (lane, state) in lanes.iter_mut().zip(&mut states) {
        compress256(state, lane.tck_block(1));
        lane.set_tck(&hash(*state));
    }
    let mut states = [INITIAL; ABREAST];
    for (lane, state) in lanes.iter().zip(&mut states) {
        compress256(state, slice::from_ref(&lane.tcn));
    }
    states.map(|[a, b, c, d, ..]| TemporaryContactNumber::from_bytes(bytes([a, b, c, d])))
}

/// A whole hash.
fn hash([a, b, c, d, e, f, g, h]: [u32; 8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let (low, high) = hash.split_at_mut(16);
    low.copy_from_slice(&bytes([a, b, c, d]));
    high.copy_from_slice(&bytes([e, f, g, h]));
    hash
}

/// Half a hash, joined before it is stored: what reads it back in wide loads
/// would wait long for narrow stores.
fn bytes(words: [u32; 4]) -> [u8; 16] {
    words
        .into_iter()
        .fold(0, |all: u128, word| all << 32 | u128::from(word))
        .to_be_bytes()
}
