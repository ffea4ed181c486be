//! Reports on their way between people: pure decisions, no files, no network.
//!
//! [`source`] says what the owner allows a source, [`sieve`] what of its documents is
//! passed on, [`backoff`] when one that failed is asked again, and [`settlement`] what
//! a server's answer to an upload means. Whoever opens the file, or the connection,
//! brings the bytes; they are read as a stream and never held. Servers publish by
//! [`interval`]: [`ledger`] says which of them are still to be fetched, [`trickle`]
//! when reports of ours are sent.

pub mod admission;
pub mod backoff;
pub mod interval;
pub mod ledger;
pub mod packing;
pub mod settlement;
pub mod sieve;
pub mod source;
pub mod trickle;
