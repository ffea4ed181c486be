//! What a report discloses: from a span of time to signed parts.
//!
//! A report is asked for by time, and made of keys. A reader of a report can run the
//! ratchet from its first number to the last that the key ever gave, so a key cannot be
//! disclosed up to a certain hour. A part therefore goes from the first number that was on
//! the air in the span to the end of its key, and the times in the plan show it. Every part
//! ends one index past the last number aired, and that index is never used. Both readings
//! of `j_2` in the field then give exactly what was on the air ([`ReportSpan::of_aired`]).
//!
//! One key makes one report: a second report of the same key would link its memo to that of
//! the first. Spec: TCN 6b64d09, README "Report Timespans and Key Rotation".

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tcn_protocol::{ReportSpan, SignedReport, UnixTime};

use crate::{Aired, KeyHistory, KeyId};

/// Shorter silences are not reported as gaps.
pub const SHORTEST_GAP: Duration = Duration::from_secs(300);

/// What one signed report would disclose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The key that it discloses.
    pub key: KeyId,
    /// `j_1` to `j_2`; the number at `j_2` was never aired.
    pub span: ReportSpan,
    /// How many of its numbers were on the air.
    pub numbers: u16,
    /// When the first of them was on the air.
    pub from: UnixTime,
    /// When the last of them left the air; now, while it is on the air.
    pub to: UnixTime,
    /// The last of them is still on the air, or was when a crash kept its end from being
    /// written.
    pub on_air: bool,
}

/// Everything that a report over a span would disclose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One part per key, in order of time.
    pub parts: Vec<Part>,
    /// Stretches of the span, [`SHORTEST_GAP`] or longer, in which none of our numbers was on
    /// the air, so that the report warns no contact of that time.
    pub gaps: Vec<(UnixTime, UnixTime)>,
    /// How many keys of the span an earlier report has disclosed.
    pub reported: usize,
}

impl Plan {
    /// The plan for `[from, to)` by these key histories. The keys in it must have given their
    /// last number.
    ///
    /// A number whose end was never written counts as on the air for `longest_life` from its
    /// start, or until `now`.
    pub fn new(
        histories: &[KeyHistory],
        (from, to): (UnixTime, UnixTime),
        longest_life: Duration,
        now: UnixTime,
    ) -> Self {
        let times = |number: &Aired| on_air(number, longest_life, now);
        let open = |number: &Aired| number.last.is_none() && number.first.after(longest_life) > now;
        let mut plan = Self::default();
        let mut covered = Vec::new();
        for history in histories {
            let spans = history.numbers.iter().map(times);
            let inside = spans.filter(|span| span.0 < to && span.1 >= from);
            let before = covered.len();
            covered.extend(inside);
            if covered.len() == before {
                continue;
            }
            if history.reported {
                plan.reported += 1;
            } else {
                plan.parts.extend(part(history, from, times, open));
            }
        }
        plan.parts.sort_by_key(|part| (part.from, part.key));
        plan.gaps = gaps(covered, from, to);
        plan
    }

    /// How many numbers of all parts were on the air.
    pub fn numbers(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.numbers)).sum()
    }

    /// How many numbers all parts name, from `j_1` to `j_2` of each: those that were on the
    /// air, those that never were, and the unused last one of each part.
    pub fn named(&self) -> u64 {
        let named = |part: &Part| u64::from(part.span.last().get() - part.span.first().get()) + 1;
        self.parts.iter().map(named).sum()
    }

    /// Whether one of its numbers is still on the air. Then [`span`](Self::span) ends when the
    /// report is made.
    pub fn on_air(&self) -> bool {
        self.parts.iter().any(|part| part.on_air)
    }

    /// Differs between plans that disclose different numbers: a hash of the keys and the
    /// numbers of each. Valid within a run of the program.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for part in &self.parts {
            part.key.hash(&mut hasher);
            part.span.hash(&mut hasher);
            part.numbers.hash(&mut hasher);
        }
        self.parts.len().hash(&mut hasher);
        hasher.finish()
    }

    /// From the first number disclosed to the last, which may reach beyond the span asked
    /// for; `None` if nothing is disclosed.
    pub fn span(&self) -> Option<(UnixTime, UnixTime)> {
        let from = self.parts.iter().map(|part| part.from).min()?;
        let to = self.parts.iter().map(|part| part.to).max()?;
        Some((from, to))
    }

    /// Length of the signed reports in bytes, with `memo` bytes of memo each.
    pub fn bytes(&self, memo: usize) -> usize {
        self.parts.len() * (SignedReport::MIN_LEN + memo)
    }
}

