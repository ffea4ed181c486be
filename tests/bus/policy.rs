//! The permissions: every member, every kind of caller, on a bus that has the policy we
//! ship.

use std::collections::BTreeMap;

use tcnd::bus::{self, Bouncer, ServeError};
use tcnd_client::names;
use tcnd_client::proxy::{ContactsProxy, ManagerProxy, PrivacyProxy};
use tempfile::TempDir;
use zbus::fdo::{ObjectManagerProxy, PeerProxy};
use zbus::{Connection, interface};

use crate::contract::{parse_document, served};
use crate::harness::{LogRecorder, service, soon};
use crate::members::{call, error_name};
use crate::mock_driver::{MockDriver, busy};
use crate::polkit::{MEMBER, Polkit, Verdict};
use crate::system_bus::{ROOT, STRANGER, SYNC, SystemBus, TCND};

const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Calls, reads and writes every member of the daemon.
async fn try_everything(client: &Connection) -> BTreeMap<String, String> {
    let mut outcomes = BTreeMap::new();
    for (interface, members) in served(client).await {
        let short = interface.rsplit('.').next().unwrap();
        for (name, member) in members {
            let mut note = |verb: &str, answer: zbus::Result<zbus::Message>| {
                let outcome = answer.map_or_else(short_error, |_| "ok".to_owned());
                outcomes.insert(format!("{verb} {short}.{name}"), outcome);
            };
            if member.kind == "method" {
                let signature = member.signature();
                note(
                    "call",
                    soon(call(client, &interface, &name, &signature)).await,
                );
            } else if member.kind == "property" {
                note(
                    "read",
                    read(client, path_of(&interface), &interface, &name).await,
                );
                note(
                    "write",
                    write(client, &interface, &name, member.value_type()).await,
                );
            }
        }
    }
    outcomes
}

fn short_error(error: zbus::Error) -> String {
    let name = error_name::<()>(Err(error));
    name.rsplit('.').next().unwrap().to_owned()
}

fn path_of(interface: &str) -> String {
    match interface {
        names::LOG_CONTROL => names::LOG_CONTROL_PATH.to_owned(),
        names::ADAPTER => names::adapter_path("hci0").unwrap(),
        _ => names::ROOT.to_owned(),
    }
}

async fn read(
    client: &Connection,
    path: String,
    interface: &str,
    name: &str,
) -> zbus::Result<zbus::Message> {
    let asked = (interface, name);
    let to = Some(names::BUS);
    soon(client.call_method(to, path.as_str(), Some(PROPERTIES), "Get", &asked)).await
}

/// Writes a value of the right type, which is good for LogControl1.
async fn write(
    client: &Connection,
    interface: &str,
    name: &str,
    signature: &str,
) -> zbus::Result<zbus::Message> {
    let value: zbus::Variant<'_> = match (name, signature) {
        ("LogLevel", _) => "debug".into(),
        ("LogTarget", _) => "journal".into(),
        (_, "b") => true.into(),
        (_, "u") => 0_u32.into(),
        (_, "t") => 0_u64.into(),
        (_, "y") => 0_u8.into(),
        _ => "".into(),
    };
    let asked = (interface, name, value);
    let (to, path) = (Some(names::BUS), path_of(interface));
    soon(client.call_method(to, path.as_str(), Some(PROPERTIES), "Set", &asked)).await
}

/// The whole table: every member of every interface, and the result for each kind of
/// caller: an unrelated user, a member of the group at the machine, the daemon's own
/// user, `tcnd-sync`, and root.
#[tokio::test]
async fn every_member_and_every_caller() {
    let bus = SystemBus::new();
    let _polkit = Polkit::serve(bus.connect(ROOT).await, Verdict::Rules).await;
    let _served = bus.serve(busy()).await;
    let mut results = Vec::new();
    for caller in [STRANGER, MEMBER, TCND, SYNC, ROOT] {
        results.push(try_everything(&bus.connect(caller).await).await);
    }
    let table: String = results[0]
        .keys()
        .filter_map(|what| {
            let results = results.iter().map(|results| &results[what]);
            let results: Vec<_> = results.map(|result| format!("{result:17}")).collect();
            let results = results.concat();
            let is_read_only = what.starts_with("write ") && results == READ_ONLY.repeat(5);
            (!is_read_only).then(|| format!("{what:36}{}\n", results.trim_end()))
        })
        .collect();
    assert_eq!(table, TABLE);
    assert!(results.iter().all(|each| each.len() == results[0].len()));
}

