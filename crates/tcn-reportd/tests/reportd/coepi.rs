//! CoEpi's server, request by request: the same responses except for intended
//! differences.

use axum::http::Method;
use tcn_reportd::UPLOAD_PATHS;

use super::harness::{ManualClock, NOW, TestServer};

/// The request, the response of CoEpi's server, and ours.
const DIFFERENCES: [(&str, &str, &str); 15] = [
    (
        "no parameters: current interval",
        "200, 2 reports",
        "200, 1 report",
    ),
    ("valid report, 255-byte memo", "500", "200"),
    (
        "valid report with a trailing byte (stored with it)",
        "200",
        "400",
    ),
    ("two reports in one body (stored whole)", "200", "400"),
    ("base64 with a newline at the end", "400", "200"),
    ("j2 < j1, signed", "200", "400"),
    ("memo type 2 (ito)", "400", "200"),
    ("memo type 3 (HutchTrace)", "400", "200"),
    ("memo type 255", "400", "200"),
    ("rvk not a curve point", "500", "400"),
    (
        "current interval by number",
        "200, 10 reports",
        "200, 9 reports",
    ),
    (
        "length without number (ignored)",
        "200, 10 reports",
        "200, 9 reports",
    ),
    (
        "number with a plus sign",
        "200, 10 reports",
        "200, 9 reports",
    ),
    (
        "number whose start is past the last Instant",
        "500",
        "200, 0 reports",
    ),
    ("unknown parameter", "200, 10 reports", "200, 9 reports"),
];

fn told(status: u64, reports: Option<u64>) -> String {
    match reports {
        None => status.to_string(),
        Some(1) => format!("{status}, 1 report"),
        Some(count) => format!("{status}, {count} reports"),
    }
}

#[tokio::test]
async fn every_request_is_answered_as_coepi_does_but_for_the_table() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("vectors/coepi_server_requests.json")).unwrap();
    let requests = file["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 52);
    for path in UPLOAD_PATHS {
        let server = TestServer::new(&ManualClock::at(NOW)).await;
        let mut found = Vec::new();
        for request in requests {
            let what = request["what"].as_str().unwrap();
            let theirs = told(
                request["status"].as_u64().unwrap(),
                request["reports"].as_u64(),
            );
            let response = if request["method"] == "POST" {
                let body = bytes(request["body"].as_str().unwrap());
                // CoEpi's clients send it so.
                let kind = [("content-type", "application/json")];
                server.request(Method::POST, path, &kind, body).await
            } else {
                let query = request["query"].as_str().unwrap();
                server.get(&format!("{path}?{query}")).await
            };
            let status = u64::from(response.status.as_u16());
            let is_list = request["method"] == "GET" && status == 200;
            let ours = told(status, is_list.then(|| response.reports().len() as u64));
            if ours != theirs {
                found.push((what.to_owned(), theirs, ours));
            }
        }
        let meant =
            DIFFERENCES.map(|(what, theirs, ours)| (what.into(), theirs.into(), ours.into()));
        assert_eq!(found, meant, "{path}");
        server.stop().await;
    }
}

#[test]
fn the_handbook_has_the_same_table() {
    let page = include_str!("../../../../docs/reportd.md");
    let (_, table) = page
        .split_once("| request | CoEpi | tcn-reportd | why |\n")
        .unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let told: Vec<Vec<&str>> = rows
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(str::trim)
                .take(3)
                .collect()
        })
        .collect();
    let meant = DIFFERENCES.map(|(what, theirs, ours)| vec![what, theirs, ours]);
    assert_eq!(told, meant);
}

/// The file stores bytes as characters.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}
