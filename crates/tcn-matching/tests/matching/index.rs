//! The index against a `BTreeSet`, and its size, for any input.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tcn_matching::{IndexBuilder, MatchingError, Secret};

use super::{builder, index_of, number};

/// Numbers close to each other in some way: small, or equal in many bits.
fn value() -> impl Strategy<Value = u128> {
    prop_oneof![
        any::<u128>(),
        0..50_u128,
        (0..50_u128).prop_map(|high| high << 120),
        (0..50_u128).prop_map(|middle| middle << 62),
        (0..128_u32).prop_map(|bit| u128::MAX ^ 1 << bit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_holds_what_was_put_in_and_nothing_else(
        inside in vec(value(), 0..400),
        asked in vec(value(), 0..400),
        parts in 1..5_usize,
        secret: u64,
    ) {
        let set: BTreeSet<_> = inside.iter().copied().collect();
        let mut builder = builder(secret);
        for part in inside.chunks(inside.len() / parts + 1) {
            builder.extend(part.iter().copied().map(number)).unwrap();
        }
        let index = builder.build();
        prop_assert_eq!(index.len(), set.len());
        prop_assert_eq!(index.is_empty(), set.is_empty());
        for value in inside.iter().chain(&asked) {
            prop_assert_eq!(index.contains(&number(*value)), set.contains(value));
        }
    }
}

/// A family of numbers that strangers might send to make a hash collide.
type Family = fn(u128) -> u128;

const FAMILIES: [(&str, Family); 7] = [
    ("sequential", |i| i),
    ("sequential from the other end", |i| i << 108),
    ("sequential across the halves", |i| i << 54),
    ("one half equal to the other", |i| i << 64 | i),
    ("one half all ones", |i| u128::from(u64::MAX) << 64 | i),
    ("multiples of a large number", |i| {
        i.wrapping_mul(0x9e37_79b9_7f4a_7c15 << 64)
    }),
    ("few bits set", |i| {
        1 << (i % 128) | 1 << (i / 128 % 128) | 1 << (i / 16_384 % 128)
    }),
];

#[test]
fn nobody_makes_it_large() {
    for (family, of) in FAMILIES {
        let values: BTreeSet<_> = (0..20_000).map(of).collect();
        let index = index_of((0..20_000).map(of).map(number));
        assert_eq!(index.len(), values.len(), "{family}");
        assert!(
            values.iter().all(|value| index.contains(&number(*value))),
            "{family}"
        );
        let each = index.bytes() as f64 / values.len() as f64;
        assert!(each < 20.0, "{family}: {each} bytes a number");
    }
}

#[test]
fn a_number_given_a_million_times_is_one_number() {
    let same = std::iter::repeat_n(number(0), 1_000_000);
    let index = index_of(same.chain([number(7)]));
    assert_eq!(index.len(), 2);
    assert!(
        index.contains(&number(0)) && index.contains(&number(7)) && !index.contains(&number(1))
    );
    assert!(index.bytes() < 200, "{} bytes", index.bytes());
}

#[test]
fn it_takes_so_many_and_no_more() {
    let mut builder = builder(1);
    let most = IndexBuilder::MOST as u128;
    builder.extend((0..most).map(number)).unwrap();
    let one_more = builder.extend([number(0)]);
    assert_eq!(
        one_more,
        Err(MatchingError::IndexFull {
            most: IndexBuilder::MOST
        })
    );
    let index = builder.build();
    assert_eq!(index.len(), IndexBuilder::MOST);
    assert!(index.contains(&number(most - 1)) && !index.contains(&number(most)));
}

#[test]
fn an_empty_one_holds_nothing() {
    let index = index_of([]);
    assert!(index.is_empty() && !index.contains(&number(0)));
}

#[test]
fn neither_secret_nor_numbers_are_shown() {
    let mut builder = builder(1);
    builder.extend([number(0x1234_5678)]).unwrap();
    assert_eq!(format!("{builder:?}"), "IndexBuilder { numbers: 1, .. }");
    assert_eq!(format!("{:?}", builder.build()), "Index { numbers: 1, .. }");
    let secret = Secret::generate(&mut ChaCha20Rng::seed_from_u64(1));
    assert_eq!(format!("{secret:?}"), "Secret([REDACTED])");
}
