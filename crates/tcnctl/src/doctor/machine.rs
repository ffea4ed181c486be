//! Checks of BlueZ and the clock. This module also finds the adapters.
//!
//! systemd: org.freedesktop.timedate1(5), org.freedesktop.hostname1(5). Everything is
//! only read.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;
use tcnd_config::Mode;
use zbus::fdo::{DBusProxy, ObjectManagerProxy, PropertiesProxy};
use zbus::names::BusName;
use zbus::{Connection, OwnedVariant};

use super::adapter::{AdapterDocument, Criteria, DoctorAdapter, InterfaceProperties};
use super::bluetoothd::Bluetoothd;
use super::check::DoctorCheck;
use super::{mode, restart, sandbox};

/// The facts behind the checks, as far as they are known.
#[derive(Debug, Serialize)]
pub(crate) struct MachineFacts {
    pub(crate) mode: Option<&'static str>,
    pub(crate) kernel: String,
    pub(crate) bluez: Option<String>,
    pub(crate) clock_synchronised: Option<bool>,
    pub(crate) adapters: Vec<AdapterDocument>,
}

/// All checks over the system bus, for this mode, and of files below `root`. The facts
/// are also stored in `machine`.
pub(crate) async fn checks(
    system: &Connection,
    mode: Mode,
    root: &Path,
    machine: &mut MachineFacts,
) -> Vec<DoctorCheck> {
    machine.bluez = tool_version();
    let version = machine.bluez.as_deref();
    let mut checks = vec![bluetoothd(system, version).await];
    let bluetoothd = Bluetoothd::read(root, version, process(system, "org.bluez").await);
    let mut hosts = Vec::new();
    if mode::is_connectable(mode) {
        checks.push(restart::check(system).await);
        checks.extend(bluetoothd.checks(mode));
        hosts = host_names(system).await;
    }
    let criteria = Criteria {
        mode,
        conf: bluetoothd.conf(),
        hosts: &hosts,
    };
    match adapters(system).await {
        None => checks.push(DoctorCheck::unchecked("adapter", "BlueZ does not answer")),
        Some(adapters) if adapters.is_empty() => checks.push(DoctorCheck::fail(
            "adapter",
            "there is no Bluetooth adapter",
            "connect one; if one is connected, see: rfkill list; dmesg | grep -i bluetooth",
        )),
        Some(adapters) => {
            for (path, (adapter, adverts)) in adapters {
                let adapter = DoctorAdapter::read(&path, &adapter, adverts.as_ref()).await;
                checks.extend(adapter.checks(&criteria));
                machine.adapters.push(adapter.facts());
            }
        }
    }
    machine.clock_synchronised = synchronised(system).await;
    checks.push(clock(machine.clock_synchronised));
    if mode::is_connectable(mode) {
        checks.push(sandbox::check(system).await);
    }
    checks
}

async fn bluetoothd(system: &Connection, version: Option<&str>) -> DoctorCheck {
    if !has_owner(system, "org.bluez").await {
        return DoctorCheck::fail(
            "bluetoothd",
            "BlueZ is not running",
            "systemctl enable --now bluetooth (package: bluez)",
        );
    }
    running(version)
}

/// The release in which other devices or programs can crash bluetoothd. BlueZ:
/// bluez#2282, an advert while a program discovers by service UUID; bluez#2221, a
/// device that was never paired and disconnects.
const CRASHES: &str = "5.87";

/// The check of a running bluetoothd; `version` is that of its tools.
fn running(version: Option<&str>) -> DoctorCheck {
    let Some(version) = version else {
        return DoctorCheck::ok("bluetoothd", "runs; its version is unknown");
    };
    let found = format!("runs; its tools are version {version}");
    if version != CRASHES {
        return DoctorCheck::ok("bluetoothd", found);
    }
    DoctorCheck::warn(
        "bluetoothd",
        format!(
            "{found}, which crashes when a device is heard while a program searches for devices \
             by service (bluez#2282; tcnd does not), and may crash when a device disconnects \
             (bluez#2221)"
        ),
        "install a newer BlueZ, or a fixed package of your distribution; if it has the fix, nothing",
    )
}

async fn has_owner(system: &Connection, name: &'static str) -> bool {
    let Ok(bus) = DBusProxy::new(system).await else {
        return false;
    };
    let name = BusName::from_static_str(name).expect("the literal is a bus name");
    bus.name_has_owner(name).await.unwrap_or(false)
}

