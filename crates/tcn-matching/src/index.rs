//! The numbers this machine has heard, in a form for hundreds of millions of lookups.
//!
//! Sorted by a keyed hash and divided into buckets of four on average. A bucket is a
//! word of a Bloom filter and a run of numbers. Nearly every number looked up is
//! unknown, and the word, a sixteenth of the whole, answers so for 199 of 200.
//!
//! ```text
//!   place = hash(secret, number), top bits ──▶ bucket
//!                                                │
//!   filter   2 bytes a number   [ u64 ][ u64 ][ u64 ] …     4 bits set by each number
//!   starts   1 byte a number    [ u32 ][ u32 ][ u32 ] …     where the run begins
//!   numbers  16 bytes           [number number][number] …   by place, then by value
//! ```
//!
//! Strangers choose the bytes of a number, so they must not be able to choose its
//! bucket: the hash is keyed with a secret of the process. Even if they learn the
//! secret, a run is sorted, and a lookup in the longest run is still a binary search.

use std::fmt;
use std::mem;
use std::ops::Range;

use rand_core::CryptoRng;
use tcn_protocol::TemporaryContactNumber;

use super::MatchingError;

/// The key of the hash: drawn once per process, never shown.
#[derive(Clone)]
pub struct Secret(u128);

impl Secret {
    /// Draws a new secret of 16 bytes from `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(u128::from_le_bytes(bytes))
    }

    /// The place of a number, uniform over the whole range unless the secret is known:
    /// one multiplication, its halves folded.
    fn place(&self, number: u128) -> u64 {
        let number = number ^ self.0;
        let (low, high) = low_half(number).carrying_mul(low_half(number >> 64), 0);
        low ^ high
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}

/// Collects the numbers of an [`Index`], in any order.
pub struct IndexBuilder {
    secret: Secret,
    numbers: Vec<u128>,
}

impl IndexBuilder {
    /// How many numbers an index holds, repeated ones counted each time: 2,097,152.
    /// That is 200 neighbours for three months; the index takes 40 MB, and 70 MB while
    /// it is built.
    pub const MOST: usize = 1 << 21;

    /// An index with no number in it yet.
    pub const fn new(secret: Secret) -> Self {
        Self {
            secret,
            numbers: Vec::new(),
        }
    }

    /// Adds numbers. A number may be added more than once.
    ///
    /// # Errors
    /// [`MatchingError::IndexFull`] at number [`IndexBuilder::MOST`] + 1.
    pub fn extend(
        &mut self,
        numbers: impl IntoIterator<Item = TemporaryContactNumber>,
    ) -> Result<(), MatchingError> {
        for number in numbers {
            if self.numbers.len() == Self::MOST {
                return Err(MatchingError::IndexFull { most: Self::MOST });
            }
            self.numbers.push(value(&number));
        }
        Ok(())
    }

    /// The index. Building it takes `n log n` comparisons at the very worst, a handful
    /// of passes unless the secret is known.
    pub fn build(self) -> Index {
        let Self { secret, numbers } = self;
        let mut numbers = sorted(&secret, numbers);
        numbers.dedup();
        numbers.shrink_to_fit();

        let buckets = buckets(numbers.len());
        let mut filter = vec![0; buckets];
        let mut starts = Vec::with_capacity(buckets + 1);
        for (at, number) in numbers.iter().enumerate() {
            let place = secret.place(*number);
            let bucket = bucket(place, buckets);
            filter[bucket] |= bits(place);
            while starts.len() <= bucket {
                starts.push(offset(at));
            }
        }
        starts.resize(buckets + 1, offset(numbers.len()));
        Index {
            secret,
            filter,
            starts,
            numbers,
        }
    }
}

impl fmt::Debug for IndexBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexBuilder")
            .field("numbers", &self.numbers.len())
            .finish_non_exhaustive()
    }
}

/// A set of numbers, at most 20 bytes each plus a few dozen bytes in all.
pub struct Index {
    secret: Secret,
    filter: Vec<u64>,
    starts: Vec<u32>,
    numbers: Vec<u128>,
}

impl Index {
    /// Whether the number is in the index.
    #[inline]
    pub fn contains(&self, number: &TemporaryContactNumber) -> bool {
        let number = value(number);
        let place = self.secret.place(number);
        let bucket = bucket(place, self.filter.len());
        let bits = bits(place);
        self.filter[bucket] & bits == bits && self.holds(bucket, place, number)
    }

    /// How many different numbers there are.
    pub const fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether the index is empty.
    pub const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Bytes of memory held.
    pub const fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.filter.capacity() * size_of::<u64>()
            + self.starts.capacity() * size_of::<u32>()
            + self.numbers.capacity() * size_of::<u128>()
    }

    #[inline(never)]
    fn holds(&self, bucket: usize, place: u64, number: u128) -> bool {
        self.numbers[self.run(bucket)]
            .binary_search_by_key(&(place, number), |held| (self.secret.place(*held), *held))
            .is_ok()
    }

    fn run(&self, bucket: usize) -> Range<usize> {
        self.starts[bucket] as usize..self.starts[bucket + 1] as usize
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("numbers", &self.numbers.len())
            .finish_non_exhaustive()
    }
}

