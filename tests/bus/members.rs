//! Every member, as a client uses it: what reaches the daemon, what comes back, and
//! which error the client gets.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::OwnedFd;

use tcn_protocol::memo::MemoConcern;
use tcnd::bus::Bouncer;
use tcnd::daemon::{Consent, ProblemDetails, Refusal, State};
use tcnd::radio::{AddressKind, Mode};
use tcnd_client::Problem;
use tcnd_client::names;
use tcnd_client::proxy::{AdapterProxy, ContactsProxy, ManagerProxy, PauseHold};
use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::{DBusError, Fd, OwnedVariant, Variant};

use crate::contract::served;
use crate::harness::{Harness, own_uid, serving, soon};
use crate::mock_driver::{COOKIE, busy, idle};
use crate::system_bus::{ROOT, STRANGER};

/// The name of the error a call ended with.
pub(crate) fn error_name<T: std::fmt::Debug>(answer: zbus::Result<T>) -> String {
    let error = answer.unwrap_err();
    if let zbus::Error::FDO(error) = &error {
        return error.name().to_string();
    }
    let zbus::Error::MethodError(name, Some(text), _) = error else {
        panic!("no answer from the daemon: {error}");
    };
    assert!(text.len() > 10, "{name} says why");
    name.to_string()
}

pub(crate) fn none() -> HashMap<&'static str, Variant<'static>> {
    HashMap::new()
}

pub(crate) fn options<const N: usize>(
    options: [(&'static str, Variant<'static>); N],
) -> HashMap<&'static str, Variant<'static>> {
    options.into()
}

#[tokio::test]
async fn properties_of_the_manager() {
    let (_harness, manager) = serving::<ManagerProxy<'_>>(busy()).await;
    assert_eq!(manager.version().await.unwrap(), env!("CARGO_PKG_VERSION"));
    assert_eq!(manager.api_level().await.unwrap(), 9);
    assert_eq!(
        manager.features().await.unwrap(),
        ["import", "export", "publish", "check"]
    );
    assert!(manager.enabled().await.unwrap());
    assert_eq!(manager.consent().await.unwrap(), "given");
    let since = manager.current_tcn_since().await.unwrap();
    assert_eq!(since, 1_795_000_100);
    assert_eq!(manager.state().await.unwrap(), "degraded");
    assert_eq!(
        manager.problems().await.unwrap(),
        ["scan-failed", "crowded"]
    );
    assert_eq!(manager.mode().await.unwrap(), "full");
    assert!(manager.advertising().await.unwrap());
    assert!(manager.scanning().await.unwrap());
    assert_eq!(manager.scan_mode().await.unwrap(), "windows");
    assert_eq!(manager.scan_mode_reason().await.unwrap(), "battery");
    assert!(manager.simulated().await.unwrap());
    let hci0 = names::adapter_path("hci0").unwrap();
    assert_eq!(manager.adapter().await.unwrap().as_str(), hci0);
    assert_eq!(manager.current_tcn_age().await.unwrap(), 61);
    assert_eq!(manager.rotation_interval().await.unwrap(), 600);
    assert_eq!(manager.paused_until().await.unwrap(), 1_800_000_000);
    let hold = PauseHold {
        reason: "in a meeting".to_owned(),
        application_id: "org.example.LogRecorder".to_owned(),
        cookie: Some(COOKIE),
        until: Some(1_800_000_000),
    };
    assert_eq!(manager.retention().await.unwrap(), 86_400);
    assert_eq!(manager.report_sources().await.unwrap(), 2);
    assert_eq!(manager.pause_holds().await.unwrap(), [hold]);
    // The start of the day.
    assert_eq!(manager.reports_checked_at().await.unwrap(), 1_794_960_000);
}

