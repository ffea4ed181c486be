//! Exposures: what is disclosed about them, and to which clients.

use std::collections::BTreeMap;

use futures::StreamExt;
use tcnd_client::names;
use tcnd_client::proxy::{ExposureInfo, ExposureSummary, ExposuresProxy, ReportsProxy};
use zbus::message::Type;
use zbus::{Connection, MessageStream, OwnedVariant};

use crate::harness::{serving, soon};
use crate::members::{error_name, none, options};
use crate::mock_driver::{UNSEEN, idle};
use crate::polkit::{Verdict, scene};
use crate::system_bus::{STRANGER, Served};

fn direct() -> ExposureInfo {
    ExposureInfo {
        id: "8-93600".to_owned(),
        day: 86_400,
        from: 93_600,
        to: 95_700,
        duration_s: 1200,
        duration_least_s: None,
        duration_most_s: None,
        attenuation: vec![(55, 1), (63, 2), (73, 3), (255, 4)],
        rssi_max: Some(-57),
        carried: "direct".to_owned(),
        distance: Some(1.0),
        distance_least: Some(f64::from(10_f32.powf(-0.5))),
        distance_most: Some(f64::from(10_f32.powf(0.5))),
        sources: vec!["file".to_owned()],
        help: Some(vec![(
            "Server one".to_owned(),
            "https://a.example.org/help".to_owned(),
            String::new(),
        )]),
        published: 200_000,
        received: 200_100,
        memo_type: 1,
        memo: vec![1, 2, 3],
        symptoms: Some(Vec::new()),
        since: None,
        text: None,
        rule: "contacts-1".to_owned(),
        rule_gap_s: 3600,
        rule_reference_rssi: -67,
        seen: false,
        dismissed: false,
    }
}

fn bridged() -> ExposureInfo {
    ExposureInfo {
        id: "11-93600".to_owned(),
        duration_least_s: Some(900),
        duration_most_s: Some(1500),
        rssi_max: None,
        carried: "bridged".to_owned(),
        distance: None,
        distance_least: None,
        distance_most: None,
        memo_type: 0,
        // Version 1, the two days, a dry cough, another symptom.
        memo: vec![
            1, 0, 0, 0xa3, 2, 0, 0, 0, 0, 0, 0x80, 0x51, 1, 0, 0, 0, 0, 0, 2, 0b10_0000,
        ],
        symptoms: Some(vec!["dry-cough".to_owned(), "other".to_owned()]),
        since: Some(86_400),
        help: Some(Vec::new()),
        seen: true,
        dismissed: true,
        ..direct()
    }
}

/// No time is finer than five minutes, not even in an id.
#[tokio::test]
async fn what_is_told_of_an_exposure() {
    let (_harness, exposures) = serving::<ExposuresProxy<'_>>(idle()).await;
    assert_eq!(soon(exposures.list(none())).await.unwrap(), [direct()]);
    let all = options([("dismissed", true.into())]);
    let all = soon(exposures.list(all)).await.unwrap();
    assert_eq!(all, [direct(), bridged()]);
    for exposure in all {
        let got = soon(exposures.get(&exposure.id)).await.unwrap();
        assert_eq!(got, exposure);
    }
    let odd = options([("since", 0_u64.into())]);
    let answer = soon(exposures.list(odd)).await;
    assert_eq!(error_name(answer), names::error::INVALID_ARGS);
}

