//! Every public change of the daemon is signalled once, and nothing else is.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use tcn_protocol::UnixTime;
use tcnd::daemon::{Cadence, CadenceReason, Consent, Hold, Pause, ProblemDetails, Snapshot, State};
use tcnd::radio::AddressKind;
use tcnd_client::Problem;
use tcnd_client::names;
use tcnd_client::proxy::ManagerProxy;
use zbus::fdo::{ObjectManagerProxy, PropertiesProxy};
use zbus::message::Type;
use zbus::names::InterfaceName;
use zbus::{Connection, MessageStream, OwnedVariant};

use crate::contract;
use crate::harness::{Harness, soon};
use crate::mock_driver::{adapter, busy, idle};

type Values = BTreeMap<String, OwnedVariant>;

/// The next signal: path, member, and of `PropertiesChanged` the interface,
/// what changed, and what was invalidated.
async fn next(stream: &mut MessageStream) -> (String, String, String, Values, Vec<String>) {
    loop {
        let message = soon(stream.next()).await.unwrap().unwrap();
        if message.message_type() != Type::Signal {
            continue;
        }
        let header = message.header();
        let path = header.path().unwrap().to_string();
        let member = header.member().unwrap().to_string();
        let body = message.body();
        let (interface, changed, gone) = body.deserialize().unwrap_or_default();
        return (path, member, interface, changed, gone);
    }
}

async fn all(client: &Connection, path: &str, interface: &'static str) -> Values {
    let properties = PropertiesProxy::builder(client)
        .destination(names::BUS)
        .path(path)
        .build()
        .await
        .unwrap();
    let interface = InterfaceName::from_static_str(interface).unwrap();
    let all = soon(properties.get_all(interface)).await.unwrap();
    all.into_iter().collect()
}

type Change = (&'static [&'static str], fn(&mut Snapshot));

/// Each field of the snapshot, and the properties that depend on it.
const MANAGER: &[Change] = &[
    (&["Enabled"], |now| now.enabled = true),
    (&["State"], |now| now.state = State::Paused),
    (&["ProblemDetails", "Problems"], |now| {
        now.problems
            .insert(Problem::StorageFull, ProblemDetails::default());
    }),
    (&["ProblemDetails"], |now| {
        let details = now.problems.get_mut(&Problem::StorageFull).unwrap();
        details.detail = "database or disk is full".to_owned();
    }),
    (&["Consent"], |now| now.consent = Consent::Withdrawn),
    (&["CurrentTcnSince"], |now| {
        now.airing_since = Some(UnixTime(7));
    }),
    (&["Advertising"], |now| now.advertising = true),
    (&["ScanMode", "ScanModeReason", "Scanning"], |now| {
        now.scanning = true;
    }),
    (&["ScanMode", "ScanModeReason"], |now| {
        now.cadence = (Cadence::Windows, CadenceReason::Battery);
    }),
    (&["Simulated"], |now| now.simulated = true),
    (&["RotationInterval"], |now| {
        now.rotation_interval = Duration::from_secs(60);
    }),
    (&["Retention"], |now| {
        now.retention = Duration::from_secs(60);
    }),
    (&["ReportSources"], |now| now.report_sources = 1),
    (&["PausedUntil"], |now| now.paused = Pause::UntilResumed),
    (&["PausedUntil"], |now| {
        now.paused = Pause::Until(UnixTime(9))
    }),
    (&["PauseHolds"], |now| {
        now.holds.push(Hold {
            cookie: 3,
            until: Pause::UntilResumed,
            reason: "why".to_owned(),
            application_id: "who".to_owned(),
        });
    }),
];

#[tokio::test]
async fn each_change_is_one_signal_with_the_new_values() {
    let harness = Harness::new(idle()).await;
    let mut stream = MessageStream::from(&harness.client);
    for (properties, change) in MANAGER {
        harness.driver.change(change);
        let (path, member, interface, changed, gone) = next(&mut stream).await;
        assert_eq!(
            (path.as_str(), member.as_str(), interface.as_str()),
            (names::ROOT, "PropertiesChanged", names::MANAGER)
        );
        let said: Vec<_> = changed.keys().map(String::as_str).collect();
        assert_eq!(said, *properties);
        assert_eq!(gone, [""; 0]);
        let now = all(&harness.client, names::ROOT, names::MANAGER).await;
        for (name, value) in changed {
            assert_eq!(now[&name], value, "{name}");
        }
    }
}

