//! Why a call failed, by the name of its error reply.

use zbus::DBusError;

/// The name and the text of an error reply; `None` if the error is not an error reply.
pub fn reply(error: &zbus::Error) -> Option<(String, String)> {
    if let zbus::Error::MethodError(name, text, _) = error {
        return Some((name.to_string(), text.clone().unwrap_or_default()));
    }
    if let zbus::Error::FDO(error) = error {
        let text = error.description().unwrap_or_default();
        return Some((error.name().to_string(), text.to_owned()));
    }
    None
}

/// Whether the error reply with this name means that tcnd is not running: its name has no
/// owner on the bus, and the bus cannot start it.
pub fn is_absence(name: &str) -> bool {
    const ABSENT: [&str; 6] = [
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.Disconnected",
        "org.freedesktop.DBus.Error.TimedOut",
        "org.freedesktop.DBus.Error.Timeout",
    ];
    ABSENT.contains(&name)
        || name.starts_with("org.freedesktop.DBus.Error.Spawn.")
        || name.starts_with("org.freedesktop.systemd1.")
}

/// The text of Error.NotFound for a report of this machine.
pub const NO_SUCH_REPORT: &str =
    "there is no report with this id; tcnctl report list shows all reports";

/// The text of Error.NoData. `reported`: earlier reports cover numbers of that time.
pub const fn nothing_to_report(reported: bool) -> &'static str {
    if reported {
        "all that was on the air in that time is reported already; choose another time"
    } else {
        "nothing of yours was on the air in that time; choose another time"
    }
}
