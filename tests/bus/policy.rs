//! Who may hear and do what, on a bus with the policy we ship: strangers look,
//! polkit decides on the rest, and the current number is out of reach.

use std::collections::BTreeMap;
use std::time::Duration;

use roxmltree::{Document, ParsingOptions};
use tcnd::bus::names::{self, action};
use tokio::time::timeout;
use zbus::fdo::IntrospectableProxy;
use zbus::{Connection, interface};

use crate::authority::{Polkit, Verdict};
use crate::contract;
use crate::private_bus::PrivateBus;
use crate::puppet::busy;
use crate::rig::soon;

const HCI0: &str = "/org/tcncoalition/Tcnd1/adapter/hci0";

/// busctl's words for the bus's own refusal, org.freedesktop.DBus.Error.AccessDenied.
const BUS_REFUSES: &str = "Access denied";

/// Every method: its action, and arguments that are good.
const METHODS: [(&str, &str, &str, &[&str]); 10] = [
    (names::MANAGER, "Enable", action::CONTROL, &["a{sv}", "0"]),
    (names::MANAGER, "Disable", action::CONTROL, &[]),
    (
        names::MANAGER,
        "Pause",
        action::CONTROL,
        &["tsa{sv}", "60", "why", "0"],
    ),
    (names::MANAGER, "Resume", action::CONTROL, &["u", "0"]),
    (names::MANAGER, "Rotate", action::CONTROL, &[]),
    (names::MANAGER, "SelfTest", action::CONTROL, &["a{sv}", "0"]),
    (names::MANAGER, "Reload", action::RELOAD, &["u", "1"]),
    (
        names::CONTACTS,
        "GetSummary",
        action::CONTACTS_READ,
        &["a{sv}", "0"],
    ),
    (
        names::CONTACTS,
        "GetHistogram",
        action::CONTACTS_READ,
        &["ttu", "0", "3600", "3600"],
    ),
    (names::CONTACTS, "GetStatistics", action::CONTACTS_READ, &[]),
];

async fn call(bus: &PrivateBus, on: &str, name: &str, good: &[&str]) -> Result<String, String> {
    let call = ["call", names::BUS, names::ROOT, on, name];
    bus.stranger(&[&call[..], good].concat()).await
}

async fn read(bus: &PrivateBus, path: &str, on: &str, name: &str) -> Result<String, String> {
    bus.stranger(&["get-property", names::BUS, path, on, name])
        .await
}

/// The daemon's members of this kind, `Interface.Member`.
async fn members(connection: &Connection, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (interface, members) in contract::served(connection).await {
        let members = members.iter().filter(|(_, member)| member.kind == kind);
        found.extend(members.map(|(name, _)| format!("{interface}.{name}")));
    }
    found
}

