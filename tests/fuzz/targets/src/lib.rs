//! Fuzz targets: for each reader of foreign input a function that takes any bytes, and
//! panics where something does not hold that must hold for all of them.
//!
//! `tests/fuzz/run` gives them to libFuzzer. The tests of this crate give them the seeds,
//! and changed ones, without a build of their own.
//!
//! A new target is a module here, a line in `tests/seeds.rs`, a folder of seeds in
//! `tests/fuzz/seeds`, and a file in `tests/fuzz/bins` that `tests/fuzz/Cargo.toml` names.
#![allow(
    clippy::missing_panics_doc,
    reason = "a target panics where the code under test is wrong"
)]

pub mod arguments;
pub mod beacon;
pub mod device_signal;
pub mod mgmt;
pub mod report_file;
pub mod settings;
pub mod unpack;
pub mod upload;
pub mod wire;
