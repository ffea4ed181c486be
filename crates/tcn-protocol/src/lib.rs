//! The TCN protocol, byte for byte.
//!
//! Everything here is a function of its arguments: no clock, no I/O, and randomness
//! only where a caller supplies it. Symbols in these docs are the specification's.
//!
//! ```text
//!   rak ──Ed25519──▶ rvk ─────────┬──────────────┬─────────── …
//!    │                            ▼              ▼
//!    └──H_tck──▶ tck_0 ──H_tck──▶ tck_1 ──H_tck──▶ tck_2 ──── … tck_65535
//!                                 │              │
//!                               H_tcn          H_tcn
//!                                 ▼              ▼
//!                               tcn_1          tcn_2  ──▶ the air
//!
//!   report = rvk ‖ tck_{j1-1} ‖ j1 ‖ j2 ‖ memo,  signed by rak
//! ```
//!
//! The arrows go one way. A receiver of numbers cannot see which of them belong
//! together. A reader of a report can see it for `j1` to `j2`, and can run the ratchet
//! on to all numbers that would follow. That is why a key ends with its report.
//!
//! | here | of the specification's README |
//! |---|---|
//! | `hash.rs` `H_tck`, `H_tcn` | "Key Derivation" |
//! | `key.rs` `rak`, `rvk`, `tck_i`, the ratchet | "Key Derivation" |
//! | `number.rs` `tcn_i` | "Key Derivation", TCN Generation |
//! | [`memo`] memo types, CoEpi's symptoms | "Reporting", Memo Structure |
//! | `report.rs` create, verify, expand | "Reporting" |
//! | [`wire`] bytes of a report | "Reporting" |
//! | [`beacon`] service data, adverts, UUIDs | "TCN sharing with Bluetooth Low Energy" |
//!
//! Spec: TCN 6b64d09, version 0.4. Where its text and the deployed programs differ, the
//! file concerned says what we do and why.

#![forbid(unsafe_code)]

pub mod beacon;
mod error;
#[cfg(feature = "files")]
pub mod file;
mod hash;
mod key;
pub mod memo;
mod number;
mod report;
mod time;
pub mod wire;

pub use error::ReportError;
pub use key::{
    Ratchet, RatchetIndex, ReportAuthorizationKey, ReportVerificationKey, TemporaryContactKey,
};
pub use memo::{Memo, MemoType};
pub use number::TemporaryContactNumber;
pub use report::{Report, ReportDigest, ReportSpan, SignedReport, TemporaryContactNumbers};
pub use time::UnixTime;
