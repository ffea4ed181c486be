//! Every name and path this daemon has on the bus.
//!
//! A bus name is for ever: programs, policies, polkit actions and unit files
//! spell it out. So the reverse-DNS prefix stands here once, and everything
//! else is built on it. Two places cannot take a constant: zbus's attributes
//! want literals, and the files under `dbus/` are not Rust. Tests hold both to
//! what stands here.

/// The domain the names live under. Its owner speaks for the project.
macro_rules! prefix {
    () => {
        "org.tcncoalition"
    };
}

/// The well-known name, and with it the major version of the whole contract.
pub const BUS: &str = concat!(prefix!(), ".Tcnd1");

/// The object with everything but the adapters and the log: [`BUS`] in path
/// form.
pub const ROOT: &str = "/org/tcncoalition/Tcnd1";

/// State and control.
pub const MANAGER: &str = concat!(prefix!(), ".Tcnd1.Manager");
/// One Bluetooth adapter.
pub const ADAPTER: &str = concat!(prefix!(), ".Tcnd1.Adapter");
/// The contact log.
pub const CONTACTS: &str = concat!(prefix!(), ".Tcnd1.Contacts");

/// Reports: our own, and those of others.
pub const REPORTS: &str = concat!(prefix!(), ".Tcnd1.Reports");
/// What the reports of others mean for us.
pub const EXPOSURES: &str = concat!(prefix!(), ".Tcnd1.Exposures");
/// Reports on their way to and from servers, for `tcnd-sync` alone.
pub const EXCHANGE: &str = concat!(prefix!(), ".Tcnd1.Exchange");
/// The end of it all.
pub const PRIVACY: &str = concat!(prefix!(), ".Tcnd1.Privacy");

/// What has to be said to `Privacy.WipeAll`, so that nobody does it by mistake.
pub const WIPE_PHRASE: &str = "destroy everything";

/// systemd's interface to the log of a service, LogControl1(5).
pub const LOG_CONTROL: &str = "org.freedesktop.LogControl1";
/// Where [`LOG_CONTROL`] has to be.
pub const LOG_CONTROL_PATH: &str = "/org/freedesktop/LogControl1";
/// What the daemon calls itself in the journal.
pub const SYSLOG_IDENTIFIER: &str = "tcnd";

/// The path of the adapter with this kernel name (`hci0`); `None` for a name
/// that cannot stand in an object path.
pub fn adapter_path(name: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = !name.is_empty() && name.len() <= 64 && name.bytes().all(fits);
    valid.then(|| format!("{ROOT}/adapter/{name}"))
}

/// What went wrong, for programs: the text beside it is for people.
pub mod error {
    /// The daemon tried, and could not.
    pub const FAILED: &str = concat!(prefix!(), ".Tcnd1.Error.Failed");
    /// The caller may not.
    pub const NOT_AUTHORIZED: &str = concat!(prefix!(), ".Tcnd1.Error.NotAuthorized");
    /// Not in this state of the daemon.
    pub const NOT_READY: &str = concat!(prefix!(), ".Tcnd1.Error.NotReady");
    /// The configuration says otherwise, and it counts.
    pub const CONFIGURED: &str = concat!(prefix!(), ".Tcnd1.Error.Configured");
    /// Too many of these at once.
    pub const BUSY: &str = concat!(prefix!(), ".Tcnd1.Error.Busy");
    /// A span or a bucket out of range.
    pub const INVALID_RANGE: &str = concat!(prefix!(), ".Tcnd1.Error.InvalidRange");
    /// No such thing.
    pub const NOT_FOUND: &str = concat!(prefix!(), ".Tcnd1.Error.NotFound");
    /// Nothing to report in that time.
    pub const NO_DATA: &str = concat!(prefix!(), ".Tcnd1.Error.NoData");
    /// A memo that would tell whose a report is.
    pub const MEMO_REFUSED: &str = concat!(prefix!(), ".Tcnd1.Error.MemoRefused");
    /// A file that holds no reports, or breaks off.
    pub const MALFORMED: &str = concat!(prefix!(), ".Tcnd1.Error.Malformed");
    /// A report gives something away, and nobody said that the person agrees.
    pub const CONSENT_REQUIRED: &str = concat!(prefix!(), ".Tcnd1.Error.ConsentRequired");
    /// All of a report is on its way, or was accepted.
    pub const ALREADY_PUBLISHED: &str = concat!(prefix!(), ".Tcnd1.Error.AlreadyPublished");
    /// The bus's own name for an argument that is not understood.
    pub const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";
    /// The bus's own name for a call that is too long, or one too many.
    pub const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
    /// The bus's own name for something this program cannot do.
    pub const NOT_SUPPORTED: &str = "org.freedesktop.DBus.Error.NotSupported";
}

/// polkit actions: what an administrator can grant or refuse.
pub mod action {
    /// Consent, pause, resume, rotate, self-test.
    pub const CONTROL: &str = concat!(prefix!(), ".tcnd1.control");
    /// Read the configuration again, change the log level.
    pub const RELOAD: &str = concat!(prefix!(), ".tcnd1.reload");
    /// See totals of the contact log.
    pub const CONTACTS_READ: &str = concat!(prefix!(), ".tcnd1.contacts-read");
    /// Take the contact log out of the machine.
    pub const CONTACTS_EXPORT: &str = concat!(prefix!(), ".tcnd1.contacts-export");
    /// Destroy contacts, or everything; say that the clock by which they are
    /// destroyed is right.
    pub const ERASE: &str = concat!(prefix!(), ".tcnd1.erase");
    /// Make, see and delete reports of our own.
    pub const REPORT_CREATE: &str = concat!(prefix!(), ".tcnd1.report-create");
    /// Take a report of our own out of the machine.
    pub const REPORT_PUBLISH: &str = concat!(prefix!(), ".tcnd1.report-publish");
    /// Look for ourselves in reports of others.
    pub const REPORT_IMPORT: &str = concat!(prefix!(), ".tcnd1.report-import");
    /// Bring reports of others and take ours: for tcnd-sync alone.
    pub const EXCHANGE: &str = concat!(prefix!(), ".tcnd1.exchange");
    /// See exposures, and what becomes of them.
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
