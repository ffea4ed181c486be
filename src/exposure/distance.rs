//! Estimates distance from signal strength, with its large uncertainty.
//!
//! A TCN frame does not say how strongly it was sent, and walls, pockets and people in
//! between matter more than metres do. The deployed clients assume free space and a
//! table by sender; their two tables differ by 10 dB, a factor of three in metres. So
//! an estimate here always comes with that factor in both directions. Formula:
//! tcn-client-android 7d48399 and tcn-client-ios ea25cb0, `DistanceEstimation`.

/// Signal at one metre from a phone of the coalition, in dBm: −67 by the
/// Android client's table.
pub const REFERENCE_RSSI_DBM: i16 = -67;

/// By how much senders, and the clients' own tables, differ, in dB.
const UNCERTAINTY_DB: f32 = 10.0;

/// Path-loss exponent of free space. Indoors it is up to 4, which only means that the
/// sender is nearer.
const FREE_SPACE: f32 = 2.0;

/// An estimate in metres, and its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// In free space, from a sender of the usual strength.
    pub metres: f32,
    /// From a sender 10 dB weaker.
    pub least: f32,
    /// From a sender 10 dB stronger.
    pub most: f32,
}

impl Distance {
    /// The distance at which this signal, in dBm, would be received.
    pub fn of_rssi(rssi: i16) -> Self {
        let loss = f32::from(REFERENCE_RSSI_DBM) - f32::from(rssi);
        let metres = |loss: f32| 10f32.powf(loss / (10.0 * FREE_SPACE));
        Self {
            metres: metres(loss),
            least: metres(loss - UNCERTAINTY_DB),
            most: metres(loss + UNCERTAINTY_DB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Android client's values for a sender of the usual strength.
    #[test]
    fn it_is_the_deployed_formula() {
        for (rssi, metres) in [
            (-30, 0.014_125_375),
            (-57, 0.316_227_77),
            (-67, 1.0),
            (-71, 1.584_893_2),
            (-86, 8.912_509),
            (-100, 44.668_36),
        ] {
            let found = Distance::of_rssi(rssi);
            assert!((found.metres / metres - 1.0).abs() < 1e-5, "at {rssi} dBm");
            assert!((found.most / found.least - 10.0).abs() < 1e-3);
            assert!(found.least < found.metres && found.metres < found.most);
        }
    }
}
