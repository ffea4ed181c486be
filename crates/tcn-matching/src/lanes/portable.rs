//! Lanes on any processor, by the block interface of `sha2`, which itself uses special
//! instructions on several processors.
//!
//! The padded blocks of a report are laid out once; from number to number only the key
//! and index in them change. The lanes are computed in turn, block by block, so that an
//! out-of-order processor works on all of them.

use std::ops::Range;
use std::slice;

use sha2::block_api::compress256;
use tcn_protocol::Report;

use super::{ABREAST, Compute, INITIAL, Lane, Numbers};

/// Lanes that are computed in turn: four hide the latency, more gain little.
const LANES: usize = ABREAST;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Portable;

impl Compute for Portable {
    type Ratchet = Blocks;

    const LANES: usize = LANES;

    fn ratchet(self, report: &Report) -> Blocks {
        Blocks::new(report)
    }

    fn turns(self, lanes: &mut [Lane<Blocks>], numbers: &mut [Numbers]) {
        for (turn, numbers) in (0..).zip(numbers) {
            *numbers = Self::turn(lanes, turn);
        }
    }

    fn back_to_back(self, compressions: usize) -> u64 {
        let mut states = [INITIAL; LANES];
        for at in 0..compressions {
            compress256(&mut states[at % LANES], &[[0; BLOCK]]);
        }
        states.iter().map(|state| u64::from(state[0])).sum()
    }
}

impl Portable {
    /// The numbers that many turns after the index of each lane.
    ///
    /// A key is stored as soon as it is known. Three compressions lie between that and
    /// its first load, time enough for the store to complete.
    fn turn(lanes: &mut [Lane<Blocks>], turn: u16) -> Numbers {
        let mut states = [INITIAL; LANES];
        for (lane, state) in lanes.iter().zip(&mut states) {
            compress256(state, lane.ratchet.tck_block(0));
        }
        for (lane, state) in lanes.iter_mut().zip(&mut states) {
            compress256(state, lane.ratchet.tck_block(1));
            lane.ratchet.set_tck(&hash(*state), lane.index.get() + turn);
        }
        let mut states = [INITIAL; LANES];
        for (lane, state) in lanes.iter().zip(&mut states) {
            compress256(state, slice::from_ref(&lane.ratchet.tcn));
        }
        states.map(|[a, b, c, d, ..]| bytes([a, b, c, d]))
    }
}

/// The messages of a report.
pub(in super::super) struct Blocks {
    /// `"H_TCK" || rvk || tck`, 69 bytes, padded.
    tck: [u8; 2 * BLOCK],
    /// `"H_TCN" || le_u16(index) || tck`, 39 bytes, padded.
    tcn: [u8; BLOCK],
}

const BLOCK: usize = 64;

/// The position of `tck` in the message of `H_tck`, and in that of `H_tcn`. Both end
/// with it.
const IN_TCK: Range<usize> = 5 + 32..5 + 32 + 32;
const IN_TCN: Range<usize> = 5 + 2..5 + 2 + 32;

impl Blocks {
    fn new(report: &Report) -> Self {
        let mut blocks = Self {
            tck: padded(IN_TCK.end),
            tcn: padded(IN_TCN.end),
        };
        blocks.tck[..5].copy_from_slice(b"H_TCK");
        blocks.tck[5..IN_TCK.start].copy_from_slice(report.rvk().as_bytes());
        blocks.tck[IN_TCK].copy_from_slice(report.link());
        blocks.tcn[..5].copy_from_slice(b"H_TCN");
        blocks
    }

    /// Block 0 or 1 of the message whose hash is the next key.
    fn tck_block(&self, which: usize) -> &[[u8; BLOCK]] {
        let (blocks, _) = self.tck.as_chunks();
        &blocks[which..=which]
    }

    /// Puts a key into the messages of its number and of the next key.
    fn set_tck(&mut self, tck: &[u8; 32], index: u16) {
        self.tcn[5..IN_TCN.start].copy_from_slice(&index.to_le_bytes());
        self.tcn[IN_TCN].copy_from_slice(tck);
        self.tck[IN_TCK].copy_from_slice(tck);
    }
}

/// A buffer for a message of `length` bytes, below 8192, and its padding.
fn padded<const N: usize>(length: usize) -> [u8; N] {
    let mut blocks = [0; N];
    blocks[length] = 0x80;
    let bits = length as u64 * 8;
    blocks[N - 8..].copy_from_slice(&bits.to_be_bytes());
    blocks
}

/// A whole hash.
fn hash([a, b, c, d, e, f, g, h]: [u32; 8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let (low, high) = hash.split_at_mut(16);
    low.copy_from_slice(&bytes([a, b, c, d]));
    high.copy_from_slice(&bytes([e, f, g, h]));
    hash
}

/// Half a hash, joined before it is stored: wide loads that follow narrow stores would
/// wait long.
fn bytes(words: [u32; 4]) -> [u8; 16] {
    words
        .into_iter()
        .fold(0, |all: u128, word| all << 32 | u128::from(word))
        .to_be_bytes()
}
