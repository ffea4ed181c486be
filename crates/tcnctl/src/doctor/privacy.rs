//! Privacy of an adapter: whether the controller's own address is hidden.
//!
//! Broadcasting needs it off, since each advert then has an address that cannot be
//! resolved. Where other devices connect it must be on, or they see the controller's
//! own address.
//!
//! BlueZ: `Privacy` in main.conf(5). The setting is not on D-Bus; the kernel reports it
//! ([`mgmt`](bluez_mgmt)).

use std::time::Duration;

use bluez_mgmt::configured::ON;
use bluez_mgmt::{MgmtError, Privacy};
use tcnd_client::notices;
use tcnd_config::Mode;
use tcnd_rpa_timeout::Known;

use super::check::DoctorCheck;
use super::controller::{ControllerKind, PrivacyResult};
use super::main_conf::{GENERAL, MainConf, PATH};

const NAME: &str = "privacy";

/// The check where no device connects. tcnd uses main.conf there.
pub(crate) fn unneeded(
    hci: &str,
    told: &PrivacyResult,
    kind: Option<ControllerKind>,
    conf: &MainConf,
) -> DoctorCheck {
    let costs = match (told, kind) {
        (Err(error), _) => return unknown(hci, error),
        (Ok(Privacy::Off), _) => {
            let found = format!(
                "of {hci} is off, as it should be: each number is broadcast from a new address \
                 that no device can resolve"
            );
            return DoctorCheck::ok(NAME, found);
        }
        (Ok(_), _) if !says_on(conf) => {
            return DoctorCheck::fail(
                NAME,
                format!(
                    "of {hci} is on, but {PATH} does not say so: tcnd relies on the file, and may \
                     broadcast two numbers from one address"
                ),
                "systemctl restart bluetooth; if another program sets privacy, end it",
            );
        }
        (Ok(Privacy::ByController), Some(ControllerKind::Extended) | None) => {
            "tcnd does not broadcast for a quarter of an hour between two numbers, because the \
             controller may keep an address for that long"
        }
        (Ok(_), Some(ControllerKind::Legacy)) => {
            "tcnd does not broadcast for some minutes between two numbers, until the kernel \
             changes the address"
        }
        (Ok(Privacy::On), Some(ControllerKind::Extended) | None) => {
            "tcnd does not listen for some minutes between two numbers, until the kernel changes \
             the address that it scans with"
        }
    };
    DoctorCheck::warn(
        NAME,
        format!("of {hci} is on, which broadcasting does not need: {costs}"),
        "set Privacy = off under [General] of /etc/bluetooth/main.conf, then: systemctl \
         restart bluetooth",
    )
}

/// Whether main.conf switches it on.
fn says_on(conf: &MainConf) -> bool {
    let value = conf.value(GENERAL, "Privacy");
    value.is_some_and(|value| ON.contains(&value))
}

/// How an adapter's addresses are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) kind: Option<ControllerKind>,
    /// The facts about addresses that the controller makes.
    pub(crate) known: Option<Known>,
}

/// The check where other devices connect.
pub(crate) fn needed(
    hci: &str,
    told: &PrivacyResult,
    addresses: Addresses,
    mode: Mode,
    conf: &MainConf,
) -> DoctorCheck {
    match (told, addresses.kind) {
        (Err(error), _) => unknown(hci, error),
        (Ok(Privacy::Off), _) => off(hci, mode, conf),
        // With legacy advertising the host's addresses are on the air all the same.
        (Ok(Privacy::On), _) | (Ok(Privacy::ByController), Some(ControllerKind::Legacy)) => {
            DoctorCheck::ok(
                NAME,
                format!(
                    "of {hci} is on, as it should be: devices that connect do not see its real address"
                ),
            )
        }
        (Ok(Privacy::ByController), Some(ControllerKind::Extended) | None) => {
            by_controller(hci, addresses.known)
        }
    }
}

