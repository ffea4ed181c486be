//! Privacy of an adapter: whether the controller's own address is kept back.
//!
//! Broadcasting wants it off, since each advert then has an address that nobody
//! can resolve; where others connect it has to be on, or they see the
//! controller's own.
//!
//! BlueZ: `Privacy` in main.conf(5). The setting is on no bus; the kernel tells
//! it ([`mgmt`](crate::radio::mgmt)).

use super::Check;
use super::adapter::Kind;
use super::main_conf::{GENERAL, MainConf};

use crate::config::Mode;
use crate::radio::mgmt::{MgmtError, Privacy};

const NAME: &str = "privacy";

/// What the kernel says of it.
pub(super) type Told = Result<Privacy, MgmtError>;

/// The check where nobody connects.
pub(super) fn unneeded(hci: &str, told: &Told, kind: Option<Kind>) -> Check {
    let whose = match told {
        Err(error) => return unknown(hci, error),
        Ok(Privacy::Off) => {
            let found = format!(
                "of {hci} is off, as it should: each number is broadcast under a fresh \
                 address that nobody can resolve"
            );
            return Check::ok(NAME, found);
        }
        Ok(Privacy::ByController) => "the controller",
        Ok(Privacy::On) => match kind {
            Some(Kind::Legacy) => "on a legacy controller the kernel",
            Some(Kind::Extended) | None => "a controller that resolves addresses itself",
        },
    };
    Check::warn(
        NAME,
        format!(
            "of {hci} is on, which broadcasting does not need: {whose} may keep an address \
             while the number changes"
        ),
        "set Privacy = off under [General] of /etc/bluetooth/main.conf, then: systemctl \
         restart bluetooth",
    )
}

/// The check where others connect.
pub(super) fn needed(hci: &str, told: &Told, mode: Mode, conf: &MainConf) -> Check {
    match told {
        Err(error) => unknown(hci, error),
        Ok(Privacy::On) => Check::ok(
            NAME,
            format!("of {hci} is on, as it should: who connects does not see its real address"),
        ),
        Ok(Privacy::ByController) => Check::fail(
            NAME,
            format!(
                "of {hci} is on, but the controller may change its address by a clock of its \
                 own (LL Privacy; Linux 6.14 does not tell), so numbers and addresses would \
                 not change together: tcnd airs nothing"
            ),
            "use Linux 6.13 or older without KernelExperimental in \
             /etc/bluetooth/main.conf, as Debian 12 and 13 have it; or an adapter without LL \
             Privacy, named by `adapter` in /etc/tcnd/config.d; or mode = \
             \"broadcast\", and Privacy = off under [General] of /etc/bluetooth/main.conf",
        ),
        Ok(Privacy::Off) => off(hci, mode, conf),
    }
}

fn unknown(hci: &str, error: &MgmtError) -> Check {
    Check::unchecked(NAME, format!("of {hci} unknown: {error}"))
}

/// Off where it has to be on: what main.conf has to do with it, and what helps.
fn off(hci: &str, mode: Mode, conf: &MainConf) -> Check {
    // BlueZ: src/main.c, `parse_privacy`.
    const ON: [&str; 5] = [
        "device",
        "network",
        "on",
        "limited-device",
        "limited-network",
    ];
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

    #[test]
    fn where_nobody_connects_it_is_a_warning_if_on() {
        let told = |kind, told| unneeded("hci0", &told, Some(kind));
        for kind in [Kind::Extended, Kind::Legacy] {
            assert_eq!(told(kind, Ok(Privacy::Off)).verdict, Verdict::Ok);
            let on = told(kind, Ok(Privacy::On));
            assert_eq!(on.verdict, Verdict::Warn);
            assert!(on.cure.unwrap().contains("Privacy = off"));
        }
        let words = |kind| told(kind, Ok(Privacy::On)).found;
        assert!(words(Kind::Legacy).contains("legacy"));
        assert!(!words(Kind::Extended).contains("legacy"));
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_off_as_well() {
        let blind = Err(MgmtError::Unavailable);
        for check in [
            unneeded("hci0", &blind, Some(Kind::Extended)),
            needed("hci0", &blind, Mode::Full, &absent()),
            needed("hci0", &blind, Mode::Relay, &absent()),
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
            let told = |privacy| needed("hci0", &Ok(privacy), mode, &conf);
            assert_eq!(told(Privacy::On).verdict, Verdict::Ok);
            let off = told(Privacy::Off);
            assert_eq!(off.verdict, Verdict::Fail);
            let cure = off.cure.unwrap();
            let line = "/etc/bluetooth/main.conf:3: write \"Privacy = device\"";
            assert!(cure.starts_with(line), "{cure}");
            let own_clock = told(Privacy::ByController);
            assert_eq!(own_clock.verdict, Verdict::Fail);
            assert!(
                own_clock.found.contains("LL Privacy"),
                "{}",
                own_clock.found
            );
        }
    }

    #[test]
    fn set_and_not_yet_on_it_needs_a_restart() {
        let told = |text: &str| needed("hci0", &Ok(Privacy::Off), Mode::Full, &saying(text));
        for value in ["device", "on", "network", "limited-device"] {
            let told = told(&format!("[General]\nPrivacy = {value}\n"));
            assert_eq!(told.verdict, Verdict::Fail);
            assert!(told.found.contains("main.conf:2 says"), "{}", told.found);
            assert_eq!(told.cure.unwrap(), "systemctl restart bluetooth");
        }
        // None of these is what it looks like.
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
