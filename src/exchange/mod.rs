//! Reports on their way between people: pure decisions, no files, no network.
//!
//! [`mod@file`] holds the formats a report is passed on in. Whoever
//! opens the file, or the connection, brings the bytes.

pub mod file;
mod json;
