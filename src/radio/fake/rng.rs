//! Random numbers for the simulation: seeded, so that a run can be repeated.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
//! It is written here so that `--radio-seed` repeats a run with every release: `SmallRng` of
//! `rand` may be another algorithm in each version and on each platform, and so may the way
//! in which `rand` draws from a range. `rand_chacha` is stable, but would be one more
//! dependency of the daemon, for a few lines. A cryptographic generator is not needed:
//! nothing it makes goes over the air.

use tcn_protocol::TemporaryContactNumber;

#[derive(Clone, Debug)]
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one of several simulated radios.
    pub(super) fn of(seed: u64, player: &str) -> Self {
        player.bytes().fold(Self(seed), |rng, byte| {
            Self(Self(rng.0 ^ u64::from(byte)).next())
        })
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A random identifier; never 0.
    pub(super) fn id(&mut self) -> u64 {
        self.next() | 1
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u16, high: u16) -> u16 {
        let span = u64::from(high.saturating_sub(low)) + 1;
        low + u16::try_from(self.next() % span).unwrap_or(0)
    }

    /// True `percent` times out of a hundred.
    pub(super) fn chance(&mut self, percent: u16) -> bool {
        self.between(1, 100) <= percent
    }

    /// An offset in dB, at most `most` up or down; small offsets are likelier.
    pub(super) fn fading(&mut self, most: u16) -> i16 {
        let sum = self.between(0, most) + self.between(0, most);
        i16::try_from(sum).unwrap_or(0) - i16::try_from(most).unwrap_or(0)
    }

    pub(super) fn number(&mut self) -> TemporaryContactNumber {
        let mut bytes = [0; TemporaryContactNumber::LEN];
        let (first, second) = bytes.split_at_mut(8);
        first.copy_from_slice(&self.next().to_le_bytes());
        second.copy_from_slice(&self.next().to_le_bytes());
        TemporaryContactNumber::from_bytes(bytes)
    }
}
