//! One adapter: on or off, discoverable, how it broadcasts, privacy, name.
//!
//! Broadcasting wants privacy off, since each advert then has an address that
//! nobody can resolve; where others connect it has to be on, or they see the
//! controller's own.
//!
//! BlueZ: doc/org.bluez.Adapter.rst, doc/org.bluez.LEAdvertisingManager.rst.
//! The privacy setting is on no bus; the kernel tells it ([`mgmt`]). All of it
//! is read only.

use std::collections::HashMap;

use serde::Serialize;
use zbus::OwnedVariant;

use super::main_conf::{GENERAL, MainConf};
use super::{Check, mode};
use crate::config::Mode;
use crate::radio::mgmt::{self, MgmtError, Privacy};

/// Of one D-Bus interface.
pub(super) type Properties = HashMap<String, OwnedVariant>;

/// What was found.
#[derive(Debug)]
pub(super) struct Adapter {
    name: String,
    powered: bool,
    blocked: bool,
    discoverable: bool,
    alias: String,
    adverts: Option<Adverts>,
    privacy: Result<Privacy, MgmtError>,
}

/// What an adapter is judged by.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) mode: Mode,
    pub(super) conf: &'a MainConf,
    /// Every name of this machine, where others connect.
    pub(super) hosts: &'a [String],
}

/// What the adapter can broadcast.
#[derive(Clone, Copy, Debug)]
struct Adverts {
    kind: Kind,
    active: u8,
    free: u8,
}

/// Of Bluetooth 5.0, or from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Extended,
    Legacy,
}

/// An element of `adapters` in `doctor --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Facts {
    name: String,
    powered: bool,
    discoverable: bool,
    advertising: Option<Kind>,
    privacy: Option<&'static str>,
}

