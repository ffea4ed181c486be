//! Intervals as files: validators, caching, forms.

use std::io::Read as _;

use axum::http::Method;
use sha2::{Digest, Sha256};
use tcn_protocol::wire;

use super::rig::{Answer, END, Hand, NOW, Rig, report, sorted};

const PAST: &str = "/tcnreport/21600/74359";

async fn with_reports(count: u64) -> (Hand, Rig, Vec<Vec<u8>>) {
    let clock = Hand::at(NOW);
    let rig = Rig::new(&clock).await;
    let reports: Vec<_> = (0..count).map(report).collect();
    for report in &reports {
        rig.upload(report).await;
    }
    clock.set(END + 90);
    (clock, rig, sorted(reports))
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

fn is_strong(answer: &Answer) {
    let hash = Sha256::digest(&answer.body);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer.header("etag"), format!("\"{hex}\""));
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
}

#[tokio::test]
async fn a_past_interval_has_each_form_with_its_own_validator() {
    let (_clock, rig, reports) = with_reports(30).await;
    let plain = rig.get(PAST).await;
    assert_eq!(sorted(plain.reports()), reports);
    let json = "application/json";
    let zstd = [("accept-encoding", "gzip, zstd")];
    let gzip = [("accept-encoding", "gzip")];
    let octets = [
        ("accept", "application/octet-stream"),
        ("accept-encoding", "gzip"),
    ];
    let (packed, zipped) = (
        rig.get_with(PAST, &zstd).await,
        rig.get_with(PAST, &gzip).await,
    );
    let tcn = rig.get_with(PAST, &octets).await;
    for (answer, kind, encoding) in [
        (&plain, json, ""),
        (&packed, json, "zstd"),
        (&zipped, json, "gzip"),
        (&tcn, "application/octet-stream", ""),
    ] {
        assert_eq!(answer.status, 200);
        is_strong(answer);
        assert_eq!(answer.header("content-type"), kind);
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("vary"), "accept, accept-encoding");
        assert_eq!(
            answer.header("cache-control"),
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
    assert_eq!(rig.get(&format!("{PAST}.json")).await.body, plain.body);
    assert_eq!(rig.get(&format!("{PAST}.tcn")).await.body, tcn.body);
    rig.stop().await;
}

#[tokio::test]
async fn whoever_has_it_is_told_so() {
    let (_clock, rig, _) = with_reports(3).await;
    let etag = rig.get(PAST).await.header("etag").to_owned();
    let gzip = ("accept-encoding", "gzip");
    for (headers, status) in [
        (vec![("if-none-match", &*etag)], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-none-match", &*etag), gzip], 200),
    ] {
        let answer = rig.get_with(PAST, &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.body.is_empty(), status == 304);
        assert!(!answer.header("etag").is_empty() && !answer.header("cache-control").is_empty());
    }
    rig.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_content() {
    let (_clock, rig, _) = with_reports(3).await;
    for path in [PAST, "/tcnreport/21600/74360", "/v4/tcnreport/0.4.0"] {
        let (get, head) = (
            rig.get(path).await,
            rig.request(Method::HEAD, path, &[], "").await,
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
    rig.stop().await;
}

#[tokio::test]
async fn what_is_open_is_never_cached_past_its_end() {
    let clock = Hand::at(END - 1000);
    let rig = Rig::new(&clock).await;
    for (left, header) in [
        (1000, "public, max-age=300"),
        (300, "public, max-age=300"),
        (40, "public, max-age=40"),
    ] {
        clock.set(END - left);
        for path in [PAST, "/v4/tcnreport/0.4.0"] {
            assert_eq!(
                rig.get(path).await.header("cache-control"),
                header,
                "{left}"
            );
        }
    }
    let before = rig.get(PAST).await.header("etag").to_owned();
    rig.upload(&report(1)).await;
    assert_ne!(rig.get(PAST).await.header("etag"), before);
    rig.stop().await;
}

#[tokio::test]
async fn there_is_nothing_before_and_after() {
    let rig = Rig::new(&Hand::at(NOW)).await;
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
        let answer = rig.get(&format!("/tcnreport/21600/{name}")).await;
        assert_eq!(answer.status, status, "{name}");
        if status != 200 {
            assert_eq!(answer.header("cache-control"), "no-store", "{name}");
        }
    }
    assert_eq!(rig.get("/tcnreport/3600/446154").await.status, 404);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_large_comes_whole_and_from_the_folder() {
    // Larger than what is held in memory, and than one chunk of a file.
    let (_clock, rig, reports) = with_reports(1500).await;
    let answer = rig.get(PAST).await;
    assert_eq!(sorted(answer.reports()), reports);
    assert!(answer.body.len() > 300_000);
    is_strong(&answer);
    let file = rig.directory.join("public/tcnreport/21600/74359");
    assert_eq!(std::fs::read(&file).unwrap(), answer.body);
    rig.stop().await;
}

#[tokio::test]
async fn the_large_open_interval_is_a_minute_behind_at_most() {
    let clock = Hand::at(NOW);
    let rig = Rig::new(&clock).await;
    for n in 0..700 {
        rig.upload(&report(n)).await;
    }
    assert_eq!(rig.interval(74_359).await.len(), 700);
    rig.upload(&report(700)).await;
    clock.set(NOW + 59);
    assert_eq!(rig.interval(74_359).await.len(), 700);
    clock.set(NOW + 60);
    assert_eq!(rig.interval(74_359).await.len(), 701);
    rig.stop().await;
}
