//! Records of report keys: which key, which index, and when it was on the air.
//!
//! TCN indices are a counter, not a clock, so a report can only be built from a record of
//! the indices that were broadcast. Each record is durable before its number is aired. So
//! no crash can leave a number on the air that its owner could not report.

use tcn_protocol::{RatchetIndex, UnixTime};
use zeroize::Zeroizing;

/// The local identifier of a report key: counts up, is never reused, and reveals nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

/// One record about a report key.
#[derive(Debug)]
pub enum Record {
    /// A report authorization key came into use.
    KeyBorn {
        /// Its local identifier.
        key: KeyId,
        /// The secret itself.
        seed: Seed,
        /// When.
        born: UnixTime,
    },
    /// Number `index` of `key` may go on the air from now on.
    Reserved {
        /// The key it is derived from.
        key: KeyId,
        /// Its index.
        index: RatchetIndex,
        /// Not on the air before this time.
        from: UnixTime,
    },
    /// Number `index` of `key` was not aired and never will be.
    Unaired {
        /// The key it is derived from.
        key: KeyId,
        /// Its index.
        index: RatchetIndex,
    },
    /// Number `index` of `key` has left the air for good.
    Retired {
        /// The key it is derived from.
        key: KeyId,
        /// Its index.
        index: RatchetIndex,
        /// Not on the air after this time.
        until: UnixTime,
    },
}

/// One of our numbers, as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aired {
    /// Its index.
    pub index: RatchetIndex,
    /// Not on the air before.
    pub first: UnixTime,
    /// Not on the air after; `None` if a crash kept this from being written.
    pub last: Option<UnixTime>,
}

/// The numbers of one key that were on the air, in order of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    /// Its local identifier.
    pub key: KeyId,
    /// Whether a report has disclosed it.
    pub reported: bool,
    /// Its numbers.
    pub numbers: Vec<Aired>,
}

/// The 32 secret bytes of a report authorization key (`rak`), on their way to the store.
/// They are overwritten when dropped and never printed. They stay in one place on the heap
/// while records are moved and queued.
pub struct Seed(pub Box<Zeroizing<[u8; 32]>>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed([REDACTED])")
    }
}