/// The process that owns a name.
async fn process(system: &Connection, name: &'static str) -> Option<u32> {
    let bus = DBusProxy::new(system).await.ok()?;
    let name = BusName::from_static_str(name).expect("the literal is a bus name");
    bus.get_connection_unix_process_id(name).await.ok()
}

/// Every host name that BlueZ may give to an adapter: the kernel's, and those that
/// systemd keeps.
async fn host_names(system: &Connection) -> Vec<String> {
    let uname = rustix::system::uname();
    let mut names = vec![uname.nodename().to_string_lossy().into_owned()];
    for property in ["PrettyHostname", "StaticHostname"] {
        let name = property_of(
            system,
            "org.freedesktop.hostname1",
            "/org/freedesktop/hostname1",
            property,
        );
        names.extend(name.await.and_then(|name| String::try_from(name).ok()));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The version of BlueZ's tools. The daemon does not report its own; the tools come
/// with it.
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
type Adapters = BTreeMap<String, (InterfaceProperties, Option<InterfaceProperties>)>;

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

fn clock(synchronised: Option<bool>) -> DoctorCheck {
    match synchronised {
        Some(true) => DoctorCheck::ok("clock", "is synchronised"),
        Some(false) => DoctorCheck::warn(
            "clock",
            "is not synchronised; contacts may have wrong dates",
            "timedatectl set-ntp true",
        ),
        None => DoctorCheck::unchecked("clock", "unknown: systemd-timedated does not answer"),
    }
}

async fn synchronised(system: &Connection) -> Option<bool> {
    let value = property_of(
        system,
        "org.freedesktop.timedate1",
        "/org/freedesktop/timedate1",
        "NTPSynchronized",
    );
    bool::try_from(value.await?).ok()
}

/// A property of a service whose interface has the name of the service.
async fn property_of(
    system: &Connection,
    service: &'static str,
    path: &'static str,
    property: &str,
) -> Option<OwnedVariant> {
    let properties = PropertiesProxy::builder(system)
        .destination(service)
        .path(path)
        .build()
        .await
        .ok()?;
    let interface = service
        .try_into()
        .expect("the literal is an interface name");
    properties.get(interface, property).await.ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use zbus::{Guid, connection};

    use super::super::check::CheckVerdict;
    use super::*;

    /// The names of all checks when no service is running; bluetoothd's file is read
    /// all the same.
    async fn names(mode: Mode) -> Vec<&'static str> {
        let (here, there) = UnixStream::pair().unwrap();
        let empty = connection::Builder::unix_stream(here)
            .server(Guid::generate())
            .p2p()
            .build();
        let asker = connection::Builder::unix_stream(there).p2p().build();
        let (empty, asker) = tokio::try_join!(empty, asker).unwrap();
        // It replies that there is no such object.
        empty.object_server();
        let mut machine = MachineFacts {
            mode: None,
            kernel: String::new(),
            bluez: None,
            clock_synchronised: None,
            adapters: Vec::new(),
        };
        let root = tempfile::tempdir().unwrap();
        let checks = checks(&asker, mode, root.path(), &mut machine).await;
        checks.into_iter().map(|check| check.name).collect()
    }

    #[test]
    fn the_release_that_ends_by_a_neighbour_is_named() {
        let of = |version| running(version).verdict;
        assert_eq!(of(Some("5.87")), CheckVerdict::Warn);
        for version in [None, Some("5.66"), Some("5.82"), Some("5.88")] {
            assert_eq!(of(version), CheckVerdict::Ok, "{version:?}");
        }
        let told = running(Some("5.87"));
        assert!(told.found.contains("version 5.87") && told.cure.is_some());
    }

    #[tokio::test]
    async fn more_is_looked_at_where_others_connect() {
        let [first, more, last] = [
            &["bluetoothd"][..],
            &[
                "restart",
                "main-conf",
                "reverse-lookup",
                "old-devices",
                "interval",
            ],
            &["adapter", "clock"],
        ];
        assert_eq!(names(Mode::Broadcast).await, [first, last].concat());
        let full = [first, more, &["battery"], last, &["sandbox"]].concat();
        assert_eq!(names(Mode::Full).await, full);
        let relay = [first, more, last, &["sandbox"]].concat();
        assert_eq!(names(Mode::Relay).await, relay);
    }
}
