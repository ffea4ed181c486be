//! Lanes by the processor's instructions for SHA-256, four rounds of each in turn.
//!
//! An instruction for rounds takes four cycles, and a new one can begin every cycle. One
//! compression is a chain of 32 of them, so the unit idles unless another is under way
//! in the same stretch of code. Two are enough: more lanes do not fit into the sixteen
//! registers of x86-64, and moving them costs more than they gain.
//!
//! A key never leaves the form of vectors. `H_tck` and `H_tcn` put a few bytes in front
//! of the key they hash, so the message is the key's halves and what surrounds them,
//! moved by 5 or 7 bytes ([`vector::joined`]). And the first 36 bytes of `H_tck`'s
//! message are the same for all numbers of a report: their eight rounds are done once.
//!
//! The only unsafe step is a call of code compiled for instructions that not every
//! processor has. A [`ShaInstructions`] exists only where they were detected.
//!
//! Spec: FIPS 180-4, 6.2.2.

#![expect(
    unsafe_code,
    reason = "a function with target features can be called from one without them in no other way"
)]

use std::array;
use std::hint::black_box;

use tcn_protocol::Report;

#[cfg(target_arch = "aarch64")]
use super::aarch64 as vector;
#[cfg(target_arch = "x86_64")]
use super::x86 as vector;
use super::{Compute, INITIAL, Lane, Numbers};
use vector::{Bytes, ShaState, Words};

/// Lanes that are computed at once.
const LANES: usize = 2;

/// Proof that this processor has the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ShaInstructions(());

impl ShaInstructions {
    /// The name of the set of instructions.
    pub(in super::super) const NAME: &'static str = vector::NAME;

    /// `None` if the processor lacks them. Asks it once, then remembers.
    pub(in super::super) fn detect() -> Option<Self> {
        vector::detected().then_some(Self(()))
    }
}

impl Compute for ShaInstructions {
    type Ratchet = Ratchet;

    const LANES: usize = LANES;

    fn ratchet(self, report: &Report) -> Ratchet {
        // SAFETY: `self` was made by `detect`, which found every feature that
        // `Ratchet::new` is compiled for.
        unsafe { Ratchet::new(report.rvk().as_bytes(), report.link()) }
    }

    fn turns(self, lanes: &mut [Lane<Ratchet>], numbers: &mut [Numbers]) {
        // SAFETY: `self` was made by `detect`, which found every feature that `turns` is
        // compiled for.
        unsafe { turns(lanes, numbers) }
    }

    fn back_to_back(self, compressions: usize) -> u64 {
        // SAFETY: as above.
        unsafe { back_to_back(compressions) }
    }
}

/// All lanes at once, or each by itself if some are empty.
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
#[cfg_attr(
    target_arch = "x86_64",
    target_feature(enable = "sha,sse2,ssse3,sse4.1")
)]
fn turns(lanes: &mut [Lane<Ratchet>], numbers: &mut [Numbers]) {
    if let Ok(lanes) = <&mut [_; LANES]>::try_from(&mut *lanes) {
        for (turn, numbers) in (0..).zip(numbers) {
            turn_once(lanes, turn, numbers);
        }
    } else {
        for (at, lane) in lanes.iter_mut().enumerate() {
            for (turn, numbers) in (0..).zip(&mut *numbers) {
                turn_once(array::from_mut(lane), turn, &mut numbers[at..]);
            }
        }
    }
}

/// The words of a block are the state after the block before, and half of that block.
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
#[cfg_attr(
    target_arch = "x86_64",
    target_feature(enable = "sha,sse2,ssse3,sse4.1")
)]
fn back_to_back(compressions: usize) -> u64 {
    let mut blocks = [Block::new(ShaState::new(INITIAL), [vector::words(K[0][0]); 4]); LANES];
    for _ in 0..compressions.div_ceil(LANES) {
        let states = finish(begin(blocks));
        for (block, state) in blocks.iter_mut().zip(states) {
            let [first, second] = state.words();
            *block = Block::new(state, [first, second, block.words[0], block.words[1]]);
        }
    }
    let halves = blocks.map(|block| vector::numbers(block.state.halves()[0]));
    halves.as_flattened().iter().fold(0, |all, half| all ^ half)
}