/// The controller makes the addresses of all broadcasts.
fn by_controller(hci: &str, known: Option<Known>) -> DoctorCheck {
    let Some(Known {
        timeout,
        certain_in,
    }) = known
    else {
        return DoctorCheck::fail(
            NAME,
            format!(
                "of {hci} is on, but the controller changes its addresses by its own timer \
                 (LL Privacy, since Linux 6.14), and tcnd does not know how long each lasts: \
                 it does not broadcast"
            ),
            format!("{}; if that does not help: {}", notices::DROP_IN, LOOK),
        );
    };
    let wait = match certain_in.as_secs().div_ceil(60) {
        0 => String::new(),
        minutes => format!(", and for another {minutes} min because that time was changed"),
    };
    let found = format!(
        "of {hci} is on; the controller makes its addresses and uses each for {} s (LL Privacy), \
         so tcnd does not broadcast for a little longer between two numbers{wait}",
        timeout.as_secs()
    );
    if timeout <= LONG {
        return DoctorCheck::ok(NAME, found);
    }
    DoctorCheck::warn(NAME, found, SHORTER)
}

/// If an address lasts for longer, other devices often do not hear the machine.
const LONG: Duration = Duration::from_secs(5 * 60);
const LOOK: &str = "journalctl -b -u tcnd -u tcnd-rpa-timeout@*";
const SHORTER: &str = "let tcnd-rpa-timeout set a shorter time (full-mode.conf sets one minute); if \
     Secure Boot locks the kernel down, select an adapter without LL Privacy with `adapter` in \
     /etc/tcnd/config.d";

fn unknown(hci: &str, error: &MgmtError) -> DoctorCheck {
    DoctorCheck::unchecked(NAME, format!("of {hci} unknown: {error}"))
}

