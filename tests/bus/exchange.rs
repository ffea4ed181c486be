//! `Exchange`, and the part of `Reports` that goes to servers: which requests reach the
//! daemon, what it answers, and which requests are refused before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use tcn_protocol::wire;
use tcnd::daemon::Refusal;
use tcnd_client::names;
use tcnd_client::proxy::{CheckReply, ExchangeProxy, PublishReply, ReportsProxy, SourceInfo};
use zbus::{DBusError, Fd, Variant};

use crate::harness::{serving, soon};
use crate::members::{error_name, none, options};
use crate::mock_driver::{counted, idle, signed_report};

fn source(name: &str, label: &str) -> SourceInfo {
    SourceInfo {
        name: name.to_owned(),
        label: label.to_owned(),
        publish: true,
        help_url: None,
        help_phone: None,
    }
}

fn file(bytes: &[u8]) -> Fd<'static> {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    Fd::from(OwnedFd::from(file))
}

/// Options of `Exchange`, always in the same order.
fn ordered<const N: usize>(
    options: [(&'static str, Variant<'static>); N],
) -> BTreeMap<&'static str, Variant<'static>> {
    options.into()
}

#[tokio::test]
async fn a_run_from_its_beginning_to_its_end() {
    let (mut harness, exchange) = serving::<ExchangeProxy<'_>>(idle()).await;
    let help = SourceInfo {
        help_url: Some("https://a.example.org".to_owned()),
        help_phone: Some("116 117".to_owned()),
        ..source("two", "Server two")
    };
    let begun = exchange.begin(&[source("one", "Server one"), help]).await;
    assert!(begun.unwrap(), "a person asked for it");
    assert_eq!(exchange.pending("one").await.unwrap(), [74_358, 74_359]);
    let whole = ordered([("whole", true.into()), ("budget", 5_u64.into())]);
    let delivered = exchange.deliver("one", 74_358, file(b"12345"), whole).await;
    assert_eq!(delivered.unwrap(), counted());
    exchange
        .deliver("one", 74_359, file(b""), ordered([]))
        .await
        .unwrap();
    let upload = exchange.take_part("one").await.unwrap();
    assert_eq!(upload.part, Some(7));
    assert_eq!(upload.report.unwrap(), wire::write(&signed_report()));
    let dry = exchange.take_part("dry").await.unwrap();
    assert_eq!((dry.part, dry.report), (None, None));
    exchange
        .settle_part(7, "accepted", ordered([]))
        .await
        .unwrap();
    let said = ordered([("reason", "too large".into())]);
    exchange.settle_part(8, "refused", said).await.unwrap();
    let again = ordered([("reason", "busy".into()), ("retry_after", 60_u32.into())]);
    exchange.settle_part(9, "failed", again).await.unwrap();
    exchange.record("one", "timed-out").await.unwrap();
    exchange.record("one", "").await.unwrap();
    exchange.end().await.unwrap();
    let source = "NewSource { name: \"one\", label: \"Server one\", publish: true, \
                  help: Help { url: None, phone: None } }, \
                  NewSource { name: \"two\", label: \"Server two\", publish: true, \
                  help: Help { url: Some(HelpUrl(\"https://a.example.org/\")), \
                  phone: Some(HelpPhone(\"116 117\")) } }";
    assert_eq!(
        harness.driver.heard(),
        [
            format!("Begin false [{source}]"),
            "Pending one".to_owned(),
            "Deliver one 74358 true 5 5 bytes".to_owned(),
            "Deliver one 74359 false 500000000 0 bytes".to_owned(),
            "Take one".to_owned(),
            "Take dry".to_owned(),
            "Settle 7 Accepted".to_owned(),
            "Settle 8 Refused { reason: \"too large\" }".to_owned(),
            "Settle 9 Failed { reason: \"busy\", retry_after: Some(60s) }".to_owned(),
            "Record one \"timed-out\"".to_owned(),
            "Record one \"\"".to_owned(),
            "End".to_owned(),
        ]
    );
}

/// A tcnd-sync of another version names fewer things of a source, or more.
#[tokio::test]
async fn a_source_may_have_fewer_keys_and_others() {
    let (mut harness, exchange) = serving::<ExchangeProxy<'_>>(idle()).await;
    let least = ordered([
        ("name", "one".into()),
        ("label", "Server one".into()),
        ("publish", true.into()),
    ]);
    let most = ordered([
        ("name", "one".into()),
        ("label", "Server one".into()),
        ("publish", true.into()),
        ("another_key", 7_u32.into()),
    ]);
    for source in [least, most] {
        let begun: zbus::Result<bool> = exchange.inner().call("Begin", &(vec![source],)).await;
        begun.unwrap();
    }
    let heard = harness.driver.heard();
    assert_eq!(heard[0], heard[1]);
}

