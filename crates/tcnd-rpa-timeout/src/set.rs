//! Sets the timeout of one controller and records it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;

use super::features;
use super::hci::{self, CommandResult, HciError};
use super::paths::{SystemPaths, index};
use super::record::Record;
use super::timeout::longest_life;
use bluez_mgmt::leaves_addresses;

/// The kernel's default, and a controller's before it is set.
///
/// Kernel: include/net/bluetooth/hci_core.h, `HCI_DEFAULT_RPA_TIMEOUT`. Core
/// Specification: Vol 4 Part E 7.8.45.
const KERNEL_TIMEOUT: Duration = Duration::from_secs(900);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOutcome {
    /// The controller makes no addresses itself: nothing had to be set.
    NotNeeded,
    /// The timeout is set and recorded.
    Set(Duration),
    /// The kernel is locked down, and its own timeout is set and recorded.
    LockedDown(Duration),
}

/// Why nothing is known of a controller's addresses now.
#[derive(Debug, Error)]
pub enum SetError {
    /// No controller of that name.
    #[error("no such controller; see: ls /sys/class/bluetooth")]
    NoController,
    /// debugfs does not say what the controller supports.
    #[error(
        "debugfs does not show what the controller supports: {0}; see: systemctl status sys-kernel-debug.mount"
    )]
    Features(#[source] io::Error),
    /// debugfs does not take the timeout.
    #[error("debugfs does not accept the timeout: {0}; run this as root")]
    Debugfs(#[source] io::Error),
    /// The controller does not accept it.
    #[error("the controller does not accept the timeout: {0}")]
    Controller(#[from] HciError),
    /// No record can be written.
    #[error("the record cannot be written: {0}; run this as root")]
    Record(#[source] io::Error),
}

/// Sets the timeout. If an error stops this, no record is left that claims more than
/// was done.
pub(super) async fn set(
    paths: &SystemPaths,
    adapter: &str,
    timeout: Duration,
    now: Duration,
) -> Result<SetOutcome, SetError> {
    set_by(paths, adapter, timeout, now, async |index, seconds| {
        hci::send_timeout(index, seconds).await
    })
    .await
}

async fn set_by(
    paths: &SystemPaths,
    adapter: &str,
    timeout: Duration,
    now: Duration,
    send_timeout: impl AsyncFnOnce(u16, u16) -> Result<CommandResult, HciError>,
) -> Result<SetOutcome, SetError> {
    let index = index(adapter).ok_or(SetError::NoController)?;
    let before = paths.record(adapter);
    // Nothing is known until it is done.
    match fs::remove_file(paths.records.join(adapter)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SetError::Record(error));
        }
        Ok(()) | Err(_) => {}
    }
    let node = paths.node(adapter).ok_or(SetError::NoController)?;
    if !leaves_addresses(&paths.release) || !makes_addresses(paths, adapter)? {
        return Ok(SetOutcome::NotNeeded);
    }
    let file = paths.debugfs.join(adapter).join("rpa_timeout");
    let (done, timeout, old) = match replace_timeout(&file, timeout) {
        Ok(old) => (SetOutcome::Set(timeout), timeout, old),
        Err(error) if is_locked_down(paths, &error) => (
            SetOutcome::LockedDown(KERNEL_TIMEOUT),
            KERNEL_TIMEOUT,
            KERNEL_TIMEOUT,
        ),
        Err(error) => return Err(SetError::Debugfs(error)),
    };
    // Before the command, so that the controller gets this timeout even if it is
    // switched on now.
    let result = send_timeout(index, u16::try_from(timeout.as_secs()).unwrap_or(u16::MAX)).await?;
    let record = Record {
        timeout,
        certain_from: certain_from(before, timeout, old, result, now),
        node,
    };
    write_record(paths, adapter, record).map_err(SetError::Record)?;
    Ok(done)
}

fn makes_addresses(paths: &SystemPaths, adapter: &str) -> Result<bool, SetError> {
    let file = paths.debugfs.join(adapter).join("features");
    let text = fs::read_to_string(file).map_err(SetError::Features)?;
    features::makes_addresses(&text)
        .ok_or_else(|| SetError::Features(io::ErrorKind::InvalidData.into()))
}

/// Replaces the timeout in the file and returns the old one.
fn replace_timeout(file: &Path, timeout: Duration) -> io::Result<Duration> {
    let read = || {
        let seconds = fs::read_to_string(file)?.trim_end().parse();
        seconds.map(Duration::from_secs).map_err(io::Error::other)
    };
    let old = read()?;
    fs::write(file, timeout.as_secs().to_string())?;
    if read()? != timeout {
        return Err(io::Error::other("the file shows another value afterwards"));
    }
    Ok(old)
}

/// Whether the kernel is locked down, as with Secure Boot, and the error is its refusal
/// for that reason.
fn is_locked_down(paths: &SystemPaths, error: &io::Error) -> bool {
    let refuses = error.raw_os_error() == Some(Errno::PERM.raw_os_error());
    let says = fs::read_to_string(&paths.lockdown).unwrap_or_default();
    refuses && (says.contains("[integrity]") || says.contains("[confidentiality]"))
}

/// The time from which every address in use was made under this timeout. An address
/// stays in use for the timeout at the time it was made.
fn certain_from(
    before: Option<Record>,
    timeout: Duration,
    old: Duration,
    result: CommandResult,
    now: Duration,
) -> Duration {
    if result == CommandResult::PoweredOff {
        // When it is switched on it makes new addresses.
        return now;
    }
    match before {
        Some(before) if before.timeout == timeout && old == timeout => before.certain_from,
        Some(before) => {
            let longest = before.timeout.max(old);
            before.certain_from.max(now + longest_life(longest))
        }
        None if timeout == KERNEL_TIMEOUT && old == KERNEL_TIMEOUT => now,
        // Another program may have changed debugfs while the controller has the
        // kernel's timeout.
        None => now + longest_life(old.max(KERNEL_TIMEOUT)),
    }
}

/// Writes the record beside its place and renames it, so that no reader sees half of
/// it.
fn write_record(paths: &SystemPaths, adapter: &str, record: Record) -> io::Result<()> {
    fs::create_dir_all(&paths.records)?;
    fs::set_permissions(&paths.records, Permissions::from_mode(0o755))?;
    let draft = paths.records.join(format!(".{adapter}"));
    let mut file = File::create(&draft)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(record.to_string().as_bytes())?;
    fs::rename(draft, paths.records.join(adapter))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const CAPABLE: &str = " 0: ff ff 8f fe db ff 5b 87\nLE: 7f 10 00 00 00 00 00 00\n";
    const LEGACY: &str = " 0: ff ff 8f fe db ff 5b 87\nLE: 7f 00 00 00 00 00 00 00\n";

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A machine with one controller, `hci0`.
    struct System {
        _root: TempDir,
        paths: SystemPaths,
    }

    impl System {
        fn new(features: &str) -> Self {
            let root = TempDir::new().unwrap();
            let at = |name: &str| root.path().join(name);
            let paths = SystemPaths {
                records: at("run"),
                controllers: at("class"),
                debugfs: at("debug"),
                lockdown: at("lockdown"),
                release: "7.2.12+deb14-amd64".to_owned(),
            };
            fs::create_dir_all(paths.controllers.join("hci0")).unwrap();
            fs::create_dir_all(paths.debugfs.join("hci0")).unwrap();
            fs::write(paths.debugfs.join("hci0/features"), features).unwrap();
            let system = Self { _root: root, paths };
            fs::write(system.timeout(), "900\n").unwrap();
            system
        }

        fn timeout(&self) -> std::path::PathBuf {
            self.paths.debugfs.join("hci0/rpa_timeout")
        }

        fn debugfs(&self) -> String {
            fs::read_to_string(self.timeout()).unwrap()
        }

        /// The timeout on record, and how long until it is certain.
        fn known(&self, now: u64) -> Option<(u64, u64)> {
            let known = self.paths.record("hci0")?.known(secs(now));
            Some((known.timeout.as_secs(), known.certain_in.as_secs()))
        }

        /// A run at a time, where the controller answers like this.
        async fn run(
            &self,
            timeout: u64,
            now: u64,
            response: Result<CommandResult, HciError>,
        ) -> Result<SetOutcome, SetError> {
            let send_timeout = async |index: u16, seconds: u16| {
                assert_eq!(index, 0);
                assert_eq!(self.known(now), None, "nothing is known meanwhile");
                assert_eq!(self.debugfs(), seconds.to_string(), "set before it is told");
                response
            };
            set_by(&self.paths, "hci0", secs(timeout), secs(now), send_timeout).await
        }

        /// A run at a time, where the controller obeys.
        async fn applied(&self, timeout: u64, now: u64) -> SetOutcome {
            let run = self.run(timeout, now, Ok(CommandResult::Applied));
            run.await.unwrap()
        }

        /// The run fails with one line, and leaves no record.
        async fn fails(&self, response: Result<CommandResult, HciError>) -> String {
            let line = self.run(60, 200, response).await.unwrap_err().to_string();
            assert!(!line.contains('\n') && !line.ends_with('.'), "{line}");
            assert_eq!(self.known(200), None, "{line}");
            line
        }
    }

    #[tokio::test]
    async fn a_controller_that_is_on_is_told_and_what_it_made_before_is_outlived() {
        let system = System::new(CAPABLE);
        let done = system.applied(60, 100).await;
        assert_eq!(done, SetOutcome::Set(secs(60)));
        assert_eq!(system.debugfs(), "60");
        assert_eq!(system.known(100), Some((60, 1028)), "900 and a seventh");
        assert_eq!(system.known(1128), Some((60, 0)));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&system.paths.records), 0o755);
        assert_eq!(mode(&system.paths.records.join("hci0")), 0o644);
        // A second run does not change when it is certain; another timeout makes it
        // later.
        system.applied(60, 500).await;
        assert_eq!(system.known(500), Some((60, 628)));
        system.applied(30, 2000).await;
        assert_eq!(system.known(2000), Some((30, 68)), "60 and a seventh");
    }

    #[tokio::test]
    async fn one_that_is_off_has_only_addresses_of_the_new_timeout_when_it_is_on() {
        let system = System::new(CAPABLE);
        system
            .run(60, 100, Ok(CommandResult::PoweredOff))
            .await
            .unwrap();
        assert_eq!(system.known(100), Some((60, 0)));
    }

    /// The controller may have got the kernel's default before debugfs was changed.
    #[tokio::test]
    async fn a_timeout_that_somebody_else_set_is_not_taken_for_certain() {
        let system = System::new(CAPABLE);
        fs::write(system.timeout(), "60\n").unwrap();
        system.applied(60, 100).await;
        assert_eq!(system.known(100), Some((60, 1028)));
    }

    #[tokio::test]
    async fn where_the_host_makes_addresses_nothing_is_touched() {
        let mut system = System::new(LEGACY);
        let done = system.run(60, 100, Err(HciError::Late)).await.unwrap();
        assert_eq!((done, system.known(100)), (SetOutcome::NotNeeded, None));
        system.paths.release = "6.12.118+deb13-amd64".to_owned();
        fs::write(system.paths.debugfs.join("hci0/features"), CAPABLE).unwrap();
        let done = system.run(60, 100, Err(HciError::Late)).await.unwrap();
        assert_eq!((done, system.known(100)), (SetOutcome::NotNeeded, None));
        assert_eq!(system.debugfs(), "900\n");
    }

    #[tokio::test]
    async fn each_failure_is_one_line_and_leaves_no_record() {
        let system = System::new(CAPABLE);
        system.applied(60, 100).await;
        let line = system.fails(Err(HciError::Refused(0x01))).await;
        assert!(line.ends_with("it refuses with status 0x01"), "{line}");
        system.applied(60, 100).await;
        let line = system.fails(Err(HciError::Late)).await;
        assert!(line.ends_with("it does not answer"), "{line}");
        system.applied(60, 100).await;
        fs::remove_file(system.timeout()).unwrap();
        let line = system.fails(Ok(CommandResult::Applied)).await;
        assert!(line.contains("run this as root"), "{line}");
        fs::write(system.paths.debugfs.join("hci0/features"), " 0: ff\n").unwrap();
        let line = system.fails(Ok(CommandResult::Applied)).await;
        assert!(line.contains("sys-kernel-debug.mount"), "{line}");
        fs::remove_dir(system.paths.controllers.join("hci0")).unwrap();
        let line = system.fails(Ok(CommandResult::Applied)).await;
        assert!(line.contains("no such controller"), "{line}");
    }

    #[tokio::test]
    async fn a_record_is_of_one_controller_and_not_of_the_next_of_its_name() {
        let system = System::new(CAPABLE);
        system.applied(60, 100).await;
        let folder = system.paths.controllers.join("hci0");
        // The old node is kept, so that the new one has another number.
        fs::rename(&folder, system.paths.controllers.join("gone")).unwrap();
        fs::create_dir(&folder).unwrap();
        assert_eq!(system.known(5000), None);
    }

    #[test]
    fn a_kernel_that_is_locked_down_is_told_from_other_refusals() {
        let system = System::new(CAPABLE);
        let refused = io::Error::from(Errno::PERM);
        assert!(!is_locked_down(&system.paths, &refused));
        fs::write(&system.paths.lockdown, "[none] integrity confidentiality\n").unwrap();
        assert!(!is_locked_down(&system.paths, &refused));
        fs::write(&system.paths.lockdown, "none [integrity] confidentiality\n").unwrap();
        assert!(is_locked_down(&system.paths, &refused));
        assert!(!is_locked_down(&system.paths, &Errno::ACCESS.into()));
        // The kernel's own timeout cannot have been changed.
        let certain = certain_from(
            None,
            KERNEL_TIMEOUT,
            KERNEL_TIMEOUT,
            CommandResult::Applied,
            secs(100),
        );
        assert_eq!(certain, secs(100));
    }

    #[test]
    fn only_hosts_are_controllers() {
        let system = System::new(CAPABLE);
        for name in ["hci0:64", "hci10", "hci2", "hci07", "rfcomm0"] {
            fs::create_dir(system.paths.controllers.join(name)).unwrap();
        }
        assert_eq!(system.paths.controllers(), ["hci0", "hci10", "hci2"]);
    }
}
