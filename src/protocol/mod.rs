//! What TCN says, byte for byte.
pub mod beacon;
mod key;
mod number;

pub use key::RatchetIndex;
pub use number::TemporaryContactNumber;