/// Everything a stranger reads, to the letter: what is not here is not told.
#[tokio::test]
async fn a_stranger_reads_every_property_and_no_secret() {
    let version = format!("s \"{}\"", env!("CARGO_PKG_VERSION"));
    let hci0 = format!("o \"{HCI0}\"");
    let holds = r#"aa{sv} 1 2 "reason" s "in a meeting" "application_id" s "org.example.Diary""#;
    let adapter = [
        ("AdvInstancesFree", "y 4"),
        ("CanAdvertise", "b true"),
        ("LastProblem", "s \"adapter-off\""),
        ("Name", "s \"hci0\""),
        ("Powered", "b true"),
        ("PrivateAddress", "s \"nrpa\""),
        ("RecoveryCount", "u 2"),
        ("Selected", "b true"),
    ];
    let manager = [
        ("Adapter", hci0.as_str()),
        ("Advertising", "b true"),
        ("ApiLevel", "u 1"),
        ("CurrentTcnAge", "u 61"),
        ("Enabled", "b true"),
        ("Features", "as 0"),
        ("PauseHolds", holds),
        ("PausedUntil", "t 1800000000"),
        ("Problems", "as 2 \"scan-failed\" \"crowded\""),
        ("ReportsCheckedAt", "t 0"),
        ("RotationInterval", "u 600"),
        ("ScanMode", "s \"active\""),
        ("Scanning", "b true"),
        ("Simulated", "b true"),
        ("State", "s \"degraded\""),
        ("Version", &version),
    ];
    let log_control = [
        ("LogLevel", "s \"notice\""),
        ("LogTarget", "s \"journal\""),
        ("SyslogIdentifier", "s \"tcnd\""),
    ];
    let expected = [
        (HCI0, names::ADAPTER, &adapter[..]),
        (names::ROOT, names::MANAGER, &manager[..]),
        (
            names::LOG_CONTROL_PATH,
            names::LOG_CONTROL,
            &log_control[..],
        ),
    ];
    let bus = PrivateBus::start();
    let (_daemon, _puppet, _log) = bus.serve(busy()).await;
    let mut seen = Vec::new();
    for (path, on, values) in expected {
        for (name, value) in values {
            let read = read(&bus, path, on, name).await.unwrap();
            assert_eq!(words(&read), words(value), "{on}.{name}");
            seen.push(format!("{on}.{name}"));
        }
    }
    seen.sort();
    let mut all = members(&bus.connect().await, "property").await;
    all.sort();
    assert_eq!(seen, all, "the list above is complete");
}

