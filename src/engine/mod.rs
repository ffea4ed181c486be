//! When to do what.
mod contact;
mod ledger;
mod moment;
mod policy;

pub use contact::{ASSUMED_TX_POWER_DBM, ATTENUATION_BOUNDS_DB, Contact, RSSI_UNAVAILABLE};
pub use ledger::{KeyId, Record, Seed};
pub use moment::{Moment, UnixTime};
pub use policy::Policy;
