//! The one door that randomness comes in by: the operating system's generator.

use rand::rngs::SysRng;
use rand_core::{Rng, UnwrapErr};

/// The generator for keys and jitter.
///
/// It asks getrandom(2), which cannot fail once the system is up; were it to
/// fail, the process ends rather than go on with numbers that can be guessed.
pub(super) fn source() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// What a simulation begins from, where nobody said.
pub fn random_seed() -> u64 {
    source().next_u64()
}

/// A key for one use that is not kept: the masks of one export.
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    source().fill_bytes(&mut key);
    key
}
