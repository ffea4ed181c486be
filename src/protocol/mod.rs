//! What TCN says, byte for byte.
pub mod beacon;
mod error;
mod hash;
mod key;
mod number;

pub use error::ReportError;
pub use key::{
    Ratchet, RatchetIndex, ReportAuthorizationKey, ReportVerificationKey, TemporaryContactKey,
};
pub use number::TemporaryContactNumber;
