//! Finds the reports that name numbers this machine has heard.
//!
//! ```text
//!   contact log ──numbers──▶ [IndexBuilder] ──▶ [Index]
//!                                                  │ contains?
//!   report file ──reports──▶ [match_reports] ──▶ [expand] ──▶ signature ──▶ [Finding]
//! ```
//!
//! Reports are matched first, and only matches are verified. The key that checks a
//! signature is part of the report, so any person can sign any report. A signature
//! keeps no attacker out, and checking one costs as much as 500 numbers. A report that
//! names no number we heard has no effect, signed or not. The limit is on the work
//! instead: every report is paid for from a [`Budget`], whether it matches or not.
//!
//! Nothing here reads a file, a database or a clock, and the caller supplies the
//! randomness. Threads are used where they pay off, and never show in the result.

pub mod cost;
mod error;
mod expand;
mod index;
mod lanes;
mod matcher;

pub use error::MatchingError;
pub use expand::{ShaKernel, expand};
pub use index::{Index, IndexBuilder, Secret};
pub use matcher::{Budget, Finding, Heard, MatchOutcome, match_reports};