/// The result of a write to a property that has no setter, in the table.
const READ_ONLY: &str = "UnknownProperty  ";

/// All members but those writes. So this is also the list of everything that the bus
/// shows to every user: nothing about contacts, no number, no address. A developer who
/// adds a property adds it here, after considering who reads it.
const TABLE: &str = "\
call Contacts.CountNearby           NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Contacts.Erase                 NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Contacts.ExportLog             NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Contacts.GetActivity           NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Contacts.GetHistogram          NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Contacts.GetPresence           NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Contacts.GetStatistics         NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Contacts.GetSummary            NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exchange.Begin                 AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exchange.Deliver               AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exchange.End                   AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exchange.Pending               AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exchange.Record                AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exchange.SettlePart            AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exchange.TakePart              AccessDenied     AccessDenied     AccessDenied     ok               AccessDenied
call Exposures.Dismiss              NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.Get                  NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.GetSummary           NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.List                 NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.MarkSeen             NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.Restore              NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.Subscribe            NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Exposures.Unsubscribe          NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Manager.ConfirmClock           NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Manager.Disable                NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Manager.Enable                 NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Manager.Pause                  NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Manager.Reload                 NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Manager.Resume                 NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Manager.Rotate                 NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Manager.SelfTest               NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Privacy.WipeAll                NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.CancelPublish          NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.Check                  NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Reports.Create                 NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.Delete                 NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.Export                 NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.Import                 NotAuthorized    ok               NotAuthorized    NotAuthorized    ok
call Reports.List                   NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.Preview                NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
call Reports.Publish                NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
read Adapter.AdvInstancesFree       ok               ok               ok               ok               ok
read Adapter.CanAdvertise           ok               ok               ok               ok               ok
read Adapter.LastProblem            ok               ok               ok               ok               ok
read Adapter.Name                   ok               ok               ok               ok               ok
read Adapter.Powered                ok               ok               ok               ok               ok
read Adapter.PrivateAddress         ok               ok               ok               ok               ok
read Adapter.RecoveryCount          ok               ok               ok               ok               ok
read Adapter.Selected               ok               ok               ok               ok               ok
read LogControl1.LogLevel           ok               ok               ok               ok               ok
read LogControl1.LogTarget          ok               ok               ok               ok               ok
read LogControl1.SyslogIdentifier   ok               ok               ok               ok               ok
read Manager.Adapter                ok               ok               ok               ok               ok
read Manager.Advertising            ok               ok               ok               ok               ok
read Manager.ApiLevel               ok               ok               ok               ok               ok
read Manager.Consent                ok               ok               ok               ok               ok
read Manager.CurrentTcnAge          ok               ok               ok               ok               ok
read Manager.CurrentTcnSince        ok               ok               ok               ok               ok
read Manager.Enabled                ok               ok               ok               ok               ok
read Manager.Features               ok               ok               ok               ok               ok
read Manager.Mode                   ok               ok               ok               ok               ok
read Manager.PauseHolds             ok               ok               ok               ok               ok
read Manager.PausedUntil            ok               ok               ok               ok               ok
read Manager.ProblemDetails         ok               ok               ok               ok               ok
read Manager.Problems               ok               ok               ok               ok               ok
read Manager.ReportSources          ok               ok               ok               ok               ok
read Manager.ReportsCheckedAt       ok               ok               ok               ok               ok
read Manager.Retention              ok               ok               ok               ok               ok
read Manager.RotationInterval       ok               ok               ok               ok               ok
read Manager.ScanMode               ok               ok               ok               ok               ok
read Manager.ScanModeReason         ok               ok               ok               ok               ok
read Manager.Scanning               ok               ok               ok               ok               ok
read Manager.Simulated              ok               ok               ok               ok               ok
read Manager.State                  ok               ok               ok               ok               ok
read Manager.Version                ok               ok               ok               ok               ok
write LogControl1.LogLevel          NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
write LogControl1.LogTarget         NotAuthorized    NotAuthorized    NotAuthorized    NotAuthorized    ok
";

