//! Tests of the protocol against vectors, against the published reference, and against
//! properties of its own.
//!
//! | module | holds |
//! |---|---|
//! | `derivation` | keys, ratchet and numbers, by the specification's vector |
//! | `reports` | reports of the reference, whole and damaged, and of other projects |
//! | `negative_vectors` | one invalid input in each file, and the name of its error |
//! | `air` | adverts as phones send them |
//! | `oracle` | random inputs against the published crate `tcn` 0.4.1 |
//! | `properties` | round trips; no input panics |
//! | `memos` | CoEpi's memos, the registry, what would link reports |
//! | `files` | report files, bad items among good ones |
//! | `secrets` | what `Debug` shows, and what it does not |
//! | `memory` | a key is in memory once, and is not left there |

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod air;
mod derivation;
mod files;
mod memory;
mod memos;
mod negative_vectors;
mod oracle;
mod properties;
mod reports;
mod secrets;

use std::ops::ControlFlow;

use serde_json::Value;
use tcn_protocol::file::{self, FileError, Format, Item};
use tcn_protocol::{RatchetIndex, ReportAuthorizationKey};

/// A vector file, as text in this binary.
macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!("vectors/", $name))).unwrap()
    };
}
use vectors;

/// The bytes of a hexadecimal string.
fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

fn index(value: &Value) -> RatchetIndex {
    RatchetIndex::new(number(value)).unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

/// All items of a report file, and its format.
fn read_file(input: &[u8]) -> Result<(Format, Vec<Item>), FileError> {
    let mut items = Vec::new();
    let format = file::read(input, |_place, item| {
        items.push(item);
        ControlFlow::Continue(())
    })?;
    Ok((format, items))
}

/// The key of the specification's vector.
fn spec_key() -> ReportAuthorizationKey {
    ReportAuthorizationKey::from_bytes(&array(&vectors!("tcn_reference.json")["rak"]))
}