impl Adapter {
    /// Reads BlueZ's properties of the adapter, and asks the kernel for the
    /// rest.
    pub(super) async fn read(
        path: &str,
        adapter: &Properties,
        adverts: Option<&Properties>,
    ) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let alias: String = read(adapter, "Alias").unwrap_or_default();
        Self {
            name: name.to_owned(),
            powered: read(adapter, "Powered") == Some(true),
            // PowerState: since BlueZ 5.73 for everyone.
            blocked: read::<String>(adapter, "PowerState").as_deref() == Some("off-blocked"),
            discoverable: read(adapter, "Discoverable") == Some(true),
            alias: alias.chars().filter(|c| !c.is_control()).collect(),
            adverts: adverts.map(Adverts::read),
            privacy: mgmt::privacy(name).await,
        }
    }

    pub(super) fn checks(&self, terms: &Terms<'_>) -> Vec<Check> {
        let mut checks = vec![
            self.power(),
            self.discoverable(terms.mode),
            self.advertising(),
        ];
        if mode::is_connectable(terms.mode) {
            checks.extend(self.controller(terms.mode));
            checks.push(self.privacy_needed(terms));
            checks.push(self.name_shown(terms));
        } else {
            checks.push(self.privacy());
            checks.push(self.name());
        }
        checks
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            name: self.name.clone(),
            powered: self.powered,
            discoverable: self.discoverable,
            advertising: self.adverts.map(|adverts| adverts.kind),
            privacy: match self.privacy {
                Ok(Privacy::Off) => Some("off"),
                Ok(Privacy::On | Privacy::ByController) => Some("on"),
                Err(_) => None,
            },
        }
    }

    fn power(&self) -> Check {
        let hci = &self.name;
        if self.blocked {
            return Check::fail(
                "adapter",
                format!("{hci} is blocked"),
                "rfkill unblock bluetooth, or the switch on the case",
            );
        }
        if self.powered {
            Check::ok("adapter", format!("{hci} is switched on"))
        } else {
            Check::fail(
                "adapter",
                format!("{hci} is switched off"),
                "bluetoothctl power on (if that fails: rfkill unblock bluetooth)",
            )
        }
    }

    fn discoverable(&self, mode: Mode) -> Check {
        let hci = &self.name;
        let cure = "bluetoothctl discoverable off";
        if !self.discoverable {
            return Check::ok("discoverable", format!("{hci} is not"));
        }
        if mode::is_connectable(mode) && matches!(self.privacy, Ok(Privacy::On)) {
            let found = format!("{hci} is discoverable: it tells its name to whoever looks for it");
            return Check::warn("discoverable", found, cure);
        }
        Check::fail(
            "discoverable",
            format!(
                "{hci} is discoverable: a broadcast would show its real address, so tcnd makes none"
            ),
            cure,
        )
    }

    fn advertising(&self) -> Check {
        let hci = &self.name;
        let Some(Adverts { kind, active, free }) = self.adverts else {
            return Check::fail(
                "advertising",
                format!("{hci} cannot broadcast"),
                "use an adapter with Bluetooth Low Energy, 4.0 or newer",
            );
        };
        let kind = match kind {
            Kind::Extended => "extended",
            Kind::Legacy => "legacy",
        };
        let found = format!("{hci} has {kind} advertising, {active} in use, {free} free");
        if free == 0 && active == 0 {
            return Check::fail("advertising", found, "systemctl restart bluetooth");
        }
        if free == 0 {
            return Check::warn(
                "advertising",
                found,
                "nothing, if one of them is tcnd's; otherwise end other programs that broadcast",
            );
        }
        Check::ok("advertising", found)
    }

    /// What the kind of the controller means where others connect.
    fn controller(&self, mode: Mode) -> Option<Check> {
        let hci = &self.name;
        let cure = "use an adapter with Bluetooth 5.0 or newer (extended advertising); with several, \
                    name it by `adapter` in /etc/tcnd/config.d";
        Some(match self.adverts?.kind {
            Kind::Extended => Check::ok(
                "controller",
                format!("{hci} can take an address of its own for each number it carries"),
            ),
            Kind::Legacy if mode == Mode::Relay => Check::fail(
                "controller",
                format!("{hci} is a legacy controller: a relay on it only listens"),
                cure,
            ),
            Kind::Legacy => Check::warn(
                "controller",
                format!(
                    "{hci} is a legacy controller: a number that comes before rpa_timeout is over \
                     waits for it, and none is carried for others"
                ),
                cure,
            ),
        })
    }

    /// Where others connect it has to be on.
    fn privacy_needed(&self, terms: &Terms<'_>) -> Check {
        let hci = &self.name;
        match &self.privacy {
            Err(error) => Check::unchecked("privacy", format!("of {hci} unknown: {error}")),
            Ok(Privacy::On) => Check::ok(
                "privacy",
                format!("of {hci} is on, as it should: who connects does not see its real address"),
            ),
            Ok(Privacy::ByController) => Check::fail(
                "privacy",
                format!(
                    "of {hci} is on, but the controller may change its address by a clock of its \
                     own (LL Privacy; Linux 6.12 to 6.14 do not tell), so numbers and addresses \
                     would not change together: tcnd airs nothing"
                ),
                "use Linux 6.15 or newer, and an adapter without it, named by `adapter` in \
                 /etc/tcnd/config.d; or mode = \
                 \"broadcast\", and Privacy = off under [General] of /etc/bluetooth/main.conf",
            ),
            Ok(Privacy::Off) => {
                let (said, cure) = privacy_off(terms.conf);
                let instead = if terms.mode == Mode::Relay {
                    "tcnd only listens"
                } else {
                    "tcnd stays with broadcasting"
                };
                Check::fail(
                    "privacy",
                    format!(
                        "of {hci} is off{said}: who connects would see its real address, so {instead}"
                    ),
                    cure,
                )
            }
        }
    }

    /// Whoever connects can read it, paired or not.
    fn name_shown(&self, terms: &Terms<'_>) -> Check {
        let found = format!("{} is called \"{}\"", self.name, self.alias);
        // BlueZ numbers the adapters of a machine but the first.
        let unnumbered = self
            .alias
            .rsplit_once(" #")
            .filter(|(_, number)| number.parse::<u16>().is_ok())
            .map_or(&*self.alias, |(name, _)| name);
        let is_host = |name: &String| [&self.alias, unnumbered].contains(&name.as_str());
        if !terms.hosts.iter().any(is_host) {
            return Check::ok("name", format!("{found}; whoever connects can read that"));
        }
        let in_vain = terms
            .conf
            .whereabouts(GENERAL, "Name")
            .map_or_else(String::new, |line| {
                format!(
                    " (Name in {line} does not help: bluetoothd puts the host name in its place)"
                )
            });
        Check::warn(
            "name",
            format!("{found}, as this machine; whoever connects can read that, and know it again"),
            format!("bluetoothctl system-alias phone, or what else many are called{in_vain}"),
        )
    }

    /// Broadcasting wants it off, see `Privacy = ` in main.conf(5).
    fn privacy(&self) -> Check {
        let hci = &self.name;
        let whose = match &self.privacy {
            Err(error) => return Check::unchecked("privacy", format!("of {hci} unknown: {error}")),
            Ok(Privacy::Off) => {
                let found = format!(
                    "of {hci} is off, as it should: each number is broadcast under a fresh \
                     address that nobody can resolve"
                );
                return Check::ok("privacy", found);
            }
            Ok(Privacy::ByController) => "the controller",
            Ok(Privacy::On) => match self.adverts.map(|adverts| adverts.kind) {
                Some(Kind::Legacy) => "on a legacy controller the kernel",
                Some(Kind::Extended) | None => "a controller that resolves addresses itself",
            },
        };
        Check::warn(
            "privacy",
            format!(
                "of {hci} is on, which broadcasting does not need: {whose} may keep an address \
                 while the number changes"
            ),
            "set Privacy = off under [General] of /etc/bluetooth/main.conf, then: systemctl \
             restart bluetooth",
        )
    }

    /// The broadcast does not carry the name; a discoverable or connectable
    /// adapter would.
    fn name(&self) -> Check {
        Check::ok(
            "name",
            format!(
                "{} is called \"{}\"; tcnd does not broadcast that",
                self.name, self.alias
            ),
        )
    }
}

