//! The BlueZ edge against an `org.bluez` that does as it is told.
//!
//! bluer, libdbus, zbus and dbus-daemon are the real ones; only bluetoothd is
//! played, by [`bluez`], to the letter of its D-Bus documentation and with all
//! its faults at hand. What a real bluetoothd and a real kernel make of the
//! same calls is tried in `tests/vm`.
//!
//! | module | holds |
//! |---|---|
//! | `epochs` | the order of calls, what is aired, how an epoch ends |
//! | `recovery` | everything that is taken away comes back, or is named |
//! | `sightings` | what is heard, and what it costs |
//! | `connections` | who may connect, to whom we do, and what they are told |
//! | `timers` | controllers that make their addresses by a timer of their own |
//!
//! libdbus reads the bus address from the environment, once per process. So
//! each test runs in a process of its own on a bus of its own, see [`harness`].

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod bluez;
mod connections;
mod epochs;
mod harness;
mod recovery;
mod sightings;
mod timers;
