//! Reports side by side, each in a lane of its own, and the ways to compute
//! the next number of each.
//!
//! | way | works on | needs |
//! |---|---|---|
//! | `Portable` | a block of each lane in turn, by the crate `sha2` | nothing |
//! | `ShaInstructions` | all lanes at once, four rounds of each in turn | instructions for SHA-256, of x86-64 or AArch64 |
//!
//! The choice never shows in the numbers.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod instructions;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
pub(super) use instructions::ShaInstructions;
pub(super) use portable::Portable;

use tcn_protocol::{RatchetIndex, Report};

/// The bytes of a number for each lane that any way has.
pub(super) type Numbers = [[u8; 16]; ABREAST];

const ABREAST: usize = 4;

/// A way to compute numbers.
pub(super) trait Compute: Copy {
    /// The state of a report between two numbers.
    type Ratchet;

    /// Lanes at most, and at most [`ABREAST`]: enough to hide the latency of SHA-256.
    const LANES: usize;

    /// The ratchet before the report's first number.
    fn ratchet(self, report: &Report) -> Self::Ratchet;

    /// Turns the ratchets of the lanes, [`Compute::LANES`] at most, once for each of
    /// `numbers`, and puts the numbers there, that of each lane at its place. The first
    /// is that of the lane's index. No lane has fewer left.
    fn turns(self, lanes: &mut [Lane<Self::Ratchet>], numbers: &mut [Numbers]);

    /// Computes that many compressions, of blocks that each depend on the one before in
    /// the lane, and gives a number that depends on all of them.
    fn back_to_back(self, compressions: usize) -> u64;
}

/// A report that is being expanded.
pub(super) struct Lane<R> {
    /// The position given with the report.
    pub(super) position: usize,
    /// The index of the number that comes next, if any is left.
    pub(super) index: RatchetIndex,
    /// How many numbers of the report are left.
    pub(super) left: u16,
    ratchet: R,
}

impl<R> Lane<R> {
    /// `None` if the report discloses nothing.
    pub(super) fn new(
        way: impl Compute<Ratchet = R>,
        position: usize,
        report: &Report,
    ) -> Option<Self> {
        (report.count() > 0).then(|| Self {
            position,
            index: report.j1(),
            left: report.count(),
            ratchet: way.ratchet(report),
        })
    }

    /// Goes to the next index, if there is one.
    pub(super) const fn advance(&mut self) {
        self.left -= 1;
        if let Some(next) = self.index.next() {
            self.index = next;
        }
    }
}

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
