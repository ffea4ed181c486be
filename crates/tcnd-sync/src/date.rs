//! The server's clock, by the header `Date` (RFC 9110, section 6.6.1).
//!
//! An interval is over when no more reports can be added to it. The server's clock
//! decides that: our own may be hours ahead, and a server returns an empty list for an
//! interval that has not started. A cache keeps the `Date` of the server that made the
//! response, and gives the time since then in `Age` (RFC 9111, section 5.1).

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{AGE, DATE, HeaderMap};
use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;

/// How far a server's clock may be from ours. The margin that an interval waits after
/// its end covers this difference, and no more.
pub(super) const MOST_APART: Duration = Interval::MARGIN;

/// The times that a response gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerTime {
    /// When the response was made.
    pub(super) made: UnixTime,
    /// When the response was sent, by the same clock.
    pub(super) sent: UnixTime,
}

impl ServerTime {
    /// The times of a response; `None` without a valid `Date`, or with several. An
    /// invalid `Age` counts as zero.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut dates = headers.get_all(DATE).iter();
        let (date, None) = (dates.next()?, dates.next()) else {
            return None;
        };
        let made = http_date(date.to_str().ok()?)?;
        let age = headers.get(AGE).and_then(|age| age.to_str().ok());
        let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
        Some(Self {
            made,
            sent: made.after(Duration::from_secs(age)),
        })
    }

    /// How far the server's clock is ahead of the local clock, in seconds.
    pub(super) fn ahead_of(&self, ours: UnixTime) -> i64 {
        let apart = i64::try_from(self.sent.0.abs_diff(ours.0)).unwrap_or(i64::MAX);
        if self.sent >= ours { apart } else { -apart }
    }
}

/// Whether a difference of this many seconds between clocks is too large.
pub(super) const fn differs(seconds: i64) -> bool {
    seconds.unsigned_abs() > MOST_APART.as_secs()
}

/// A time in one of the three forms of RFC 9110, section 5.6.7.
pub(super) fn http_date(text: &str) -> Option<UnixTime> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(UnixTime(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Option<(u64, u64)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        ServerTime::of(&map).map(|time| (time.made.0, time.sent.0))
    }

    #[test]
    fn a_date_is_read_in_every_form_there_is() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(of(&[("date", date)]), Some((784_111_777, 784_111_777)));
        }
    }

    #[test]
    fn a_cached_answer_is_as_old_as_it_says() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(of(&[date, ("age", "60")]), Some((784_111_777, 784_111_837)));
        for nonsense in ["", "-1", "soon", "99999999999999999999999"] {
            let read = of(&[date, ("age", nonsense)]);
            assert_eq!(read, Some((784_111_777, 784_111_777)), "{nonsense}");
        }
    }

    #[test]
    fn what_is_no_date_or_two_says_nothing() {
        for nonsense in [
            "",
            "0",
            "784111777",
            "yesterday",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(of(&[("date", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(of(&[]), None);
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(of(&[date, date]), None);
    }

    #[test]
    fn clocks_differ_beyond_the_margin_either_way() {
        let at = |sent| ServerTime {
            made: UnixTime(0),
            sent: UnixTime(sent),
        };
        for (sent, ahead, is_wrong) in [
            (10_000, 0, false),
            (10_600, 600, false),
            (10_601, 601, true),
            (9_400, -600, false),
            (9_399, -601, true),
            (0, -10_000, true),
        ] {
            let seconds = at(sent).ahead_of(UnixTime(10_000));
            assert_eq!((seconds, differs(seconds)), (ahead, is_wrong), "{sent}");
        }
    }
}
