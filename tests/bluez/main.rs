//! The BlueZ radio against a mock `org.bluez`.
//!
//! bluer, libdbus, zbus and dbus-daemon are the real ones. Only bluetoothd is a mock
//! ([`bluez`]), which follows its D-Bus documentation exactly and shows all its faults on
//! demand. `tests/vm` tries the same calls with a real bluetoothd and a real kernel.
//!
//! | module | holds |
//! |---|---|
//! | `epochs` | the order of calls, what is aired, how an epoch ends |
//! | `recovery` | everything that is lost comes back, or is reported |
//! | `sightings` | what is heard, and what it costs |
//! | `connections` | which peers may connect, which ones we connect to, and what they can read |
//! | `timers` | controllers that change their addresses by a timer of their own |
//!
//! libdbus reads the bus address from the environment, once per process. So each test runs
//! in a process of its own on a bus of its own, see [`harness`].

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod bluez;
mod connections;
#[path = "../support/dbus_daemon.rs"]
mod dbus_daemon;
mod epochs;
mod harness;
mod recovery;
mod sightings;
mod timers;
