//! For how long a controller uses a resolvable private address that it makes
//! itself.
//!
//! Since Linux 6.14 a controller with LL Privacy does so, by a timer whose length the
//! kernel sets. tcnd has to know that length for certain (`radio::bluez`), and may neither
//! set nor read it: both need root. So a separate program, `tcnd-rpa-timeout`, runs
//! before tcnd starts and when a controller is plugged in. It sets the timeout in the
//! kernel and in the controller ([`set`]) and leaves a [`record`] of that, which tcnd
//! reads ([`known`]).
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
mod program;
pub mod record;
mod set;

use std::path::PathBuf;
use std::time::Duration;

use rustix::system::uname;
use rustix::time::{ClockId, clock_gettime};

pub use hci::HciError;
pub use program::{Flags, main};
use record::Record;
pub use set::{Done, SetError};

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

/// What is known of the addresses that a controller makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How long the controller uses one address.
    pub timeout: Duration,
    /// After this time, no address made before is still in use.
    pub certain_in: Duration,
}

/// Paths and the kernel's release.
#[derive(Clone, Debug)]
struct Places {
    records: PathBuf,
    controllers: PathBuf,
    debugfs: PathBuf,
    lockdown: PathBuf,
    /// Of the kernel.
    release: String,
}

impl Places {
    fn of_the_system() -> Self {
        Self {
            records: "/run/tcnd-rpa-timeout".into(),
            controllers: "/sys/class/bluetooth".into(),
            debugfs: "/sys/kernel/debug/bluetooth".into(),
            lockdown: "/sys/kernel/security/lockdown".into(),
            release: uname().release().to_string_lossy().into_owned(),
        }
    }

    /// Distinguishes the controller from a later one with the same name: the number of
    /// its node in sysfs, which no other controller gets.
    fn node(&self, adapter: &str) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let node = std::fs::metadata(self.controllers.join(adapter)).ok()?;
        Some(node.ino())
    }

    fn record(&self, adapter: &str) -> Option<Record> {
        let text = std::fs::read_to_string(self.records.join(adapter)).ok()?;
        let record = Record::parse(&text)?;
        (Some(record.node) == self.node(adapter)).then_some(record)
    }

    /// See [`controllers`].
    fn controllers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.controllers).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| index(name).is_some()).collect();
        names.sort();
        names
    }
}

/// What is known of an adapter, by its kernel name; `None` unless the program left a
/// record of the controller that has this name now.
pub fn known(adapter: &str) -> Option<Known> {
    index(adapter)?;
    let record = Places::of_the_system().record(adapter)?;
    Some(record.known(now()))
}

/// The controllers of the machine, by their kernel names. Connections, which the same
/// folder lists, are left out.
pub fn controllers() -> Vec<String> {
    Places::of_the_system().controllers()
}

/// Sets the timeout of an adapter, by its kernel name. Needs root.
///
/// # Errors
/// Why the timeout is not known now; then no record is left.
pub async fn set(adapter: &str, timeout: Duration) -> Result<Done, SetError> {
    set::set(&Places::of_the_system(), adapter, timeout, now()).await
}

fn index(adapter: &str) -> Option<u16> {
    let digits = adapter.strip_prefix("hci")?;
    let index: u16 = digits.parse().ok()?;
    (index.to_string() == digits).then_some(index)
}

/// A clock that all processes share, and that stops during suspend, when the
/// controller's behaviour is not known.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or_default())
}
