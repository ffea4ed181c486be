//! The cost of each item of a document, counted in numbers.
//!
//! Two programs spend the budget of a source: `tcnd-sync` decides which items of a
//! document fit, and tcnd takes them. Both count by this module, so items that fit for
//! one program fit for the other. A cost depends on the item alone. It does not depend
//! on whether a report matches or is known, because the server of the document can
//! compute the cost.
//!
//! No item is free. A report costs the numbers that it names, and a constant for two
//! other steps: its signature is checked, and it is remembered. An item that is not
//! passed on costs its reading.

use tcn_protocol::SignedReport;
use tcn_protocol::file::Item;

/// The default for the cost of one source in one run: 7500 reports of the greatest
/// length, or 930,000 of six hours. It is some 50 seconds of one core, and more on a
/// small machine.
pub const BUDGET: u64 = 500_000_000;

/// The cost of a report besides its numbers. A signature check takes the time of 512
/// numbers, and remembering a report takes no longer.
pub const REPORT: u64 = 512;

/// The cost of an item that is read and not passed on: one that is no report, or a
/// report that is not wanted.
pub const READ: u64 = 16;

/// The cost of a report that is taken: from [`REPORT`] to 66,047.
pub fn report(report: &SignedReport) -> u64 {
    REPORT + u64::from(report.claim().count())
}

/// The cost of an item of a file.
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
        // The last number comes before the first: the report names nothing.
        let mut bytes = wire::write(&of(4));
        bytes[66..68].fill(0);
        let empty = wire::parse(&bytes).unwrap();
        assert_eq!(report(&empty), REPORT);
        assert_eq!(item(&Ok(empty)), REPORT);
        assert_eq!(item(&Err(ItemError::NotAReport)), READ);
    }
}
