//! For how long a controller uses a resolvable private address that it makes
//! itself.
//!
//! Since Linux 6.14 a controller with LL Privacy does so, by a timer whose length the
//! kernel sets. tcnd has to know that length for certain (`radio::bluez`), and may
//! neither set nor read it: both need root. So a separate program, `tcnd-rpa-timeout`,
//! runs before tcnd starts and when a controller is plugged in. It sets the timeout in
//! the kernel and in the controller ([`set`]) and leaves a [`record`] of that, which
//! tcnd reads ([`known`]).
//!
//! The kernel sets the timeout in a controller only when the controller is switched on,
//! so a change in debugfs alone would not reach one that is on. The kernel's own
//! addresses, which it uses for scanning, live as long.
//!
//! Where the kernel is locked down (Secure Boot), debugfs can be neither read nor
//! written. So the kernel's default of a quarter of an hour is unchanged: it is set in
//! the controller too, and recorded.
//!
//! Kernel: net/bluetooth/hci_debugfs.c, `rpa_timeout_fops`, `features_show`;
//! hci_sync.c, `hci_le_set_rpa_timeout_sync`; fs/debugfs/file.c,
//! `debugfs_locked_down`.

mod features;
mod hci;
mod paths;
mod program;
pub mod record;
mod set;
mod timeout;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use hci::HciError;
use paths::{SystemPaths, index};
pub use program::{RpaTimeoutArgs, main};
pub use record::Known;
pub use set::{SetError, SetOutcome};
pub use timeout::{DEFAULT, LONGEST, SHORTEST, longest_life};

/// What is known of an adapter, by its kernel name; `None` unless the program left a
/// record of the controller that has this name now.
pub fn known(adapter: &str) -> Option<Known> {
    index(adapter)?;
    let record = SystemPaths::of_the_system().record(adapter)?;
    Some(record.known(now()))
}

/// The controllers of the machine, by their kernel names. Connections, which the same
/// folder lists, are left out.
pub fn controllers() -> Vec<String> {
    SystemPaths::of_the_system().controllers()
}

/// Sets the timeout of an adapter, by its kernel name. Needs root.
///
/// # Errors
/// Why the timeout is not known now; then no record is left.
pub async fn set(adapter: &str, timeout: Duration) -> Result<SetOutcome, SetError> {
    set::set(&SystemPaths::of_the_system(), adapter, timeout, now()).await
}

/// A clock that all processes share, and that stops during suspend, when the
/// controller's behaviour is not known.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or_default())
}
