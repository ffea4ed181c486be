//! What a person may have to act on, in words: every problem that tcnd can name,
//! and what else the journal is told.
//!
//! The tokens of problems are those of `org.tcncoalition.Tcnd1.Manager.Problems`,
//! whose words `tcnctl` shows. In the journal each notice has a MESSAGE_ID, by
//! which `journalctl -x` finds its cure in packaging/catalog/tcnd.catalog, which
//! is made of this table (systemd.journal-fields(7)).
//!
//! An id never changes its meaning. A new notice gets a new one, by
//! `systemd-id128 new`. None is about a contact, a report or an exposure: the
//! journal is read by others and kept.

/// A thing to be told, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its name. That of a problem is the contract's.
    pub token: &'static str,
    /// The MESSAGE_ID in the journal, 32 hexadecimal digits; `None` for what the
    /// journal is not told.
    pub id: Option<&'static str>,
    /// What it means, a sentence.
    pub sentence: &'static str,
    /// What helps, a line without a full stop.
    pub cure: &'static str,
}

/// What lets tcnd ask the kernel about privacy: systemd/dropin/full-mode.conf.
pub const DROP_IN: &str = "install -Dm644 /usr/share/tcnd/full-mode.conf \
     /etc/systemd/system/tcnd.service.d/full-mode.conf; systemctl daemon-reload && systemctl \
     restart tcnd";

/// What lets tcnd know how long an address lasts that a controller makes: the same,
/// of a tcnd that has it.
const BY_CONTROLLER: &str = "install -Dm644 /usr/share/tcnd/full-mode.conf \
     /etc/systemd/system/tcnd.service.d/full-mode.conf; systemctl daemon-reload && systemctl \
     restart tcnd (if that does not help: tcnctl doctor)";

/// Nothing is wrong any more.
pub const WELL_AGAIN: Notice = Notice {
    token: "well-again",
    id: Some("030a12f8f6944f39a96ce36b0a9895fa"),
    sentence: "All problems are gone.",
    cure: "nothing needs to be done",
};

/// Somebody consented, on the bus or in the configuration.
pub const CONSENT_GIVEN: Notice = Notice {
    token: "consent-given",
    id: Some("1fc60c7562b34a678fa526b7fb767e13"),
    sentence: "Somebody consented: tcnd broadcasts and listens from now on.",
    cure: "to take it back: tcnctl disable",
};

/// The configuration forbids no longer what somebody had consented to.
pub const CONSENT_RESTORED: Notice = Notice {
    token: "consent-restored",
    id: Some("fbf6e044b8e74a129e9a0d5c9cc1fe3b"),
    sentence: "The configuration forbids it no longer, and the consent that was given before \
               holds: tcnd broadcasts and listens from now on.",
    cure: "to take it back: tcnctl disable",
};

/// The consent was taken back.
pub const CONSENT_TAKEN: Notice = Notice {
    token: "consent-taken",
    id: Some("1b77bfaa999245cfb60ca155f18fd6fd"),
    sentence: "The consent was taken back: tcnd is silent, and keeps what it has until it expires.",
    cure: "to consent again: tcnctl enable; to destroy what is kept: tcnctl wipe",
};

/// All state was destroyed.
pub const WIPED: Notice = Notice {
    token: "wiped",
    id: Some("d47954bf2a0e427b8024f3fd8e406afb"),
    sentence: "Everything that tcnd kept was destroyed.",
    cure: "to begin anew: tcnctl enable",
};

/// New settings were refused, and the old ones stand.
pub const NOT_APPLIED: Notice = Notice {
    token: "configuration-not-applied",
    id: Some("62dc83e7a82c472f9a8c31f12dad4035"),
    sentence: "The configuration has faults and was not applied; what held before still does.",
    cure: "tcnctl config check names each fault; then: systemctl reload tcnd",
};

