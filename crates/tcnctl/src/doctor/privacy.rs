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

use super::Check;
use super::adapter::Kind;
use super::main_conf::{GENERAL, MainConf, PATH};

const NAME: &str = "privacy";

/// The kernel's answer.
pub(super) type Told = Result<Privacy, MgmtError>;

/// The check where no device connects. tcnd uses main.conf there.
pub(super) fn unneeded(hci: &str, told: &Told, kind: Option<Kind>, conf: &MainConf) -> Check {
    let costs = match (told, kind) {
        (Err(error), _) => return unknown(hci, error),
        (Ok(Privacy::Off), _) => {
            let found = format!(
                "of {hci} is off, as it should: each number is broadcast under a fresh \
                 address that nobody can resolve"
            );
            return Check::ok(NAME, found);
        }
        (Ok(_), _) if !says_on(conf) => {
            return Check::fail(
                NAME,
                format!(
                    "of {hci} is on, but {PATH} does not say so: tcnd goes by the file, and \
                     two numbers may be broadcast under one address"
                ),
                "systemctl restart bluetooth; where another program sets privacy, end it",
            );
        }
        (Ok(Privacy::ByController), Some(Kind::Extended) | None) => {
            "tcnd is off the air for a quarter of an hour between two numbers, since the \
             controller may keep an address for that long"
        }
        (Ok(_), Some(Kind::Legacy)) => {
            "tcnd is off the air for some minutes between two numbers, until the kernel takes \
             another address"
        }
        (Ok(Privacy::On), Some(Kind::Extended) | None) => {
            "tcnd does not listen for some minutes between two numbers, until the kernel takes \
             another address to scan under"
        }
    };
    Check::warn(
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
pub(super) struct Addresses {
    pub(super) kind: Option<Kind>,
    /// The facts about addresses that the controller makes.
    pub(super) known: Option<Known>,
}

/// The check where other devices connect.
pub(super) fn needed(
    hci: &str,
    told: &Told,
    addresses: Addresses,
    mode: Mode,
    conf: &MainConf,
) -> Check {
    match (told, addresses.kind) {
        (Err(error), _) => unknown(hci, error),
        (Ok(Privacy::Off), _) => off(hci, mode, conf),
        // With legacy advertising the host's addresses are on the air all the same.
        (Ok(Privacy::On), _) | (Ok(Privacy::ByController), Some(Kind::Legacy)) => Check::ok(
            NAME,
            format!("of {hci} is on, as it should: who connects does not see its real address"),
        ),
        (Ok(Privacy::ByController), Some(Kind::Extended) | None) => {
            by_controller(hci, addresses.known)
        }
    }
}

/// The controller makes the addresses of all broadcasts.
fn by_controller(hci: &str, known: Option<Known>) -> Check {
    let Some(Known {
        timeout,
        certain_in,
    }) = known
    else {
        return Check::fail(
            NAME,
            format!(
                "of {hci} is on, but the controller makes its addresses by a timer of its own \
                 (LL Privacy, since Linux 6.14), and tcnd does not know how long each lasts: \
                 it airs nothing"
            ),
            format!("{}; if that does not help: {}", notices::DROP_IN, LOOK),
        );
    };
    let wait = match certain_in.as_secs().div_ceil(60) {
        0 => String::new(),
        minutes => format!(", and for another {minutes} min after a change of that time"),
    };
    let found = format!(
        "of {hci} is on; the controller uses an address that it makes for {} s (LL Privacy), so \
         tcnd is off the air for a little longer between two numbers{wait}",
        timeout.as_secs()
    );
    if timeout <= LONG {
        return Check::ok(NAME, found);
    }
    Check::warn(NAME, found, SHORTER)
}

/// If an address lasts for longer, other devices often do not hear the machine.
const LONG: Duration = Duration::from_secs(5 * 60);
const LOOK: &str = "journalctl -b -u tcnd -u tcnd-rpa-timeout@*";
const SHORTER: &str = "let tcnd-rpa-timeout set a shorter time (full-mode.conf has it one minute); \
     where Secure Boot locks the kernel down, only an adapter without LL Privacy does, named by \
     `adapter` in /etc/tcnd/config.d";

fn unknown(hci: &str, error: &MgmtError) -> Check {
    Check::unchecked(NAME, format!("of {hci} unknown: {error}"))
}

/// It is off and must be on: the part of main.conf in this, and the remedy.
fn off(hci: &str, mode: Mode, conf: &MainConf) -> Check {
    let key = "Privacy";
    let (said, cure) = match (conf.value(GENERAL, key), conf.whereabouts(GENERAL, key)) {
        (Some(value), Some(line)) if ON.contains(&value) => (
            format!(", though {line} says \"{value}\""),
            "systemctl restart bluetooth".to_owned(),
        ),
        _ => (String::new(), conf.cure(GENERAL, &[(key, "device")])),
    };
    let instead = if mode == Mode::Relay {
        "tcnd only listens"
    } else {
        "tcnd stays with broadcasting"
    };
    Check::fail(
        NAME,
        format!("of {hci} is off{said}: who connects would see its real address, so {instead}"),
        cure,
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::main_conf::tests::{absent, saying};
    use super::*;

    const EXTENDED: Addresses = Addresses {
        kind: Some(Kind::Extended),
        known: None,
    };

    #[test]
    fn where_nobody_connects_it_is_a_warning_if_on() {
        let conf = saying("[General]\nPrivacy = device\n");
        let told = |kind, told| unneeded("hci0", &told, Some(kind), &conf);
        for kind in [Kind::Extended, Kind::Legacy] {
            assert_eq!(told(kind, Ok(Privacy::Off)).verdict, Verdict::Ok);
            let on = told(kind, Ok(Privacy::On));
            assert_eq!(on.verdict, Verdict::Warn);
            assert!(on.cure.unwrap().contains("Privacy = off"));
        }
        let words = |kind| told(kind, Ok(Privacy::On)).found;
        assert!(words(Kind::Legacy).contains("off the air"));
        assert!(words(Kind::Extended).contains("does not listen"));
        let by_controller = told(Kind::Extended, Ok(Privacy::ByController));
        assert_eq!(by_controller.verdict, Verdict::Warn);
        assert!(by_controller.found.contains("a quarter of an hour"));
    }

    /// tcnd would use the file, which says less than the kernel.
    #[test]
    fn a_main_conf_that_does_not_say_it_is_a_fault() {
        for privacy in [Privacy::On, Privacy::ByController] {
            for conf in [absent(), saying("[General]\nPrivacy = off\n")] {
                let check = unneeded("hci0", &Ok(privacy), Some(Kind::Extended), &conf);
                assert_eq!(check.verdict, Verdict::Fail);
                assert!(check.found.contains("does not say so"), "{}", check.found);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_off_as_well() {
        let blind = Err(MgmtError::Unavailable);
        for check in [
            unneeded("hci0", &blind, Some(Kind::Extended), &absent()),
            needed("hci0", &blind, EXTENDED, Mode::Full, &absent()),
            needed("hci0", &blind, EXTENDED, Mode::Relay, &absent()),
        ] {
            assert_eq!(check.verdict, Verdict::Unchecked);
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
            assert_eq!(told(Privacy::On).verdict, Verdict::Ok);
            let off = told(Privacy::Off);
            assert_eq!(off.verdict, Verdict::Fail);
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
        let unknown = told(Kind::Extended, None, 0);
        assert_eq!(unknown.verdict, Verdict::Fail);
        assert!(unknown.found.contains("airs nothing"), "{}", unknown.found);
        let cure = unknown.cure.unwrap();
        assert!(
            cure.contains("full-mode.conf") && !cure.ends_with('.'),
            "{cure}"
        );
        let known = told(Kind::Extended, Some(60), 0);
        assert_eq!(known.verdict, Verdict::Ok);
        assert!(known.found.contains("60 s") && !known.found.contains("min"));
        assert!(told(Kind::Extended, Some(60), 601).found.contains("11 min"));
        let locked_down = told(Kind::Extended, Some(900), 0);
        assert_eq!(locked_down.verdict, Verdict::Warn);
        assert!(locked_down.cure.unwrap().contains("Secure Boot"));
        // There the host makes the addresses.
        assert_eq!(told(Kind::Legacy, None, 0).verdict, Verdict::Ok);
    }

    #[test]
    fn set_and_not_yet_on_it_needs_a_restart() {
        let told = |text: &str| {
            let off = Ok(Privacy::Off);
            needed("hci0", &off, EXTENDED, Mode::Full, &saying(text))
        };
        for value in ["device", "on", "network", "limited-device"] {
            let told = told(&format!("[General]\nPrivacy = {value}\n"));
            assert_eq!(told.verdict, Verdict::Fail);
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
