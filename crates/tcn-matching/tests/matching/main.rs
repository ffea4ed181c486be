//! Matching compared with slower ways that are plainly right.
//!
//! | module | holds |
//! |---|---|
//! | `index` | the index against a `BTreeSet`, and its size, for any input |
//! | `expansion` | several reports at once against one after another, by every kernel |
//! | `oracle` | match first against verify all, by the published crate `tcn` 0.4.1 |
//! | `limits` | budgets, stopping, and how much is kept of a report |

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod expansion;
mod index;
mod limits;
mod oracle;

use std::num::NonZeroUsize;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tcn_matching::{Budget, Finding, Index, IndexBuilder, Secret, match_reports};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, wire,
};

const PLENTY: Budget = Budget {
    numbers: 1_000_000_000,
};

fn builder(seed: u64) -> IndexBuilder {
    IndexBuilder::new(Secret::generate(&mut ChaCha20Rng::seed_from_u64(seed)))
}

fn index_of(numbers: impl IntoIterator<Item = TemporaryContactNumber>) -> Index {
    let mut builder = builder(1);
    builder.extend(numbers).unwrap();
    builder.build()
}

fn number(value: u128) -> TemporaryContactNumber {
    TemporaryContactNumber::from_bytes(value.to_le_bytes())
}

fn numbers_of(report: &SignedReport) -> Vec<TemporaryContactNumber> {
    report.claim().temporary_contact_numbers().collect()
}

/// An honest report of the numbers `first` to `last`.
fn report(seed: u8, first: u16, last: u16) -> SignedReport {
    let span = ReportSpan::new(index(first), index(last)).unwrap();
    let memo = Memo::new(MemoType::COEPI_V1, [seed; 3]).unwrap();
    SignedReport::create(&ReportAuthorizationKey::from_bytes(&[seed; 32]), span, memo)
}

/// The same with `j_1` and `j_2` overwritten, in any order.
fn respanned(report: &SignedReport, j1: u16, j2: u16) -> SignedReport {
    let mut bytes = wire::write(report);
    bytes[64..66].copy_from_slice(&j1.to_le_bytes());
    bytes[66..68].copy_from_slice(&j2.to_le_bytes());
    wire::parse(&bytes).unwrap()
}

/// The same with `rvk` and `tck_{j1-1}` overwritten.
fn rekeyed(report: &SignedReport, keys: &[u8; 64]) -> SignedReport {
    let mut bytes = wire::write(report);
    bytes[..64].copy_from_slice(keys);
    wire::parse(&bytes).unwrap()
}

/// The same with one bit of its signature flipped.
fn broken(report: &SignedReport) -> SignedReport {
    let mut bytes = wire::write(report);
    *bytes.last_mut().unwrap() ^= 1;
    wire::parse(&bytes).unwrap()
}

fn index(i: u16) -> RatchetIndex {
    RatchetIndex::new(i).unwrap()
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn findings(index: &Index, reports: &[SignedReport], crew: usize) -> Vec<Finding> {
    match_reports(index, reports, &mut { PLENTY }, threads(crew), || false).unwrap()
}
