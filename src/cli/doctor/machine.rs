//! The machine: kernel, BlueZ, adapters, clock.
//!
//! BlueZ: doc/org.bluez.Adapter.rst, doc/org.bluez.LEAdvertisingManager.rst;
//! systemd: org.freedesktop.timedate1(5). All of it is read only.

use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Stdio};

use zbus::fdo::{DBusProxy, ObjectManagerProxy, PropertiesProxy};
use zbus::names::BusName;
use zbus::{Connection, OwnedVariant};

use super::Check;

type Properties = HashMap<String, OwnedVariant>;

/// The oldest kernel series whose Bluetooth code tcnd was written by.
const OLDEST_KERNEL: (u32, u32) = (5, 15);

/// Adapters by object path: `Adapter1` and, if there is one,
/// `LEAdvertisingManager1`.
type Adapters = BTreeMap<String, (Properties, Option<Properties>)>;

pub(super) fn kernel() -> Check {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let found = format!("Linux {release}");
    match series(&release) {
        Some(series) if series < OLDEST_KERNEL => Check::warn(
            "kernel",
            format!("{found}; tcnd is untried before 5.15"),
            "use a newer kernel",
        ),
        Some(_) => Check::ok("kernel", found),
        None => Check::unchecked("kernel", found),
    }
}

/// Everything that is asked over the system bus.
pub(super) async fn checks(system: &Connection) -> Vec<Check> {
    let mut checks = vec![bluetoothd(system).await];
    match adapters(system).await {
        None => checks.push(Check::unchecked("adapter", "BlueZ does not answer")),
        Some(adapters) if adapters.is_empty() => checks.push(Check::fail(
            "adapter",
            "there is no Bluetooth adapter",
            "plug one in; if there is one, see: rfkill list; dmesg | grep -i bluetooth",
        )),
        Some(adapters) => {
            let found = adapters
                .iter()
                .flat_map(|(path, (adapter, adverts))| adapter_checks(path, adapter, adverts));
            checks.extend(found);
        }
    }
    checks.push(Check::unchecked(
        "privacy",
        "the LE privacy setting is on no bus, so it is not looked at; broadcasting does not \
         need it",
    ));
    checks.push(clock(system).await);
    checks
}

async fn bluetoothd(system: &Connection) -> Check {
    if !has_owner(system, "org.bluez").await {
        return Check::fail(
            "bluetoothd",
            "BlueZ is not running",
            "systemctl enable --now bluetooth (package: bluez)",
        );
    }
    // The daemon does not tell its version; its own tools come with it.
    let version = tool_version().map_or_else(
        || "runs; its version is not known".to_owned(),
        |version| format!("runs; its tools are version {version}"),
    );
    Check::ok("bluetoothd", version)
}

async fn has_owner(system: &Connection, name: &'static str) -> bool {
    let Ok(bus) = DBusProxy::new(system).await else {
        return false;
    };
    let name = BusName::from_static_str(name).expect("the literal is a bus name");
    bus.name_has_owner(name).await.unwrap_or(false)
}

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

fn adapter_checks(path: &str, adapter: &Properties, adverts: &Option<Properties>) -> Vec<Check> {
    let hci = path.rsplit('/').next().unwrap_or(path);
    vec![
        power(hci, adapter),
        discoverable(hci, adapter),
        advertising(hci, adverts.as_ref()),
        name(hci, adapter),
    ]
}

fn power(hci: &str, adapter: &Properties) -> Check {
    // PowerState: since BlueZ 5.73 for everyone.
    if read::<String>(adapter, "PowerState").as_deref() == Some("off-blocked") {
        return Check::fail(
            "adapter",
            format!("{hci} is blocked"),
            "rfkill unblock bluetooth, or the switch on the case",
        );
    }
    if read(adapter, "Powered") == Some(true) {
        Check::ok("adapter", format!("{hci} is switched on"))
    } else {
        Check::fail(
            "adapter",
            format!("{hci} is switched off"),
            "bluetoothctl power on (if that fails: rfkill unblock bluetooth)",
        )
    }
}

fn discoverable(hci: &str, adapter: &Properties) -> Check {
    if read(adapter, "Discoverable") == Some(true) {
        Check::fail(
            "discoverable",
            format!(
                "{hci} is discoverable: a broadcast would show its real address, so tcnd makes none"
            ),
            "bluetoothctl discoverable off",
        )
    } else {
        Check::ok("discoverable", format!("{hci} is not"))
    }
}

fn advertising(hci: &str, adverts: Option<&Properties>) -> Check {
    let Some(adverts) = adverts else {
        return Check::fail(
            "advertising",
            format!("{hci} cannot broadcast"),
            "use an adapter with Bluetooth Low Energy, 4.0 or newer",
        );
    };
    // BlueZ lists secondary channels only where the kernel found extended advertising.
    let channels: Vec<String> = read(adverts, "SupportedSecondaryChannels").unwrap_or_default();
    let kind = if channels.is_empty() {
        "legacy"
    } else {
        "extended"
    };
    let active: u8 = read(adverts, "ActiveInstances").unwrap_or(0);
    let free: u8 = read(adverts, "SupportedInstances").unwrap_or(0);
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

/// The broadcast does not carry the name; a discoverable or connectable adapter
/// would.
fn name(hci: &str, adapter: &Properties) -> Check {
    let alias: String = read(adapter, "Alias").unwrap_or_default();
    let shown: String = alias.chars().filter(|c| !c.is_control()).collect();
    Check::ok(
        "name",
        format!("{hci} is called \"{shown}\"; tcnd does not broadcast that"),
    )
}

async fn clock(system: &Connection) -> Check {
    match synchronised(system).await {
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

fn read<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &str) -> Option<T> {
    T::try_from(properties.get(name)?.clone()).ok()
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
