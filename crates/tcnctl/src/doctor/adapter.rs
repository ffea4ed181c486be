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

use super::main_conf::{GENERAL, MainConf};
use super::{Check, mode, privacy};

/// The properties of one D-Bus interface.
pub(super) type Properties = HashMap<String, OwnedVariant>;

/// The state of an adapter.
#[derive(Debug)]
pub(super) struct Adapter {
    name: String,
    powered: bool,
    blocked: bool,
    discoverable: bool,
    alias: String,
    adverts: Option<Adverts>,
    privacy: privacy::Told,
    /// The facts about addresses that the controller makes itself.
    addresses: Option<Known>,
}

/// The facts by which an adapter is judged.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) mode: Mode,
    pub(super) conf: &'a MainConf,
    /// Every host name of this machine, where other devices connect.
    pub(super) hosts: &'a [String],
}

/// The advertising capabilities of the adapter.
#[derive(Clone, Copy, Debug)]
struct Adverts {
    kind: Kind,
    active: u8,
    free: u8,
}

/// Bluetooth 5.0 or later, or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
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
            alias: printable::clean(&alias),
            adverts: adverts.map(Adverts::read),
            privacy: bluez_mgmt::privacy(name).await,
            addresses: tcnd_rpa_timeout::known(name),
        }
    }

    pub(super) fn checks(&self, terms: &Terms<'_>) -> Vec<Check> {
        let (hci, mode, conf) = (&self.name, terms.mode, terms.conf);
        let mut checks = vec![self.power(), self.discoverable(mode), self.advertising()];
        if mode::is_connectable(mode) {
            checks.extend(self.controller(mode));
            let addresses = privacy::Addresses {
                kind: self.kind(),
                known: self.addresses,
            };
            checks.push(privacy::needed(hci, &self.privacy, addresses, mode, conf));
            checks.push(self.name_shown(terms));
        } else {
            checks.push(privacy::unneeded(hci, &self.privacy, self.kind(), conf));
            checks.push(self.name());
        }
        checks
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
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

    fn kind(&self) -> Option<Kind> {
        self.adverts.map(|adverts| adverts.kind)
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
        let is_private = matches!(self.privacy, Ok(Privacy::On | Privacy::ByController));
        if mode::is_connectable(mode) && is_private {
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

    /// The consequence of the controller's kind where other devices connect.
    fn controller(&self, mode: Mode) -> Option<Check> {
        let hci = &self.name;
        let cure = "use an adapter with Bluetooth 5.0 or newer (extended advertising); with several, \
                    name it by `adapter` in /etc/tcnd/config.d";
        Some(match self.kind()? {
            Kind::Extended if matches!(self.privacy, Ok(Privacy::ByController)) => Check::ok(
                "controller",
                format!("{hci} makes its addresses itself, one for all that it carries at a time"),
            ),
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

    /// Any device that connects can read the name, paired or not.
    fn name_shown(&self, terms: &Terms<'_>) -> Check {
        let found = format!("{} is called \"{}\"", self.name, self.alias);
        // BlueZ adds a number to the names of all adapters of a machine except the
        // first.
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

    /// The broadcast does not carry the name; a discoverable or connectable adapter
    /// would.
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
    use bluez_mgmt::MgmtError;

    use super::super::Verdict;
    use super::super::main_conf::tests::{absent, saying, unreadable};
    use super::*;

    fn with(kind: Kind, privacy: privacy::Told) -> Adapter {
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
            addresses: None,
        }
    }

    #[test]
    fn privacy_that_cannot_be_read_is_not_a_fact() {
        let told = |privacy| with(Kind::Extended, privacy).facts().privacy;
        assert_eq!(told(Ok(Privacy::Off)), Some("off"));
        assert_eq!(told(Ok(Privacy::On)), Some("on"));
        assert_eq!(told(Ok(Privacy::ByController)), Some("on"));
        assert_eq!(told(Err(MgmtError::Unavailable)), None);
    }

    const EACH: [Mode; 2] = [Mode::Full, Mode::Relay];

    /// A check of this adapter, with this main.conf, on a machine called "kiosk".
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
    fn privacy_is_wanted_where_others_connect_and_nowhere_else() {
        let conf = saying("[General]\nPrivacy = device\n");
        let of = |mode, privacy| {
            let adapter = with(Kind::Extended, Ok(privacy));
            check(&adapter, mode, &conf, "privacy").verdict
        };
        assert_eq!(of(Mode::Broadcast, Privacy::Off), Verdict::Ok);
        assert_eq!(of(Mode::Broadcast, Privacy::On), Verdict::Warn);
        for mode in EACH {
            assert_eq!(of(mode, Privacy::Off), Verdict::Fail);
            assert_eq!(of(mode, Privacy::On), Verdict::Ok);
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
