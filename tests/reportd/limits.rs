//! Limits: of rate, of size, of time, of connections.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tcnd::reportd::{Settings, UPLOADS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::rig::{DEADLINE, END, Hand, NOW, Rig, report, settings};

async fn with(settings: Settings) -> (tempfile::TempDir, Rig) {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::with(&settings, directory.path(), Arc::new(Hand::at(NOW))).await;
    (directory, rig)
}

/// All that comes until the other side ends, however it does.
async fn until_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut all))
        .await
        .expect("it ends");
    all
}

#[tokio::test]
async fn one_address_waits_while_others_do_not() {
    let (_directory, rig) = with(Settings {
        uploads_per_minute_and_address: NonZeroU32::MIN,
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..settings()
    })
    .await;
    let body = STANDARD.encode(report(1));
    let from = |address| [("x-forwarded-for", address)];
    for _ in 0..15 {
        let answer = rig
            .request(Method::POST, UPLOADS[0], &from("192.0.2.1"), body.clone())
            .await;
        assert_eq!(answer.status, 200);
    }
    let limited = rig
        .request(Method::POST, UPLOADS[0], &from("192.0.2.1"), body.clone())
        .await;
    assert_eq!(limited.status, 429);
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait));
    let other = rig
        .request(Method::POST, UPLOADS[0], &from("192.0.2.2"), body)
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(
        rig.get(UPLOADS[0]).await.status,
        200,
        "readers are not limited"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_stranger_cannot_say_who_he_is() {
    let (_directory, rig) = with(Settings {
        uploads_per_minute_and_address: NonZeroU32::MIN,
        ..settings()
    })
    .await;
    let mut statuses = Vec::new();
    for n in 0..16 {
        let address = format!("192.0.2.{n}");
        let headers = [("x-forwarded-for", &*address)];
        let answer = rig.request(Method::POST, UPLOADS[0], &headers, "").await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [vec![400; 15], vec![429]].concat());
    rig.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_read_no_further_than_its_limit() {
    let (_directory, rig) = with(settings()).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        UPLOADS[0]
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("400\r\n{}\r\n", "A".repeat(1024));
    // It ends the connection while we write: an error then is as good.
    for _ in 0..100 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut status = [0; 12];
    timeout(DEADLINE, stream.read_exact(&mut status))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    rig.stop().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_ended() {
    let (_directory, rig) = with(settings()).await;
    let idle = "";
    let head = "GET /health HTTP/1.1\r\nhost:";
    let body = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 300\r\n\r\nabc",
        UPLOADS[0]
    );
    let kept = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut streams = Vec::new();
    for sent in [idle, head, &body, kept] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    // Nothing more is sent, so time may pass at once.
    tokio::time::pause();
    let mut answers = Vec::new();
    for mut stream in streams {
        answers.push(String::from_utf8(until_end(&mut stream).await).unwrap());
    }
    assert!(answers[0].is_empty(), "{}", answers[0]);
    assert!(answers[1].is_empty() || answers[1].starts_with("HTTP/1.1 408"));
    assert!(answers[2].starts_with("HTTP/1.1 408"), "{}", answers[2]);
    assert!(answers[3].starts_with("HTTP/1.1 200"));
    tokio::time::resume();
    rig.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_ended() {
    let clock = Hand::at(NOW);
    let rig = Rig::new(&clock).await;
    for n in 0..1500 {
        rig.upload(&report(n)).await;
    }
    clock.set(END);
    let path = "/tcnreport/21600/74359";
    let one = rig.get(path).await.body.len();
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let many = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(200);
    stream.write_all(many.as_bytes()).await.unwrap();
    tokio::time::pause();
    // The server gives up before this; only then it is read.
    let patience = std::time::Duration::from_secs(90);
    let _ = timeout(patience, std::future::pending::<()>()).await;
    let all = until_end(&mut stream).await;
    assert!(all.len() < 200 * one, "all of it came");
    tokio::time::resume();
    rig.stop().await;
}

#[tokio::test]
async fn connections_past_the_limit_wait_and_are_served() {
    let (_directory, rig) = with(Settings {
        connections: NonZeroU32::new(2).unwrap(),
        ..settings()
    })
    .await;
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut first = [0; 12];
        timeout(DEADLINE, stream.read_exact(&mut first))
            .await
            .unwrap()
            .unwrap();
        held.push(stream);
    }
    let mut third = TcpStream::connect(rig.address).await.unwrap();
    third.write_all(request).await.unwrap();
    let mut first = [0; 12];
    let early = timeout(
        std::time::Duration::from_millis(200),
        third.read_exact(&mut first),
    )
    .await;
    assert!(early.is_err(), "it was served past the limit");
    drop(held);
    timeout(DEADLINE, third.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(third);
    rig.stop().await;
}