/// A snapshot with equal values causes no signal; the next one that differs causes the
/// next signal.
#[tokio::test]
async fn no_change_is_no_signal_and_many_are_one() {
    let harness = Harness::new(idle()).await;
    let mut stream = MessageStream::from(&harness.client);
    harness.driver.change(|_| {});
    all(&harness.client, names::ROOT, names::MANAGER).await;
    harness.driver.change(|now| {
        now.enabled = true;
        now.state = State::Running;
        now.advertising = true;
    });
    let (.., changed, _) = next(&mut stream).await;
    let said: Vec<_> = changed.keys().map(String::as_str).collect();
    assert_eq!(said, ["Advertising", "Enabled", "State"]);
}

/// Properties that promise a signal do signal: the introspection lists them.
#[tokio::test]
async fn every_property_that_promises_signals_has_them() {
    let harness = Harness::new(idle()).await;
    let mut stream = MessageStream::from(&harness.client);
    harness.driver.change(|now| *now = busy());
    let (path, member, ..) = next(&mut stream).await;
    assert_eq!(
        (path.as_str(), member.as_str()),
        (names::ROOT, "InterfacesAdded")
    );
    let (_, _, _, changed, _) = next(&mut stream).await;
    let interfaces = contract::served(&harness.client).await;
    let said: Vec<_> = changed.keys().map(String::as_str).collect();
    assert_eq!(said, promised(&interfaces[names::MANAGER]));

    harness.driver.change(|now| {
        let adapter = &mut now.adapters[0];
        adapter.powered = false;
        adapter.selected = false;
        adapter.can_advertise = false;
        adapter.address = AddressKind::Public;
        adapter.instances_free = 1;
        adapter.recoveries = 3;
        adapter.last_problem = Some(Problem::AdapterBlocked);
    });
    let (path, member, interface, changed, _) = next(&mut stream).await;
    let hci0 = names::adapter_path("hci0").unwrap();
    assert_eq!(
        (path.as_str(), member.as_str(), interface.as_str()),
        (hci0.as_str(), "PropertiesChanged", names::ADAPTER)
    );
    let said: Vec<_> = changed.keys().map(String::as_str).collect();
    assert_eq!(said, promised(&interfaces[names::ADAPTER]));
    let now = all(&harness.client, &hci0, names::ADAPTER).await;
    for (name, value) in changed {
        assert_eq!(now[&name], value, "{name}");
    }
}

/// The properties of an interface that signal their changes.
fn promised(members: &contract::Members) -> Vec<&str> {
    members
        .iter()
        .filter(|(_, member)| member.kind == "property" && member.emits() == "true")
        .map(|(name, _)| name.as_str())
        .collect()
}

/// An adapter has its object before the manager refers to it, and keeps it until the
/// manager has stopped to.
#[tokio::test]
async fn adapters_come_and_go() {
    let harness = Harness::new(idle()).await;
    let objects = ObjectManagerProxy::builder(&harness.client)
        .destination(names::BUS)
        .path(names::ROOT)
        .build()
        .await
        .unwrap();
    let managed = async || {
        let managed = soon(objects.get_managed_objects()).await.unwrap();
        let mut paths = Vec::new();
        for (path, on) in managed {
            // Each has one interface, with its properties.
            let [(interface, properties)] = Vec::from_iter(on).try_into().unwrap();
            assert_eq!(interface.as_str(), names::ADAPTER);
            let properties: Values = properties.into_iter().collect();
            assert_eq!(
                properties,
                all(&harness.client, path.as_str(), names::ADAPTER).await
            );
            paths.push(path.to_string());
        }
        paths
    };
    assert_eq!(managed().await, [""; 0]);

    let mut stream = MessageStream::from(&harness.client);
    let hci0 = names::adapter_path("hci0").unwrap();
    harness
        .driver
        .change(|now| now.adapters = vec![adapter("hci0")]);
    let (.., member, _, _, _) = next(&mut stream).await;
    assert_eq!(member, "InterfacesAdded");
    let (.., changed, _) = next(&mut stream).await;
    assert_eq!(changed.keys().collect::<Vec<_>>(), ["Adapter"]);
    assert_eq!(managed().await, [hci0.as_str()]);
    let manager = ManagerProxy::new(&harness.client).await.unwrap();
    assert_eq!(manager.adapter().await.unwrap().as_str(), hci0);

    harness
        .driver
        .change(|now| now.adapters = vec![adapter("no/path")]);
    let (.., changed, _) = next(&mut stream).await;
    assert_eq!(changed.keys().collect::<Vec<_>>(), ["Adapter"]);
    let (.., member, _, _, _) = next(&mut stream).await;
    assert_eq!(member, "InterfacesRemoved");
    assert_eq!(managed().await, [""; 0]);
}
