//! The signal strength of sightings: one sum from the first sighting to the exposure.

/// Upper bounds of the first three attenuation buckets, in dB; the fourth is open. The
/// exposure-notification apps used the same levels, so figures can be compared.
pub const ATTENUATION_BOUNDS_DB: [i16; 3] = [55, 63, 73];

/// Assumed transmit power of a sender, in dBm.
///
/// TCN frames do not carry it. With the deployed clients' −67 dBm at one metre and
/// free-space loss, −12 dBm puts one metre at the first bound.
pub const ASSUMED_TX_POWER_DBM: i16 = -12;

/// Sightings and their signals, in any order and number. The default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// Strongest signal in dBm; `None` if none was measured.
    pub max: Option<i16>,
    /// Sum of the measured signals in dBm.
    pub sum: i64,
    /// Measured sightings by attenuation: ≤55, ≤63, ≤73, >73 dB.
    pub attenuation: [u32; 4],
    /// Sightings whose signal was not measured.
    pub unmeasured: u32,
}

impl Signal {
    /// Adds one sighting, with its signal in dBm if that was measured. Counts stop at their
    /// end.
    pub fn add(&mut self, rssi: Option<i16>) {
        let Some(rssi) = rssi else {
            self.unmeasured = self.unmeasured.saturating_add(1);
            return;
        };
        let loss = ASSUMED_TX_POWER_DBM.saturating_sub(rssi);
        let bounds = ATTENUATION_BOUNDS_DB.iter();
        let bucket = bounds.filter(|bound| loss > **bound).count();
        self.max = self.max.max(Some(rssi));
        self.sum = self.sum.saturating_add(i64::from(rssi));
        self.attenuation[bucket] = self.attenuation[bucket].saturating_add(1);
    }

    /// Adds the sightings of another.
    pub fn merge(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
        for (bucket, more) in self.attenuation.iter_mut().zip(other.attenuation) {
            *bucket = bucket.saturating_add(more);
        }
        self.unmeasured = self.unmeasured.saturating_add(other.unmeasured);
    }

    /// All sightings, measured or not.
    pub fn sightings(&self) -> u32 {
        let counts = self.attenuation.iter();
        counts.fold(self.unmeasured, |all, bucket| all.saturating_add(*bucket))
    }

    /// Mean of the measured signals in dBm, rounded to the nearest integer, half away from
    /// zero; `None` if none was measured.
    pub fn mean(&self) -> Option<i16> {
        let measured: i64 = self.attenuation.iter().map(|n| i64::from(*n)).sum();
        if measured == 0 {
            return None;
        }
        // Signals are negative.
        i16::try_from((self.sum - measured / 2) / measured).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_bounds() {
        let cases = [
            (-67, 0),
            (-68, 1),
            (-75, 1),
            (-76, 2),
            (-85, 2),
            (-86, 3),
            (20, 0),
        ];
        for (rssi, bucket) in cases {
            let mut signal = Signal::default();
            signal.add(Some(rssi));
            assert_eq!(signal.attenuation[bucket], 1, "at {rssi} dBm");
            assert_eq!((signal.max, signal.mean()), (Some(rssi), Some(rssi)));
        }
    }

    #[test]
    fn an_unmeasured_sighting_counts_and_says_nothing_of_strength() {
        let mut signal = Signal::default();
        signal.add(None);
        assert_eq!((signal.max, signal.mean()), (None, None));
        signal.add(Some(-60));
        signal.add(Some(-71));
        assert_eq!((signal.max, signal.mean()), (Some(-60), Some(-66)));
        assert_eq!(signal.sightings(), 3);
    }

    #[test]
    fn counts_stop_at_their_end() {
        let most = Signal {
            attenuation: [u32::MAX; 4],
            unmeasured: u32::MAX,
            sum: i64::MIN,
            max: Some(-1),
        };
        let mut both = most;
        both.merge(&most);
        both.add(Some(-1));
        both.add(None);
        assert_eq!(both, most);
        assert_eq!(both.sightings(), u32::MAX);
    }
}
