//! One contact as a row: packed, and merged without losing a sighting.
//!
//! What comes from the engine is growth: the sightings since the last batch,
//! under the start of the run they belong to. A row takes growth in any number
//! of portions and in any order and comes out the same, but for the mean
//! signal, which is kept in eighths of a dBm and rounded at each merge.

use crate::engine::{Contact, RSSI_UNAVAILABLE, UnixTime};

/// Seconds in the unit that rows are keyed by.
pub(super) const QUARTER: u64 = 900;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) rssi_max: Option<i16>,
    pub(super) rssi_mean: Option<i16>,
    pub(super) attenuation: [u32; 4],
    pub(super) unmeasured: u32,
    pub(super) bridged: bool,
}

impl Row {
    pub(super) fn new(growth: &Contact) -> Self {
        let measured = sum(&growth.attenuation);
        let known = |rssi: i16| (rssi != RSSI_UNAVAILABLE).then_some(rssi);
        let rest = u64::from(growth.count).saturating_sub(measured);
        Self {
            start: growth.start.0,
            end: growth.end.max(growth.start).0,
            rssi_max: known(growth.rssi_max),
            rssi_mean: known(growth.rssi_mean).map(|mean| mean.saturating_mul(8)),
            attenuation: growth.attenuation,
            unmeasured: u32::try_from(rest).unwrap_or(u32::MAX),
            bridged: growth.bridged,
        }
    }

    pub(super) fn quarter(start: UnixTime) -> u64 {
        start.0 / QUARTER
    }

    #[cfg(test)]
    fn count(&self) -> u64 {
        sum(&self.attenuation) + u64::from(self.unmeasured)
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
            rssi_mean: weighted(
                (self.rssi_mean, sum(&self.attenuation)),
                (other.rssi_mean, sum(&other.attenuation)),
            ),
            attenuation,
            unmeasured: self.unmeasured.saturating_add(other.unmeasured),
            bridged: self.bridged | other.bridged,
        }
    }

    /// The four buckets as unsigned LEB128, 4 to 20 bytes.
    pub(super) fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8);
        for mut bucket in self.attenuation {
            while bucket >= 0x80 {
                bytes.push(bucket.to_le_bytes()[0] | 0x80);
                bucket >>= 7;
            }
            bytes.push(bucket.to_le_bytes()[0]);
        }
        bytes
    }
}

/// The reverse of [`Row::packed`]; `None` if the bytes are not four numbers.
pub(super) fn unpacked(mut bytes: &[u8]) -> Option<[u32; 4]> {
    let mut buckets = [0u32; 4];
    for bucket in &mut buckets {
        let mut shift = 0;
        loop {
            let (byte, rest) = bytes.split_first()?;
            bytes = rest;
            *bucket |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
    }
    bytes.is_empty().then_some(buckets)
}

fn sum(buckets: &[u32; 4]) -> u64 {
    buckets.iter().map(|bucket| u64::from(*bucket)).sum()
}

fn weighted(a: (Option<i16>, u64), b: (Option<i16>, u64)) -> Option<i16> {
    let (Some(x), Some(y)) = (a.0, b.0) else {
        return a.0.or(b.0);
    };
    let (m, n) = (i128::from(a.1), i128::from(b.1));
    let mean = (i128::from(x) * m + i128::from(y) * n) / (m + n).max(1);
    i16::try_from(mean).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::TemporaryContactNumber;

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
        fn packing_is_reversible(attenuation: [u32; 4]) {
            let row = Row { attenuation, ..Row::new(&any_contact()) };
            prop_assert_eq!(unpacked(&row.packed()), Some(attenuation));
        }

        #[test]
        fn unpacking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = unpacked(&bytes);
        }

        #[test]
        fn merging_loses_no_sighting_and_minds_no_order(a in growth(), b in growth(), c in growth()) {
            let (a, b, c) = (Row::new(&a), Row::new(&b), Row::new(&c));
            let one = a.merge(&b).merge(&c);
            let other = c.merge(&a.merge(&b));
            prop_assert_eq!(one.count(), a.count() + b.count() + c.count());
            prop_assert_eq!((one.start, one.end), (other.start, other.end));
            prop_assert_eq!(one.rssi_max, other.rssi_max);
            prop_assert_eq!(one.attenuation, other.attenuation);
            if let (Some(x), Some(y)) = (one.rssi_mean, other.rssi_mean) {
                prop_assert!((x - y).abs() <= 2, "{} and {} eighths of a dBm", x, y);
            }
        }
    }

    fn any_contact() -> Contact {
        Contact {
            tcn: TemporaryContactNumber::from_bytes([1; 16]),
            start: UnixTime(1_800_000_000),
            end: UnixTime(1_800_000_000),
            rssi_max: RSSI_UNAVAILABLE,
            rssi_mean: RSSI_UNAVAILABLE,
            count: 1,
            attenuation: [0; 4],
            bridged: false,
        }
    }
}