/// It is off and must be on. The check names the setting in main.conf and the remedy.
fn off(hci: &str, mode: Mode, conf: &MainConf) -> DoctorCheck {
    let key = "Privacy";
    let (said, cure) = match (conf.value(GENERAL, key), conf.location(GENERAL, key)) {
        (Some(value), Some(line)) if ON.contains(&value) => (
            format!(", though {line} says \"{value}\""),
            "systemctl restart bluetooth".to_owned(),
        ),
        _ => (String::new(), conf.cure(GENERAL, &[(key, "device")])),
    };
    let instead = if mode == Mode::Relay {
        "tcnd only listens"
    } else {
        "tcnd only broadcasts"
    };
    DoctorCheck::fail(
        NAME,
        format!(
            "of {hci} is off{said}: devices that connect would see its real address, so {instead}"
        ),
        cure,
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckVerdict;
    use super::super::main_conf::tests::{absent, saying};
    use super::*;

    const EXTENDED: Addresses = Addresses {
        kind: Some(ControllerKind::Extended),
        known: None,
    };

    #[test]
    fn where_nobody_connects_it_is_a_warning_if_on() {
        let conf = saying("[General]\nPrivacy = device\n");
        let told = |kind, told| unneeded("hci0", &told, Some(kind), &conf);
        for kind in [ControllerKind::Extended, ControllerKind::Legacy] {
            assert_eq!(told(kind, Ok(Privacy::Off)).verdict, CheckVerdict::Ok);
            let on = told(kind, Ok(Privacy::On));
            assert_eq!(on.verdict, CheckVerdict::Warn);
            assert!(on.cure.unwrap().contains("Privacy = off"));
        }
        let words = |kind| told(kind, Ok(Privacy::On)).found;
        assert!(words(ControllerKind::Legacy).contains("does not broadcast"));
        assert!(words(ControllerKind::Extended).contains("does not listen"));
        let by_controller = told(ControllerKind::Extended, Ok(Privacy::ByController));
        assert_eq!(by_controller.verdict, CheckVerdict::Warn);
        assert!(by_controller.found.contains("a quarter of an hour"));
    }

    /// tcnd would use the file, which says less than the kernel.
    #[test]
    fn a_main_conf_that_does_not_say_it_is_a_fault() {
        for privacy in [Privacy::On, Privacy::ByController] {
            for conf in [absent(), saying("[General]\nPrivacy = off\n")] {
                let check = unneeded("hci0", &Ok(privacy), Some(ControllerKind::Extended), &conf);
                assert_eq!(check.verdict, CheckVerdict::Fail);
                assert!(check.found.contains("does not say so"), "{}", check.found);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_off_as_well() {
        let blind = Err(MgmtError::Unavailable);
        for check in [
            unneeded("hci0", &blind, Some(ControllerKind::Extended), &absent()),
            needed("hci0", &blind, EXTENDED, Mode::Full, &absent()),
            needed("hci0", &blind, EXTENDED, Mode::Relay, &absent()),
        ] {
            assert_eq!(check.verdict, CheckVerdict::Unchecked);
            assert!(
                check.found.contains("modprobe bluetooth"),
                "{}",
                check.found
            );
        }
    }

    #[test]
    fn where_others_connect_it_has_to_be_on() {
        let conf = saying("[General]\n\n#Privacy = off");
        for mode in [Mode::Full, Mode::Relay] {
            let told = |privacy| needed("hci0", &Ok(privacy), EXTENDED, mode, &conf);
            assert_eq!(told(Privacy::On).verdict, CheckVerdict::Ok);
            let off = told(Privacy::Off);
            assert_eq!(off.verdict, CheckVerdict::Fail);
            let cure = off.cure.unwrap();
            let line = "/etc/bluetooth/main.conf:3: write \"Privacy = device\"";
            assert!(cure.starts_with(line), "{cure}");
        }
    }

    #[test]
    fn where_the_controller_makes_addresses_it_says_how_long_each_lasts() {
        let told = |kind, timeout: Option<u64>, certain_in| {
            let known = timeout.map(|timeout| Known {
                timeout: Duration::from_secs(timeout),
                certain_in: Duration::from_secs(certain_in),
            });
            let addresses = Addresses {
                kind: Some(kind),
                known,
            };
            let told = Ok(Privacy::ByController);
            needed("hci0", &told, addresses, Mode::Full, &absent())
        };
        let unknown = told(ControllerKind::Extended, None, 0);
        assert_eq!(unknown.verdict, CheckVerdict::Fail);
        assert!(
            unknown.found.contains("does not broadcast"),
            "{}",
            unknown.found
        );
        let cure = unknown.cure.unwrap();
        assert!(
            cure.contains("full-mode.conf") && !cure.ends_with('.'),
            "{cure}"
        );
        let known = told(ControllerKind::Extended, Some(60), 0);
        assert_eq!(known.verdict, CheckVerdict::Ok);
        assert!(known.found.contains("60 s") && !known.found.contains("min"));
        assert!(
            told(ControllerKind::Extended, Some(60), 601)
                .found
                .contains("11 min")
        );
        let locked_down = told(ControllerKind::Extended, Some(900), 0);
        assert_eq!(locked_down.verdict, CheckVerdict::Warn);
        assert!(locked_down.cure.unwrap().contains("Secure Boot"));
        // There the host makes the addresses.
        assert_eq!(
            told(ControllerKind::Legacy, None, 0).verdict,
            CheckVerdict::Ok
        );
    }

    #[test]
    fn set_and_not_yet_on_it_needs_a_restart() {
        let told = |text: &str| {
            let off = Ok(Privacy::Off);
            needed("hci0", &off, EXTENDED, Mode::Full, &saying(text))
        };
        for value in ["device", "on", "network", "limited-device"] {
            let told = told(&format!("[General]\nPrivacy = {value}\n"));
            assert_eq!(told.verdict, CheckVerdict::Fail);
            assert!(told.found.contains("main.conf:2 says"), "{}", told.found);
            assert_eq!(told.cure.unwrap(), "systemctl restart bluetooth");
        }
        // None of these switches privacy on.
        for text in [
            "[General]\nPrivacy = device \n",
            "[General]\nPrivacy = device # on\n",
            "[General]\nPrivacy = device\nPrivacy = off\n",
            "[General]\nPrivacy = device\noops\n",
            "[LE]\nPrivacy = device\n",
        ] {
            let cure = told(text).cure.unwrap();
            assert!(cure.contains("\"Privacy = device\""), "{text:?}: {cure}");
        }
    }
}
