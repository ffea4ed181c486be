//! Every problem tcnd can name, in words, and its cure.
//!
//! The tokens are the contract (`org.tcncoalition.Tcnd1.Manager.Problems`); a
//! newer tcnd may know more of them than this table, and they are shown all
//! the same.

use serde::Serialize;

/// A problem for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Explained {
    /// The token itself.
    pub(super) token: String,
    /// What it means.
    pub(super) sentence: String,
    /// What helps.
    pub(super) cure: String,
}

/// What lets tcnd ask the kernel about privacy: systemd/dropin/full-mode.conf.
pub(super) const DROP_IN: &str = "install -Dm644 /usr/share/tcnd/full-mode.conf \
     /etc/systemd/system/tcnd.service.d/full-mode.conf; systemctl daemon-reload && systemctl \
     restart tcnd";

/// Token, sentence, cure.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "bluetoothd-missing",
        "The Bluetooth service of the system, bluetoothd, is not running.",
        "systemctl start bluetooth (package: bluez)",
    ),
    (
        "adapter-missing",
        "There is no Bluetooth adapter, or not the one that is configured.",
        "plug one in, or correct `adapter` in /etc/tcnd/config.d (bluetoothctl list)",
    ),
    (
        "adapter-off",
        "The Bluetooth adapter is switched off.",
        "bluetoothctl power on",
    ),
    (
        "adapter-blocked",
        "The Bluetooth adapter is blocked, as by flight mode.",
        "rfkill unblock bluetooth, or the switch on the case",
    ),
    (
        "advertise-unsupported",
        "The Bluetooth adapter cannot broadcast, so others do not hear this machine.",
        "use an adapter with Bluetooth Low Energy, 4.0 or newer",
    ),
    (
        "advertise-failed",
        "Bluetooth refuses the broadcast; tcnd keeps trying.",
        "end other programs that broadcast; systemctl restart bluetooth",
    ),
    (
        "address-not-private",
        "The adapter is discoverable, and a broadcast would show its real address; so there is none.",
        "bluetoothctl discoverable off",
    ),
    (
        "privacy-off",
        "The kernel's Bluetooth privacy is off, so whoever connects would see this machine's real address; nobody is let.",
        "set Privacy = device in /etc/bluetooth/main.conf, then: systemctl restart bluetooth (the line: tcnctl doctor)",
    ),
    (
        "privacy-unknown",
        "tcnd cannot ask the kernel whether Bluetooth privacy is on, so nobody is let connect.",
        DROP_IN,
    ),
    (
        "address-held",
        "The controller keeps an address that went with an earlier number; until it takes another, tcnd does not listen or, on a legacy controller, not broadcast.",
        "wait a quarter of an hour, or what rpa_timeout in /etc/tcnd/config.d says",
    ),
    (
        "address-out-of-step",
        "The controller changes its address by a clock of its own and not with the number, so nothing is broadcast.",
        "use another adapter, or mode = \"broadcast\" in /etc/tcnd/config.d with Privacy = off in /etc/bluetooth/main.conf",
    ),
    (
        "bridge-unavailable",
        "The adapter cannot change its address at will, so it carries no numbers for others, and a relay on it only listens.",
        "use an adapter with Bluetooth 5.0 or newer, with extended advertising (tcnctl doctor names the kind)",
    ),
    (
        "connect-failed",
        "Bluetooth refuses the service by which iPhones tell their numbers; tcnd keeps trying.",
        "systemctl restart bluetooth; journalctl -u bluetooth tells more",
    ),
    (
        "scan-failed",
        "Bluetooth refuses to listen; tcnd keeps trying.",
        "systemctl restart bluetooth",
    ),
    (
        "scanner-silent",
        "Nothing at all has been heard for long; the adapter may have stalled.",
        "systemctl restart bluetooth, or unplug the adapter and plug it in again",
    ),
    (
        "clock-unsynchronised",
        "The clock shows a time that cannot be, so contacts cannot be dated.",
        "timedatectl set-ntp true",
    ),
    (
        "storage-full",
        "The contact log cannot be written: no space, or no permission.",
        "free some disk space; df -h /var/lib/tcnd",
    ),
    (
        "storage-corrupt",
        "The contact log was damaged; it was set aside, and a new one begun.",
        "check the disk; what was set aside lies in /var/lib/tcnd until retention destroys it",
    ),
    (
        "key-unavailable",
        "The key of the contact log cannot be had.",
        "journalctl -u tcnd tells more",
    ),
    (
        "reports-stale",
        "The reports of others were not checked for two days, so an exposure may be missing here.",
        "tcnctl report check; systemctl status tcnd-sync.timer tcnd-sync",
    ),
    (
        "sync-failed",
        "A server could not be gone through for reports, twice in a row; it is tried again by itself.",
        "tcnctl report check says which; journalctl -u tcnd-sync says why",
    ),
    (
        "crowded",
        "More numbers are heard than there is room for; some were dropped.",
        "nothing needs to be done if this is a crowd; otherwise someone floods the air",
    ),
];

impl Explained {
    /// What a token means.
    pub(super) fn new(token: &str) -> Self {
        let known = TABLE.iter().find(|(known, ..)| *known == token);
        let (sentence, cure) = known.map_or_else(
            || {
                (
                    format!("tcnd reports a problem this tcnctl does not know: {token}."),
                    "use a tcnctl of the same version as tcnd; journalctl -u tcnd".to_owned(),
                )
            },
            |(_, sentence, cure)| ((*sentence).to_owned(), (*cure).to_owned()),
        );
        Self {
            token: token.to_owned(),
            sentence,
            cure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_one_sentence_and_one_line_of_cure() {
        for (index, (token, sentence, cure)) in TABLE.iter().enumerate() {
            assert!(sentence.ends_with('.') && !cure.ends_with('.'), "{token}");
            assert!(!TABLE[..index].iter().any(|(t, ..)| t == token), "{token}");
        }
    }

    #[test]
    fn an_unknown_token_is_shown_all_the_same() {
        let unknown = Explained::new("adapter-on-fire");
        assert!(unknown.sentence.contains("adapter-on-fire"));
        assert!(!unknown.cure.is_empty());
    }
}
