//! The phase of an interval: future, open, past, or gone.
//!
//! The phase follows from one number, the interval that takes uploads. The store keeps
//! that number and moves it forwards only. So a past interval stays past and a gone one
//! stays gone, whatever the clock does.

use tcn_exchange::interval::Interval;

/// Past intervals kept: 14 days.
pub(super) const KEPT: u64 = 56;

/// Intervals of which the digests of reports are kept: 56 days.
pub(super) const KNOWN: u64 = 224;

/// The phase of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
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
pub(super) fn place(interval: Interval, open: Interval) -> Place {
    if interval > open {
        Place::Future
    } else if interval == open {
        Place::Open
    } else if interval >= oldest(open) {
        Place::Past
    } else {
        Place::Gone
    }
}

/// The oldest interval kept while `open` takes uploads.
pub(super) fn oldest(open: Interval) -> Interval {
    Interval::new(open.number().saturating_sub(KEPT)).unwrap_or(open)
}

/// The oldest interval of which digests are kept while `open` takes uploads.
pub(super) fn oldest_known(open: Interval) -> Interval {
    Interval::new(open.number().saturating_sub(KNOWN)).unwrap_or(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourteen_days_are_kept() {
        let at = |number| Interval::new(number).unwrap();
        let open = at(74_359);
        assert_eq!(place(open.next(), open), Place::Future);
        assert_eq!(place(open, open), Place::Open);
        assert_eq!(place(open.previous(), open), Place::Past);
        assert_eq!(place(at(74_359 - 56), open), Place::Past);
        assert_eq!(place(at(74_359 - 57), open), Place::Gone);
        assert_eq!(KEPT * Interval::SECONDS, 14 * 86_400);
        assert_eq!(place(at(0), at(3)), Place::Past);
    }
}
