//! The machine: kernel, BlueZ, clock; and it finds the adapters.
//!
//! systemd: org.freedesktop.timedate1(5). All of it is read only.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use zbus::Connection;
use zbus::fdo::{DBusProxy, ObjectManagerProxy, PropertiesProxy};
use zbus::names::BusName;

use super::adapter::{Adapter, Properties};
use super::{Check, Machine};

/// The oldest kernel series whose Bluetooth code tcnd was written by.
const OLDEST_KERNEL: (u32, u32) = (5, 15);

/// Release of the running kernel.
pub(super) fn release() -> String {
    let uname = rustix::system::uname();
    uname.release().to_string_lossy().into_owned()
}

pub(super) fn kernel(release: &str) -> Check {
    let found = format!("Linux {release}");
    match series(release) {
        Some(series) if series < OLDEST_KERNEL => Check::warn(
            "kernel",
            format!("{found}; tcnd is untried before 5.15"),
            "use a newer kernel",
        ),
        Some(_) => Check::ok("kernel", found),
        None => Check::unchecked("kernel", found),
    }
}

/// Everything that is asked over the system bus; what was found goes into
/// `machine` as well.
pub(super) async fn checks(system: &Connection, machine: &mut Machine) -> Vec<Check> {
    machine.bluez = tool_version();
    let mut checks = vec![bluetoothd(system, machine.bluez.as_deref()).await];
    match adapters(system).await {
        None => checks.push(Check::unchecked("adapter", "BlueZ does not answer")),
        Some(adapters) if adapters.is_empty() => checks.push(Check::fail(
            "adapter",
            "there is no Bluetooth adapter",
            "plug one in; if there is one, see: rfkill list; dmesg | grep -i bluetooth",
        )),
        Some(adapters) => {
            for (path, (adapter, adverts)) in adapters {
                let adapter = Adapter::read(&path, &adapter, adverts.as_ref()).await;
                checks.extend(adapter.checks());
                machine.adapters.push(adapter.facts());
            }
        }
    }
    machine.clock_synchronised = synchronised(system).await;
    checks.push(clock(machine.clock_synchronised));
    checks
}

async fn bluetoothd(system: &Connection, version: Option<&str>) -> Check {
    if !has_owner(system, "org.bluez").await {
        return Check::fail(
            "bluetoothd",
            "BlueZ is not running",
            "systemctl enable --now bluetooth (package: bluez)",
        );
    }
    let found = version.map_or_else(
        || "runs; its version is not known".to_owned(),
        |version| format!("runs; its tools are version {version}"),
    );
    Check::ok("bluetoothd", found)
}

async fn has_owner(system: &Connection, name: &'static str) -> bool {
    let Ok(bus) = DBusProxy::new(system).await else {
        return false;
    };
    let name = BusName::from_static_str(name).expect("the literal is a bus name");
    bus.name_has_owner(name).await.unwrap_or(false)
}

/// The daemon does not tell its version; its own tools come with it.
fn tool_version() -> Option<String> {
    let output = Command::new("bluetoothctl")
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.lines().next()?.rsplit(' ').next()?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    is_version.then(|| version.to_owned())
}

/// Adapters by object path: `Adapter1` and, if there is one,
/// `LEAdvertisingManager1`.
type Adapters = BTreeMap<String, (Properties, Option<Properties>)>;

async fn adapters(system: &Connection) -> Option<Adapters> {
    let objects = ObjectManagerProxy::builder(system)
        .destination("org.bluez")
        .path("/")
        .build()
        .await
        .ok()?;
    let objects = objects.get_managed_objects().await.ok()?;
    let adapters = objects.into_iter().filter_map(|(path, mut interfaces)| {
        let adapter = interfaces.remove("org.bluez.Adapter1")?;
        let adverts = interfaces.remove("org.bluez.LEAdvertisingManager1");
        Some((path.to_string(), (adapter, adverts)))
    });
    Some(adapters.collect())
}

fn clock(synchronised: Option<bool>) -> Check {
    match synchronised {
        Some(true) => Check::ok("clock", "is synchronised"),
        Some(false) => Check::warn(
            "clock",
            "is not synchronised; contacts may be dated wrongly",
            "timedatectl set-ntp true",
        ),
        None => Check::unchecked(
            "clock",
            "nobody here knows (systemd-timedated does not answer)",
        ),
    }
}

async fn synchronised(system: &Connection) -> Option<bool> {
    let properties = PropertiesProxy::builder(system)
        .destination("org.freedesktop.timedate1")
        .path("/org/freedesktop/timedate1")
        .build()
        .await
        .ok()?;
    let interface = "org.freedesktop.timedate1"
        .try_into()
        .expect("the literal is an interface name");
    let value = properties.get(interface, "NTPSynchronized").await.ok()?;
    bool::try_from(value).ok()
}

fn series(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_series() {
        assert_eq!(series("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(series("5.10.0"), Some((5, 10)));
        assert!(series("5.4").unwrap() < OLDEST_KERNEL);
        assert!(series("5.15.0").unwrap() >= OLDEST_KERNEL);
        assert_eq!(series("GNU"), None);
    }
}
