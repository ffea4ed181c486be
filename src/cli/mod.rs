//! cli.
pub mod inspect;
