//! Keys and the ratchet.

use std::num::NonZeroU16;

/// Index `i` of a number, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatchetIndex(pub NonZeroU16);