/// The key of a report and what its messages have in common.
pub(in super::super) struct Ratchet {
    /// `tck`, first half first.
    tck: [Bytes; 2],
    /// The last 16 bytes of `rvk`.
    rvk_end: Bytes,
    /// Words 0 to 7 of `H_tck`'s message, and the state after they went in.
    words: [Words; 2],
    prefix: ShaState,
}

impl Ratchet {
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
    #[cfg_attr(
        target_arch = "x86_64",
        target_feature(enable = "sha,sse2,ssse3,sse4.1")
    )]
    fn new(rvk: &[u8; 32], tck: &[u8; 32]) -> Self {
        let [rvk, tck] = [rvk, tck].map(|key| {
            let (numbers, _) = key.as_chunks();
            let [n0, n1, n2, n3] = array::from_fn(|at| u64::from_be_bytes(numbers[at]));
            [vector::bytes(n0, n1), vector::bytes(n2, n3)]
        });
        let label = vector::bytes(0, H_TCK);
        let words = [
            vector::joined::<5, 11>(label, rvk[0]),
            vector::joined::<5, 11>(rvk[0], rvk[1]),
        ];
        let open = vector::words([0; 4]);
        let [begun] = begin([Block::new(
            ShaState::new(INITIAL),
            [words[0], words[1], open, open],
        )]);
        Self {
            tck,
            rvk_end: rvk[1],
            words,
            prefix: begun.state,
        }
    }
}

/// The labels of `H_tck`, and of `H_tcn` with space for its index, each the end of
/// eight bytes.
const H_TCK: u64 = u64::from_be_bytes(*b"\0\0\0H_TCK");
const H_TCN: u64 = u64::from_be_bytes(*b"\0H_TCN\0\0");

/// The byte after a message, then zeros.
const END: u64 = 1 << 63;

/// Words 12 to 15 of a block that ends with its message's length in bits: the input of
/// `H_tck` is 69 bytes, that of `H_tcn` 39.
const TCK_LENGTH: [u32; 4] = [0, 0, 0, 69 * 8];
const TCN_LENGTH: [u32; 4] = [0, 0, 0, 39 * 8];

/// Turns the ratchets of `N` lanes. Puts the numbers, which are that many turns after the
/// index of each lane, into the first of `numbers`.
#[inline]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
#[cfg_attr(
    target_arch = "x86_64",
    target_feature(enable = "sha,sse2,ssse3,sse4.1")
)]
fn turn_once<const N: usize>(lanes: &mut [Lane<Ratchet>; N], turn: u16, numbers: &mut [[u8; 16]]) {
    let (zero, end) = (vector::words([0; 4]), vector::bytes(END, 0));
    let initial = ShaState::new(INITIAL);

    let blocks = lanes.each_ref().map(|lane| {
        let Ratchet { tck, rvk_end, .. } = lane.ratchet;
        let [w0, w1] = lane.ratchet.words;
        let w2 = vector::joined::<5, 11>(rvk_end, tck[0]);
        let w3 = vector::joined::<5, 11>(tck[0], tck[1]);
        Block {
            from: initial,
            state: lane.ratchet.prefix,
            words: [w0, w1, w2, w3],
        }
    });
    let states = finish(blocks);

    let length = vector::words(TCK_LENGTH);
    let blocks = array::from_fn(|at| {
        let w0 = vector::joined::<5, 11>(lanes[at].ratchet.tck[1], end);
        Block::new(states[at], [w0, zero, zero, length])
    });
    let states: [_; N] = finish(begin(blocks));

    for (lane, state) in lanes.iter_mut().zip(states) {
        lane.ratchet.tck = state.halves();
    }
    let length = vector::words(TCN_LENGTH);
    let blocks = lanes.each_ref().map(|lane| {
        let index = lane.index.get() + turn;
        let label = vector::bytes(0, H_TCN | u64::from(index.swap_bytes()));
        let [t0, t1] = lane.ratchet.tck;
        let w0 = vector::joined::<7, 9>(label, t0);
        let w1 = vector::joined::<7, 9>(t0, t1);
        let w2 = vector::joined::<7, 9>(t1, end);
        Block::new(initial, [w0, w1, w2, length])
    });
    let states = finish(begin(blocks));
    for (number, state) in numbers.iter_mut().zip(states) {
        *number = first_half(state);
    }
}

