//! Reports as a client creates and exports them, and imports those of others.

use std::io::Write;
use std::os::unix::net::UnixStream;

use tcnd::daemon::Refusal;
use tcnd_client::names;
use tcnd_client::proxy::{CreateReply, Disclosure, OwnReportInfo, ReportsProxy, UploadStatus};

use crate::contact_log::{fd, read_pipe};
use crate::harness::{Harness, serving, soon};
use crate::members::{error_name, none, options};
use crate::mock_driver::{idle, imported, report_bytes};

#[tokio::test]
async fn what_would_be_given_away() {
    let (mut harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    let disclosure = soon(reports.preview(1000, 4000)).await.unwrap();
    assert_eq!(
        disclosure,
        Disclosure {
            parts: 2,
            numbers: 6,
            named: 8,
            bytes: 2 * 134,
            from: Some(1000),
            to: Some(3000),
            on_air: false,
            token: disclosure.token.clone(),
            gaps: vec![(3000, 4000)],
            reported: 1,
        }
    );
    let nothing = soon(reports.preview(0, 1)).await.unwrap();
    let token = nothing.token.clone();
    assert_ne!(token, disclosure.token);
    let empty = Disclosure {
        token,
        ..Disclosure::default()
    };
    assert_eq!(nothing, empty);
    assert_eq!(harness.driver.heard(), ["Preview 1000 4000", "Preview 0 1"]);
}

#[tokio::test]
async fn a_report_is_made_with_consent() {
    let (mut harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    for consent in [none(), options([("consent", false.into())])] {
        let answer = soon(reports.create(1, b"memo", 0, 9, consent)).await;
        assert!(format!("{answer:?}").contains("Preview"), "{answer:?}");
        assert_eq!(error_name(answer), names::error::CONSENT_REQUIRED);
    }
    let consent = || options([("consent", true.into())]);
    let long = soon(reports.create(1, &[0; 256], 0, 9, consent())).await;
    assert!(format!("{long:?}").contains("255"), "{long:?}");
    assert_eq!(error_name(long), names::error::INVALID_ARGS);
    let stale = options([("consent", true.into()), ("token", "no token".into())]);
    let stale = soon(reports.create(1, b"", 0, 9, stale)).await;
    assert_eq!(error_name(stale), names::error::CONSENT_REQUIRED);
    for odd in [("consent", "yes".into()), ("server", "x".into())] {
        let answer = soon(reports.create(1, b"", 0, 9, options([odd]))).await;
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    harness.driver.heard_nothing();

    let (id, created) = soon(reports.create(1, &[7; 255], 0, 9, consent()))
        .await
        .unwrap();
    assert_eq!(id, "3");
    let CreateReply { concerns, .. } = &created;
    assert!(concerns.len() == 1 && concerns[0].contains("200 bytes"));
    assert_eq!(
        created,
        CreateReply {
            parts: 2,
            numbers: 6,
            named: 8,
            from: 1000,
            to: 3000,
            concerns: concerns.clone(),
        }
    );
    let all = options([
        ("consent", true.into()),
        ("note", "mine".into()),
        ("linkable", true.into()),
    ]);
    soon(reports.create(0xfe, &[1, 2], 5, 6, all))
        .await
        .unwrap();
    let memo = [7; 255];
    assert_eq!(
        harness.driver.heard(),
        [
            format!(r#"Make 0 9 MemoType(1, Covid Watch v1) {memo:?} "" false"#),
            r#"Make 5 6 MemoType(254) [1, 2] "mine" true"#.to_owned(),
        ]
    );
}

#[tokio::test]
async fn reports_and_what_left() {
    let (_harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    let kept = OwnReportInfo {
        id: "3".to_owned(),
        created: 5000,
        deleted: None,
        memo_type: 1,
        memo: Some(vec![1, 2, 3]),
        note: "for the doctor".to_owned(),
        parts: 2,
        numbers: 6,
        named: Some(8),
        from: 1000,
        to: 3000,
        departures: vec![],
        uploads: vec![],
    };
    let deleted = OwnReportInfo {
        id: "4".to_owned(),
        deleted: Some(9000),
        memo: None,
        named: None,
        note: String::new(),
        departures: vec![(6000, "export-tcn".to_owned())],
        ..kept.clone()
    };
    let upload = |state: &str, due, reason: &str| UploadStatus {
        source: "one".to_owned(),
        state: state.to_owned(),
        at: 6100,
        due,
        reason: reason.to_owned(),
    };
    let published = OwnReportInfo {
        id: "5".to_owned(),
        departures: vec![(6100, "publish-one".to_owned())],
        uploads: vec![
            upload("accepted", None, ""),
            upload("queued", Some(7000), ""),
            upload("sent", Some(6500), "unreachable"),
            upload("refused", None, "too large"),
        ],
        ..kept.clone()
    };
    let listed = soon(reports.list()).await.unwrap();
    assert_eq!(listed, [kept, deleted, published]);
}

#[tokio::test]
async fn a_report_is_handed_out() {
    let (mut harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    let named = |format: &'static str| options([("format", format.into())]);
    for (options, asked) in [
        (none(), "Export 3 Tcn"),
        (named("tcn"), "Export 3 Tcn"),
        (named("base64"), "Export 3 Base64"),
        (named("json"), "Export 3 Json"),
    ] {
        let (pipe, read) = read_pipe();
        let length = soon(reports.export("3", pipe, options)).await.unwrap();
        assert_eq!(length, 200_000);
        assert_eq!(read.join().unwrap(), report_bytes());
        assert_eq!(harness.driver.heard(), [asked]);
    }
}

/// A report that no reader could have received is not recorded as having left.
#[tokio::test]
async fn a_report_that_cannot_be_handed_out() {
    let mut harness = Harness::with_short_fd_timeout(idle()).await;
    let reports = ReportsProxy::new(&harness.client).await.unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let answer = soon(reports.export("3", fd(reader), none())).await;
    assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    for odd in [("format", "xml".into()), ("form", "tcn".into())] {
        let (pipe, _read) = read_pipe();
        let answer = soon(reports.export("3", pipe, options([odd]))).await;
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    for id in ["", "x", "-3", "+3", "03", "3 ", "18446744073709551616"] {
        let (pipe, _read) = read_pipe();
        let answer = soon(reports.export(id, pipe, none())).await;
        assert_eq!(error_name(answer), names::error::NOT_FOUND, "{id}");
        let answer = soon(reports.delete(id)).await;
        assert_eq!(error_name(answer), names::error::NOT_FOUND, "{id}");
    }
    harness.driver.heard_nothing();

    let (_unread, pipe) = std::io::pipe().unwrap();
    let answer = soon(reports.export("3", fd(pipe), none())).await;
    assert_eq!(error_name(answer), names::error::FAILED);
    harness.driver.refuse(Some(Refusal::NoSuchReport));
    let (pipe, read) = read_pipe();
    let answer = soon(reports.export("5", pipe, none())).await;
    assert_eq!(error_name(answer), names::error::NOT_FOUND);
    assert_eq!(read.join().unwrap(), b"");
}

#[tokio::test]
async fn a_report_is_deleted() {
    let (mut harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    soon(reports.delete("18446744073709551615")).await.unwrap();
    assert_eq!(harness.driver.heard(), ["Delete 18446744073709551615"]);
}

#[tokio::test]
async fn reports_of_others_are_read() {
    let (mut harness, reports) = serving::<ReportsProxy<'_>>(idle()).await;
    let (reader, mut writer) = std::io::pipe().unwrap();
    // More than the pipe holds, so it has to be read to be written.
    let written = std::thread::spawn(move || writer.write_all(&[7; 200_000]));
    let counts = soon(reports.import(fd(reader), none())).await.unwrap();
    written.join().unwrap().unwrap();
    assert_eq!(counts, imported());
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"12345").unwrap();
    drop(far);
    let label = "é".repeat(128);
    let told = options([
        ("source", label.clone().into()),
        ("published", 77_u64.into()),
    ]);
    soon(reports.import(fd(near), told)).await.unwrap();
    assert_eq!(
        harness.driver.heard(),
        [
            r#"Import "file" None 200000 bytes"#.to_owned(),
            format!("Import {label:?} Some(77) 5 bytes"),
        ]
    );
}

/// A pipe without a writer, and a socket, end; the reader is not blocked.
#[tokio::test]
async fn files_that_give_nothing() {
    let mut harness = Harness::with_short_fd_timeout(idle()).await;
    let reports = ReportsProxy::new(&harness.client).await.unwrap();
    let (reader, mut silent) = std::io::pipe().unwrap();
    silent.write_all(b"start").unwrap();
    let answer = soon(reports.import(fd(reader), none())).await;
    assert_eq!(error_name(answer), names::error::MALFORMED);
    let (near, _silent) = UnixStream::pair().unwrap();
    let answer = soon(reports.import(fd(near), none())).await;
    assert_eq!(error_name(answer), names::error::MALFORMED);
    assert_eq!(
        harness.driver.heard(),
        [
            r#"Import "file" None 5 bytes"#,
            r#"Import "file" None 0 bytes"#
        ]
    );

    let (_reader, writer) = std::io::pipe().unwrap();
    let answer = soon(reports.import(fd(writer), none())).await;
    assert!(format!("{answer:?}").contains("cannot be read"));
    assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    for odd in [
        ("source", "x".repeat(257).into()),
        ("published", "now".into()),
        ("format", "tcn".into()),
    ] {
        let (reader, _writer) = std::io::pipe().unwrap();
        let answer = soon(reports.import(fd(reader), options([odd]))).await;
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    harness.driver.heard_nothing();
}
