//! One adapter: on or off, discoverable, how it broadcasts, [`privacy`], name.
//!
//! BlueZ: doc/org.bluez.Adapter.rst, doc/org.bluez.LEAdvertisingManager.rst. Everything
//! is only read.

use std::collections::HashMap;

use bluez_mgmt::Privacy;
use serde::Serialize;
use tcnd_config::Mode;
use tcnd_rpa_timeout::Known;
use zbus::OwnedVariant;

use super::check::DoctorCheck;
use super::controller::{ControllerKind, PrivacyResult};
use super::main_conf::{GENERAL, MainConf};
use super::{mode, privacy};

/// The properties of one D-Bus interface.
pub(crate) type InterfaceProperties = HashMap<String, OwnedVariant>;

/// The state of an adapter.
#[derive(Debug)]
pub(crate) struct DoctorAdapter {
    name: String,
    powered: bool,
    blocked: bool,
    discoverable: bool,
    alias: String,
    adverts: Option<AdvertisingSupport>,
    privacy: PrivacyResult,
    /// The known facts about addresses that the controller makes itself.
    addresses: Option<Known>,
}

/// The facts by which an adapter is checked.
#[derive(Debug)]
pub(crate) struct Criteria<'a> {
    pub(crate) mode: Mode,
    pub(crate) conf: &'a MainConf,
    /// Every host name of this machine, where other devices connect.
    pub(crate) hosts: &'a [String],
}

/// The advertising capabilities of the adapter.
#[derive(Clone, Copy, Debug)]
struct AdvertisingSupport {
    kind: ControllerKind,
    active: u8,
    free: u8,
}

/// An element of `adapters` in `doctor --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AdapterDocument {
    name: String,
    powered: bool,
    discoverable: bool,
    advertising: Option<ControllerKind>,
    privacy: Option<&'static str>,
}

