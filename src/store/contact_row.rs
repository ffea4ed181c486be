//! One contact as a row: packed, and merged without losing a sighting.
//!
//! What comes from the engine is growth: the sightings since the last batch,
//! under the start of the run they belong to. A row takes growth in any number
//! of portions and in any order and comes out the same: minima, maxima and
//! sums are all it holds. The seconds unheard belong to the earliest start and to the
//! latest end.

use std::cmp::Ordering;

use tcn_engine::{Contact, Signal, Unheard};
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::leb128::{put, take};

/// Seconds in the unit that rows are keyed by.
pub(super) const QUARTER: u64 = 900;

/// Width of the start in a packed span: 899 needs ten bits.
const START_BITS: u32 = 10;

/// A row of table `contact` but for its number; times are unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContactRow {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) unheard: Unheard,
    pub(super) signal: Signal,
    pub(super) bridged: bool,
}

impl ContactRow {
    pub(super) fn new(growth: &Contact) -> Self {
        Self {
            start: growth.start.0,
            end: growth.end.max(growth.start).0,
            unheard: growth.unheard,
            signal: growth.signal,
            bridged: growth.bridged,
        }
    }

    /// The contact of this row and the number it is of.
    pub(super) fn contact(&self, tcn: TemporaryContactNumber) -> Contact {
        Contact {
            tcn,
            start: UnixTime(self.start),
            end: UnixTime(self.end),
            unheard: self.unheard,
            signal: self.signal,
            bridged: self.bridged,
        }
    }

    pub(super) const fn quarter(start: UnixTime) -> u64 {
        start.0 / QUARTER
    }

    /// Both rows' sightings in one.
    pub(super) fn merge(&self, other: &Self) -> Self {
        let mut signal = self.signal;
        signal.merge(&other.signal);
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
            unheard: Unheard {
                before: of_first(
                    (self.start, self.unheard.before),
                    (other.start, other.unheard.before),
                ),
                after: of_last(
                    (self.end, self.unheard.after),
                    (other.end, other.unheard.after),
                ),
            },
            signal,
            bridged: self.bridged | other.bridged,
        }
    }

    /// Start in its quarter and duration, in one number.
    pub(super) const fn span(&self) -> u64 {
        ((self.end - self.start) << START_BITS) | (self.start % QUARTER)
    }

    /// Seconds unheard before the start in the low eight bits, after the end above them.
    pub(super) fn unheard(&self) -> u32 {
        u32::from(u16::from_be_bytes([
            self.unheard.after,
            self.unheard.before,
        ]))
    }

    /// The five counts as unsigned LEB128, without the zeros at the end.
    pub(super) fn sightings(&self) -> Vec<u8> {
        let [a, b, c, d] = self.signal.attenuation;
        let counts = [a, b, c, d, self.signal.unmeasured];
        let used = counts
            .iter()
            .rposition(|count| *count != 0)
            .map_or(0, |last| last + 1);
        let mut bytes = Vec::with_capacity(8);
        for count in counts.into_iter().take(used) {
            put(&mut bytes, u64::from(count));
        }
        bytes
    }
}

/// What goes with the earlier start; the greater if they are one.
fn of_first(a: (u64, u8), b: (u64, u8)) -> u8 {
    match a.0.cmp(&b.0) {
        Ordering::Less => a.1,
        Ordering::Equal => a.1.max(b.1),
        Ordering::Greater => b.1,
    }
}

/// What goes with the later end; the greater if they are one.
fn of_last(a: (u64, u8), b: (u64, u8)) -> u8 {
    a.max(b).1
}

/// The reverse of [`ContactRow::unheard`].
pub(super) fn unheard(packed: u16) -> Unheard {
    let [after, before] = packed.to_be_bytes();
    Unheard { before, after }
}

/// Start and end from the quarter and the packed span.
pub(super) const fn times(quarter: u64, span: u64) -> (u64, u64) {
    let start = quarter
        .saturating_mul(QUARTER)
        .saturating_add(span & ((1 << START_BITS) - 1));
    (start, start.saturating_add(span >> START_BITS))
}

/// The reverse of [`ContactRow::sightings`]: the four buckets and the unmeasured;
/// `None` if the bytes are no such numbers.
pub(super) fn counts(mut bytes: &[u8]) -> Option<([u32; 4], u32)> {
    let mut counts = [0u32; 5];
    for count in &mut counts {
        if bytes.is_empty() {
            break;
        }
        *count = u32::try_from(take(&mut bytes)?).ok()?;
    }
    let [a, b, c, d, unmeasured] = counts;
    bytes.is_empty().then_some(([a, b, c, d], unmeasured))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn growth()(
            start in 1_800_000_000u64..1_800_000_900,
            duration in 0u64..5000,
            rssi in -100i16..-20,
            attenuation in [0u32..500, 0..500, 0..500, 0..500],
            unmeasured in 0u32..9,
            bridged: bool,
            (before, after) in any::<(u8, u8)>(),
        ) -> Contact {
            let measured: u32 = attenuation.iter().sum();
            Contact {
                tcn: TemporaryContactNumber::from_bytes([1; 16]),
                start: UnixTime(start),
                end: UnixTime(start + duration),
                unheard: Unheard { before, after },
                signal: Signal {
                    max: (measured > 0).then_some(rssi),
                    sum: i64::from(rssi) * i64::from(measured),
                    attenuation,
                    unmeasured,
                },
                bridged,
            }
        }
    }

    proptest! {
        #[test]
        fn packing_is_reversible(attenuation: [u32; 4], unmeasured: u32, growth in growth()) {
            let mut row = ContactRow::new(&growth);
            (row.signal.attenuation, row.signal.unmeasured) = (attenuation, unmeasured);
            prop_assert_eq!(counts(&row.sightings()), Some((attenuation, unmeasured)));
            let quarter = ContactRow::quarter(growth.start);
            prop_assert_eq!(times(quarter, row.span()), (row.start, row.end));
            let packed = u16::try_from(row.unheard()).unwrap();
            prop_assert_eq!(unheard(packed), row.unheard);
        }

        #[test]
        fn unpacking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40), q: u64, s: u64) {
            let _ = counts(&bytes);
            let _ = times(q, s);
        }

        #[test]
        fn merging_minds_no_order(a in growth(), b in growth(), c in growth()) {
            let (a, b, c) = (ContactRow::new(&a), ContactRow::new(&b), ContactRow::new(&c));
            prop_assert_eq!(a.merge(&b).merge(&c), c.merge(&a.merge(&b)));
            prop_assert_eq!(a.merge(&b), b.merge(&a));
        }
    }
}
