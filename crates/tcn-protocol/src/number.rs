//! The Temporary Contact Number: sixteen bytes without a meaning of their own.
//!
//! Spec: TCN 6b64d09, README "Key Derivation", TCN Generation.

use std::fmt;

/// A Temporary Contact Number, 16 bytes, `tcn_i`.
///
/// It is broadcast to everyone near, but must not be printed: two of them side by side
/// in a log would be a trace. `Debug` shows the first two bytes only, enough to
/// distinguish neighbours in a failing test.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemporaryContactNumber([u8; Self::LEN]);

impl TemporaryContactNumber {
    /// Length on the air and in storage, in bytes.
    pub const LEN: usize = 16;

    /// The number of no device: sixteen zero bytes, which no key gives. A relay that
    /// carries nothing broadcasts it.
    pub const VACANT: Self = Self([0; Self::LEN]);

    /// Takes the number as received or as read from a file.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The number as it goes on the air.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for TemporaryContactNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TemporaryContactNumber({:02x}{:02x}…)",
            self.0[0], self.0[1]
        )
    }
}
