//! Intervals: the spans of time that reports are published by.
//!
//! A server sorts uploads by the six hours in which they arrived, and serves each interval
//! whole under its number. A finished interval never changes, so it can be fetched once and
//! cached anywhere on the way. The length is the one that CoEpi deployed. Its servers
//! answer no other (coepi-backend-aws 6588865, `TCNHttpHandler`).

use std::fmt;
use std::time::Duration;

use tcn_protocol::UnixTime;

/// An interval, by its number counted from the start of 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u64);

impl Interval {
    /// Length of an interval, in seconds.
    pub const SECONDS: u64 = 21_600;

    /// The first interval that CoEpi's servers answer, of November 2019. Before it there
    /// was nothing to report.
    pub const FIRST: Self = Self(72_804);

    /// How long after its end an interval counts as over: a server's clock may be behind
    /// the local one.
    pub const MARGIN: Duration = Duration::from_secs(600);

    /// The interval with this number; `None` past the end of time.
    pub const fn new(number: u64) -> Option<Self> {
        if number < u64::MAX / Self::SECONDS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The interval that `time` is in.
    pub const fn of(time: UnixTime) -> Self {
        Self(time.0 / Self::SECONDS)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Its first second.
    pub const fn start(self) -> UnixTime {
        UnixTime(self.0.saturating_mul(Self::SECONDS))
    }

    /// The first second after it.
    pub const fn end(self) -> UnixTime {
        UnixTime(self.start().0.saturating_add(Self::SECONDS))
    }

    /// The one before.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether it ended [`MARGIN`](Self::MARGIN) or more before `now`, so that no server
    /// adds to it any more.
    pub fn is_over(self, now: UnixTime) -> bool {
        self.end().after(Self::MARGIN) <= now
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the CoEpi client and server, run
    /// (coepi-backend-aws 6588865, app-backend-rust `reports_interval.rs`).
    #[test]
    fn a_time_is_in_the_interval_the_clients_say() {
        for (unix, number) in [
            (1_572_566_400, 72_804),
            (1_572_566_399, 72_803),
            (1_589_209_754, 73_574),
            (1_590_528_300, 73_635),
            (1_606_158_000, 74_359),
            (1_606_154_400, 74_359),
            (1_606_154_399, 74_358),
        ] {
            let interval = Interval::of(UnixTime(unix));
            assert_eq!(interval.number(), number, "{unix}");
            assert!(interval.start().0 <= unix && unix < interval.end().0);
        }
        assert_eq!(Interval::FIRST.start(), UnixTime(1_572_566_400));
    }

    #[test]
    fn it_is_over_when_no_clock_can_be_in_it_any_more() {
        let interval = Interval::of(UnixTime(1_606_154_400));
        let over = interval.end().after(Interval::MARGIN);
        assert!(!interval.is_over(interval.end()));
        assert!(!interval.is_over(UnixTime(over.0 - 1)));
        assert!(interval.is_over(over));
    }

    #[test]
    fn no_number_overflows() {
        assert_eq!(Interval::new(u64::MAX), None);
        let last = Interval::new(u64::MAX / Interval::SECONDS - 1).unwrap();
        assert_eq!(last.end().0 - last.start().0, Interval::SECONDS);
        assert_eq!(Interval::of(last.start()), last);
        assert_eq!(last.next().previous(), last);
    }
}
