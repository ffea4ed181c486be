//! `tcnctl doctor` on simulated machines: BlueZ and the clock are mocks on the same
//! private bus, which is the system bus for the doctor.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};
use zbus::{Connection, fdo, interface};

use crate::mock_tcnd::{MockTcnd, busy, idle, run};
use crate::{assert_contains, assert_contains_all, text};

/// An adapter as BlueZ shows it.
pub(crate) struct Adapter {
    powered: bool,
    discoverable: bool,
    power_state: &'static str,
}

#[interface(name = "org.bluez.Adapter1")]
impl Adapter {
    #[zbus(property)]
    fn powered(&self) -> bool {
        self.powered
    }

    #[zbus(property)]
    fn discoverable(&self) -> bool {
        self.discoverable
    }

    #[zbus(property)]
    fn power_state(&self) -> &str {
        self.power_state
    }

    #[zbus(property)]
    fn alias(&self) -> &str {
        "kiosk"
    }
}

/// Its advertising capabilities.
pub(crate) struct Adverts {
    active: u8,
    free: u8,
    channels: Vec<&'static str>,
}

#[interface(name = "org.bluez.LEAdvertisingManager1")]
impl Adverts {
    #[zbus(property)]
    fn active_instances(&self) -> u8 {
        self.active
    }

    #[zbus(property)]
    fn supported_instances(&self) -> u8 {
        self.free
    }

    #[zbus(property)]
    fn supported_secondary_channels(&self) -> Vec<&str> {
        self.channels.clone()
    }
}

struct Clock(bool);

#[interface(name = "org.freedesktop.timedate1")]
impl Clock {
    #[zbus(property, name = "NTPSynchronized")]
    fn ntp_synchronized(&self) -> bool {
        self.0
    }
}

/// An adapter that the kernel does not have on any test machine: the tests in a virtual
/// machine cover the kernel's answers.
const HCI: &str = "/org/bluez/hci60000";

pub(crate) const FIT: Adapter = Adapter {
    powered: true,
    discoverable: false,
    power_state: "on",
};

pub(crate) fn extended() -> Adverts {
    Adverts {
        active: 0,
        free: 4,
        channels: vec!["1M", "2M"],
    }
}

/// Puts BlueZ on the bus of `it`.
pub(crate) async fn bluez(
    it: &MockTcnd,
    adapter: Option<(Adapter, Option<Adverts>)>,
) -> Connection {
    let bluez = it.connect().await;
    let server = bluez.object_server();
    server.at("/", fdo::ObjectManager).await.unwrap();
    if let Some((adapter, adverts)) = adapter {
        server.at(HCI, adapter).await.unwrap();
        if let Some(adverts) = adverts {
            server.at(HCI, adverts).await.unwrap();
        }
    }
    bluez.request_name("org.bluez").await.unwrap();
    bluez
}

async fn clock(it: &MockTcnd, synchronised: bool) -> Connection {
    let clock = it.connect().await;
    let path = "/org/freedesktop/timedate1";
    let server = clock.object_server();
    server.at(path, Clock(synchronised)).await.unwrap();
    let name = "org.freedesktop.timedate1";
    clock.request_name(name).await.unwrap();
    clock
}

async fn doctor(it: &MockTcnd, words: &[&str]) -> Output {
    let mut command = it.command(&[&["doctor"], words].concat());
    command.env("DBUS_SYSTEM_BUS_ADDRESS", &it.fixture.address);
    run(command).await
}

/// The printed document. Failures must come with exit status 1, and every check that is
/// not `ok` with a cure.
async fn findings(it: &MockTcnd) -> Value {
    let output = doctor(it, &["--json"]).await;
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = findings["checks"].as_array().unwrap();
    let failed = checks.iter().any(|check| check["verdict"] == "fail");
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{findings}");
    assert_eq!(findings["ok"], !failed);
    for check in checks {
        let bad = check["verdict"] == "warn" || check["verdict"] == "fail";
        assert_eq!(check["cure"].is_string(), bad, "{check}");
    }
    findings
}

/// Verdicts by the name of the check.
async fn verdicts(it: &MockTcnd) -> BTreeMap<String, String> {
    let findings = findings(it).await;
    let checks = findings["checks"].as_array().unwrap();
    let of = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    checks
        .iter()
        .map(|check| (of(check, "name"), of(check, "verdict")))
        .collect()
}

