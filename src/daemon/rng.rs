//! The only source of randomness: the operating system's generator.

use rand::rngs::SysRng;
use rand_core::{Rng, UnwrapErr};

/// The generator for keys and jitter.
///
/// It asks getrandom(2), which cannot fail once the system is up; were it to
/// fail, the process ends rather than go on with numbers that can be guessed.
pub(super) fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// The seed of a simulation that was not given one.
pub fn random_seed() -> u64 {
    system().next_u64()
}

/// A key for one use that is not kept: the masks of one export.
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    system().fill_bytes(&mut key);
    key
}