impl DoctorAdapter {
    /// Reads BlueZ's properties of the adapter, and asks the kernel for the
    /// rest.
    pub(crate) async fn read(
        path: &str,
        adapter: &InterfaceProperties,
        adverts: Option<&InterfaceProperties>,
    ) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let alias: String = read(adapter, "Alias").unwrap_or_default();
        Self {
            name: name.to_owned(),
            powered: read(adapter, "Powered") == Some(true),
            // PowerState: since BlueZ 5.73 for everyone.
            blocked: read::<String>(adapter, "PowerState").as_deref() == Some("off-blocked"),
            discoverable: read(adapter, "Discoverable") == Some(true),
            alias: printable::clean(&alias),
            adverts: adverts.map(AdvertisingSupport::read),
            privacy: bluez_mgmt::privacy(name).await,
            addresses: tcnd_rpa_timeout::known(name),
        }
    }

    pub(crate) fn checks(&self, criteria: &Criteria<'_>) -> Vec<DoctorCheck> {
        let (hci, mode, conf) = (&self.name, criteria.mode, criteria.conf);
        let mut checks = vec![self.power(), self.discoverable(mode), self.advertising()];
        if mode::is_connectable(mode) {
            checks.extend(self.controller(mode));
            let addresses = privacy::Addresses {
                kind: self.kind(),
                known: self.addresses,
            };
            checks.push(privacy::needed(hci, &self.privacy, addresses, mode, conf));
            checks.push(self.name_shown(criteria));
        } else {
            checks.push(privacy::unneeded(hci, &self.privacy, self.kind(), conf));
            checks.push(self.name());
        }
        checks
    }

    pub(crate) fn facts(&self) -> AdapterDocument {
        AdapterDocument {
            name: self.name.clone(),
            powered: self.powered,
            discoverable: self.discoverable,
            advertising: self.kind(),
            privacy: match self.privacy {
                Ok(Privacy::Off) => Some("off"),
                Ok(Privacy::On | Privacy::ByController) => Some("on"),
                Err(_) => None,
            },
        }
    }

    fn kind(&self) -> Option<ControllerKind> {
        self.adverts.map(|adverts| adverts.kind)
    }

    fn power(&self) -> DoctorCheck {
        let hci = &self.name;
        if self.blocked {
            return DoctorCheck::fail(
                "adapter",
                format!("{hci} is blocked"),
                "rfkill unblock bluetooth, or the switch on the case",
            );
        }
        if self.powered {
            DoctorCheck::ok("adapter", format!("{hci} is switched on"))
        } else {
            DoctorCheck::fail(
                "adapter",
                format!("{hci} is switched off"),
                "bluetoothctl power on (if that fails: rfkill unblock bluetooth)",
            )
        }
    }

    fn discoverable(&self, mode: Mode) -> DoctorCheck {
        let hci = &self.name;
        let cure = "bluetoothctl discoverable off";
        if !self.discoverable {
            return DoctorCheck::ok("discoverable", format!("{hci} is not"));
        }
        let is_private = matches!(self.privacy, Ok(Privacy::On | Privacy::ByController));
        if mode::is_connectable(mode) && is_private {
            let found =
                format!("{hci} is discoverable: it shows its name to every device that searches");
            return DoctorCheck::warn("discoverable", found, cure);
        }
        DoctorCheck::fail(
            "discoverable",
            format!(
                "{hci} is discoverable: a broadcast would show its real address, so tcnd does not broadcast"
            ),
            cure,
        )
    }

    fn advertising(&self) -> DoctorCheck {
        let hci = &self.name;
        let Some(AdvertisingSupport { kind, active, free }) = self.adverts else {
            return DoctorCheck::fail(
                "advertising",
                format!("{hci} cannot broadcast"),
                "use an adapter with Bluetooth Low Energy, 4.0 or newer",
            );
        };
        let kind = match kind {
            ControllerKind::Extended => "extended",
            ControllerKind::Legacy => "legacy",
        };
        let found = format!("{hci} has {kind} advertising, {active} in use, {free} free");
        if free == 0 && active == 0 {
            return DoctorCheck::fail("advertising", found, "systemctl restart bluetooth");
        }
        if free == 0 {
            return DoctorCheck::warn(
                "advertising",
                found,
                "if one of them is tcnd's, nothing; otherwise end other programs that broadcast",
            );
        }
        DoctorCheck::ok("advertising", found)
    }

    /// The consequence of the controller's kind where other devices connect.
    fn controller(&self, mode: Mode) -> Option<DoctorCheck> {
        let hci = &self.name;
        let cure = "use an adapter with Bluetooth 5.0 or newer (extended advertising); if there are \
                    several, select it with `adapter` in /etc/tcnd/config.d";
        Some(match self.kind()? {
            ControllerKind::Extended if matches!(self.privacy, Ok(Privacy::ByController)) => {
                DoctorCheck::ok(
                    "controller",
                    format!(
                        "{hci} makes its addresses itself, one at a time for all numbers that it carries"
                    ),
                )
            }
            ControllerKind::Extended => DoctorCheck::ok(
                "controller",
                format!("{hci} can use a separate address for each number that it carries"),
            ),
            ControllerKind::Legacy if mode == Mode::Relay => DoctorCheck::fail(
                "controller",
                format!("{hci} is a legacy controller: a relay on it only listens"),
                cure,
            ),
            ControllerKind::Legacy => DoctorCheck::warn(
                "controller",
                format!(
                    "{hci} is a legacy controller: a new number waits until rpa_timeout is over, and tcnd \
                     carries no numbers of others"
                ),
                cure,
            ),
        })
    }

    /// Every device that connects can read the name, paired or not.
    fn name_shown(&self, criteria: &Criteria<'_>) -> DoctorCheck {
        let found = format!("{} is called \"{}\"", self.name, self.alias);
        // BlueZ adds a number to the names of all adapters of a machine except the
        // first.
        let unnumbered = self
            .alias
            .rsplit_once(" #")
            .filter(|(_, number)| number.parse::<u16>().is_ok())
            .map_or(&*self.alias, |(name, _)| name);
        let is_host = |name: &String| [&self.alias, unnumbered].contains(&name.as_str());
        if !criteria.hosts.iter().any(is_host) {
            return DoctorCheck::ok(
                "name",
                format!("{found}; every device that connects can read this name"),
            );
        }
        let no_effect = criteria
            .conf
            .location(GENERAL, "Name")
            .map_or_else(String::new, |line| {
                format!(
                    " (Name in {line} does not help: bluetoothd replaces it with the host name)"
                )
            });
        DoctorCheck::warn(
            "name",
            format!(
                "{found}, as this machine; every device that connects can read this name, and recognise it later"
            ),
            format!("bluetoothctl system-alias phone, or another common name{no_effect}"),
        )
    }

    /// The broadcast does not carry the name; a discoverable or connectable adapter
    /// would.
    fn name(&self) -> DoctorCheck {
        DoctorCheck::ok(
            "name",
            format!(
                "{} is called \"{}\"; tcnd does not broadcast this name",
                self.name, self.alias
            ),
        )
    }
}

impl AdvertisingSupport {
    fn read(properties: &InterfaceProperties) -> Self {
        // BlueZ lists secondary channels only where the kernel found extended advertising.
        let channels: Vec<String> =
            read(properties, "SupportedSecondaryChannels").unwrap_or_default();
        Self {
            kind: if channels.is_empty() {
                ControllerKind::Legacy
            } else {
                ControllerKind::Extended
            },
            active: read(properties, "ActiveInstances").unwrap_or(0),
            free: read(properties, "SupportedInstances").unwrap_or(0),
        }
    }
}