/// The interfaces that all objects have are open. The bus refuses members that are on
/// no list, before the daemon sees the call.
#[tokio::test]
async fn the_bus_opens_what_it_lists_and_nothing_else() {
    let bus = SystemBus::new();
    let served = bus.serve(busy()).await;
    let stranger = bus.connect(STRANGER).await;
    let to = names::BUS;
    let objects = ObjectManagerProxy::new(&stranger, to, names::ROOT)
        .await
        .unwrap();
    assert!(
        !soon(objects.get_managed_objects())
            .await
            .unwrap()
            .is_empty()
    );
    let peer = PeerProxy::new(&stranger, to, names::ROOT).await.unwrap();
    soon(peer.ping()).await.unwrap();
    let unique = served.connection.unique_name().unwrap().as_str();
    for to in [to, unique] {
        for interface in [
            "org.bluez.LEAdvertisement1",
            "org.freedesktop.DBus.Debug.Stats",
            names::ADAPTER,
        ] {
            let call = stranger.call_method(Some(to), names::ROOT, Some(interface), "X", &());
            assert_eq!(
                error_name(soon(call).await),
                ACCESS_DENIED,
                "{to} {interface}"
            );
        }
        let bare = stranger.call_method(Some(to), names::ROOT, None::<&str>, "Enable", &());
        assert_eq!(error_name(soon(bare).await), ACCESS_DENIED, "{to}");
    }
}

/// The object that BlueZ makes a program export: with the number in a property.
struct Advertisement;

#[interface(name = "org.bluez.LEAdvertisement1")]
impl Advertisement {
    #[zbus(property)]
    fn service_data(&self) -> Vec<u8> {
        vec![0xc0, 0x19]
    }
}

/// The number on the air is on no object that a user can reach. A connection without a
/// name is closed to users, and the one with the name does not have the number.
#[tokio::test]
async fn the_objects_for_bluez_are_out_of_reach() {
    let bus = SystemBus::new();
    let served = bus.serve(busy()).await;
    let radio = bus.connect(TCND).await;
    let path = "/org/bluez/advert";
    radio.object_server().at(path, Advertisement).await.unwrap();
    let unique = radio.unique_name().unwrap().as_str();
    let ask = async |uid| {
        let client = bus.connect(uid).await;
        let asked = ("org.bluez.LEAdvertisement1", "ServiceData");
        let answer = client.call_method(Some(unique), path, Some(PROPERTIES), "Get", &asked);
        soon(answer).await
    };
    assert_eq!(error_name(ask(STRANGER).await), ACCESS_DENIED);
    ask(ROOT).await.expect("bluetoothd is root, and reads it");

    let stranger = bus.connect(STRANGER).await;
    let named = served.connection.unique_name().unwrap().as_str();
    let mut paths = vec!["/".to_owned()];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        let introspectable = Some("org.freedesktop.DBus.Introspectable");
        let at = path.as_str();
        let call = stranger.call_method(Some(named), at, introspectable, "Introspect", &());
        let answer = soon(call).await.unwrap();
        let xml: String = answer.body().deserialize().unwrap();
        assert!(!xml.contains("org.bluez"), "{path}");
        paths.extend(children(&path, &xml));
        seen += 1;
    }
    assert!(seen >= 6, "the walk found the objects");
}

/// The paths below `path` that its introspection lists.
fn children(path: &str, xml: &str) -> Vec<String> {
    let above = path.trim_end_matches('/');
    let document = parse_document(xml);
    let nodes = document.root_element().children();
    nodes
        .filter(|node| node.has_tag_name("node"))
        .map(|node| format!("{above}/{}", node.attribute("name").unwrap()))
        .collect()
}