/// A block, and the state on the way through it.
#[derive(Clone, Copy)]
struct Block {
    /// The state before.
    from: ShaState,
    state: ShaState,
    /// Of the message schedule the latest 16 words, those of a quad where those of the
    /// fourth quad before it were.
    words: [Words; 4],
}

impl Block {
    #[inline]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
    #[cfg_attr(
        target_arch = "x86_64",
        target_feature(enable = "sha,sse2,ssse3,sse4.1")
    )]
    fn new(from: ShaState, words: [Words; 4]) -> Self {
        let state = from;
        Self { from, state, words }
    }

    /// Four rounds, by the words of quad `AT` of each four and by their `K`. `AT` is
    /// known to the compiler so that `words` is registers, not memory.
    #[inline]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
    #[cfg_attr(
        target_arch = "x86_64",
        target_feature(enable = "sha,sse2,ssse3,sse4.1")
    )]
    fn rounds<const AT: usize>(&mut self, k: [u32; 4]) {
        self.state
            .rounds(vector::sum(self.words[AT], vector::words(k)));
    }

    /// The next quad of the schedule in place of the oldest, which `AT` is.
    #[inline]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
    #[cfg_attr(
        target_arch = "x86_64",
        target_feature(enable = "sha,sse2,ssse3,sse4.1")
    )]
    fn schedule<const AT: usize>(&mut self) {
        let [oldest, old, new, newest] = array::from_fn(|age| self.words[(AT + age) % 4]);
        self.words[AT] = vector::scheduled(oldest, old, new, newest);
    }
}

/// Rounds 0 to 7, which take words 0 to 7.
#[inline]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
#[cfg_attr(
    target_arch = "x86_64",
    target_feature(enable = "sha,sse2,ssse3,sse4.1")
)]
fn begin<const N: usize>(mut blocks: [Block; N]) -> [Block; N] {
    for block in &mut blocks {
        block.rounds::<0>(K[0][0]);
        block.rounds::<1>(K[0][1]);
    }
    blocks
}

/// Rounds 8 to 63. Gives the states after the blocks.
///
/// The compiler does not know how long the loop is, so it leaves it a loop. Otherwise
/// all were one stretch of code, in which it moves one lane behind the other, to need
/// fewer registers.
#[inline]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
#[cfg_attr(
    target_arch = "x86_64",
    target_feature(enable = "sha,sse2,ssse3,sse4.1")
)]
fn finish<const N: usize>(mut blocks: [Block; N]) -> [ShaState; N] {
    for block in &mut blocks {
        block.rounds::<2>(K[0][2]);
        block.rounds::<3>(K[0][3]);
    }
    for k in black_box(&K[1..]) {
        scheduled_rounds::<N, 0>(&mut blocks, k);
        scheduled_rounds::<N, 1>(&mut blocks, k);
        scheduled_rounds::<N, 2>(&mut blocks, k);
        scheduled_rounds::<N, 3>(&mut blocks, k);
    }
    blocks.map(|block| block.state.plus(block.from))
}

#[inline]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,sha2"))]
#[cfg_attr(
    target_arch = "x86_64",
    target_feature(enable = "sha,sse2,ssse3,sse4.1")
)]
fn scheduled_rounds<const N: usize, const AT: usize>(blocks: &mut [Block; N], k: &[[u32; 4]; 4]) {
    for block in blocks {
        block.schedule::<AT>();
        block.rounds::<AT>(k[AT]);
    }
}

#[inline]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "sse2,sse4.1"))]
fn first_half(state: ShaState) -> [u8; 16] {
    let [half, _] = state.halves();
    let numbers = vector::numbers(half);
    let mut bytes = [0; 16];
    let (halves, _) = bytes.as_chunks_mut();
    for (half, number) in halves.iter_mut().zip(numbers) {
        *half = number.to_be_bytes();
    }
    bytes
}

/// `K^{256}` of SHA-256, four to each quad of rounds.
const K: [[[u32; 4]; 4]; 4] = [
    [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    ],
    [
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    ],
    [
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    ],
    [
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ],
];