fn read<T: TryFrom<OwnedVariant>>(properties: &InterfaceProperties, name: &str) -> Option<T> {
    T::try_from(properties.get(name)?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use bluez_mgmt::MgmtError;

    use super::super::check::CheckVerdict;
    use super::super::main_conf::tests::{absent, saying, unreadable};
    use super::*;

    fn with(kind: ControllerKind, privacy: PrivacyResult) -> DoctorAdapter {
        DoctorAdapter {
            name: "hci0".into(),
            powered: true,
            blocked: false,
            discoverable: false,
            alias: "kiosk".into(),
            adverts: Some(AdvertisingSupport {
                kind,
                active: 0,
                free: 4,
            }),
            privacy,
            addresses: None,
        }
    }

    #[test]
    fn privacy_that_cannot_be_read_is_not_a_fact() {
        let told = |privacy| with(ControllerKind::Extended, privacy).facts().privacy;
        assert_eq!(told(Ok(Privacy::Off)), Some("off"));
        assert_eq!(told(Ok(Privacy::On)), Some("on"));
        assert_eq!(told(Ok(Privacy::ByController)), Some("on"));
        assert_eq!(told(Err(MgmtError::Unavailable)), None);
    }

    const EACH: [Mode; 2] = [Mode::Full, Mode::Relay];

    /// A check of this adapter, with this main.conf, on a machine called "kiosk".
    fn check(adapter: &DoctorAdapter, mode: Mode, conf: &MainConf, name: &str) -> DoctorCheck {
        let criteria = Criteria {
            mode,
            conf,
            hosts: &["kiosk".into(), "Anna's kiosk".into()],
        };
        let mut checks = adapter.checks(&criteria).into_iter();
        checks.find(|check| check.name == name).unwrap()
    }

    #[test]
    fn privacy_is_wanted_where_others_connect_and_nowhere_else() {
        let conf = saying("[General]\nPrivacy = device\n");
        let of = |mode, privacy| {
            let adapter = with(ControllerKind::Extended, Ok(privacy));
            check(&adapter, mode, &conf, "privacy").verdict
        };
        assert_eq!(of(Mode::Broadcast, Privacy::Off), CheckVerdict::Ok);
        assert_eq!(of(Mode::Broadcast, Privacy::On), CheckVerdict::Warn);
        for mode in EACH {
            assert_eq!(of(mode, Privacy::Off), CheckVerdict::Fail);
            assert_eq!(of(mode, Privacy::On), CheckVerdict::Ok);
        }
    }

    #[test]
    fn a_legacy_controller_costs_full_something_and_relay_everything() {
        let of = |kind, mode| {
            let adapter = with(kind, Ok(Privacy::On));
            check(&adapter, mode, &absent(), "controller").verdict
        };
        assert_eq!(of(ControllerKind::Extended, Mode::Full), CheckVerdict::Ok);
        assert_eq!(of(ControllerKind::Extended, Mode::Relay), CheckVerdict::Ok);
        assert_eq!(of(ControllerKind::Legacy, Mode::Full), CheckVerdict::Warn);
        assert_eq!(of(ControllerKind::Legacy, Mode::Relay), CheckVerdict::Fail);
    }

    #[test]
    fn a_name_that_tells_the_machine_is_a_warning_where_others_connect() {
        let of = |alias: &str, mode| {
            let adapter = DoctorAdapter {
                alias: alias.into(),
                ..with(ControllerKind::Extended, Ok(Privacy::On))
            };
            let conf = saying("[General]\nName = phone");
            check(&adapter, mode, &conf, "name")
        };
        for mode in EACH {
            for alias in ["kiosk", "kiosk #2", "Anna's kiosk"] {
                assert_eq!(of(alias, mode).verdict, CheckVerdict::Warn, "{alias}");
            }
            for alias in ["phone", "kiosk #x", "", "BlueZ 5.66"] {
                assert_eq!(of(alias, mode).verdict, CheckVerdict::Ok, "{alias}");
            }
        }
        let cure = of("kiosk", Mode::Full).cure.unwrap();
        assert!(cure.starts_with("bluetoothctl system-alias"), "{cure}");
        assert!(cure.contains("main.conf:2 does not help"), "{cure}");
        assert_eq!(of("kiosk", Mode::Broadcast).verdict, CheckVerdict::Ok);
    }

    #[test]
    fn a_discoverable_adapter_shows_its_address_unless_it_is_private() {
        let of = |mode, privacy| {
            let adapter = DoctorAdapter {
                discoverable: true,
                ..with(ControllerKind::Extended, privacy)
            };
            check(&adapter, mode, &unreadable(), "discoverable").verdict
        };
        assert_eq!(of(Mode::Broadcast, Ok(Privacy::On)), CheckVerdict::Fail);
        for mode in EACH {
            assert_eq!(of(mode, Ok(Privacy::Off)), CheckVerdict::Fail);
            assert_eq!(of(mode, Ok(Privacy::On)), CheckVerdict::Warn);
            assert_eq!(of(mode, Err(MgmtError::Late)), CheckVerdict::Fail);
        }
    }
}
