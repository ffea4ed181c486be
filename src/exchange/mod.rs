//! Reports on their way between people: pure decisions, no files, no network.
//!
//! [`disclosure`] says what a report of ours would give away, [`mod@file`]
//! holds the formats a report is passed on in. Whoever opens the file, or the
//! connection, brings the bytes.

pub mod disclosure;
pub mod file;
mod json;