/// What main.conf has to do with it, and what helps.
fn privacy_off(conf: &MainConf) -> (String, String) {
    // BlueZ: src/main.c, `parse_privacy`.
    const ON: [&str; 5] = [
        "device",
        "network",
        "on",
        "limited-device",
        "limited-network",
    ];
    let key = "Privacy";
    match (conf.value(GENERAL, key), conf.whereabouts(GENERAL, key)) {
        (Some(value), Some(line)) if ON.contains(&value) => (
            format!(", though {line} says \"{value}\""),
            "systemctl restart bluetooth".to_owned(),
        ),
        _ => (String::new(), conf.cure(GENERAL, &[(key, "device")])),
    }
}

impl Adverts {
    fn read(properties: &Properties) -> Self {
        // BlueZ lists secondary channels only where the kernel found extended advertising.
        let channels: Vec<String> =
            read(properties, "SupportedSecondaryChannels").unwrap_or_default();
        Self {
            kind: if channels.is_empty() {
                Kind::Legacy
            } else {
                Kind::Extended
            },
            active: read(properties, "ActiveInstances").unwrap_or(0),
            free: read(properties, "SupportedInstances").unwrap_or(0),
        }
    }
}

fn read<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &str) -> Option<T> {
    T::try_from(properties.get(name)?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::main_conf::tests::{absent, saying, unreadable};
    use super::*;

    fn with(kind: Kind, privacy: Result<Privacy, MgmtError>) -> Adapter {
        Adapter {
            name: "hci0".into(),
            powered: true,
            blocked: false,
            discoverable: false,
            alias: "kiosk".into(),
            adverts: Some(Adverts {
                kind,
                active: 0,
                free: 4,
            }),
            privacy,
        }
    }

    #[test]
    fn privacy_is_a_warning_where_it_is_on() {
        for kind in [Kind::Extended, Kind::Legacy] {
            let off = with(kind, Ok(Privacy::Off));
            assert_eq!(off.privacy().verdict, Verdict::Ok);
            assert_eq!(off.facts().privacy, Some("off"));
            let on = with(kind, Ok(Privacy::On));
            assert_eq!(on.privacy().verdict, Verdict::Warn);
            assert_eq!(on.facts().privacy, Some("on"));
            assert!(on.privacy().cure.unwrap().contains("Privacy = off"));
        }
        let words = |kind| with(kind, Ok(Privacy::On)).privacy().found;
        assert!(words(Kind::Legacy).contains("legacy"));
        assert!(!words(Kind::Extended).contains("legacy"));
    }

    #[test]
    fn privacy_that_cannot_be_read_is_not_passed_off_as_well() {
        let without = with(Kind::Extended, Err(MgmtError::Unavailable));
        assert_eq!(without.privacy().verdict, Verdict::Unchecked);
        assert!(without.privacy().found.contains("modprobe bluetooth"));
        assert_eq!(without.facts().privacy, None);
    }

    const EACH: [Mode; 2] = [Mode::Full, Mode::Relay];

    /// A check of this adapter, with this main.conf, on a machine "kiosk".
    fn check(adapter: &Adapter, mode: Mode, conf: &MainConf, name: &str) -> Check {
        let terms = Terms {
            mode,
            conf,
            hosts: &["kiosk".into(), "Anna's kiosk".into()],
        };
        let mut checks = adapter.checks(&terms).into_iter();
        checks.find(|check| check.name == name).unwrap()
    }

    #[test]
    fn privacy_has_to_be_on_where_others_connect() {
        let conf = saying("[General]\n\n#Privacy = off");
        for mode in EACH {
            let on = with(Kind::Extended, Ok(Privacy::On));
            assert_eq!(check(&on, mode, &conf, "privacy").verdict, Verdict::Ok);
            let off = with(Kind::Extended, Ok(Privacy::Off));
            let told = check(&off, mode, &conf, "privacy");
            assert_eq!(told.verdict, Verdict::Fail);
            let cure = told.cure.unwrap();
            let line = "/etc/bluetooth/main.conf:3: write \"Privacy = device\"";
            assert!(cure.starts_with(line), "{cure}");
            let own_clock = with(Kind::Extended, Ok(Privacy::ByController));
            let told = check(&own_clock, mode, &conf, "privacy");
            assert_eq!(told.verdict, Verdict::Fail);
            assert!(told.found.contains("LL Privacy"), "{}", told.found);
            let unknown = with(Kind::Extended, Err(MgmtError::Unavailable));
            let told = check(&unknown, mode, &conf, "privacy");
            assert_eq!(told.verdict, Verdict::Unchecked);
        }
        let off = with(Kind::Extended, Ok(Privacy::Off));
        let told = check(&off, Mode::Broadcast, &conf, "privacy");
        assert_eq!(told.verdict, Verdict::Ok);
    }

    #[test]
    fn privacy_that_is_set_and_not_yet_on_needs_a_restart() {
        let off = with(Kind::Extended, Ok(Privacy::Off));
        let told = |text: &str| check(&off, Mode::Full, &saying(text), "privacy");
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

    #[test]
    fn a_legacy_controller_costs_full_something_and_relay_everything() {
        let of = |kind, mode| {
            let adapter = with(kind, Ok(Privacy::On));
            check(&adapter, mode, &absent(), "controller").verdict
        };
        assert_eq!(of(Kind::Extended, Mode::Full), Verdict::Ok);
        assert_eq!(of(Kind::Extended, Mode::Relay), Verdict::Ok);
        assert_eq!(of(Kind::Legacy, Mode::Full), Verdict::Warn);
        assert_eq!(of(Kind::Legacy, Mode::Relay), Verdict::Fail);
    }

    #[test]
    fn a_name_that_tells_the_machine_is_a_warning_where_others_connect() {
        let of = |alias: &str, mode| {
            let adapter = Adapter {
                alias: alias.into(),
                ..with(Kind::Extended, Ok(Privacy::On))
            };
            let conf = saying("[General]\nName = phone");
            check(&adapter, mode, &conf, "name")
        };
        for mode in EACH {
            for alias in ["kiosk", "kiosk #2", "Anna's kiosk"] {
                assert_eq!(of(alias, mode).verdict, Verdict::Warn, "{alias}");
            }
            for alias in ["phone", "kiosk #x", "", "BlueZ 5.66"] {
                assert_eq!(of(alias, mode).verdict, Verdict::Ok, "{alias}");
            }
        }
        let cure = of("kiosk", Mode::Full).cure.unwrap();
        assert!(cure.starts_with("bluetoothctl system-alias"), "{cure}");
        assert!(cure.contains("main.conf:2 does not help"), "{cure}");
        assert_eq!(of("kiosk", Mode::Broadcast).verdict, Verdict::Ok);
    }

    #[test]
    fn a_discoverable_adapter_shows_its_address_unless_it_is_private() {
        let of = |mode, privacy| {
            let adapter = Adapter {
                discoverable: true,
                ..with(Kind::Extended, privacy)
            };
            check(&adapter, mode, &unreadable(), "discoverable").verdict
        };
        assert_eq!(of(Mode::Broadcast, Ok(Privacy::On)), Verdict::Fail);
        for mode in EACH {
            assert_eq!(of(mode, Ok(Privacy::Off)), Verdict::Fail);
            assert_eq!(of(mode, Ok(Privacy::On)), Verdict::Warn);
            assert_eq!(of(mode, Err(MgmtError::Late)), Verdict::Fail);
        }
    }
}
