//! Signals of BlueZ about devices, read where they are in the bytes of a message.
//!
//! While an adapter listens, BlueZ sends a signal of some 300 bytes for each advert, and a
//! listener needs some thirty of them. So [`device`] reads a message in place by a cursor of
//! [`wire`]: nothing is copied or allocated, and other properties are skipped.
#![forbid(unsafe_code)]

pub mod device;
pub mod wire;
