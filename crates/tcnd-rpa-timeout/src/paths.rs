//! Where the kernel lists controllers, and where records are.

use std::path::PathBuf;

use rustix::system::uname;

use super::record::Record;

/// Paths and the kernel's release.
#[derive(Clone, Debug)]
pub(super) struct SystemPaths {
    pub(super) records: PathBuf,
    pub(super) controllers: PathBuf,
    pub(super) debugfs: PathBuf,
    pub(super) lockdown: PathBuf,
    /// Of the kernel.
    pub(super) release: String,
}

impl SystemPaths {
    pub(super) fn of_the_system() -> Self {
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
    pub(super) fn node(&self, adapter: &str) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let node = std::fs::metadata(self.controllers.join(adapter)).ok()?;
        Some(node.ino())
    }

    pub(super) fn record(&self, adapter: &str) -> Option<Record> {
        let text = std::fs::read_to_string(self.records.join(adapter)).ok()?;
        let record = Record::parse(&text)?;
        (Some(record.node) == self.node(adapter)).then_some(record)
    }

    /// See [`controllers`].
    pub(super) fn controllers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.controllers).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| index(name).is_some()).collect();
        names.sort();
        names
    }
}

/// The number in the kernel name of an adapter, `hci0`.
pub(super) fn index(adapter: &str) -> Option<u16> {
    let digits = adapter.strip_prefix("hci")?;
    let index: u16 = digits.parse().ok()?;
    (index.to_string() == digits).then_some(index)
}
