//! One adapter: on or off, discoverable, how it broadcasts, privacy, name.
//!
//! BlueZ: doc/org.bluez.Adapter.rst, doc/org.bluez.LEAdvertisingManager.rst.
//! The privacy setting is on no bus; the kernel tells it ([`mgmt`]). All of it
//! is read only.

use std::collections::HashMap;

use serde::Serialize;
use zbus::OwnedVariant;

use super::Check;
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

    pub(super) fn checks(&self) -> [Check; 5] {
        [
            self.power(),
            self.discoverable(),
            self.advertising(),
            self.privacy(),
            self.name(),
        ]
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

    fn discoverable(&self) -> Check {
        let hci = &self.name;
        if self.discoverable {
            Check::fail(
                "discoverable",
                format!(
                    "{hci} is discoverable: a broadcast would show its real address, so tcnd \
                     makes none"
                ),
                "bluetoothctl discoverable off",
            )
        } else {
            Check::ok("discoverable", format!("{hci} is not"))
        }
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
            Ok(Privacy::On | Privacy::ByController) => {
                match self.adverts.map(|adverts| adverts.kind) {
                    Some(Kind::Legacy) => "on a legacy controller the kernel",
                    Some(Kind::Extended) | None => "a controller that resolves addresses itself",
                }
            }
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
}
