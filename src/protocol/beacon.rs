//! A TCN as it goes through the air: service data under UUID 0xC019.
//!
//! Spec: TCN 6b64d09, README "TCN sharing with BLE".

use super::TemporaryContactNumber;

/// What one advert says: a number, and whose radio carried it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The number aired.
    pub tcn: TemporaryContactNumber,
    /// First four bytes of the carrier's own current number, where it sent
    /// them (the specification's text says 16 bytes, the clients send 20).
    pub carrier: Option<[u8; 4]>,
}
