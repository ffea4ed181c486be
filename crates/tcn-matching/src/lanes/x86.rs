//! Lanes on x86-64 with SHA instructions, four rounds of each in turn.
//!
//! The instruction for two rounds takes four cycles, and a new one can begin
//! every cycle. One compression is a chain of 32 of them, so the unit idles
//! unless several are under way in one stretch of code.
//!
//! A ratchet never leaves the registers' form. `H_tck` and `H_tcn` put a few
//! bytes in front of the key they hash, so the message is the key's halves and
//! what surrounds them, moved by 5 or 7 bytes ([`joined`]). And the first 36
//! bytes of `H_tck`'s message are the same for all numbers of a report: its
//! first eight rounds are done once.
//!
//! The only unsafe step is a call of code compiled for instructions that not every
//! processor has. A [`ShaNi`] exists only where they were detected.
//!
//! Spec: FIPS 180-4, 6.2.2; Intel SDM, SHA256RNDS2, SHA256MSG1, SHA256MSG2.

#![expect(
    unsafe_code,
    reason = "a function with target features can be called from one without them in no other way"
)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_cvtsi128_si64, _mm_extract_epi64, _mm_set_epi32,
    _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
    _mm_sha256rnds2_epu32, _mm_shuffle_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi64,
};
use std::array;

use tcn_protocol::{Report, TemporaryContactNumber};

use super::{ABREAST, Compute, INITIAL, Lane};

/// Proof that this processor has the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ShaNi(());

impl ShaNi {
    /// `None` if it lacks them. Asks the processor once, then remembers.
    pub(in super::super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse2")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        found.then_some(Self(()))
    }
}

impl Compute for ShaNi {
    type Ratchet = Ratchet;

    fn ratchet(self, report: &Report) -> Ratchet {
        // SAFETY: `self` was made by `detect`, which found every feature that
        // `Ratchet::new` is compiled for.
        unsafe { Ratchet::new(report.rvk().as_bytes(), report.link()) }
    }

    fn numbers(self, lanes: &mut [Lane<Ratchet>]) -> [TemporaryContactNumber; ABREAST] {
        // SAFETY: `self` was made by `detect`, which found every feature that
        // `numbers` is compiled for.
        unsafe { numbers(lanes) }
    }
}

/// All lanes at once, or each by itself if some are empty.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn numbers(lanes: &mut [Lane<Ratchet>]) -> [TemporaryContactNumber; ABREAST] {
    let mut numbers = [TemporaryContactNumber::from_bytes([0; 16]); ABREAST];
    if let Ok(lanes) = <&mut [_; ABREAST]>::try_from(&mut *lanes) {
        numbers = turn(lanes);
    } else {
        for (lane, number) in lanes.iter_mut().zip(&mut numbers) {
            [*number] = turn(array::from_mut(lane));
        }
    }
    numbers
}

/// The key of a report and what its messages have in common.
pub(in super::super) struct Ratchet {
    /// `tck`, first half first.
    tck: [__m128i; 2],
    /// The last 16 bytes of `rvk`.
    rvk_end: __m128i,
    /// Words 0 to 7 of `H_tck`'s message, and the state after they went in.
    words: [__m128i; 2],
    prefix: ShaState,
}

impl Ratchet {
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn new(rvk: &[u8; 32], tck: &[u8; 32]) -> Self {
        let [rvk, tck] = [rvk, tck].map(|key| {
            let (halves, _) = key.as_chunks();
            [bytes(&halves[0]), bytes(&halves[1])]
        });
        let label = _mm_set_epi64x(0, H_TCK);
        let words = [joined::<5>(label, rvk[0]), joined::<5>(rvk[0], rvk[1])];
        let mut prefix = [initial()];
        begin(
            &mut prefix,
            &mut [[words[0], words[1], _mm_setzero_si128(), _mm_setzero_si128()]],
        );
        Self {
            tck,
            rvk_end: rvk[1],
            words,
            prefix: prefix[0],
        }
    }
}

/// The labels of `H_tck`, and of `H_tcn` with space for its index.
const H_TCK: i64 = i64::from_be_bytes(*b"\0\0\0H_TCK");
const H_TCN: i64 = i64::from_be_bytes(*b"\0H_TCN\0\0");

/// The input of `H_tck` is 69 bytes, that of `H_tcn` 39.
const TCK_BITS: i32 = 69 * 8;
const TCN_BITS: i32 = 39 * 8;

/// Turns the ratchets of `N` lanes, and gives their numbers.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn turn<const N: usize>(lanes: &mut [Lane<Ratchet>; N]) -> [TemporaryContactNumber; N] {
    let (zero, end) = (_mm_setzero_si128(), _mm_set_epi64x(i64::MIN, 0));

    let prefix = lanes.each_ref().map(|lane| lane.ratchet.prefix);
    let words = lanes.each_ref().map(|lane| {
        let Ratchet { tck, rvk_end, .. } = lane.ratchet;
        let [w0, w1] = lane.ratchet.words;
        let (w2, w3) = (joined::<5>(rvk_end, tck[0]), joined::<5>(tck[0], tck[1]));
        [w0, w1, w2, w3]
    });
    let states = finish([initial(); N], prefix, words);

    let words = lanes.each_ref().map(|lane| {
        let w0 = joined::<5>(lane.ratchet.tck[1], end);
        [w0, zero, zero, _mm_set_epi32(TCK_BITS, 0, 0, 0)]
    });
    let states = compress(states, words);

    for (lane, state) in lanes.iter_mut().zip(states) {
        lane.ratchet.tck = state.halves();
    }
    let words = lanes.each_ref().map(|lane| {
        let index = i64::from(lane.index.get().swap_bytes());
        let label = _mm_set_epi64x(0, H_TCN | index);
        let [t0, t1] = lane.ratchet.tck;
        let w3 = _mm_set_epi32(TCN_BITS, 0, 0, 0);
        [
            joined::<7>(label, t0),
            joined::<7>(t0, t1),
            joined::<7>(t1, end),
            w3,
        ]
    });
    let states = compress([initial(); N], words);
    states.map(|state| number(state.halves()[0]))
}