#[tokio::test]
async fn exposures_are_marked() {
    let (mut harness, exposures) = serving::<ExposuresProxy<'_>>(idle()).await;
    soon(exposures.mark_seen("8-93600")).await.unwrap();
    soon(exposures.dismiss("11-93600")).await.unwrap();
    let mark = |report, dismissed| {
        format!("Mark ExposureId {{ report: {report}, start: UnixTime(93701) }} {dismissed}")
    };
    assert_eq!(
        harness.driver.heard(),
        [
            "Exposures".to_owned(),
            mark(8, false),
            "Exposures".to_owned(),
            mark(11, true),
        ]
    );
    for id in [
        "",
        "8",
        "8-",
        "-93600",
        "8-93600-1",
        "8-093600",
        "9-93600",
        "8-93701",
        "8-0",
    ] {
        let missing = names::error::NOT_FOUND;
        assert_eq!(error_name(soon(exposures.get(id)).await), missing, "{id}");
        assert_eq!(error_name(soon(exposures.mark_seen(id)).await), missing);
        assert_eq!(error_name(soon(exposures.dismiss(id)).await), missing);
    }
    let asked = harness.driver.heard();
    assert!(asked.iter().all(|asked| asked == "Exposures"), "{asked:?}");
}

#[tokio::test]
async fn a_dismissed_exposure_is_restored() {
    let (mut harness, exposures) = serving::<ExposuresProxy<'_>>(idle()).await;
    soon(exposures.restore("11-93600")).await.unwrap();
    let restore = "Restore ExposureId { report: 11, start: UnixTime(93701) }";
    assert_eq!(harness.driver.heard(), ["Exposures", restore]);
    let missing = names::error::NOT_FOUND;
    assert_eq!(error_name(soon(exposures.restore("11-0")).await), missing);
}

#[tokio::test]
async fn a_summary_counts_and_says_how_far_it_goes() {
    let (harness, exposures) = serving::<ExposuresProxy<'_>>(idle()).await;
    let summary = soon(exposures.get_summary()).await.unwrap();
    let expected = ExposureSummary {
        unseen: 1,
        ..ExposureSummary::default()
    };
    assert_eq!(summary, expected, "nothing was checked");
    let reports = ReportsProxy::new(&harness.client).await.unwrap();
    soon(reports.check(none())).await.unwrap();
    let summary = soon(exposures.get_summary()).await.unwrap();
    let expected = ExposureSummary {
        sources: 2,
        checked: Some(1_795_000_000),
        failed: vec![("Server two".to_owned(), "unreachable".to_owned())],
        ..expected
    };
    assert_eq!(summary, expected);
}

#[tokio::test]
async fn there_is_nobody_to_tell_without_a_bus() {
    let (_harness, exposures) = serving::<ExposuresProxy<'_>>(idle()).await;
    let invalid = names::error::INVALID_ARGS;
    assert_eq!(error_name(soon(exposures.subscribe()).await), invalid);
    assert_eq!(error_name(soon(exposures.unsubscribe()).await), invalid);
}

const BUS: &str = "org.freedesktop.DBus";

/// All messages of the daemon that reach this user, who subscribes to all of them. The
/// bus itself forbids eavesdropping on messages to others.
async fn listen(client: &Connection, served: &Served) -> MessageStream {
    let stream = MessageStream::from(client);
    let (to, at) = (BUS, "/org/freedesktop/DBus");
    let listen = async |rule: &str| {
        let call = client.call_method(Some(to), at, Some(to), "AddMatch", &rule);
        soon(call).await
    };
    let sender = served.connection.unique_name().unwrap();
    let all = format!("type='signal',sender='{sender}'");
    listen(&all).await.unwrap();
    let more = listen(&format!("eavesdrop='true',{all}")).await;
    let denied = "org.freedesktop.DBus.Error.AccessDenied";
    assert_eq!(error_name(more), denied);
    stream
}

/// Every signal of the daemon until its signal that it is enabled, or not any more. All
/// clients get that one.
async fn heard(stream: &mut MessageStream) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let message = soon(stream.next()).await.unwrap().unwrap();
        let header = message.header();
        let from_bus = header.sender().is_some_and(|sender| sender == BUS);
        if message.message_type() != Type::Signal || from_bus {
            continue;
        }
        let (interface, member) = (header.interface().unwrap(), header.member().unwrap());
        if member == "PropertiesChanged" {
            let body = message.body();
            let (of, changed, _): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
                body.deserialize().unwrap();
            if of == names::MANAGER && changed.keys().eq(["Enabled"]) {
                return heard;
            }
            heard.push(format!("{of} {:?}", changed.keys()));
            continue;
        }
        let unseen: Result<u32, _> = message.body().deserialize();
        let unseen = unseen.map_or_else(|_| interface.to_string(), |unseen| unseen.to_string());
        let to = header.destination().map(ToString::to_string);
        heard.push(format!("{member} {unseen} to {}", to.unwrap_or_default()));
    }
}

