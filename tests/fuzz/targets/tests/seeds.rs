//! Every fuzz target, with its seeds and with changed ones.
//!
//! Coverage steers nothing here, unlike in `tests/fuzz/run`. What a change to a reader
//! breaks near the seeds fails in every run of the tests all the same.

use std::ops::Range;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// No input of `tests/fuzz/run` is longer either.
const LONGEST: usize = 4096;

/// One change of a seed.
#[derive(Clone, Debug)]
enum Edit {
    /// One bit is inverted.
    Flip(Index, u8),
    /// One byte has another value.
    Set(Index, u8),
    /// Bytes are missing.
    Remove(Index, usize),
    /// Bytes are added.
    Insert(Index, Vec<u8>),
    /// Bytes come a second time, elsewhere.
    Repeat(Index, usize, Index),
    /// The end is missing.
    Truncate(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    // The ends of the ranges of integers, and what text formats are made of.
    let byte = || {
        prop_oneof![
            any::<u8>(),
            select(b"\0\x01\x7f\x80\xff\n\"[]{},=-0".to_vec())
        ]
    };
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (at(), byte()).prop_map(|(at, value)| Edit::Set(at, value)),
        (at(), 1..40_usize).prop_map(|(at, many)| Edit::Remove(at, many)),
        (at(), vec(byte(), 1..40)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), 1..400_usize, at()).prop_map(|(from, many, to)| Edit::Repeat(from, many, to)),
        at().prop_map(Edit::Truncate),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        let place = |at: &Index| at.index(end + 1);
        let range = |at: &Index, many: usize| -> Range<usize> {
            let start = place(at);
            start..end.min(start + many)
        };
        match self {
            Self::Flip(at, bit) if end > 0 => bytes[at.index(end)] ^= 1 << bit,
            Self::Set(at, value) if end > 0 => bytes[at.index(end)] = *value,
            Self::Flip(..) | Self::Set(..) => {}
            Self::Remove(at, many) => drop(bytes.drain(range(at, *many))),
            Self::Insert(at, more) => drop(bytes.splice(range(at, 0), more.iter().copied())),
            Self::Repeat(from, many, to) => {
                let again = bytes[range(from, *many)].to_vec();
                drop(bytes.splice(range(to, 0), again));
            }
            Self::Truncate(at) => bytes.truncate(place(at)),
        }
    }
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../seeds")
        .join(target);
    let entries = std::fs::read_dir(folder).expect("the target has seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    let seeds = paths
        .into_iter()
        .map(|path| std::fs::read(path).expect("a seed"));
    seeds.collect()
}

/// Gives a target its seeds, and `changed` changed ones.
fn try_target(name: &str, changed: u32, target: fn(&[u8])) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for seed in &seeds {
        target(seed);
    }
    let input = (select(seeds), vec(edit(), 1..6)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes.truncate(LONGEST);
        bytes
    });
    let config = Config {
        cases: changed,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&input, |bytes| {
        target(&bytes);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{name}: {failure}");
    }
}

/// A test for each target, with as many changed seeds as take some seconds.
macro_rules! targets {
    ($($target:ident: $changed:expr,)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(#[test]
        fn $target() {
            try_target(stringify!($target), $changed, fuzz_targets::$target::run);
        })*
    };
}

targets! {
    arguments: 2000,
    beacon: 10_000,
    device_signal: 10_000,
    mgmt: 10_000,
    report_file: 5000,
    settings: 2000,
    unpack: 100,
    upload: 10_000,
    wire: 2000,
}

#[test]
fn all_targets_are_tried_and_fuzzed() {
    let manifest = include_str!("../../Cargo.toml");
    let fuzzed: Vec<_> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .map(|bin| bin.split('"').next().expect("a name"))
        .collect();
    let modules: Vec<_> = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let sorted = |names: &[&'static str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(TARGETS), sorted(&modules));
    assert_eq!(sorted(TARGETS), sorted(&fuzzed));
}