#[tokio::test]
async fn properties_of_an_idle_manager() {
    let (_harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    assert!(!manager.enabled().await.unwrap());
    assert_eq!(manager.consent().await.unwrap(), "never");
    assert_eq!(manager.current_tcn_since().await.unwrap(), 0);
    assert_eq!(manager.state().await.unwrap(), "idle");
    assert_eq!(manager.scan_mode().await.unwrap(), "off");
    assert_eq!(manager.scan_mode_reason().await.unwrap(), "");
    assert_eq!(manager.adapter().await.unwrap().as_str(), "/");
    assert_eq!(manager.paused_until().await.unwrap(), 0);
    assert_eq!(manager.pause_holds().await.unwrap(), []);
}

#[tokio::test]
async fn properties_of_an_adapter() {
    let harness = Harness::new(busy()).await;
    let adapter = AdapterProxy::new(&harness.client, names::adapter_path("hci0").unwrap())
        .await
        .unwrap();
    assert_eq!(adapter.name().await.unwrap(), "hci0");
    assert!(adapter.powered().await.unwrap());
    assert!(adapter.selected().await.unwrap());
    assert!(adapter.can_advertise().await.unwrap());
    assert_eq!(adapter.private_address().await.unwrap(), "nrpa");
    assert_eq!(adapter.adv_instances_free().await.unwrap(), 4);
    assert_eq!(adapter.recovery_count().await.unwrap(), 2);
    assert_eq!(adapter.last_problem().await.unwrap(), "adapter-off");
}

/// The current value of a property, read past any cache of a client.
async fn property_of_the_manager(harness: &Harness, name: &str) -> OwnedVariant {
    let manager = PropertiesProxy::new(&harness.client, names::BUS, names::ROOT)
        .await
        .unwrap();
    let interface = InterfaceName::from_static_str(names::MANAGER).unwrap();
    soon(manager.get(interface, name)).await.unwrap()
}

/// Stable tokens: a change here breaks programs.
#[tokio::test]
async fn words() {
    let harness = Harness::new(idle()).await;
    let read = async |name| property_of_the_manager(&harness, name).await;
    for (state, word) in [
        (State::Starting, "starting"),
        (State::Running, "running"),
        (State::Degraded, "degraded"),
        (State::Paused, "paused"),
        (State::Idle, "idle"),
    ] {
        harness.driver.change(|now| now.state = state);
        assert_eq!(String::try_from(read("State").await).unwrap(), word);
    }
    for (consent, word) in [
        (Consent::Never, "never"),
        (Consent::Given, "given"),
        (Consent::Withdrawn, "withdrawn"),
        (Consent::Configured, "configured"),
    ] {
        harness.driver.change(|now| now.consent = consent);
        assert_eq!(String::try_from(read("Consent").await).unwrap(), word);
    }
    for (mode, word) in [
        (Mode::Listen, "listen"),
        (Mode::Broadcast, "broadcast"),
        (Mode::Full, "full"),
        (Mode::Relay, "relay"),
    ] {
        harness.driver.change(|now| now.mode = mode);
        assert_eq!(String::try_from(read("Mode").await).unwrap(), word);
    }
}

/// These tokens are stable too.
#[tokio::test]
async fn words_of_problems() {
    let harness = Harness::new(idle()).await;
    for (problem, word) in [
        (Problem::BluetoothdMissing, "bluetoothd-missing"),
        (Problem::AdapterMissing, "adapter-missing"),
        (Problem::AdapterOff, "adapter-off"),
        (Problem::AdapterBlocked, "adapter-blocked"),
        (Problem::AdvertiseUnsupported, "advertise-unsupported"),
        (Problem::AdvertiseFailed, "advertise-failed"),
        (Problem::AddressNotPrivate, "address-not-private"),
        (Problem::ScanFailed, "scan-failed"),
        (Problem::PrivacyOff, "privacy-off"),
        (Problem::PrivacyUnknown, "privacy-unknown"),
        (Problem::AddressHeld, "address-held"),
        (Problem::AddressOutOfStep, "address-out-of-step"),
        (Problem::BridgeUnavailable, "bridge-unavailable"),
        (Problem::ConnectFailed, "connect-failed"),
        (Problem::ClockUnsynchronised, "clock-unsynchronised"),
        (Problem::StorageFull, "storage-full"),
        (Problem::StorageCorrupt, "storage-corrupt"),
        (Problem::Crowded, "crowded"),
        (Problem::ReportsStale, "reports-stale"),
        (Problem::SyncFailed, "sync-failed"),
    ] {
        assert!(
            tcnd_client::notices::problem(word).is_some(),
            "{word} has words"
        );
        harness
            .driver
            .change(|now| now.problems = [(problem, ProblemDetails::default())].into());
        let problems = property_of_the_manager(&harness, "Problems").await;
        let words = Vec::<String>::try_from(problems).unwrap();
        assert_eq!(words, [word]);
    }
}

#[tokio::test]
async fn kinds_of_address() {
    for (kind, word) in [
        (AddressKind::NonResolvable, "nrpa"),
        (AddressKind::Resolvable, "rpa"),
        (AddressKind::Public, "public"),
        (AddressKind::Unknown, "unknown"),
    ] {
        let mut first = busy();
        first.adapters[0].address = kind;
        first.adapters[0].last_problem = None;
        let harness = Harness::new(first).await;
        let path = names::adapter_path("hci0").unwrap();
        let adapter = AdapterProxy::new(&harness.client, path).await.unwrap();
        assert_eq!(adapter.private_address().await.unwrap(), word);
        assert_eq!(adapter.last_problem().await.unwrap(), "");
    }
}

#[tokio::test]
async fn methods_reach_the_daemon() {
    let (mut harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    soon(manager.enable(none())).await.unwrap();
    soon(manager.disable()).await.unwrap();
    let application = options([("application_id", "org.example.A".into())]);
    assert_eq!(
        soon(manager.pause(60, "why", application)).await.unwrap(),
        COOKIE
    );
    let no_hold = options([("hold", false.into())]);
    assert_eq!(soon(manager.pause(0, "", no_hold)).await.unwrap(), COOKIE);
    soon(manager.resume(9)).await.unwrap();
    soon(manager.rotate()).await.unwrap();
    assert_eq!(
        harness.driver.heard(),
        [
            "Enable",
            "Disable",
            r#"Pause 60s "why" "org.example.A" None"#,
            r#"Pause 0s "" "" None"#,
            "Resume 9",
            "Rotate",
        ]
    );
}

#[tokio::test]
async fn reload_by_its_flags() {
    let (mut harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    for (flags, asked, logged) in [
        (0, vec!["Reload"], vec!["reset"]),
        (1, vec!["Reload"], vec![]),
        (2, vec![], vec!["reset"]),
        (3, vec!["Reload"], vec!["reset"]),
    ] {
        soon(manager.reload(flags)).await.unwrap();
        assert_eq!(harness.driver.heard(), asked, "{flags}");
        assert_eq!(harness.log.read(), logged, "{flags}");
    }
    let answer = soon(manager.reload(4)).await;
    assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    harness.driver.heard_nothing();
}

#[tokio::test]
async fn self_test_says_what_was_found() {
    let (_harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    let checks = soon(manager.self_test(none())).await.unwrap();
    let said: Vec<_> = checks
        .iter()
        .map(|check| {
            assert_eq!(check.len(), 3);
            ["name", "result", "detail"].map(|key| <&str>::try_from(&check[key]).unwrap())
        })
        .collect();
    assert_eq!(
        said,
        [
            ["advert-alive", "passed", "on hci0"],
            ["clock", "failed", "before this release was made"],
        ]
    );
}

/// An unknown option is refused, and so is one of another type. The refusal lists the
/// known ones.
#[tokio::test]
async fn options_are_read_strictly() {
    let (mut harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    let contacts = ContactsProxy::new(&harness.client).await.unwrap();
    let odd = || options([("holdd", true.into())]);
    let answers = [
        soon(manager.pause(0, "", odd())).await.map(drop),
        soon(manager.pause(0, "", options([("hold", 1_u32.into())])))
            .await
            .map(drop),
        soon(manager.pause(0, "", options([("application_id", true.into())])))
            .await
            .map(drop),
        soon(contacts.get_summary(odd())).await.map(drop),
        soon(contacts.get_summary(options([("from", 0_u32.into())])))
            .await
            .map(drop),
        soon(contacts.get_summary(options([("to", "now".into())])))
            .await
            .map(drop),
    ];
    for (answer, known) in answers.into_iter().zip([
        "hold (b), application_id (s)",
        "hold (b), application_id (s)",
        "hold (b), application_id (s)",
        "from (t), to (t)",
        "from (t), to (t)",
        "from (t), to (t)",
    ]) {
        assert!(format!("{answer:?}").contains(known), "{answer:?}");
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    for answer in [
        soon(manager.enable(odd())).await,
        soon(manager.self_test(odd())).await.map(drop),
    ] {
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    harness.driver.heard_nothing();
}

#[tokio::test]
async fn texts_are_bounded() {
    let (mut harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    let (fits, long) = ("x".repeat(256), "é".repeat(129));
    let id = |id: &str| options([("application_id", id.to_owned().into())]);
    soon(manager.pause(1, &fits, id(&fits))).await.unwrap();
    assert_eq!(harness.driver.heard().len(), 1);
    for answer in [
        soon(manager.pause(1, &long, none())).await,
        soon(manager.pause(1, "", id(&long))).await,
    ] {
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    harness.driver.heard_nothing();
}

#[tokio::test]
async fn refusals_keep_their_names() {
    let (harness, manager) = serving::<ManagerProxy<'_>>(idle()).await;
    for (refusal, name) in [
        (Refusal::OffAir, names::error::NOT_READY),
        (Refusal::Configured, names::error::CONFIGURED),
        (
            Refusal::InvalidRange("from is after to"),
            names::error::INVALID_RANGE,
        ),
        (Refusal::NotFound, names::error::NOT_FOUND),
        (Refusal::Busy, names::error::BUSY),
        (
            Refusal::InvalidArgument("reason too long"),
            names::error::INVALID_ARGS,
        ),
        (
            Refusal::NoData("nothing was on the air"),
            names::error::NO_DATA,
        ),
        (
            Refusal::Memo(MemoConcern::TimeTooFine),
            names::error::MEMO_REFUSED,
        ),
        (Refusal::NoSuchReport, names::error::NOT_FOUND),
        (Refusal::NoSuchExposure, names::error::NOT_FOUND),
        (
            Refusal::Unreadable("there is no report in it"),
            names::error::MALFORMED,
        ),
        (Refusal::InUse("another import runs"), names::error::BUSY),
        (Refusal::Storage, names::error::FAILED),
        (Refusal::Gone, names::error::NOT_READY),
    ] {
        harness.driver.refuse(Some(refusal));
        assert_eq!(error_name(soon(manager.rotate()).await), name);
    }
}

/// Every method that the daemon serves has a rule, and refuses an unrelated user. The
/// members come from the introspection, so a new one cannot be forgotten.
#[tokio::test]
async fn every_method_refuses_a_stranger() {
    // Root is not an unrelated user: it may withdraw and destroy.
    let stranger = match own_uid() {
        ROOT => STRANGER,
        user => user,
    };
    let obeyed = Bouncer::same_user(stranger.wrapping_add(1));
    let mut harness = Harness::of_user(stranger, busy(), obeyed).await;
    let mut tried = BTreeSet::new();
    for (interface, members) in served(&harness.client).await {
        for (name, member) in members.iter().filter(|(_, member)| member.kind == "method") {
            let signature = member.signature();
            let answer = soon(call(&harness.client, &interface, name, &signature)).await;
            assert_eq!(error_name(answer), names::error::NOT_AUTHORIZED, "{name}");
            tried.insert((interface.clone(), name.clone()));
        }
    }
    assert_eq!(tried.len(), 41);
    harness.driver.heard_nothing();
}

/// Calls a member with the smallest arguments it accepts. The signature gives most of
/// them.
pub(crate) async fn call(
    client: &zbus::Connection,
    interface: &str,
    member: &str,
    signature: &str,
) -> zbus::Result<zbus::Message> {
    let (to, at, on) = (Some(names::BUS), names::ROOT, Some(interface));
    match signature {
        "" => client.call_method(to, at, on, member, &()).await,
        "u" => client.call_method(to, at, on, member, &0_u32).await,
        "a{sv}" => client.call_method(to, at, on, member, &(none(),)).await,
        "tsa{sv}" => {
            client
                .call_method(to, at, on, member, &(0_u64, "accepted", none()))
                .await
        }
        "ttu" => {
            let span = (0_u64, 3600_u64, 3600_u32);
            client.call_method(to, at, on, member, &span).await
        }
        "tt" => {
            client
                .call_method(to, at, on, member, &(0_u64, 1_u64))
                .await
        }
        "s" => {
            let exposure = interface == names::EXPOSURES;
            let id = if exposure { "8-93600" } else { "3" };
            client.call_method(to, at, on, member, &(id,)).await
        }
        "sa{sv}" if interface == names::REPORTS => {
            let consent = options([("consent", true.into())]);
            let cancels = member == "CancelPublish";
            let asked = ("3", if cancels { none() } else { consent });
            client.call_method(to, at, on, member, &asked).await
        }
        "sa{sv}" => {
            let asked = (names::WIPE_PHRASE, none());
            client.call_method(to, at, on, member, &asked).await
        }
        "aa{sv}" => {
            let sources: Vec<HashMap<&str, Variant<'_>>> = Vec::new();
            client.call_method(to, at, on, member, &(sources,)).await
        }
        "ss" => client.call_method(to, at, on, member, &("one", "")).await,
        "stha{sv}" => {
            let asked = ("one", 0_u64, nothing(), none());
            client.call_method(to, at, on, member, &asked).await
        }
        "ha{sv}" => {
            let asked = (nothing(), none());
            client.call_method(to, at, on, member, &asked).await
        }
        "sha{sv}" => {
            let asked = ("3", nothing(), none());
            client.call_method(to, at, on, member, &asked).await
        }
        "yaytta{sv}" => {
            let consent = options([("consent", true.into())]);
            let asked = (1_u8, vec![0_u8], 0_u64, 1_u64, consent);
            client.call_method(to, at, on, member, &asked).await
        }
        other => panic!("no arguments known for {member}({other})"),
    }
}

fn nothing() -> Fd<'static> {
    let file = File::options().read(true).write(true).open("/dev/null");
    Fd::from(OwnedFd::from(file.unwrap()))
}

#[tokio::test]
async fn the_log_is_controlled_by_those_who_may() {
    let harness = Harness::new(idle()).await;
    let set = async |name: &'static str, value: &'static str| {
        set_log(&harness.client, name, value.into()).await
    };
    for (name, value, noted) in [
        ("LogLevel", "emerg", "level emerg"),
        ("LogLevel", "debug", "level debug"),
        ("LogTarget", "journal", "target journal"),
    ] {
        set(name, value).await.unwrap();
        assert_eq!(harness.log.read(), [noted]);
    }
    let answer = set("LogTarget", "console").await;
    assert_eq!(error_name(answer), names::error::NOT_SUPPORTED);
    harness.log.read();
    for (name, value) in [("LogLevel", "verbose"), ("LogTarget", "kmsg")] {
        assert_eq!(
            error_name(set(name, value).await),
            names::error::INVALID_ARGS
        );
    }
    assert_eq!(harness.log.read(), [""; 0]);

    let harness = Harness::with(idle(), Bouncer::same_user(own_uid().wrapping_add(1))).await;
    for (name, value) in [("LogLevel", "debug"), ("LogTarget", "journal")] {
        let answer = set_log(&harness.client, name, value.into()).await;
        assert_eq!(error_name(answer), names::error::NOT_AUTHORIZED);
    }
    assert_eq!(harness.log.read(), [""; 0]);
}

pub(crate) async fn set_log(
    client: &zbus::Connection,
    name: &str,
    value: Variant<'_>,
) -> zbus::Result<()> {
    let asked = (names::LOG_CONTROL, name, value);
    let set = client.call_method(
        Some(names::BUS),
        names::LOG_CONTROL_PATH,
        Some("org.freedesktop.DBus.Properties"),
        "Set",
        &asked,
    );
    soon(set).await.map(drop)
}
