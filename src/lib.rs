//! The daemon: Temporary Contact Numbers for Linux.
//!
//! Other crates of the workspace make the decisions: `tcn-engine` over time,
//! `tcn-matching` about reports, `tcn-exchange` about servers. This crate carries
//! them out: [`radio`] on BlueZ, [`store`] in SQLite, [`bus`] for D-Bus clients.
//! [`daemon`] joins them, [`exposure`] computes what a matched report means, and
//! [`run`] starts all of it and stops it in order.
//!
//! ```text
//!            run
//!             │
//!   bus ──▶ daemon ──▶ radio, store, exposure
//!             │
//!             └─────▶ tcn-engine, tcn-matching, tcn-exchange ──▶ tcn-protocol
//! ```
//!
//! [`conditions`] finds out what bears on how much tcnd listens. `system_bus` knows where the bus
//! is, for [`bus`], [`conditions`] and [`radio`]; `timerfd` has the kernel's timers. Arrows point the way imports go;
//! `tests/house` checks those inside this crate.
//! `ARCHITECTURE.md` has the map, and how data moves. Specification: TCN 6b64d09
//! (version 0.4), `README.md`.

pub mod bus;
pub mod conditions;
pub mod daemon;
pub mod exposure;
pub mod radio;
pub mod run;
pub mod store;
mod system_bus;
mod timerfd;
