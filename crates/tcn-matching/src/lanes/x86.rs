//! The vectors of x86-64 and its instructions for SHA-256.
//!
//! Bytes of a message are one number, the first byte highest, because then a word of
//! them is a word as the instructions want it. The instructions want the first word
//! lowest, so one more instruction reverses the order of the words.
//!
//! Spec: Intel SDM, SHA256RNDS2, SHA256MSG1, SHA256MSG2.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_cvtsi128_si64, _mm_extract_epi64, _mm_set_epi32,
    _mm_set_epi64x, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi64,
};

/// Sixteen bytes of a message.
pub(super) type Bytes = __m128i;

/// Four words of a message schedule, the first one lowest.
pub(super) type Words = __m128i;

/// The name of these instructions: Intel's SHA New Instructions.
pub(super) const NAME: &str = "sha-ni";

/// Whether this processor has what this file is compiled for.
pub(super) fn detected() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse2")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

/// A state of SHA-256 in the instructions' order, last word first: `FEBA` and `HGDC`.
#[derive(Clone, Copy)]
pub(super) struct ShaState {
    abef: Words,
    cdgh: Words,
}

impl ShaState {
    /// The state of eight words.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn new([a, b, c, d, e, f, g, h]: [u32; 8]) -> Self {
        Self {
            abef: words([f, e, b, a]),
            cdgh: words([h, g, d, c]),
        }
    }

    /// Four rounds, with four words of the schedule to which `K` was added.
    #[inline]
    #[target_feature(enable = "sha,sse2")]
    pub(super) fn rounds(&mut self, words: Words) {
        self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, words);
        let high = _mm_shuffle_epi32::<0b00_00_11_10>(words);
        self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, high);
    }

    /// The sum with another state, word by word.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            abef: sum(self.abef, other.abef),
            cdgh: sum(self.cdgh, other.cdgh),
        }
    }

    /// Its eight words, in the order of the instructions.
    pub(super) const fn words(self) -> [Words; 2] {
        [self.abef, self.cdgh]
    }

    /// Bytes of the hash this is, first half first.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn halves(self) -> [Bytes; 2] {
        [
            _mm_unpackhi_epi64(self.cdgh, self.abef),
            _mm_unpacklo_epi64(self.cdgh, self.abef),
        ]
    }
}

/// The next four words of a schedule, from the sixteen before them.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3")]
pub(super) fn scheduled(oldest: Words, old: Words, new: Words, newest: Words) -> Words {
    let words = _mm_sha256msg1_epu32(oldest, old);
    let words = sum(words, _mm_alignr_epi8::<4>(newest, new));
    _mm_sha256msg2_epu32(words, newest)
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn sum(a: Words, b: Words) -> Words {
    _mm_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn words([w0, w1, w2, w3]: [u32; 4]) -> Words {
    let [w0, w1, w2, w3] = [w0, w1, w2, w3].map(u32::cast_signed);
    _mm_set_epi32(w3, w2, w1, w0)
}

/// Sixteen bytes, from two big-endian numbers.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn bytes(first: u64, second: u64) -> Bytes {
    _mm_set_epi64x(first.cast_signed(), second.cast_signed())
}

/// The opposite of [`bytes`].
#[inline]
#[target_feature(enable = "sse2,sse4.1")]
pub(super) fn numbers(bytes: Bytes) -> [u64; 2] {
    [_mm_extract_epi64::<1>(bytes), _mm_cvtsi128_si64(bytes)].map(i64::cast_unsigned)
}

/// Four words of a message: the last `LEFT` bytes of `before`, then the first `TAKEN`
/// of `after`.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
pub(super) fn joined<const LEFT: i32, const TAKEN: i32>(before: Bytes, after: Bytes) -> Words {
    const { assert!(LEFT + TAKEN == 16) };
    _mm_shuffle_epi32::<0b00_01_10_11>(_mm_alignr_epi8::<LEFT>(before, after))
}