/// Without polkit, on a bus that is not the system bus, the daemon obeys the user that
/// runs it. Root may stop it and destroy its data, and no more.
#[tokio::test]
async fn a_daemon_started_by_hand_obeys_its_user() {
    let bus = SystemBus::new();
    let server = bus.attach(TCND).await;
    let bouncer = Bouncer::same_user(TCND);
    let mut served = bus.serve_with(server, busy(), bouncer).await;
    for (uid, fate) in [
        (STRANGER, Some(names::error::NOT_AUTHORIZED)),
        (ROOT, Some(names::error::NOT_AUTHORIZED)),
        (TCND, None),
    ] {
        let client = bus.connect(uid).await;
        let manager = ManagerProxy::new(&client).await.unwrap();
        let answer = soon(manager.rotate()).await;
        assert_eq!(answer.is_ok(), fate.is_none(), "{uid}");
        if let Some(name) = fate {
            assert_eq!(error_name(answer), name);
        }
    }
    assert_eq!(served.driver.heard(), ["Rotate"]);
    withdraws(&bus.connect(ROOT).await).await;
    assert_eq!(served.driver.heard(), ["Disable", "Erase 0 1", "Wipe"]);
}

/// On a system without polkit, or with one that hangs, no caller can be authorised.
#[tokio::test]
async fn root_withdraws_and_destroys_without_polkit() {
    let bus = SystemBus::new();
    let mut served = bus.serve(busy()).await;
    let root = bus.connect(ROOT).await;
    withdraws(&root).await;
    assert_eq!(served.driver.heard(), ["Disable", "Erase 0 1", "Wipe"]);
    let manager = ManagerProxy::new(&root).await.unwrap();
    let enable = soon(manager.enable(Default::default())).await;
    assert_eq!(error_name(enable), names::error::NOT_AUTHORIZED);

    let stranger = bus.connect(STRANGER).await;
    let manager = ManagerProxy::new(&stranger).await.unwrap();
    let disable = soon(manager.disable()).await;
    assert_eq!(error_name(disable), names::error::NOT_AUTHORIZED);
    served.driver.heard_nothing();
}

/// Withdraws consent, erases a span, and wipes.
async fn withdraws(client: &Connection) {
    let manager = ManagerProxy::new(client).await.unwrap();
    soon(manager.disable()).await.unwrap();
    let contacts = ContactsProxy::new(client).await.unwrap();
    soon(contacts.erase(0, 1)).await.unwrap();
    let privacy = PrivacyProxy::new(client).await.unwrap();
    let wipe = privacy.wipe_all(names::WIPE_PHRASE, Default::default());
    soon(wipe).await.unwrap();
}

async fn fault(connection: Connection) -> ServeError {
    let (handle, _driver) = MockDriver::new(busy());
    let log = std::sync::Arc::new(LogRecorder::default());
    let bouncer = Bouncer::same_user(TCND);
    let state = TempDir::new().unwrap();
    let service = service(handle, bouncer, log, &state);
    // A daemon that waited for the name to become free would wait forever.
    match soon(bus::serve(connection, service)).await {
        Err(fault) => fault,
        Ok(_) => panic!("two daemons have one name"),
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_had() {
    let bus = SystemBus::new();
    let refused = fault(bus.connect(STRANGER).await).await;
    assert!(matches!(refused, ServeError::NameRefused(_)), "{refused:?}");
    let _served = bus.serve(busy()).await;
    let taken = fault(bus.connect(TCND).await).await;
    assert!(matches!(taken, ServeError::NameTaken), "{taken:?}");
}

/// The forwarder ends with the daemon, and with the bus.
#[tokio::test]
async fn serving_ends() {
    let bus = SystemBus::new();
    let serve = async || {
        let connection = bus.connect(TCND).await;
        let (handle, driver) = MockDriver::new(busy());
        let log = std::sync::Arc::new(LogRecorder::default());
        let bouncer = Bouncer::same_user(TCND);
        let state = TempDir::new().unwrap();
        let service = service(handle, bouncer, log, &state);
        let forward = bus::serve(connection.clone(), service).await;
        (forward.unwrap(), driver, connection)
    };
    let (forward, driver, connection) = serve().await;
    drop(driver);
    assert!(soon(forward).await.is_ok());
    connection.close().await.unwrap();

    let (forward, _driver, _connection) = serve().await;
    drop(bus);
    assert!(matches!(soon(forward).await, Err(ServeError::Closed)));
}