#[tokio::test]
async fn what_cannot_be_meant_does_not_reach_the_daemon() {
    let (mut harness, exchange) = serving::<ExchangeProxy<'_>>(idle()).await;
    let long = "x".repeat(257);
    for wrong in [
        source("", "label"),
        source("One", "label"),
        source("a/b", "label"),
        source(&long[..65], "label"),
        source("one", &long),
        source("one", "two\nlines"),
        SourceInfo {
            help_url: Some("http://a.example.org".to_owned()),
            ..source("one", "label")
        },
        SourceInfo {
            help_url: Some(String::new()),
            ..source("one", "label")
        },
        SourceInfo {
            help_phone: Some("call us".to_owned()),
            ..source("one", "label")
        },
    ] {
        let begun = exchange.begin(&[wrong]).await;
        assert_eq!(error_name(begun), names::error::INVALID_ARGS);
    }
    let refused = |answer: zbus::Result<()>| {
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    };
    refused(exchange.settle_part(7, "lost", ordered([])).await);
    let reason = ordered([("reason", long.as_str().to_owned().into())]);
    refused(exchange.settle_part(7, "failed", reason).await);
    refused(exchange.record("one", "Not a token").await);
    let never = exchange
        .deliver("one", u64::MAX, file(b""), ordered([]))
        .await;
    assert_eq!(error_name(never), names::error::INVALID_RANGE);
    harness.driver.heard_nothing();
}

#[tokio::test]
async fn publishing_takes_consent_and_says_where_it_goes() {
    let (mut harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    let without = reports.publish("3", none()).await;
    assert_eq!(error_name(without), names::error::CONSENT_REQUIRED);
    let yes = || ("consent", true.into());
    let published = reports.publish("3", options([yes()])).await.unwrap();
    let expected = PublishReply {
        parts: 2,
        hurried: 1,
        labels: vec!["Server one".to_owned()],
        last: 1_795_021_600,
        token: "0000000000000abc".to_owned(),
    };
    assert_eq!(published, expected);
    let there = options([yes(), ("source", "one".into()), ("now", true.into())]);
    reports.publish("3", there).await.unwrap();
    let look = options([("dry_run", true.into())]);
    assert_eq!(reports.publish("3", look).await.unwrap(), expected);
    let heard = [
        "Publish 3 None false",
        "Publish 3 Some(\"one\") true",
        "Look 3 None false",
    ];
    assert_eq!(harness.driver.heard(), heard);
    let stale = options([yes(), ("token", "not a token".into())]);
    let stale = reports.publish("3", stale).await;
    assert_eq!(error_name(stale), names::error::CONSENT_REQUIRED);
    harness.driver.heard_nothing();
    let cancelled = reports.cancel_publish("3", none()).await.unwrap();
    let servers = vec![("one".to_owned(), 1, 2), ("two".to_owned(), 3, 0)];
    assert_eq!((cancelled.cancelled, cancelled.left), (4, 2));
    assert_eq!(cancelled.servers, servers);
    let one = options([("source", "one".into())]);
    reports.cancel_publish("3", one).await.unwrap();
    let heard = ["Cancel 3 None", "Cancel 3 Some(\"one\")"];
    assert_eq!(harness.driver.heard(), heard);
    for (refusal, name) in [
        (Refusal::NoServer, names::error::NOT_READY),
        (Refusal::AlreadyPublished, names::error::ALREADY_PUBLISHED),
        (Refusal::NoSuchReport, names::error::NOT_FOUND),
    ] {
        harness.driver.refuse(Some(refusal));
        let answer = reports.publish("3", options([yes()])).await;
        assert_eq!(error_name(answer), name);
    }
}

#[tokio::test]
async fn a_check_waits_for_a_run_and_tells_what_it_found() {
    let (harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    let checked = soon(reports.check(none())).await.unwrap();
    let expected = CheckReply {
        reports: 12,
        new_exposures: 1,
        checked: Some(1_795_000_000),
        failed: vec![("Server two".to_owned(), "unreachable".to_owned())],
    };
    assert_eq!(checked, expected);
    harness.driver.refuse(Some(Refusal::NoSyncTrigger));
    let refused = reports.check(none()).await.unwrap_err();
    let zbus::Error::FDO(refused) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(refused.name().as_str(), names::error::NOT_SUPPORTED);
}
