//! Reports side by side, each in a lane of its own, and the ways to compute
//! the next number of each.
//!
//! | way | works on | needs |
//! |---|---|---|
//! | `Portable` | a block of each lane in turn, by the crate `sha2` | nothing |
//! | `ShaNi` | all lanes at once, four rounds of each in turn | x86-64 with SHA instructions |
//!
//! The choice never shows in the numbers.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::ShaNi;

use tcn_protocol::{RatchetIndex, Report, TemporaryContactNumber};

/// Lanes at most: four hide the latency of SHA-256, more gain little.
pub(super) const ABREAST: usize = 4;

/// A way to compute numbers.
pub(super) trait Compute: Copy {
    /// The state of a report between two numbers.
    type Ratchet;

    /// The ratchet before the report's first number.
    fn ratchet(self, report: &Report) -> Self::Ratchet;

    /// Turns the ratchet of each lane, [`ABREAST`] at most, by one, to the lane's
    /// index, and gives the numbers there. The values for missing lanes are arbitrary.
    fn numbers(self, lanes: &mut [Lane<Self::Ratchet>]) -> [TemporaryContactNumber; ABREAST];
}

/// A report that is being expanded.
pub(super) struct Lane<R> {
    /// The position given with the report.
    pub(super) position: usize,
    /// The index of the number that comes next, or came last.
    pub(super) index: RatchetIndex,
    last: RatchetIndex,
    ratchet: R,
}

impl<R> Lane<R> {
    /// `None` if the report discloses nothing.
    pub(super) fn new(
        way: impl Compute<Ratchet = R>,
        position: usize,
        report: &Report,
    ) -> Option<Self> {
        let index = report.j1();
        let last = RatchetIndex::new(report.j2()).filter(|last| *last >= index)?;
        Some(Self {
            position,
            index,
            last,
            ratchet: way.ratchet(report),
        })
    }

    /// Advances to the next index. Returns whether there was one.
    pub(super) fn go_on(&mut self) -> bool {
        let next = self.index.next().filter(|next| *next <= self.last);
        next.map(|next| self.index = next).is_some()
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