/// When this number was, or may have been, on the air.
pub(crate) fn on_air(
    number: &Aired,
    longest_life: Duration,
    now: UnixTime,
) -> (UnixTime, UnixTime) {
    let open = || number.first.after(longest_life).min(now);
    let last = number.last.unwrap_or_else(open);
    // A clock that was set back in between must not reverse the span.
    (number.first.min(last), number.first.max(last))
}

/// The part from the first number on the air at or after `from` to the end of the key.
fn part(
    history: &KeyHistory,
    from: UnixTime,
    times: impl Fn(&Aired) -> (UnixTime, UnixTime),
    open: impl Fn(&Aired) -> bool,
) -> Option<Part> {
    let numbers = history.numbers.iter();
    let start = numbers.map(&times).position(|(_, end)| end >= from)?;
    let disclosed = &history.numbers[start..];
    let (first, last) = (disclosed.first()?, disclosed.last()?);
    let spans = disclosed.iter().map(&times);
    Some(Part {
        key: history.key,
        span: ReportSpan::of_aired(first.index, last.index).ok()?,
        numbers: u16::try_from(disclosed.len()).ok()?,
        from: spans.clone().map(|span| span.0).min()?,
        to: spans.map(|span| span.1).max()?,
        on_air: disclosed.iter().any(open),
    })
}

