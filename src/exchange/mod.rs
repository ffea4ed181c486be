//! Reports on their way between people: pure decisions, no files, no network.
//!
//! [`disclosure`] says what a report of ours would give away, [`mod@file`]
//! holds the formats a report is passed on in. Whoever opens the file, or the
//! connection, brings the bytes; they are read as a stream and never held,
//! which for JSON takes a guard. Servers publish by [`interval`]: [`ledger`]
//! says which of them are still to be fetched, [`trickle`] when reports of ours
//! are sent.

pub mod disclosure;
pub mod file;
mod guard;
pub mod interval;
mod json;
pub mod ledger;
pub mod trickle;
