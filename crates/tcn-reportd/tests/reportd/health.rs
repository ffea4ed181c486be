//! Health is what the next upload would get; a clock that jumps ahead destroys nothing.

use std::sync::atomic::Ordering;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tcn_reportd::UPLOAD_PATHS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::child::{self, Running};
use super::durable::config;
use super::harness::{INTERVAL, NOW, TestServer, UnsyncedClock, base64, report, settings, soon};

const DAY: u64 = 86_400;

async fn health(server: &TestServer) -> String {
    let response = server.get("/health").await;
    let body = String::from_utf8(response.body.to_vec()).unwrap();
    let word = body.split(':').next().unwrap();
    match response.status.as_u16() {
        200 => "ready".to_owned(),
        503 => word.to_owned(),
        status => panic!("{status}"),
    }
}

/// A request on a connection of its own: status and body.
async fn ask(server: &Running, request: String) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        let body = response.split_once("\r\n\r\n").unwrap().1;
        (status, body.to_owned())
    };
    soon(exchange).await
}

async fn get(server: &Running, path: &str) -> (u16, String) {
    let rest = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    ask(server, format!("GET {path} {rest}")).await
}

async fn post(server: &Running, n: u64) -> u16 {
    let body = base64(&report(n));
    let (path, length) = (UPLOAD_PATHS[0], body.len());
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    ask(server, request).await.0
}

/// The disk takes no more data of the server, and then does again.
#[tokio::test]
async fn it_is_unhealthy_as_long_as_uploads_fail_and_says_so_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = child::start_bounded(directory.path(), &config(directory.path()));
    for n in 0..10 {
        assert_eq!(post(&server, n).await, 200);
    }
    assert_eq!(get(&server, "/health").await.0, 200);
    let journal = directory.path().join("state/reportd.sqlite-wal");
    let full = std::fs::metadata(journal).unwrap().len();
    let limit = |bytes| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        let id = Pid::from_raw(i32::try_from(server.id()).unwrap());
        prlimit(id, Resource::Fsize, limit).unwrap();
    };
    limit(Some(full));
    // No upload came since, and the state is known all the same.
    let (status, why) = get(&server, "/health").await;
    assert_eq!(status, 503, "{why}");
    assert!(why.starts_with("failing: "), "{why}");
    for n in 100..130 {
        assert_eq!(post(&server, n).await, 503);
        assert_eq!(get(&server, "/health").await.0, 503);
    }
    // Known reports need no disk, so they do not change the state.
    assert_eq!(post(&server, 0).await, 200);
    assert_eq!(get(&server, "/health").await.0, 503);
    let metrics = get(&server, "/metrics").await.1;
    assert!(
        metrics.contains("tcn_reportd_refusing{reason=\"failing\"} 1"),
        "{metrics}"
    );
    limit(None);
    let recovered = async { while get(&server, "/health").await.0 != 200 {} };
    soon(recovered).await;
    assert_eq!(post(&server, 200).await, 200);
    server.terminate();
    let (_, log) = server.wait();
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert_eq!(log.matches("uploads are taken").count(), 1, "{log}");
    assert!(log.contains("failures=30"), "{log}");
}

#[tokio::test]
async fn a_month_ahead_by_the_clock_destroys_nothing_and_closes_nothing() {
    let clock = UnsyncedClock::at(NOW);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    clock.0.set(NOW + INTERVAL);
    server.upload(&report(2)).await;
    for days in [2, 30, 400] {
        clock.0.set(NOW + INTERVAL + days * DAY);
        assert_eq!(server.post(base64(&report(3))).await.status, 503);
        assert_eq!(health(&server).await, "clock-ahead", "{days}");
        assert_eq!(server.interval(74_359).await, [report(1)]);
        assert_eq!(server.interval(74_360).await, [report(2)]);
        let ahead = (NOW + INTERVAL + days * DAY) / INTERVAL;
        let named = server.get(&format!("/tcnreport/21600/{ahead}")).await;
        assert_eq!(named.status, 404, "an interval of the future is open");
        let metrics = server.get("/metrics").await.body;
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        assert!(metrics.contains("reason=\"clock-ahead\"} 1"), "{metrics}");
    }
    clock.0.set(NOW + INTERVAL + 60);
    server.upload(&report(3)).await;
    assert_eq!(health(&server).await, "ready");
    assert_eq!(server.interval(74_360).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_jump_is_believed_once_something_vouches_for_it() {
    let clock = UnsyncedClock::at(NOW);
    let server = TestServer::new(&clock).await;
    server.upload(&report(1)).await;
    clock.0.set(NOW + 30 * DAY);
    assert_eq!(server.post(base64(&report(2))).await.status, 503);
    clock.1.store(true, Ordering::SeqCst);
    server.upload(&report(2)).await;
    assert_eq!(
        server.interval((NOW + 30 * DAY) / INTERVAL).await,
        [report(2)]
    );
    server.stop().await;
}

/// If nothing vouches for the clock, a person confirms it by starting the server again.
#[tokio::test]
async fn a_second_start_confirms_the_clock_and_a_first_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let start = async |time: u64| {
        let clock = UnsyncedClock::at(time);
        TestServer::with(&settings(), directory.path(), clock).await
    };
    let server = start(NOW).await;
    server.upload(&report(1)).await;
    server.stop().await;
    let later = NOW + 40 * DAY;
    let server = start(later).await;
    assert_eq!(server.post(base64(&report(2))).await.status, 503);
    assert_eq!(server.interval(74_359).await, [report(1)]);
    server.stop().await;
    let server = start(later + 60).await;
    server.upload(&report(2)).await;
    assert_eq!(server.interval(later / INTERVAL).await, [report(2)]);
    server.stop().await;
    // The doubt is forgotten with that: another jump causes a new doubt.
    let server = start(later + 40 * DAY).await;
    assert_eq!(server.post(base64(&report(3))).await.status, 503);
    server.stop().await;
}

#[tokio::test]
async fn more_than_all_may_send_is_no_health() {
    let directory = tempfile::tempdir().unwrap();
    let few = tcn_reportd::ServerSettings {
        uploads_per_second: std::num::NonZeroU32::MIN,
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..settings()
    };
    let server = TestServer::with(&few, directory.path(), UnsyncedClock::at(NOW)).await;
    assert_eq!(health(&server).await, "ready");
    let mut n = 0;
    loop {
        n += 1;
        let address = format!("192.0.2.{n}");
        let headers = [("x-forwarded-for", &*address)];
        let post = axum::http::Method::POST;
        let response = server.request(post, UPLOAD_PATHS[0], &headers, "x").await;
        if response.status == 429 {
            break;
        }
    }
    assert_eq!(health(&server).await, "limited");
    let recovered = async { while health(&server).await != "ready" {} };
    soon(recovered).await;
    server.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_health_again_and_again_costs_no_write_each() {
    let server = TestServer::new(&UnsyncedClock::at(NOW)).await;
    server.upload(&report(1)).await;
    let journal = server.directory.join("reportd.sqlite-wal");
    let length = || std::fs::metadata(&journal).unwrap().len();
    for _ in 0..8 {
        assert_eq!(health(&server).await, "ready");
    }
    let before = length();
    for _ in 0..100 {
        assert_eq!(health(&server).await, "ready");
    }
    // One try takes some four pages.
    assert!(length() - before < 100 * 4096, "{before} to {}", length());
    server.stop().await;
}
