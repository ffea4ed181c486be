//! The ledger of what was really on the air: which key, which index, when.
//!
//! TCN indices are a counter, not a clock, so a report can only be built from
//! a record of which of them were broadcast. Each entry is durable before its
//! number is aired, and so no crash can leave a number on the air that its
//! owner could not report.

use tcn_protocol::{RatchetIndex, UnixTime};
use zeroize::Zeroizing;

/// The local name of a report key: counts up, never reused, says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

/// One line for the ledger.
#[derive(Debug)]
pub enum Record {
    /// A report authorization key came into use.
    KeyBorn {
        /// Its local name.
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

/// One number of ours as the ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aired {
    /// Its index.
    pub index: RatchetIndex,
    /// Not on the air before.
    pub first: UnixTime,
    /// Not on the air after; `None` if a crash kept that from being written.
    pub last: Option<UnixTime>,
}

/// What a key of ours had on the air, in order of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    /// Its local name.
    pub key: KeyId,
    /// Whether a report has used it.
    pub reported: bool,
    /// Its numbers.
    pub numbers: Vec<Aired>,
}

/// The 32 secret bytes of a report authorization key (`rak`), on their way to
/// the store; overwritten when dropped, never printed. They stay in one place on the
/// heap while records are moved and queued.
pub struct Seed(pub Box<Zeroizing<[u8; 32]>>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed([REDACTED])")
    }
}
