//! What an item of a document costs, counted in numbers.
//!
//! Two programs spend the budget of a source: `tcnd-sync` decides what of a
//! document fits, and tcnd takes it. Both count by this module, so what fits for
//! the one fits for the other. A cost depends on the item alone. It does not
//! depend on whether a report matches, or is known: whoever serves the document
//! can compute it.
//!
//! No item is free. A report costs the numbers that it names, and a constant for
//! what is done with each: its signature is checked, and it is remembered. An
//! item that goes no further costs the reading of it.

use tcn_protocol::SignedReport;
use tcn_protocol::file::Item;

/// What one source may cost in one run, if nobody says otherwise: 7500 reports
/// of the greatest length, or 930,000 of six hours. It is some 50 seconds of one
/// core, and more on a small machine.
pub const BUDGET: u64 = 500_000_000;

/// What a report costs besides its numbers. A signature is checked in the time
/// that 512 numbers take, and remembering a report takes no longer.
pub const REPORT: u64 = 512;

/// What an item costs that is read and not passed on: one that is no report, or
/// a report that nobody wants.
pub const READ: u64 = 16;

/// What a report costs that is taken: from [`REPORT`] to 66,047.
pub fn report(report: &SignedReport) -> u64 {
    REPORT + u64::from(report.claim().count())
}

/// What an item of a file costs.
pub fn item(item: &Item) -> u64 {
    item.as_ref().map_or(READ, report)
}

#[cfg(test)]
mod tests {
    use tcn_protocol::file::ItemError;
    use tcn_protocol::{Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, wire};

    use super::*;

    fn of(numbers: u16) -> SignedReport {
        let rak = ReportAuthorizationKey::from_bytes(&[7; 32]);
        let index = |n| RatchetIndex::new(n).unwrap();
        let span = ReportSpan::new(index(1), index(numbers)).unwrap();
        let memo = Memo::new(MemoType::COEPI_V1, Vec::new()).unwrap();
        SignedReport::create(&rak, span, memo)
    }

    #[test]
    fn no_item_is_free() {
        assert_eq!(report(&of(24)), 536);
        assert_eq!(report(&of(u16::MAX)), 66_047);
        // The last number before the first: it names nothing.
        let mut bytes = wire::write(&of(4));
        bytes[66..68].fill(0);
        let empty = wire::parse(&bytes).unwrap();
        assert_eq!(report(&empty), REPORT);
        assert_eq!(item(&Ok(empty)), REPORT);
        assert_eq!(item(&Err(ItemError::NotAReport)), READ);
    }
}