/// A state in the instructions' order, last word first: `FEBA` and `HGDC`.
#[derive(Clone, Copy)]
struct ShaState {
    abef: __m128i,
    cdgh: __m128i,
}

impl ShaState {
    /// Bytes of the hash this is, first half first.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn halves(self) -> [__m128i; 2] {
        [
            _mm_unpackhi_epi64(self.cdgh, self.abef),
            _mm_unpacklo_epi64(self.cdgh, self.abef),
        ]
    }
}

#[inline]
#[target_feature(enable = "sse2")]
fn initial() -> ShaState {
    let [a, b, c, d, e, f, g, h] = INITIAL;
    ShaState {
        abef: words([f, e, b, a]),
        cdgh: words([h, g, d, c]),
    }
}

/// One block of `N` messages.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress<const N: usize>(from: [ShaState; N], mut words: [[__m128i; 4]; N]) -> [ShaState; N] {
    let mut states = from;
    begin(&mut states, &mut words);
    finish(from, states, words)
}

/// Rounds 0 to 7, which take words 0 to 7.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn begin<const N: usize>(states: &mut [ShaState; N], words: &mut [[__m128i; 4]; N]) {
    rounds::<N, 0>(states, words);
    rounds::<N, 1>(states, words);
}

/// Rounds 8 to 63 of a block that began with the states `from`.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn finish<const N: usize>(
    from: [ShaState; N],
    mut states: [ShaState; N],
    mut words: [[__m128i; 4]; N],
) -> [ShaState; N] {
    rounds::<N, 2>(&mut states, &mut words);
    rounds::<N, 3>(&mut states, &mut words);
    rounds::<N, 4>(&mut states, &mut words);
    rounds::<N, 5>(&mut states, &mut words);
    rounds::<N, 6>(&mut states, &mut words);
    rounds::<N, 7>(&mut states, &mut words);
    rounds::<N, 8>(&mut states, &mut words);
    rounds::<N, 9>(&mut states, &mut words);
    rounds::<N, 10>(&mut states, &mut words);
    rounds::<N, 11>(&mut states, &mut words);
    rounds::<N, 12>(&mut states, &mut words);
    rounds::<N, 13>(&mut states, &mut words);
    rounds::<N, 14>(&mut states, &mut words);
    rounds::<N, 15>(&mut states, &mut words);
    for (state, from) in states.iter_mut().zip(from) {
        state.abef = _mm_add_epi32(state.abef, from.abef);
        state.cdgh = _mm_add_epi32(state.cdgh, from.cdgh);
    }
    states
}

/// Rounds `4 * QUAD` to `4 * QUAD + 3`. Of the message schedule, the latest 16
/// words are kept, those of a quad where those of the fourth before it were.
///
/// `QUAD` is known to the compiler so that `w` is registers, not memory.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn rounds<const N: usize, const QUAD: usize>(
    states: &mut [ShaState; N],
    schedules: &mut [[__m128i; 4]; N],
) {
    for (state, w) in states.iter_mut().zip(schedules) {
        if QUAD >= 4 {
            let [oldest, old, new, newest] = array::from_fn(|age| w[(QUAD + age) % 4]);
            let sum = _mm_sha256msg1_epu32(oldest, old);
            let sum = _mm_add_epi32(sum, _mm_alignr_epi8::<4>(newest, new));
            w[QUAD % 4] = _mm_sha256msg2_epu32(sum, newest);
        }
        let sum = _mm_add_epi32(w[QUAD % 4], words(K[QUAD]));
        state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, sum);
        let high = _mm_shuffle_epi32::<0b00_00_11_10>(sum);
        state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, high);
    }
}

/// Four words, the first one lowest, as the instructions want them.
#[inline]
#[target_feature(enable = "sse2")]
fn words([w0, w1, w2, w3]: [u32; 4]) -> __m128i {
    let [w0, w1, w2, w3] = [w0, w1, w2, w3].map(u32::cast_signed);
    _mm_set_epi32(w3, w2, w1, w0)
}

/// Sixteen bytes of a message as one number, the first byte highest.
#[inline]
#[target_feature(enable = "sse2")]
fn bytes(bytes: &[u8; 16]) -> __m128i {
    let (halves, _) = bytes.as_chunks();
    let [high, low] = [halves[0], halves[1]].map(i64::from_be_bytes);
    _mm_set_epi64x(high, low)
}

/// Four words of a message: the last `LEFT` bytes of `before`, then `after` as
/// far as it goes in.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
fn joined<const LEFT: i32>(before: __m128i, after: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0b00_01_10_11>(_mm_alignr_epi8::<LEFT>(before, after))
}

#[inline]
#[target_feature(enable = "sse2,sse4.1")]
fn number(half: __m128i) -> TemporaryContactNumber {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&_mm_extract_epi64::<1>(half).to_be_bytes());
    bytes[8..].copy_from_slice(&_mm_cvtsi128_si64(half).to_be_bytes());
    TemporaryContactNumber::from_bytes(bytes)
}

/// `K^{256}` of SHA-256, four to each quad of rounds.
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];
