//! # tcnd: Temporary Contact Numbers for Linux
//!
//! The house has a pure core and thin edges. The core says what the TCN
//! specification says (the crate `tcn-protocol`), when to do what ([`engine`]), which
//! reports name numbers we heard ([`matching`]) and what that means
//! ([`exposure`]), and how reports are passed on ([`exchange`]); it has no
//! clock, no randomness, no I/O of its own. The edges carry that out: [`radio`]
//! to BlueZ, [`store`] to SQLite, [`bus`] to D-Bus clients, [`config`] from
//! files. [`daemon`] joins them, and [`cli`] is the person's side of the bus.
//! [`sync`] is the network's, in a process of its own that knows no contact and
//! no key.
//! [`notices`] are the words for what a person may have to act on.
//! [`reportd`] is a program of its own, on a server elsewhere: it takes reports
//! and serves them, and knows of the rest only the core.
//!
//! ```text
//!             run                           everything is built here
//!    ┌─────────┼───────────────┐
//!   bus ──▶ daemon          config          who asks, what is done, by which settings
//!    ▲     ┌───┼──────┬────────┤
//!  cli   radio store  │      engine         air, memory, decisions
//!  sync    │     │  exposure matching exchange
//!          └─────┴──────┴───┬──┴────────┘
//!                       protocol            the letter of TCN
//! ```
//!
//! Arrows point the way imports go; `tests/house` holds them. Spec: TCN
//! 6b64d09 (version 0.4), `README.md`.

pub mod bus;
pub mod daemon;
pub mod exposure;
pub mod radio;
pub mod run;
pub mod store;
