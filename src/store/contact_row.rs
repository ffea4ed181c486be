//! One contact as a row: packed, and merged without losing a sighting.
//!
//! What comes from the engine is growth: the sightings since the last batch,
//! under the start of the run they belong to. A row takes growth in any number
//! of portions and in any order and comes out the same: minima, maxima and
//! sums are all it holds. The mean signal is kept as a sum too; its only
//! rounding is that of the means that come in, half a dB at most.

use tcn_engine::{Contact, RSSI_UNAVAILABLE};
use tcn_protocol::{TemporaryContactNumber, UnixTime};

/// Seconds in the unit that rows are keyed by.
pub(super) const QUARTER: u64 = 900;

/// Width of the start in a packed span: 899 needs ten bits.
const START_BITS: u32 = 10;

/// A row of table `contact` but for its number; times are unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContactRow {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) rssi_max: Option<i16>,
    pub(super) rssi_sum: i64,
    pub(super) attenuation: [u32; 4],
    pub(super) unmeasured: u32,
    pub(super) bridged: bool,
}

impl ContactRow {
    pub(super) fn new(growth: &Contact) -> Self {
        let measured = sum(&growth.attenuation);
        let known = |rssi: i16| (rssi != RSSI_UNAVAILABLE).then_some(rssi);
        let mean = known(growth.rssi_mean).map_or(0, i64::from);
        let rest = u64::from(growth.count).saturating_sub(measured);
        Self {
            start: growth.start.0,
            end: growth.end.max(growth.start).0,
            rssi_max: known(growth.rssi_max),
            rssi_sum: mean.saturating_mul(i64::try_from(measured).unwrap_or(i64::MAX)),
            attenuation: growth.attenuation,
            unmeasured: u32::try_from(rest).unwrap_or(u32::MAX),
            bridged: growth.bridged,
        }
    }

    /// The contact of this row and the number it is of.
    pub(super) fn contact(&self, tcn: TemporaryContactNumber) -> Contact {
        let measured = sum(&self.attenuation);
        let count = measured.saturating_add(u64::from(self.unmeasured));
        Contact {
            tcn,
            start: UnixTime(self.start),
            end: UnixTime(self.end),
            rssi_max: self.rssi_max.unwrap_or(RSSI_UNAVAILABLE),
            rssi_mean: mean(self.rssi_sum, measured),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            attenuation: self.attenuation,
            bridged: self.bridged,
        }
    }

    pub(super) const fn quarter(start: UnixTime) -> u64 {
        start.0 / QUARTER
    }

    /// Both rows' sightings in one.
    pub(super) fn merge(&self, other: &Self) -> Self {
        let mut attenuation = self.attenuation;
        for (bucket, more) in attenuation.iter_mut().zip(other.attenuation) {
            *bucket = bucket.saturating_add(more);
        }
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
            rssi_max: self.rssi_max.max(other.rssi_max),
            rssi_sum: self.rssi_sum.saturating_add(other.rssi_sum),
            attenuation,
            unmeasured: self.unmeasured.saturating_add(other.unmeasured),
            bridged: self.bridged | other.bridged,
        }
    }

    /// Start in its quarter and duration, in one number.
    pub(super) const fn span(&self) -> u64 {
        ((self.end - self.start) << START_BITS) | (self.start % QUARTER)
    }

    /// The five counts as unsigned LEB128, without the zeros at the end.
    pub(super) fn sightings(&self) -> Vec<u8> {
        let [a, b, c, d] = self.attenuation;
        let counts = [a, b, c, d, self.unmeasured];
        let used = counts
            .iter()
            .rposition(|count| *count != 0)
            .map_or(0, |last| last + 1);
        let mut bytes = Vec::with_capacity(8);
        for mut count in counts.into_iter().take(used) {
            while count >= 0x80 {
                bytes.push(count.to_le_bytes()[0] | 0x80);
                count >>= 7;
            }
            bytes.push(count.to_le_bytes()[0]);
        }
        bytes
    }
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
        let mut shift = 0;
        while let Some((byte, rest)) = bytes.split_first() {
            bytes = rest;
            *count |= u32::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    let [a, b, c, d, unmeasured] = counts;
    bytes.is_empty().then_some(([a, b, c, d], unmeasured))
}

/// To the nearest; signals are negative, so half goes away from zero.
fn mean(sum: i64, measured: u64) -> i16 {
    match i64::try_from(measured) {
        Ok(n @ 1..) => i16::try_from((sum - n / 2) / n).unwrap_or(RSSI_UNAVAILABLE),
        Ok(_) | Err(_) => RSSI_UNAVAILABLE,
    }
}

fn sum(buckets: &[u32; 4]) -> u64 {
    buckets.iter().map(|bucket| u64::from(*bucket)).sum()
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
        ) -> Contact {
            let measured: u32 = attenuation.iter().sum();
            let rssi = if measured == 0 { RSSI_UNAVAILABLE } else { rssi };
            Contact {
                tcn: TemporaryContactNumber::from_bytes([1; 16]),
                start: UnixTime(start),
                end: UnixTime(start + duration),
                rssi_max: rssi,
                rssi_mean: rssi,
                count: measured + unmeasured,
                attenuation,
                bridged,
            }
        }
    }

    proptest! {
        #[test]
        fn packing_is_reversible(attenuation: [u32; 4], unmeasured: u32, growth in growth()) {
            let row = ContactRow { attenuation, unmeasured, ..ContactRow::new(&growth) };
            prop_assert_eq!(counts(&row.sightings()), Some((attenuation, unmeasured)));
            let quarter = ContactRow::quarter(growth.start);
            prop_assert_eq!(times(quarter, row.span()), (row.start, row.end));
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
