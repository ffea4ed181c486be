//! Which of these reports name numbers this machine has heard?
//!
//! ```text
//!   contact log ──numbers──▶ [IndexBuilder] ──▶ [Index]
//!                                                  │ contains?
//!   report file ──reports──▶ [match_reports] ──▶ [expand] ──▶ signature ──▶ [Finding]
//! ```
//!
//! Match first, verify what matched. The key that checks a signature travels
//! in the report, so anybody can sign any report; a signature keeps nobody
//! out, and one costs as much as 500 numbers. A report that names nothing we
//! heard is of no consequence, signed or not. What is bounded instead is the
//! work: every report is paid for from a [`Budget`], whether it matches or not.
//!
//! Nothing here reads a file, a database or a clock, and the caller brings the
//! randomness. Threads are used where they pay, and never show in the result.

pub mod cost;
mod error;
mod expand;
mod index;
mod lanes;
mod matcher;

pub use error::MatchingError;
pub use expand::{Kernel, expand};
pub use index::{Index, IndexBuilder, Secret};
pub use matcher::{Budget, Finding, Heard, Outcome, match_reports};
