//! The texts for people: a sentence and a cure for every problem of tcnd, and for the
//! other events that tcnd writes to the journal.
//!
//! The tokens of problems are those of `org.tcncoalition.Tcnd1.Manager.Problems`;
//! `tcnctl` shows their texts. In the journal each notice has a MESSAGE_ID
//! (systemd.journal-fields(7)), by which `journalctl -x` finds its cure in
//! packaging/catalog/tcnd.catalog. That catalog is generated from this table.
//!
//! An id never changes its meaning. A new notice gets a new id, from
//! `systemd-id128 new`. No notice is about a contact, a report or an exposure: other
//! users read the journal, and it is kept.

/// The texts for one problem or event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The name of the notice. The name of a problem is its token in the contract.
    pub token: &'static str,
    /// The MESSAGE_ID in the journal, 32 hexadecimal digits; `None` if the notice is not
    /// written to the journal.
    pub id: Option<&'static str>,
    /// The meaning, as a sentence.
    pub sentence: &'static str,
    /// The cure, as one line without a full stop.
    pub cure: &'static str,
}

/// The commands that let tcnd ask the kernel about privacy. They install
/// systemd/dropin/full-mode.conf.
pub const DROP_IN: &str = "install -Dm644 /usr/share/tcnd/full-mode.conf \
     /etc/systemd/system/tcnd.service.d/full-mode.conf; systemctl daemon-reload && systemctl \
     restart tcnd";

/// The commands that let tcnd know how long the controller uses an address that it makes
/// itself. They install the same file, from a tcnd that has it.
const BY_CONTROLLER: &str = "install -Dm644 /usr/share/tcnd/full-mode.conf \
     /etc/systemd/system/tcnd.service.d/full-mode.conf; systemctl daemon-reload && systemctl \
     restart tcnd (if that does not help: tcnctl doctor)";

/// Declares events: name, token, id, sentence and cure of each.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident $token:literal $id:expr => $sentence:literal, $cure:expr;)*) => {
        $(
            $(#[$doc])*
            pub const $name: Notice =
                Notice { token: $token, id: $id, sentence: $sentence, cure: $cure };
        )*

        /// The events that tcnd writes to the journal besides problems.
        pub const EVENTS: &[Notice] = &[$($name),*];
    };
}

events! {
    /// No problem remains.
    WELL_AGAIN "well-again" Some("030a12f8f6944f39a96ce36b0a9895fa") =>
        "There are no problems any more.",
        "no action is needed";

    /// Consent was given, on the bus or in the configuration.
    CONSENT_GIVEN "consent-given" Some("1fc60c7562b34a678fa526b7fb767e13") =>
        "Consent was given: tcnd broadcasts and listens from now on.",
        "to take it back: tcnctl disable";

    /// The configuration no longer forbids what an earlier consent allows.
    CONSENT_RESTORED "consent-restored" Some("fbf6e044b8e74a129e9a0d5c9cc1fe3b") =>
        "The configuration no longer forbids it, and the consent given before applies \
         again: tcnd broadcasts and listens from now on.",
        "to take it back: tcnctl disable";

    /// Consent was withdrawn.
    CONSENT_TAKEN "consent-taken" Some("1b77bfaa999245cfb60ca155f18fd6fd") =>
        "Consent was withdrawn: tcnd neither broadcasts nor listens, and keeps its data until they expire.",
        "to consent again: tcnctl enable; to destroy the data: tcnctl wipe";

    /// All state was destroyed.
    WIPED "wiped" Some("d47954bf2a0e427b8024f3fd8e406afb") =>
        "All data of tcnd were destroyed.",
        "to start again: tcnctl enable";

    /// The new configuration was refused, and the old one stays in effect.
    NOT_APPLIED "configuration-not-applied" Some("62dc83e7a82c472f9a8c31f12dad4035") =>
        "The configuration has errors and was not applied; the previous one stays in effect.",
        "tcnctl config check names each error; then: systemctl reload tcnd";

    /// A source of reports could not be checked.
    SOURCE_FAILED "source-failed" Some("a5e1d450436c407f8fe34a519e4d7f6a") =>
        "A source of reports could not be checked; tcnd-sync keeps trying.",
        "check it in /etc/tcnd/sources.d, then: tcnctl report check";
}

/// Declares problems: token, id, sentence and cure of each.
macro_rules! problems {
    ($($token:literal $id:expr => $sentence:literal, $cure:expr;)*) => {
        /// Every problem that tcnd can name.
        pub const PROBLEMS: &[Notice] = &[
            $(Notice { token: $token, id: $id, sentence: $sentence, cure: $cure }),*
        ];
    };
}

