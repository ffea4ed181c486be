//! CoEpi's server, request by request: the same responses except for intended
//! differences.

use axum::http::Method;
use tcn_reportd::UPLOAD_PATHS;

use super::harness::{ManualClock, NOW, TestServer};

/// The table of the handbook: the request, the response of CoEpi's server, and ours.
fn differences() -> Vec<[String; 3]> {
    let page = include_str!("../../../../docs/reportd.md");
    let head = "| request | CoEpi | tcn-reportd | why |\n";
    let (_, table) = page.split_once(head).unwrap();
    let rows = table.lines().skip(1);
    let rows = rows.map_while(|row| row.strip_prefix("| "));
    let rows = rows.map(|row| {
        let mut cells = row.split(" | ").map(str::to_owned);
        std::array::from_fn(|_| cells.next().unwrap())
    });
    rows.collect()
}

fn told(status: u64, reports: Option<u64>) -> String {
    match reports {
        None => status.to_string(),
        Some(1) => format!("{status}, 1 report"),
        Some(count) => format!("{status}, {count} reports"),
    }
}

#[tokio::test]
async fn every_request_is_answered_as_coepi_does_but_for_the_table() {
    assert_eq!(differences().len(), 15);
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
                found.push([what.to_owned(), theirs, ours]);
            }
        }
        assert_eq!(found, differences(), "{path}");
        server.stop().await;
    }
}

/// The file stores bytes as characters.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}