/// The words of a value; a dictionary has no order.
fn words(value: &str) -> Vec<&str> {
    let mut words: Vec<_> = value.split_whitespace().collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn every_method_asks_polkit_and_obeys() {
    let bus = PrivateBus::start();
    let mut polkit = Polkit::serve(bus.connect().await, Verdict::Deny).await;
    let (_daemon, mut puppet, _log) = bus.serve(busy()).await;
    for (on, name, action, good) in METHODS {
        let refusal = call(&bus, on, name, good).await.unwrap_err();
        let said = format!("you may not do this ({action})");
        assert!(refusal.contains(&said), "{name}: {refusal}");
        assert_eq!(polkit.asked().await, action, "{name}");
    }
    assert_eq!(puppet.heard(), [""; 0], "nothing reached the daemon");

    polkit.verdict.send_replace(Verdict::Allow);
    for (on, name, action, good) in METHODS {
        call(&bus, on, name, good).await.unwrap();
        assert_eq!(polkit.asked().await, action, "{name}");
    }
    assert_eq!(puppet.heard().len(), METHODS.len());
    let mut listed: Vec<_> = METHODS
        .map(|(on, name, ..)| format!("{on}.{name}"))
        .to_vec();
    listed.sort();
    let mut all = members(&bus.connect().await, "method").await;
    all.sort();
    assert_eq!(listed, all, "the list of methods is complete");
}

/// The bus lets everyone send Properties.Set, so the setters ask.
#[tokio::test]
async fn the_log_is_set_by_those_who_may() {
    let bus = PrivateBus::start();
    let polkit = Polkit::serve(bus.connect().await, Verdict::Deny).await;
    let (_daemon, _puppet, log) = bus.serve(busy()).await;
    let (path, on) = (names::LOG_CONTROL_PATH, names::LOG_CONTROL);
    let settings = [("LogLevel", "debug"), ("LogTarget", "journal")];
    let set = async |(name, value)| {
        let set = ["set-property", names::BUS, path, on, name, "s", value];
        bus.stranger(&set).await
    };
    for setting in settings {
        let refusal = set(setting).await.unwrap_err();
        assert!(refusal.contains(action::RELOAD), "{refusal}");
    }
    assert_eq!(log.read(), [""; 0]);
    polkit.verdict.send_replace(Verdict::Allow);
    for setting in settings {
        set(setting).await.unwrap();
    }
    assert_eq!(log.read(), ["level debug", "target journal"]);
}

#[tokio::test]
async fn a_polkit_that_hangs_stops_no_reader() {
    let bus = PrivateBus::start();
    let mut polkit = Polkit::serve(bus.connect().await, Verdict::Hang).await;
    let (_daemon, mut puppet, _log) = bus.serve(busy()).await;
    let waits = call(&bus, names::MANAGER, "Rotate", &[]);
    let reads = async {
        assert_eq!(polkit.asked().await, action::CONTROL);
        for name in ["State", "CurrentTcnAge"] {
            let read = read(&bus, names::ROOT, names::MANAGER, name);
            let read = timeout(Duration::from_secs(2), read).await;
            read.expect("two seconds are enough").unwrap();
        }
        assert_eq!(puppet.heard(), ["TcnAge"], "the call still waits");
        polkit.verdict.send_replace(Verdict::Allow);
    };
    let (waited, ()) = tokio::join!(waits, reads);
    waited.unwrap();
    assert_eq!(puppet.heard(), ["Rotate"]);
}

#[tokio::test]
async fn the_name_is_not_for_strangers() {
    let bus = PrivateBus::start();
    let (to, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    let request = ["call", to, path, to, "RequestName", "su", names::BUS, "4"];
    let refusal = bus.stranger(&request).await.unwrap_err();
    assert!(refusal.ends_with(BUS_REFUSES), "{refusal}");
    let _daemon = bus.serve(busy()).await; // who may, gets it
}

struct Advertisement;

#[interface(name = "org.bluez.LEAdvertisement1")]
impl Advertisement {
    #[zbus(property)]
    fn service_data(&self) -> Vec<u8> {
        vec![7; 16]
    }
}

/// The policy opens Properties of every object on the connection that has our
/// name; the advertisement, with the number in it, is on another.
#[tokio::test]
async fn the_number_on_the_air_is_out_of_reach() {
    const PATH: &str = "/org/bluez/advertisement";
    let bus = PrivateBus::start();
    let (named, _puppet, _log) = bus.serve(busy()).await;
    let radio = bus.connect().await;
    let server = radio.object_server();
    server.at(PATH, Advertisement).await.unwrap();
    let there = radio.unique_name().unwrap().as_str();
    let on = "org.bluez.LEAdvertisement1";

    let get = ["get-property", there, PATH, on, "ServiceData"];
    let refusal = bus.stranger(&get).await.unwrap_err();
    assert!(refusal.ends_with(BUS_REFUSES), "{refusal}");
    let release = ["call", there, PATH, on, "Release"];
    let refusal = bus.stranger(&release).await.unwrap_err();
    assert!(refusal.ends_with(BUS_REFUSES), "{refusal}");
    let owned = ["get-property", names::BUS, PATH, on, "ServiceData"];
    bus.stranger(&owned).await.unwrap_err();

    // bluetoothd, which is root, gets it: so it is there to be refused.
    let bluetoothd = bus.connect().await;
    let properties = Some("org.freedesktop.DBus.Properties");
    let asked = (on, "ServiceData");
    let get = bluetoothd.call_method(Some(there), PATH, properties, "Get", &asked);
    soon(get).await.unwrap();

    let shown = walk(&bluetoothd, named.unique_name().unwrap().as_str()).await;
    assert!(shown.contains_key(HCI0), "the walk finds what there is");
    for (path, xml) in shown {
        assert!(!xml.contains("org.bluez"), "{path}: {xml}");
        assert!(!path.contains("bluez"), "{path}");
    }
}

/// What each object of `destination` says of itself, by path.
async fn walk(connection: &Connection, destination: &str) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let mut paths = vec!["/".to_owned()];
    while let Some(path) = paths.pop() {
        let object = IntrospectableProxy::builder(connection)
            .destination(destination)
            .path(path.clone())
            .build()
            .await
            .unwrap();
        let xml = soon(object.introspect()).await.unwrap();
        let options = ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(&xml, options).unwrap();
        let nodes = document.root_element().children();
        let names = nodes.filter(|node| node.has_tag_name("node"));
        let above = path.trim_end_matches('/');
        paths.extend(names.map(|node| format!("{above}/{}", node.attribute("name").unwrap())));
        shown.insert(path, xml);
    }
    shown
}
