//! The vectors of AArch64 and its instructions for SHA-256.
//!
//! Bytes of a message are in order, the first one lowest. The instructions want words
//! of four bytes with the first byte highest; one more instruction reverses the bytes of
//! each word.
//!
//! Spec: Arm ARM DDI 0487, C7.2, SHA256H, SHA256H2, SHA256SU0, SHA256SU1; ACLE, "SHA256
//! intrinsics".

use std::arch::aarch64::{
    uint8x16_t, uint32x4_t, vaddq_u32, vcombine_u8, vcombine_u32, vcreate_u8, vcreate_u32,
    vextq_u8, vgetq_lane_u64, vreinterpretq_u8_u32, vreinterpretq_u32_u8, vreinterpretq_u64_u8,
    vrev32q_u8, vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32, vsha256su1q_u32,
};
use std::arch::is_aarch64_feature_detected;

/// Sixteen bytes of a message.
pub(super) type Bytes = uint8x16_t;

/// Four words of a message schedule, the first one lowest.
pub(super) type Words = uint32x4_t;

/// The name of these instructions: `FEAT_SHA256` in the manual, `sha2` in `/proc/cpuinfo`.
pub(super) const NAME: &str = "armv8-sha2";

/// Whether this processor has what this file is compiled for. The order of bytes is
/// part of that: Linux also runs on AArch64 with the high byte first.
pub(super) fn detected() -> bool {
    cfg!(target_endian = "little")
        && is_aarch64_feature_detected!("neon")
        && is_aarch64_feature_detected!("sha2")
}

/// A state of SHA-256, the first word lowest.
#[derive(Clone, Copy)]
pub(super) struct ShaState {
    abcd: Words,
    efgh: Words,
}

impl ShaState {
    /// The state of eight words.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn new([a, b, c, d, e, f, g, h]: [u32; 8]) -> Self {
        Self {
            abcd: words([a, b, c, d]),
            efgh: words([e, f, g, h]),
        }
    }

    /// Four rounds, with four words of the schedule to which `K` was added.
    #[inline]
    #[target_feature(enable = "neon,sha2")]
    pub(super) fn rounds(&mut self, words: Words) {
        let Self { abcd, efgh } = *self;
        self.abcd = vsha256hq_u32(abcd, efgh, words);
        self.efgh = vsha256h2q_u32(efgh, abcd, words);
    }

    /// The sum with another state, word by word.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            abcd: sum(self.abcd, other.abcd),
            efgh: sum(self.efgh, other.efgh),
        }
    }

    /// Its eight words, in the order of the instructions.
    pub(super) const fn words(self) -> [Words; 2] {
        [self.abcd, self.efgh]
    }

    /// Bytes of the hash this is, first half first.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn halves(self) -> [Bytes; 2] {
        [self.abcd, self.efgh].map(|words| vrev32q_u8(vreinterpretq_u8_u32(words)))
    }
}

/// The next four words of a schedule, from the sixteen before them.
#[inline]
#[target_feature(enable = "neon,sha2")]
pub(super) fn scheduled(oldest: Words, old: Words, new: Words, newest: Words) -> Words {
    vsha256su1q_u32(vsha256su0q_u32(oldest, old), new, newest)
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn sum(a: Words, b: Words) -> Words {
    vaddq_u32(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn words([w0, w1, w2, w3]: [u32; 4]) -> Words {
    let [low, high] = [[w0, w1], [w2, w3]]
        .map(|[first, second]| vcreate_u32(u64::from(second) << 32 | u64::from(first)));
    vcombine_u32(low, high)
}

/// Sixteen bytes, from two big-endian numbers.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn bytes(first: u64, second: u64) -> Bytes {
    let [first, second] = [first, second].map(|number| vcreate_u8(number.swap_bytes()));
    vcombine_u8(first, second)
}

/// The opposite of [`bytes`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn numbers(bytes: Bytes) -> [u64; 2] {
    let halves = vreinterpretq_u64_u8(bytes);
    [vgetq_lane_u64::<0>(halves), vgetq_lane_u64::<1>(halves)].map(u64::swap_bytes)
}

/// Four words of a message: the last `LEFT` bytes of `before`, then the first `TAKEN`
/// of `after`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn joined<const LEFT: i32, const TAKEN: i32>(before: Bytes, after: Bytes) -> Words {
    const { assert!(LEFT + TAKEN == 16) };
    vreinterpretq_u32_u8(vrev32q_u8(vextq_u8::<TAKEN>(before, after)))
}
