//! Lengths of the timeout.

use std::time::Duration;

/// The default timeout. A shorter one limits how long the machine can be recognised; a
/// longer one lengthens the time off the air between two numbers.
pub const DEFAULT: Duration = Duration::from_secs(60);

/// The kernel accepts timeouts from this one on; a controller accepts up to an hour.
///
/// Kernel: hci_debugfs.c, `rpa_timeout_set`. Core Specification: Vol 4 Part E
/// 7.8.45.
pub const SHORTEST: Duration = Duration::from_secs(30);
/// See [`SHORTEST`].
pub const LONGEST: Duration = Duration::from_secs(3600);

/// The longest life of an address under a timeout: a kernel timer may be late by an
/// eighth and a little.
pub fn longest_life(timeout: Duration) -> Duration {
    timeout + timeout / 7
}