problems! {
    "bluetoothd-missing" Some("b4db529e9dc6462a998cc47124325c38") =>
        "The Bluetooth service of the system, bluetoothd, is not running.",
        "systemctl start bluetooth (package: bluez)";

    "adapter-missing" Some("a63f5cdeda554852bb833fee75bea153") =>
        "There is no Bluetooth adapter, or not the configured one.",
        "connect an adapter, or correct `adapter` in /etc/tcnd/config.d (bluetoothctl list)";

    "adapter-off" Some("d5a93d56c8e8442fa0b0f27917a3f6b2") =>
        "The Bluetooth adapter is switched off.",
        "bluetoothctl power on";

    "adapter-blocked" Some("f938aa688a3f46caaa7b103202a61d07") =>
        "The Bluetooth adapter is blocked, for example by flight mode.",
        "rfkill unblock bluetooth, or use the switch on the case";

    "advertise-unsupported" Some("3235a422549d42d8aa6184ad973b2332") =>
        "The Bluetooth adapter cannot broadcast, so other devices do not hear this machine.",
        "use an adapter with Bluetooth Low Energy, 4.0 or newer";

    "advertise-failed" Some("decd69622ae540769e654c9934eeafa0") =>
        "Bluetooth refuses the broadcast; tcnd keeps trying.",
        "stop other programs that broadcast; systemctl restart bluetooth";

    "address-not-private" Some("c57ffe289a7640f6b2189c8fdf77034b") =>
        "The adapter is discoverable, so a broadcast would show its real address; tcnd does not broadcast.",
        "bluetoothctl discoverable off";

    "privacy-off" Some("3794137de0334845bc1dbbe24b33aced") =>
        "The kernel's Bluetooth privacy is off, so every device that connects would see the real address of this machine; tcnd accepts no connections.",
        "set Privacy = device in /etc/bluetooth/main.conf, then: systemctl restart bluetooth (the line: tcnctl doctor)";

    "privacy-unknown" Some("efdf933ac27548d9abbafdf060922d70") =>
        "tcnd cannot ask the kernel whether Bluetooth privacy is on, so it accepts no connections.",
        DROP_IN;

    // This problem appears when a number changes early, for example because of a report,
    // and disappears by itself. A line in the journal would reveal when a person reported.
    "address-held" None =>
        "The controller still uses the address of an earlier number. Until it takes another, tcnd does not listen; with a legacy controller, or one that makes its addresses itself, tcnd does not broadcast.",
        "wait a quarter of an hour, or the time of rpa_timeout in /etc/tcnd/config.d; if this happens with every number in mode broadcast: tcnctl doctor";

    "address-out-of-step" Some("6602978771984deba5b660605ef77eea") =>
        "The controller changes its address by its own timer, and tcnd does not know how long each address lasts, so tcnd does not broadcast.",
        BY_CONTROLLER;

    "bridge-unavailable" Some("3e5efc4925af4649813ebeb2adce2333") =>
        "The adapter cannot change its address on request, so tcnd carries no numbers of other devices, and a relay only listens.",
        "use an adapter with Bluetooth 5.0 or newer, with extended advertising (tcnctl doctor names the kind)";

    "connect-failed" Some("aff81374498543ed979f17c790db295b") =>
        "Bluetooth refuses the service to which iPhones write their numbers; tcnd keeps trying.",
        "systemctl restart bluetooth; for details: journalctl -u bluetooth";

    "scan-failed" Some("a93ffffdf22940ab9386b89446a64e66") =>
        "Bluetooth refuses to listen; tcnd keeps trying.",
        "systemctl restart bluetooth";

    "clock-unsynchronised" Some("aee8052964ef42b7a7867a195d01c92c") =>
        "The clock shows an impossible time, or it went ahead by more than the retention and nothing has confirmed it. Until it is right, tcnd keeps all contacts; then it corrects the times of contacts heard since the start.",
        "timedatectl set-ntp true; without a network: timedatectl set-time, then tcnctl clock confirm";

    "storage-full" Some("a47737a8346b421a8488850481de8266") =>
        "The contact log cannot be written: there is no space, or no permission.",
        "free some disk space; df -h /var/lib/tcnd";

    "storage-corrupt" Some("41f7477803bc425e9e615453dfe3f512") =>
        "The contact log was damaged; tcnd moved it aside and started a new one.",
        "check the disk; the damaged file stays in /var/lib/tcnd until the retention ends";

    "reports-stale" Some("3decc94a709a4fc98e6d9414d73c6a1e") =>
        "Reports of other people were not checked for two days, so an exposure may be missing.",
        "tcnctl report check; systemctl status tcnd-sync.timer tcnd-sync";

    "sync-failed" Some("ace4dc6185c74d4a83c41511b88ed65b") =>
        "A server could not be checked twice in a row; tcnd-sync keeps trying.",
        "tcnctl report check names the server; journalctl -u tcnd-sync has the reason";

    "crowded" Some("e7c1222fec1f48faa73f8a36ecb39d0a") =>
        "tcnd heard more numbers than it can keep; some were dropped.",
        "no action is needed in a crowd; otherwise a device floods the air";
}

/// The problem with this token.
pub fn problem(token: &str) -> Option<&'static Notice> {
    PROBLEMS.iter().find(|known| known.token == token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Notice> {
        PROBLEMS.iter().chain(EVENTS)
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