/// A number as an integer, to compare and to hash.
const fn value(number: &TemporaryContactNumber) -> u128 {
    u128::from_le_bytes(*number.as_bytes())
}

/// Numbers in a bucket, on average. The words of the filter then have 16 bits for each
/// of them, of which 4 are set: 0.5 % of unknown numbers pass.
const RUN: usize = 4;

const fn buckets(numbers: usize) -> usize {
    // At least one, so that a place always has a bucket.
    numbers
        .div_ceil(RUN)
        .saturating_add((numbers == 0) as usize)
}

/// The bucket of a place. It is monotonic: a higher place never has a lower bucket.
#[inline]
fn bucket(place: u64, buckets: usize) -> usize {
    let (_, bucket) = place.carrying_mul(buckets as u64, 0);
    offset_of(bucket)
}

/// The bits of a place in its filter word, from bits of it that do not choose
/// the bucket.
#[inline]
const fn bits(place: u64) -> u64 {
    1 << (place & 63) | 1 << (place >> 6 & 63) | 1 << (place >> 12 & 63) | 1 << (place >> 18 & 63)
}

/// By place, then by value: a pass to count what each bucket gets, one to take
/// each number there, one to sort the buckets.
fn sorted(secret: &Secret, numbers: Vec<u128>) -> Vec<u128> {
    let buckets = buckets(numbers.len());
    let home = |number| bucket(secret.place(number), buckets);
    let mut next = vec![0_u32; buckets];
    for number in &numbers {
        next[home(*number)] += 1;
    }
    let mut start = 0;
    for next in &mut next {
        start += mem::replace(next, start);
    }
    let mut sorted = vec![0; numbers.len()];
    for number in numbers {
        let next = &mut next[home(number)];
        sorted[*next as usize] = number;
        *next += 1;
    }
    let mut rest = &mut sorted[..];
    let mut start = 0;
    for end in next {
        let run;
        (run, rest) = rest.split_at_mut((end - start) as usize);
        sort_run(secret, run);
        start = end;
    }
    sorted
}

/// Sorts a bucket: by insertion while it is short, as it is unless the secret
/// is known or one number was given many times.
fn sort_run(secret: &Secret, run: &mut [u128]) {
    if run.len() > SHORT {
        return run.sort_unstable_by_key(|number| (secret.place(*number), *number));
    }
    let places = &mut [0; SHORT][..run.len()];
    for (place, number) in places.iter_mut().zip(&*run) {
        *place = secret.place(*number);
    }
    for next in 1..run.len() {
        let mut at = next;
        while at > 0 && (places[at - 1], run[at - 1]) > (places[at], run[at]) {
            places.swap(at - 1, at);
            run.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Up to this many numbers, insertion is the faster sort.
const SHORT: usize = 16;

/// A value that is below some length, as an offset.
fn offset_of(value: u64) -> usize {
    usize::try_from(value).expect("a length of memory is a usize")
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("an index takes fewer than 2^32 numbers")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half is asked for by itself"
)]
const fn low_half(number: u128) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bound that does not depend on the hash: with every number in one bucket,
    /// lookups are still right.
    #[test]
    fn one_long_run_is_still_searched() {
        // All have one half equal to the secret's, so every place is 0.
        let secret = Secret(7 << 64 | 9);
        let crafted = |i: u128| TemporaryContactNumber::from_bytes((7 << 64 | i).to_le_bytes());
        let mut builder = IndexBuilder::new(secret);
        builder.extend((0..5000).rev().map(crafted)).unwrap();
        let index = builder.build();
        assert_eq!(index.run(0), 0..5000);
        assert!((0..5000).all(|i| index.contains(&crafted(i))));
        assert!((5000..9000).all(|i| !index.contains(&crafted(i))));
    }

    /// Strangers who do not know the secret cannot make a bucket long, or fill up the
    /// filter, with numbers that differ in few bits.
    #[test]
    fn numbers_alike_spread_all_the_same() {
        for shift in [0, 20, 50, 64, 100] {
            let number = |i: u128| TemporaryContactNumber::from_bytes((i << shift).to_le_bytes());
            let mut builder = IndexBuilder::new(Secret(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            builder.extend((0..40_000).map(number)).unwrap();
            let index = builder.build();
            let longest = (0..index.filter.len())
                .map(|bucket| index.run(bucket).len())
                .max();
            assert!(longest < Some(40), "{longest:?} at {shift}");
            let passed = (40_000..140_000).filter(|i| {
                let place = index.secret.place(value(&number(*i)));
                let bits = bits(place);
                index.filter[bucket(place, index.filter.len())] & bits == bits
            });
            let passed = passed.count();
            assert!(
                passed < 2000,
                "{passed} of 100,000 pass the filter at {shift}"
            );
        }
    }
}