/// Marks one exposure, and then causes a signal that all clients get.
async fn mark(client: &Connection, served: &Served) {
    let exposures = ExposuresProxy::new(client).await.unwrap();
    soon(exposures.mark_seen("8-93600")).await.unwrap();
    served.driver.change(|now| now.enabled = !now.enabled);
}

#[tokio::test]
async fn changes_are_told_to_subscribers_alone() {
    let (bus, _polkit, served) = scene(Verdict::Yes).await;
    let subscriber = bus.connect(STRANGER).await;
    let greedy = bus.connect(STRANGER).await;
    let mut told = listen(&subscriber, &served).await;
    let mut broadcast = listen(&greedy, &served).await;
    let exposures = ExposuresProxy::new(&subscriber).await.unwrap();

    mark(&greedy, &served).await;
    assert_eq!(heard(&mut told).await, [""; 0], "not before it asks");
    assert_eq!(heard(&mut broadcast).await, [""; 0]);

    let to = subscriber.unique_name().unwrap();
    let changed = format!("Changed {UNSEEN} to {to}");
    for _ in 0..2 {
        soon(exposures.subscribe()).await.unwrap();
        served.driver.change(|now| now.enabled = !now.enabled);
        assert_eq!(heard(&mut told).await, [changed.as_str()], "at once");
        assert_eq!(heard(&mut broadcast).await, [""; 0]);
    }
    mark(&greedy, &served).await;
    assert_eq!(
        heard(&mut broadcast).await,
        [""; 0],
        "no other client hears it"
    );
    let told_now = heard(&mut told).await;
    assert_eq!(told_now, [changed], "once, however often it asked");

    // Without a request, as when an import finds one.
    served.driver.unseen.send_replace(4);
    served.driver.change(|now| now.enabled = !now.enabled);
    assert_eq!(heard(&mut told).await, [format!("Changed 4 to {to}")]);
    assert_eq!(heard(&mut broadcast).await, [""; 0]);

    soon(exposures.unsubscribe()).await.unwrap();
    soon(exposures.unsubscribe())
        .await
        .expect("once more is well");
    mark(&greedy, &served).await;
    assert_eq!(heard(&mut told).await, [""; 0], "not after it is enough");
    assert_eq!(heard(&mut broadcast).await, [""; 0]);
}

#[tokio::test]
async fn subscribers_are_bounded_and_forgotten() {
    let (bus, _polkit, _served) = scene(Verdict::Yes).await;
    let mut subscribers = Vec::new();
    for _ in 0..64 {
        let client = bus.connect(STRANGER).await;
        let exposures = ExposuresProxy::new(&client).await.unwrap();
        soon(exposures.subscribe()).await.unwrap();
        subscribers.push(client);
    }
    let one_more = bus.connect(STRANGER).await;
    let exposures = ExposuresProxy::new(&one_more).await.unwrap();
    let full = soon(exposures.subscribe()).await;
    assert_eq!(error_name(full), names::error::BUSY);

    subscribers.pop().unwrap().close().await.unwrap();
    let room = async { while exposures.subscribe().await.is_err() {} };
    soon(room).await;
    let again = bus.connect(STRANGER).await;
    let exposures = ExposuresProxy::new(&again).await.unwrap();
    assert_eq!(
        error_name(soon(exposures.subscribe()).await),
        names::error::BUSY
    );
    let leaver = ExposuresProxy::new(&subscribers[0]).await.unwrap();
    soon(leaver.unsubscribe()).await.unwrap();
    soon(exposures.subscribe())
        .await
        .expect("one has unsubscribed");
}
