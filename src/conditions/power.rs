//! Whether the machine saves power: on battery by UPower, and by the power profile in use.
//!
//! The profiles have two names. power-profiles-daemon has served both since 0.20, and the old
//! one alone before; tuned-ppd and tlp-pd serve them in its place. Each name is followed by
//! itself, and one of them is enough. Every user may read these properties.
//!
//! UPower: "org.freedesktop.UPower", `OnBattery`. power-profiles-daemon:
//! src/org.freedesktop.UPower.PowerProfiles.xml, src/net.hadess.PowerProfiles.xml,
//! `ActiveProfile`.

use std::collections::{BTreeMap, BTreeSet};

use zbus::{Message, Variant};

use super::bus_service::{BusService, News, Question, changed_rule};

/// A property that says whether power is saved.
#[derive(Debug)]
pub(super) struct PowerProperty {
    service: BusService,
    path: &'static str,
    interface: &'static str,
    property: &'static str,
    saves: fn(&Variant<'_>) -> bool,
    value: bool,
}

impl PowerProperty {
    /// `OnBattery` of UPower.
    pub(super) fn battery() -> Self {
        let is_true = |value: &Variant<'_>| matches!(value, Variant::Bool(true));
        Self::new(
            "org.freedesktop.UPower",
            "/org/freedesktop/UPower",
            "OnBattery",
            is_true,
        )
    }

    /// `ActiveProfile` of the power profiles.
    pub(super) fn profile() -> Self {
        let (name, path) = (
            "org.freedesktop.UPower.PowerProfiles",
            "/org/freedesktop/UPower/PowerProfiles",
        );
        Self::new(name, path, "ActiveProfile", is_power_saver)
    }

    /// The same by its old name.
    pub(super) fn old_profile() -> Self {
        let (name, path) = ("net.hadess.PowerProfiles", "/net/hadess/PowerProfiles");
        Self::new(name, path, "ActiveProfile", is_power_saver)
    }

    /// A property of the interface that has the name of its service.
    fn new(
        name: &'static str,
        path: &'static str,
        property: &'static str,
        saves: fn(&Variant<'_>) -> bool,
    ) -> Self {
        let question = Question::Property {
            path,
            interface: name,
            property,
        };
        Self {
            service: BusService::new(name, question),
            path,
            interface: name,
            property,
            saves,
            value: false,
        }
    }

    /// Whether power is saved; `false` if that is not known.
    pub(super) fn value(&self) -> bool {
        self.value
    }

    pub(super) fn service(&mut self) -> &mut BusService {
        &mut self.service
    }

    pub(super) fn has_question(&self) -> bool {
        self.service.has_question()
    }

    /// Takes over what this message says of the property.
    pub(super) fn receive(
        &mut self,
        message: &Message,
        to_send: &mut Vec<Message>,
    ) -> zbus::Result<()> {
        match self.service.receive(message) {
            Some(News::NewOwner) => {
                self.value = false;
                let object = format!(",path='{}'", self.path);
                let owner = self.service.owner();
                let rule = owner.map(|owner| changed_rule(owner, self.interface, &object));
                let rules: BTreeSet<_> = rule.into_iter().collect();
                self.service.select(rules, to_send)?;
            }
            Some(News::Signal) => self.read_change(message),
            Some(News::Answer) => {
                let body = message.body();
                let value = body.deserialize::<Variant<'_>>();
                self.value = value.is_ok_and(|value| (self.saves)(&value));
            }
            Some(News::NoAnswer) => self.value = false,
            None => {}
        }
        Ok(())
    }

    /// Takes over a change that is signalled. Where only the name of the property is, its value
    /// is asked for.
    fn read_change(&mut self, message: &Message) {
        let (header, body) = (message.header(), message.body());
        let is_here = header.path().is_some_and(|path| path.as_str() == self.path);
        let is_changed = header.member().is_some_and(|it| it == "PropertiesChanged");
        let change = body.deserialize::<(&str, BTreeMap<&str, Variant<'_>>, Vec<&str>)>();
        let Ok((interface, values, names)) = change else {
            return;
        };
        if !is_here || !is_changed || interface != self.interface {
            return;
        }
        if let Some(value) = values.get(self.property) {
            self.value = (self.saves)(value);
        } else if names.contains(&self.property) {
            self.service.ask_again();
        }
    }
}

fn is_power_saver(profile: &Variant<'_>) -> bool {
    matches!(profile, Variant::Str(profile) if profile.as_str() == "power-saver")
}
