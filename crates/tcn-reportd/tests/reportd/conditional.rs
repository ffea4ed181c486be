//! Intervals as files: validators, caching, forms.

use std::io::Read as _;

use axum::http::Method;
use sha2::{Digest, Sha256};
use tcn_protocol::wire;

use super::harness::{END, HttpResponse, ManualClock, NOW, TestServer, report, sorted};

const PAST: &str = "/tcnreport/21600/74359";

async fn with_reports(count: u64) -> (ManualClock, TestServer, Vec<Vec<u8>>) {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    let reports: Vec<_> = (0..count).map(report).collect();
    for report in &reports {
        server.upload(report).await;
    }
    clock.set(END + 90);
    (clock, server, sorted(reports))
}

fn stream(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reports = Vec::new();
    while !bytes.is_empty() {
        let (report, rest) = wire::parse_first(bytes).unwrap();
        reports.push(wire::write(&report));
        bytes = rest;
    }
    reports
}

fn is_strong(response: &HttpResponse) {
    let hash = Sha256::digest(&response.body);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(response.header("etag"), format!("\"{hex}\""));
    assert_eq!(
        response.header("content-length"),
        response.body.len().to_string()
    );
}

#[tokio::test]
async fn a_past_interval_has_each_form_with_its_own_validator() {
    let (_clock, server, reports) = with_reports(30).await;
    let plain = server.get(PAST).await;
    assert_eq!(sorted(plain.reports()), reports);
    let json = "application/json";
    let zstd = [("accept-encoding", "gzip, zstd")];
    let gzip = [("accept-encoding", "gzip")];
    let octets = [
        ("accept", "application/octet-stream"),
        ("accept-encoding", "gzip"),
    ];
    let (packed, zipped) = (
        server.get_with(PAST, &zstd).await,
        server.get_with(PAST, &gzip).await,
    );
    let tcn = server.get_with(PAST, &octets).await;
    for (response, kind, encoding) in [
        (&plain, json, ""),
        (&packed, json, "zstd"),
        (&zipped, json, "gzip"),
        (&tcn, "application/octet-stream", ""),
    ] {
        assert_eq!(response.status, 200);
        is_strong(response);
        assert_eq!(response.header("content-type"), kind);
        assert_eq!(response.header("content-encoding"), encoding);
        assert_eq!(response.header("vary"), "accept, accept-encoding");
        assert_eq!(
            response.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
    }
    assert_eq!(zstd::decode_all(&packed.body[..]).unwrap(), plain.body);
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(&zipped.body[..])
        .read_to_end(&mut unzipped)
        .unwrap();
    assert_eq!(unzipped, plain.body);
    assert!(zipped.body.len() < plain.body.len() * 4 / 5);
    assert_eq!(stream(&tcn.body), plain.reports(), "the order is one");
    assert_eq!(server.get(&format!("{PAST}.json")).await.body, plain.body);
    assert_eq!(server.get(&format!("{PAST}.tcn")).await.body, tcn.body);
    server.stop().await;
}

#[tokio::test]
async fn whoever_has_it_is_told_so() {
    let (_clock, server, _) = with_reports(3).await;
    let etag = server.get(PAST).await.header("etag").to_owned();
    let gzip = ("accept-encoding", "gzip");
    for (headers, status) in [
        (vec![("if-none-match", &*etag)], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-none-match", &*etag), gzip], 200),
    ] {
        let response = server.get_with(PAST, &headers).await;
        assert_eq!(response.status, status, "{headers:?}");
        assert_eq!(response.body.is_empty(), status == 304);
        assert!(
            !response.header("etag").is_empty() && !response.header("cache-control").is_empty()
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_content() {
    let (_clock, server, _) = with_reports(3).await;
    for path in [PAST, "/tcnreport/21600/74360", "/v4/tcnreport/0.4.0"] {
        let (get, head) = (
            server.get(path).await,
            server.request(Method::HEAD, path, &[], "").await,
        );
        assert!(head.body.is_empty());
        assert_eq!(head.status, 200);
        for name in [
            "etag",
            "content-length",
            "content-type",
            "cache-control",
            "vary",
        ] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_open_is_never_cached_past_its_end() {
    let clock = ManualClock::at(END - 1000);
    let server = TestServer::new(&clock).await;
    for (left, header) in [
        (1000, "public, max-age=300"),
        (300, "public, max-age=300"),
        (40, "public, max-age=40"),
    ] {
        clock.set(END - left);
        for path in [PAST, "/v4/tcnreport/0.4.0"] {
            assert_eq!(
                server.get(path).await.header("cache-control"),
                header,
                "{left}"
            );
        }
    }
    let before = server.get(PAST).await.header("etag").to_owned();
    server.upload(&report(1)).await;
    assert_ne!(server.get(PAST).await.header("etag"), before);
    server.stop().await;
}

#[tokio::test]
async fn there_is_nothing_before_and_after() {
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    for (name, status) in [
        ("74360", 404),
        ("74360.tcn", 404),
        ("74303", 200),
        ("74302", 410),
        ("74302.json", 410),
        ("0", 410),
        ("074358", 404),
        ("74358.txt", 404),
        ("+74358", 404),
        ("", 404),
        ("18446744073709551615", 404),
        ("..%2f..%2freportd.sqlite", 404),
    ] {
        let response = server.get(&format!("/tcnreport/21600/{name}")).await;
        assert_eq!(response.status, status, "{name}");
        if status != 200 {
            assert_eq!(response.header("cache-control"), "no-store", "{name}");
        }
    }
    assert_eq!(server.get("/tcnreport/3600/446154").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn what_is_large_comes_whole_and_from_the_folder() {
    // Larger than what is held in memory, and than one chunk of a file.
    let (_clock, server, reports) = with_reports(1500).await;
    let response = server.get(PAST).await;
    assert_eq!(sorted(response.reports()), reports);
    assert!(response.body.len() > 300_000);
    is_strong(&response);
    let file = server.directory.join("public/tcnreport/21600/74359");
    assert_eq!(std::fs::read(&file).unwrap(), response.body);
    server.stop().await;
}

#[tokio::test]
async fn the_large_open_interval_is_a_minute_behind_at_most() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    for n in 0..700 {
        server.upload(&report(n)).await;
    }
    assert_eq!(server.interval(74_359).await.len(), 700);
    server.upload(&report(700)).await;
    clock.set(NOW + 59);
    assert_eq!(server.interval(74_359).await.len(), 700);
    clock.set(NOW + 60);
    assert_eq!(server.interval(74_359).await.len(), 701);
    server.stop().await;
}