#[tokio::test]
async fn a_fit_machine_passes() {
    let it = MockTcnd::new(idle()).await;
    let _bluez = bluez(&it, Some((FIT, Some(extended())))).await;
    let _clock = clock(&it, true).await;
    it.driver.change(|shown| shown.enabled = true);
    let verdicts = verdicts(&it).await;
    let all = |name: &str| verdicts[name].as_str();
    for name in [
        "mode",
        "kernel",
        "bluetoothd",
        "adapter",
        "discoverable",
        "advertising",
        "name",
        "clock",
        "tcnd",
        "consent",
    ] {
        assert_eq!(all(name), "ok", "{name}");
    }
    assert_eq!(
        all("privacy"),
        "unchecked",
        "it was not checked, and must not be reported as ok"
    );
    for name in ["main-conf", "battery", "controller", "sandbox"] {
        assert!(!verdicts.contains_key(name), "{name} is of other modes");
    }
    let said = text(&doctor(&it, &[]).await.stdout);
    assert_contains(&said, "hci60000 has extended advertising, 0 in use, 4 free");
    assert!(said.ends_with("\nNo check failed.\n"), "{said}");
}

#[tokio::test]
async fn the_facts_are_told_beside_the_verdicts() {
    let it = MockTcnd::new(idle()).await;
    let discoverable = Adapter {
        discoverable: true,
        ..FIT
    };
    let _bluez = bluez(&it, Some((discoverable, Some(extended())))).await;
    let _clock = clock(&it, false).await;
    let findings = findings(&it).await;
    let expected = json!([{
        "name": "hci60000",
        "powered": true,
        "discoverable": true,
        "advertising": "extended",
        "privacy": null,
    }]);
    assert_eq!(findings["adapters"], expected);
    assert_eq!(findings["clock_synchronised"], false);
    assert_eq!(findings["mode"], "broadcast");
    let kernel = findings["kernel"].as_str().unwrap();
    assert!(kernel.starts_with(|c: char| c.is_ascii_digit()), "{kernel}");
}

/// The checks for a machine with this adapter.
async fn is_told(
    adapter: Option<(Adapter, Option<Adverts>)>,
    name: &str,
    verdict: &str,
    said: &str,
) {
    let it = MockTcnd::new(idle()).await;
    let _bluez = bluez(&it, adapter).await;
    assert_eq!(verdicts(&it).await[name], verdict, "{said}");
    let shown = text(&doctor(&it, &[]).await.stdout);
    assert_contains(&shown, said);
}

#[tokio::test]
async fn an_adapter_that_cannot_be_used_is_named() {
    let off = |power_state| Adapter {
        powered: false,
        power_state,
        ..FIT
    };
    let discoverable = Adapter {
        discoverable: true,
        ..FIT
    };
    let with = |adapter| Some((adapter, Some(extended())));
    is_told(None, "adapter", "fail", "there is no Bluetooth adapter").await;
    is_told(with(off("off")), "adapter", "fail", "bluetoothctl power on").await;
    is_told(
        with(off("off-blocked")),
        "adapter",
        "fail",
        "rfkill unblock",
    )
    .await;
    is_told(
        with(discoverable),
        "discoverable",
        "fail",
        "discoverable off",
    )
    .await;
}

#[tokio::test]
async fn an_adapter_that_cannot_broadcast_is_named() {
    let legacy = |active| Adverts {
        active,
        free: 0,
        channels: Vec::new(),
    };
    let with = |adverts| Some((FIT, adverts));
    is_told(
        with(None),
        "advertising",
        "fail",
        "hci60000 cannot broadcast",
    )
    .await;
    is_told(
        with(Some(legacy(5))),
        "advertising",
        "warn",
        "legacy advertising, 5 in use",
    )
    .await;
    is_told(with(Some(legacy(0))), "advertising", "fail", "0 free").await;
}

#[tokio::test]
async fn a_clock_that_drifts_is_a_warning_and_an_unknown_one_is_unchecked() {
    let it = MockTcnd::new(idle()).await;
    assert_eq!(verdicts(&it).await["clock"], "unchecked");
    let _clock = clock(&it, false).await;
    assert_eq!(verdicts(&it).await["clock"], "warn");
}

#[tokio::test]
async fn it_helps_without_bluez_and_without_tcnd() {
    let it = MockTcnd::new(idle()).await;
    it.leave().await;
    let verdicts = verdicts(&it).await;
    assert_eq!(verdicts["bluetoothd"], "fail");
    assert_eq!(verdicts["tcnd"], "fail");
    let mut command = it.command(&["doctor"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert_contains_all(&shown, &["FAIL  system-bus", "FAIL  tcnd"]);
}

#[tokio::test]
async fn the_daemons_own_problems_are_told_with_their_cures() {
    let it = MockTcnd::new(busy()).await;
    let shown = text(&doctor(&it, &[]).await.stdout);
    assert_contains(&shown, "FAIL  problem        scan-failed: ");
    assert_contains(
        &shown,
        "(error: starting discovery: org.bluez.Error.NotReady)",
    );
    assert_contains(&shown, "runs, with simulated devices nearby");
    it.driver.change(|shown| shown.enabled = false);
    assert_eq!(verdicts(&it).await["consent"], "warn");
}
