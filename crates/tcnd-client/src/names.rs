//! Every name and path this daemon has on the bus.
//!
//! A bus name never changes: programs, policies, polkit actions and unit files contain
//! it. So the reverse-DNS prefix is written here once, and every other name is built on
//! it. Two places cannot use a constant: zbus's attributes need literals, and the files
//! under `dbus/` are not Rust. Tests compare both with this module.

/// The domain of all names, in reverse order. The project owns it.
macro_rules! prefix {
    () => {
        "org.tcncoalition"
    };
}

/// The well-known name, and with it the major version of the whole contract.
pub const BUS: &str = concat!(prefix!(), ".Tcnd1");

/// The object with all interfaces except those of the adapters and the log: [`BUS`] as a
/// path.
pub const ROOT: &str = "/org/tcncoalition/Tcnd1";

/// State and control.
pub const MANAGER: &str = concat!(prefix!(), ".Tcnd1.Manager");
/// One Bluetooth adapter.
pub const ADAPTER: &str = concat!(prefix!(), ".Tcnd1.Adapter");
/// The contact log.
pub const CONTACTS: &str = concat!(prefix!(), ".Tcnd1.Contacts");

/// Reports of this machine and of other people.
pub const REPORTS: &str = concat!(prefix!(), ".Tcnd1.Reports");
/// Exposures: what reports of other people mean for this machine.
pub const EXPOSURES: &str = concat!(prefix!(), ".Tcnd1.Exposures");
/// Transfer of reports to and from servers, only for `tcnd-sync`.
pub const EXCHANGE: &str = concat!(prefix!(), ".Tcnd1.Exchange");
/// `WipeAll` destroys all state.
pub const PRIVACY: &str = concat!(prefix!(), ".Tcnd1.Privacy");

/// The phrase that `Privacy.WipeAll` requires, as a protection against mistakes.
pub const WIPE_PHRASE: &str = "destroy everything";

/// systemd's interface to the log of a service, LogControl1(5).
pub const LOG_CONTROL: &str = "org.freedesktop.LogControl1";
/// The object with [`LOG_CONTROL`], as systemd requires.
pub const LOG_CONTROL_PATH: &str = "/org/freedesktop/LogControl1";
/// The identifier of the daemon in the journal.
pub const SYSLOG_IDENTIFIER: &str = "tcnd";

/// The path of the adapter with this kernel name (`hci0`); `None` if the name is not
/// valid in an object path.
pub fn adapter_path(name: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = !name.is_empty() && name.len() <= 64 && name.bytes().all(fits);
    valid.then(|| format!("{ROOT}/adapter/{name}"))
}

/// Names of errors, for programs. The text of an error is for people.
pub mod error {
    /// The daemon tried, and failed.
    pub const FAILED: &str = concat!(prefix!(), ".Tcnd1.Error.Failed");
    /// The caller is not allowed to do this.
    pub const NOT_AUTHORIZED: &str = concat!(prefix!(), ".Tcnd1.Error.NotAuthorized");
    /// Not possible in the current state of the daemon.
    pub const NOT_READY: &str = concat!(prefix!(), ".Tcnd1.Error.NotReady");
    /// The configuration decides this, and takes precedence.
    pub const CONFIGURED: &str = concat!(prefix!(), ".Tcnd1.Error.Configured");
    /// Too many of these at the same time.
    pub const BUSY: &str = concat!(prefix!(), ".Tcnd1.Error.Busy");
    /// A span or a bucket is out of range.
    pub const INVALID_RANGE: &str = concat!(prefix!(), ".Tcnd1.Error.InvalidRange");
    /// No such pause, report, exposure, source or part.
    pub const NOT_FOUND: &str = concat!(prefix!(), ".Tcnd1.Error.NotFound");
    /// Nothing to report in that time.
    pub const NO_DATA: &str = concat!(prefix!(), ".Tcnd1.Error.NoData");
    /// The memo would link reports to one person.
    pub const MEMO_REFUSED: &str = concat!(prefix!(), ".Tcnd1.Error.MemoRefused");
    /// The file contains no reports, or breaks off.
    pub const MALFORMED: &str = concat!(prefix!(), ".Tcnd1.Error.Malformed");
    /// The call discloses something, and the caller did not confirm the consent of the
    /// person.
    pub const CONSENT_REQUIRED: &str = concat!(prefix!(), ".Tcnd1.Error.ConsentRequired");
    /// All of a report is on its way, or was accepted.
    pub const ALREADY_PUBLISHED: &str = concat!(prefix!(), ".Tcnd1.Error.AlreadyPublished");
    /// The D-Bus error for an invalid argument.
    pub const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";
    /// The D-Bus error for a call that is too long, or exceeds the number of calls.
    pub const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
    /// The D-Bus error for an operation that this program does not support.
    pub const NOT_SUPPORTED: &str = "org.freedesktop.DBus.Error.NotSupported";
}

/// polkit actions, which an administrator can grant or refuse.
pub mod action {
    /// Consent, pause, resume, rotate, self-test.
    pub const CONTROL: &str = concat!(prefix!(), ".tcnd1.control");
    /// Reload the configuration, change the log level.
    pub const RELOAD: &str = concat!(prefix!(), ".tcnd1.reload");
    /// See totals of the contact log.
    pub const CONTACTS_READ: &str = concat!(prefix!(), ".tcnd1.contacts-read");
    /// View in a word how many numbers are nearby.
    pub const PRESENCE_READ: &str = concat!(prefix!(), ".tcnd1.presence-read");
    /// Export the contact log.
    pub const CONTACTS_EXPORT: &str = concat!(prefix!(), ".tcnd1.contacts-export");
    /// Destroy contacts, or all state; confirm the clock by which expired contacts are
    /// destroyed.
    pub const ERASE: &str = concat!(prefix!(), ".tcnd1.erase");
    /// Make, list and delete reports of this machine.
    pub const REPORT_CREATE: &str = concat!(prefix!(), ".tcnd1.report-create");
    /// Export or publish a report of this machine.
    pub const REPORT_PUBLISH: &str = concat!(prefix!(), ".tcnd1.report-publish");
    /// Check reports of other people.
    pub const REPORT_IMPORT: &str = concat!(prefix!(), ".tcnd1.report-import");
    /// Deliver reports and take parts to upload, only for tcnd-sync.
    pub const EXCHANGE: &str = concat!(prefix!(), ".tcnd1.exchange");
    /// See, dismiss and restore exposures.
    pub const EXPOSURES_READ: &str = concat!(prefix!(), ".tcnd1.exposures-read");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_the_bus_name_in_path_form() {
        assert_eq!(ROOT, format!("/{}", BUS.replace('.', "/")));
    }

    #[test]
    fn an_adapter_has_a_path_or_none() {
        let path = adapter_path("hci0").unwrap();
        assert_eq!(path, format!("{ROOT}/adapter/hci0"));
        for name in ["", "hci-0", "hci/0", "hci.0", "hcï0", &"h".repeat(65)] {
            assert_eq!(adapter_path(name), None, "{name}");
        }
    }
}
