//! How long numbers of this machine were on the air, by quarter of an hour.
//!
//! A time without contacts means something only if the machine was at work then.
//! The records of aired numbers, which are kept to make reports, tell when it was.

use std::collections::BTreeMap;
use std::time::Duration;

use tcn_protocol::UnixTime;

use crate::KeyHistory;
use crate::disclosure::on_air;

/// The length of a quarter of an hour in seconds.
const QUARTER: u64 = 900;

/// The time on the air in each quarter of an hour, counted from 1970, that lies in
/// `[from, to)` at least in part. Quarters without any are absent.
///
/// A number whose end was never written counts as on the air for `longest_life` from its
/// start, or until `now`.
pub fn by_quarter(
    histories: &[KeyHistory],
    (from, to): (UnixTime, UnixTime),
    longest_life: Duration,
    now: UnixTime,
) -> BTreeMap<UnixTime, Duration> {
    let numbers = histories.iter().flat_map(|history| &history.numbers);
    let spans = numbers.map(|number| on_air(number, longest_life, now));
    let mut spans: Vec<_> = spans
        .map(|(start, end)| (start.0.max(from.0), end.0.min(to.0)))
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort_unstable();
    let mut quarters = BTreeMap::new();
    let mut counted = 0;
    for (start, end) in spans {
        // A clock that was set back can make two numbers share a time.
        let mut at = start.max(counted);
        while at < end {
            let quarter = at / QUARTER * QUARTER;
            let next = end.min(quarter + QUARTER);
            let time: &mut Duration = quarters.entry(UnixTime(quarter)).or_default();
            *time += Duration::from_secs(next - at);
            at = next;
        }
        counted = counted.max(end);
    }
    quarters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcn_protocol::RatchetIndex;

    use super::*;
    use crate::{Aired, KeyId};

    const LIFE: Duration = Duration::from_secs(900);

    fn history(spans: &[(u64, Option<u64>)]) -> KeyHistory {
        let numbers = spans.iter().zip(1..).map(|((first, last), index)| Aired {
            index: RatchetIndex::new(index).unwrap(),
            first: UnixTime(*first),
            last: last.map(UnixTime),
        });
        KeyHistory {
            key: KeyId(1),
            reported: false,
            numbers: numbers.collect(),
        }
    }

    fn seconds(spans: &[(u64, Option<u64>)], from: u64, to: u64, now: u64) -> Vec<(u64, u64)> {
        let span = (UnixTime(from), UnixTime(to));
        let quarters = by_quarter(&[history(spans)], span, LIFE, UnixTime(now));
        let seconds = quarters.iter().map(|(at, time)| (at.0, time.as_secs()));
        seconds.collect()
    }

    #[test]
    fn times_are_cut_at_quarters_and_counted_once() {
        let spans = [(800, Some(1000)), (900, Some(1900)), (5000, None)];
        let all = [(0, 100), (900, 900), (1800, 100), (4500, 400), (5400, 500)];
        assert_eq!(seconds(&spans, 0, 90_000, 90_000), all);
        assert_eq!(seconds(&spans, 950, 1850, 90_000), [(900, 850), (1800, 50)]);
        // It may still be on the air.
        assert_eq!(seconds(&spans[2..], 0, 90_000, 5100), [(4500, 100)]);
    }

    proptest! {
        #[test]
        fn no_quarter_has_more_than_it_can(
            spans in prop::collection::vec((0_u64..20_000, prop::option::of(0_u64..20_000)), 0..20),
            from in 0_u64..20_000,
            length in 1_u64..20_000,
        ) {
            let counted = seconds(&spans, from, from + length, 20_000);
            for (at, seconds) in &counted {
                let most = (from + length).min(at + QUARTER) - from.max(*at);
                prop_assert!(at % QUARTER == 0 && (1..=most).contains(seconds));
            }
        }
    }
}