fn gaps(
    mut covered: Vec<(UnixTime, UnixTime)>,
    from: UnixTime,
    to: UnixTime,
) -> Vec<(UnixTime, UnixTime)> {
    covered.sort_unstable();
    let mut gaps = Vec::new();
    let mut silent_since = from;
    for (start, end) in covered.into_iter().chain([(to, to)]) {
        if start >= silent_since.after(SHORTEST_GAP) {
            gaps.push((silent_since, start));
        }
        silent_since = silent_since.max(end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcn_protocol::RatchetIndex;

    use super::*;

    const LIFE: Duration = Duration::from_secs(900);

    fn aired(index: u16, first: u64, last: impl Into<Option<u64>>) -> Aired {
        Aired {
            index: RatchetIndex::new(index).unwrap(),
            first: UnixTime(first),
            last: last.into().map(UnixTime),
        }
    }

    fn history(key: u64, numbers: Vec<Aired>) -> KeyHistory {
        KeyHistory {
            key: KeyId(key),
            reported: false,
            numbers,
        }
    }

    fn plan_at(histories: &[KeyHistory], from: u64, to: u64, now: u64) -> Plan {
        let span = (UnixTime(from), UnixTime(to));
        Plan::new(histories, span, LIFE, UnixTime(now))
    }

    fn plan(histories: &[KeyHistory], from: u64, to: u64) -> Plan {
        plan_at(histories, from, to, u64::MAX)
    }

    fn spans(plan: &Plan) -> Vec<(u64, u16, u16, u16)> {
        let parts = plan.parts.iter();
        parts
            .map(|p| {
                (
                    p.key.0,
                    p.span.first().get(),
                    p.span.last().get(),
                    p.numbers,
                )
            })
            .collect()
    }

    fn two_keys() -> [KeyHistory; 2] {
        let one = (1..=4).map(|i| aired(i, 900 * u64::from(i), 900 * u64::from(i) + 890));
        let two = (1..=2).map(|i| {
            aired(
                i,
                4500 + 900 * u64::from(i - 1),
                5390 + 900 * u64::from(i - 1),
            )
        });
        [history(1, one.collect()), history(2, two.collect())]
    }

    #[test]
    fn a_part_goes_on_to_the_end_of_its_key() {
        let all = plan(&two_keys(), 0, 10_000);
        assert_eq!(spans(&all), [(1, 1, 5, 4), (2, 1, 3, 2)]);
        assert_eq!(all.span(), Some((UnixTime(900), UnixTime(6290))));
        assert_eq!((all.numbers(), all.bytes(20)), (6, 2 * 154));
        assert_eq!(all.named(), 8, "the last index of each is burnt");
        let narrow = plan(&two_keys(), 2000, 2001);
        assert_eq!(
            spans(&narrow),
            [(1, 2, 5, 3)],
            "later ones can be computed anyway"
        );
        assert_eq!(narrow.span(), Some((UnixTime(1800), UnixTime(4490))));
    }

    #[test]
    fn bounds_are_those_of_the_air() {
        assert_eq!(spans(&plan(&two_keys(), 4490, 4491)), [(1, 4, 5, 1)]);
        assert_eq!(spans(&plan(&two_keys(), 4491, 4500)), []);
        assert_eq!(spans(&plan(&two_keys(), 4491, 4501)), [(2, 1, 3, 2)]);
        assert_eq!(plan(&two_keys(), 7000, 9000).span(), None);
        assert_eq!(plan(&[], 0, 9000).gaps, [(UnixTime(0), UnixTime(9000))]);
    }

    #[test]
    fn a_key_is_used_once() {
        let mut keys = two_keys();
        keys[0].reported = true;
        let plan = plan(&keys, 0, 5000);
        assert_eq!((spans(&plan), plan.reported), (vec![(2, 1, 3, 2)], 1));
        assert_eq!(
            plan.gaps,
            [(UnixTime(0), UnixTime(900))],
            "what was reported is no gap"
        );
    }

    #[test]
    fn an_end_that_was_not_written_is_taken_for_the_latest() {
        let crashed = [history(1, vec![aired(1, 1000, None)])];
        assert_eq!(spans(&plan(&crashed, 1900, 2000)), [(1, 1, 2, 1)]);
        assert_eq!(spans(&plan(&crashed, 1901, 2000)), []);
        let on_the_air = plan_at(&crashed, 0, 1200, 1200);
        assert_eq!(on_the_air.span(), Some((UnixTime(1000), UnixTime(1200))));
        assert!(on_the_air.on_air() && !plan(&crashed, 0, 1200).on_air());
        let set_back = [history(1, vec![aired(1, 1000, 400)])];
        assert_eq!(spans(&plan(&set_back, 500, 600)), [(1, 1, 2, 1)]);
    }

    #[test]
    fn gaps_are_told_from_five_minutes_on() {
        let gap = |seconds: u64| {
            let numbers = vec![aired(1, 0, 100), aired(2, 100 + seconds, 1000)];
            plan(&[history(1, numbers)], 0, 1000).gaps
        };
        assert_eq!(gap(299), []);
        assert_eq!(gap(300), [(UnixTime(100), UnixTime(400))]);
    }

    #[test]
    fn the_last_index_of_a_key_is_never_aired_and_so_never_reported() {
        let too_far = [history(1, vec![aired(u16::MAX, 0, 10)])];
        assert_eq!(spans(&plan(&too_far, 0, 10)), []);
        let last = [history(1, vec![aired(u16::MAX - 1, 0, 10)])];
        assert_eq!(spans(&plan(&last, 0, 10)), [(1, u16::MAX - 1, u16::MAX, 1)]);
    }

    #[test]
    fn numbers_whose_turn_never_came_are_counted_apart() {
        let numbers = vec![aired(1, 0, 10), aired(4, 20, 30), aired(5, 40, 50)];
        let plan = plan(&[history(1, numbers)], 0, 100);
        assert_eq!((plan.numbers(), plan.named()), (3, 6), "2, 3 and the last");
    }

    #[test]
    fn another_disclosure_has_another_fingerprint() {
        let all = plan(&two_keys(), 0, 10_000);
        let later = plan_at(&two_keys(), 0, 10_000, 50_000);
        assert_eq!(all.fingerprint(), later.fingerprint());
        let mut grown = two_keys();
        grown[1].numbers.push(aired(3, 6300, None));
        let mut burnt = two_keys();
        burnt[1].numbers[1].index = RatchetIndex::new(3).unwrap();
        let others = [
            plan(&two_keys(), 2000, 10_000),
            plan(&two_keys()[..1], 0, 10_000),
            plan(&grown, 0, 10_000),
            plan(&burnt, 0, 10_000),
            Plan::default(),
        ];
        for other in &others {
            assert_ne!(all.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }

    proptest! {
        /// What was on the air in the span, and is not reported yet, is in the
        /// plan; what a part discloses was all aired but its last.
        #[test]
        fn all_of_the_span_and_nothing_that_was_not_aired(
            lives in proptest::collection::vec((0u64..2000, 1u64..900, 0u64..2), 1..60),
            from in 0u64..40_000,
            length in 1u64..40_000,
        ) {
            let (mut at, mut histories) = (0, Vec::<KeyHistory>::new());
            for (silence, life, new_key) in lives {
                if new_key == 1 || histories.is_empty() {
                    histories.push(history(histories.len() as u64, Vec::new()));
                }
                let numbers = &mut histories.last_mut().unwrap().numbers;
                let index = u16::try_from(numbers.len() + 1).unwrap();
                numbers.push(aired(index, at + silence, at + silence + life));
                at += silence + life;
            }
            let to = from + length;
            let plan = plan(&histories, from, to);
            for history in &histories {
                let part = plan.parts.iter().find(|part| part.key == history.key);
                for number in &history.numbers {
                    let inside = number.first.0 < to && number.last.unwrap().0 >= from;
                    let disclosed = part.is_some_and(|part| part.span.first() <= number.index);
                    prop_assert!(disclosed || !inside, "{number:?} is missing");
                }
                if let Some(part) = part {
                    let aired = history.numbers.last().unwrap().index;
                    prop_assert_eq!(part.span.last().get(), aired.get() + 1);
                }
            }
            for (start, end) in plan.gaps {
                prop_assert!(end.0 - start.0 >= 300 && start.0 >= from && end.0 <= to);
            }
        }
    }
}