/// A source of reports could not be gone through.
pub const SOURCE_FAILED: Notice = Notice {
    token: "source-failed",
    id: Some("a5e1d450436c407f8fe34a519e4d7f6a"),
    sentence: "A source of reports could not be gone through; it is tried again by itself.",
    cure: "check it in /etc/tcnd/sources.d, then: tcnctl report check",
};

/// What the journal is told besides problems.
pub const EVENTS: [Notice; 7] = [
    WELL_AGAIN,
    CONSENT_GIVEN,
    CONSENT_RESTORED,
    CONSENT_TAKEN,
    WIPED,
    NOT_APPLIED,
    SOURCE_FAILED,
];

/// Every problem that tcnd can name.
pub const PROBLEMS: [Notice; 20] = [
    Notice {
        token: "bluetoothd-missing",
        id: Some("b4db529e9dc6462a998cc47124325c38"),
        sentence: "The Bluetooth service of the system, bluetoothd, is not running.",
        cure: "systemctl start bluetooth (package: bluez)",
    },
    Notice {
        token: "adapter-missing",
        id: Some("a63f5cdeda554852bb833fee75bea153"),
        sentence: "There is no Bluetooth adapter, or not the one that is configured.",
        cure: "plug one in, or correct `adapter` in /etc/tcnd/config.d (bluetoothctl list)",
    },
    Notice {
        token: "adapter-off",
        id: Some("d5a93d56c8e8442fa0b0f27917a3f6b2"),
        sentence: "The Bluetooth adapter is switched off.",
        cure: "bluetoothctl power on",
    },
    Notice {
        token: "adapter-blocked",
        id: Some("f938aa688a3f46caaa7b103202a61d07"),
        sentence: "The Bluetooth adapter is blocked, as by flight mode.",
        cure: "rfkill unblock bluetooth, or the switch on the case",
    },
    Notice {
        token: "advertise-unsupported",
        id: Some("3235a422549d42d8aa6184ad973b2332"),
        sentence: "The Bluetooth adapter cannot broadcast, so others do not hear this machine.",
        cure: "use an adapter with Bluetooth Low Energy, 4.0 or newer",
    },
    Notice {
        token: "advertise-failed",
        id: Some("decd69622ae540769e654c9934eeafa0"),
        sentence: "Bluetooth refuses the broadcast; tcnd keeps trying.",
        cure: "end other programs that broadcast; systemctl restart bluetooth",
    },
    Notice {
        token: "address-not-private",
        id: Some("c57ffe289a7640f6b2189c8fdf77034b"),
        sentence: "The adapter is discoverable, and a broadcast would show its real address; so there is none.",
        cure: "bluetoothctl discoverable off",
    },
    Notice {
        token: "privacy-off",
        id: Some("3794137de0334845bc1dbbe24b33aced"),
        sentence: "The kernel's Bluetooth privacy is off, so whoever connects would see this machine's real address; nobody is let.",
        cure: "set Privacy = device in /etc/bluetooth/main.conf, then: systemctl restart bluetooth (the line: tcnctl doctor)",
    },
    Notice {
        token: "privacy-unknown",
        id: Some("efdf933ac27548d9abbafdf060922d70"),
        sentence: "tcnd cannot ask the kernel whether Bluetooth privacy is on, so nobody is let connect.",
        cure: DROP_IN,
    },
    // It comes when a number is taken out of turn, as by a report, and goes by
    // itself: a line in the journal would say when somebody made one.
    Notice {
        token: "address-held",
        id: None,
        sentence: "The controller keeps an address that went with an earlier number; until it takes another, tcnd does not listen or, on a controller that is legacy or makes its addresses itself, not broadcast.",
        cure: "wait a quarter of an hour, or what rpa_timeout in /etc/tcnd/config.d says; if it comes with every number in mode broadcast: tcnctl doctor",
    },
    Notice {
        token: "address-out-of-step",
        id: Some("6602978771984deba5b660605ef77eea"),
        sentence: "The controller makes its addresses by a timer of its own, and tcnd does not know how long each lasts, so nothing is broadcast.",
        cure: BY_CONTROLLER,
    },
    Notice {
        token: "bridge-unavailable",
        id: Some("3e5efc4925af4649813ebeb2adce2333"),
        sentence: "The adapter cannot change its address at will, so it carries no numbers for others, and a relay on it only listens.",
        cure: "use an adapter with Bluetooth 5.0 or newer, with extended advertising (tcnctl doctor names the kind)",
    },
    Notice {
        token: "connect-failed",
        id: Some("aff81374498543ed979f17c790db295b"),
        sentence: "Bluetooth refuses the service by which iPhones tell their numbers; tcnd keeps trying.",
        cure: "systemctl restart bluetooth; journalctl -u bluetooth tells more",
    },
    Notice {
        token: "scan-failed",
        id: Some("a93ffffdf22940ab9386b89446a64e66"),
        sentence: "Bluetooth refuses to listen; tcnd keeps trying.",
        cure: "systemctl restart bluetooth",
    },
    Notice {
        token: "clock-unsynchronised",
        id: Some("aee8052964ef42b7a7867a195d01c92c"),
        sentence: "The clock shows a time that cannot be, or nothing confirms it after it went ahead by more than the retention; until it is right, all contacts are kept, and those heard since the start are dated anew.",
        cure: "timedatectl set-ntp true; without a network: timedatectl set-time, then tcnctl clock confirm",
    },
    Notice {
        token: "storage-full",
        id: Some("a47737a8346b421a8488850481de8266"),
        sentence: "The contact log cannot be written: no space, or no permission.",
        cure: "free some disk space; df -h /var/lib/tcnd",
    },
    Notice {
        token: "storage-corrupt",
        id: Some("41f7477803bc425e9e615453dfe3f512"),
        sentence: "The contact log was damaged; it was set aside, and a new one begun.",
        cure: "check the disk; what was set aside lies in /var/lib/tcnd until retention destroys it",
    },
    Notice {
        token: "reports-stale",
        id: Some("3decc94a709a4fc98e6d9414d73c6a1e"),
        sentence: "The reports of others were not checked for two days, so an exposure may be missing here.",
        cure: "tcnctl report check; systemctl status tcnd-sync.timer tcnd-sync",
    },
    Notice {
        token: "sync-failed",
        id: Some("ace4dc6185c74d4a83c41511b88ed65b"),
        sentence: "A server could not be gone through for reports, twice in a row; it is tried again by itself.",
        cure: "tcnctl report check says which; journalctl -u tcnd-sync says why",
    },
    Notice {
        token: "crowded",
        id: Some("e7c1222fec1f48faa73f8a36ecb39d0a"),
        sentence: "More numbers are heard than there is room for; some were dropped.",
        cure: "nothing needs to be done if this is a crowd; otherwise someone floods the air",
    },
];

/// The problem with this token.
pub fn problem(token: &str) -> Option<&'static Notice> {
    PROBLEMS.iter().find(|known| known.token == token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Notice> {
        PROBLEMS.iter().chain(&EVENTS)
    }

    #[test]
    fn each_has_one_token_one_sentence_and_one_line_of_cure() {
        for notice in all() {
            let Notice {
                token,
                sentence,
                cure,
                ..
            } = notice;
            assert!(sentence.ends_with('.') && !cure.ends_with('.'), "{token}");
            assert!(!format!("{sentence}{cure}").contains('\n'), "{token}");
            assert_eq!(
                all().filter(|other| other.token == *token).count(),
                1,
                "{token}"
            );
        }
    }

    #[test]
    fn each_has_an_id_of_its_own() {
        for notice in all() {
            let Some(id) = notice.id else { continue };
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(id.len() == 32 && id.chars().all(hex), "{}", notice.token);
            assert_eq!(
                all().filter(|other| other.id == notice.id).count(),
                1,
                "{id}"
            );
        }
    }
}
