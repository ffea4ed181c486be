//! Reports in transit between machines and servers: pure decisions, no files, no network.
//!
//! [`source`] holds what the owner allows a source, and [`help`] where a source says that
//! people find help. [`filter`] decides which reports of a
//! source's documents are passed on, and [`backoff`] when a failed source is asked again.
//! [`upload_result`] says what a server's answer to an upload means. The caller opens the
//! file or the connection and brings the bytes. They are read as a stream and never held.
//! Servers publish by [`interval`]: [`backfill`] says which intervals are still to be
//! fetched, [`upload_schedule`] when the owner's reports are sent.

pub mod admission;
pub mod backfill;
pub mod backoff;
pub mod content_encoding;
pub mod filter;
pub mod help;
pub mod interval;
pub mod source;
pub mod upload_result;
pub mod upload_schedule;
