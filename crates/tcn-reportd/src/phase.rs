//! The phase of an interval: future, open, past, or gone.
//!
//! The phase follows from one number, the interval that takes uploads. The store keeps
//! that number and moves it forwards only. So a past interval stays past and a gone one
//! stays gone, whatever the clock does.

use tcn_exchange::interval::Interval;

/// Past intervals kept: 14 days.
pub(super) const RETENTION: u64 = 56;

/// Intervals of which the digests of reports are kept: 56 days.
pub(super) const DIGEST_RETENTION: u64 = 224;

/// The phase of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It starts later.
    Future,
    /// It takes uploads.
    Open,
    /// It is over and kept; it will never change.
    Past,
    /// It ended more than 14 days ago.
    Gone,
}

/// The phase of `interval` while `open` takes uploads.
pub(super) fn phase(interval: Interval, open: Interval) -> Phase {
    if interval > open {
        Phase::Future
    } else if interval == open {
        Phase::Open
    } else if interval >= oldest(open) {
        Phase::Past
    } else {
        Phase::Gone
    }
}

/// The oldest interval kept while `open` takes uploads.
pub(super) fn oldest(open: Interval) -> Interval {
    Interval::new(open.number().saturating_sub(RETENTION)).unwrap_or(open)
}

/// The oldest interval of which digests are kept while `open` takes uploads.
pub(super) fn oldest_digest(open: Interval) -> Interval {
    Interval::new(open.number().saturating_sub(DIGEST_RETENTION)).unwrap_or(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourteen_days_are_kept() {
        let at = |number| Interval::new(number).unwrap();
        let open = at(74_359);
        assert_eq!(phase(open.next(), open), Phase::Future);
        assert_eq!(phase(open, open), Phase::Open);
        assert_eq!(phase(open.previous(), open), Phase::Past);
        assert_eq!(phase(at(74_359 - 56), open), Phase::Past);
        assert_eq!(phase(at(74_359 - 57), open), Phase::Gone);
        assert_eq!(RETENTION * Interval::SECONDS, 14 * 86_400);
        assert_eq!(phase(at(0), at(3)), Phase::Past);
    }
}
