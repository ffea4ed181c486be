//! The OpenAPI document agrees with the behaviour of the server.
//!
//! The tests cause every status of every operation in the document, and every status
//! they cause is in the document.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tcn_reportd::{ServerSettings, UPLOAD_PATHS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{
    END, HttpResponse, INTERVAL, ManualClock, NOW, TestServer, base64, report, settings, soon,
};

/// Method, path as in the document, status.
type Case = (String, String, u16);

struct Book {
    document: Value,
    seen: BTreeSet<Case>,
}

impl Book {
    fn operation(&self, method: &str, path: &str) -> &Value {
        let mut item = &self.document["paths"][path];
        if let Some(reference) = item["$ref"].as_str() {
            item = self
                .document
                .pointer(reference.trim_start_matches('#'))
                .unwrap();
        }
        &item[method]
    }

    fn all(&self) -> BTreeSet<Case> {
        let mut cases = BTreeSet::new();
        for path in self.document["paths"].as_object().unwrap().keys() {
            for method in ["get", "post"] {
                let responses = &self.operation(method, path)["responses"];
                for status in responses.as_object().into_iter().flat_map(|all| all.keys()) {
                    cases.insert((method.into(), path.clone(), status.parse().unwrap()));
                }
            }
        }
        cases
    }

    /// Records a response, which must agree with the document.
    fn note(&mut self, method: &str, path: &str, response: &HttpResponse) {
        let status = response.status.as_str();
        let said = &self.operation(method, path)["responses"][status];
        assert!(
            said.is_object(),
            "{method} {path} {status} is not in the document"
        );
        for name in said["headers"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            assert!(
                !response.header(name).is_empty(),
                "{method} {path} {status}: no {name}"
            );
        }
        let kind = response.header("content-type").split(';').next().unwrap();
        match said["content"].as_object() {
            Some(content) => assert!(content.contains_key(kind), "{path} {status}: {kind}"),
            None => assert!(response.body.is_empty(), "{method} {path} {status}"),
        }
        self.seen
            .insert((method.into(), path.into(), response.status.as_u16()));
    }
}

#[tokio::test]
async fn the_document_is_what_the_server_does() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    let served = server.get("/openapi.json").await;
    let document: Value = serde_json::from_slice(&served.body).unwrap();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut book = Book {
        document,
        seen: BTreeSet::new(),
    };
    for path in ["/openapi.json", "/health", "/metrics"] {
        book.note("get", path, &server.get(path).await);
    }
    for path in UPLOAD_PATHS {
        uploads(&mut book, &server, path).await;
        questions(&mut book, &server, path).await;
    }
    for suffix in ["", ".json", ".tcn"] {
        files(&mut book, &server, suffix).await;
    }
    the_store_fails(&mut book, &server, &clock).await;
    server.stop().await;
    limited(&mut book).await;
    slow(&mut book).await;
    let missing: Vec<_> = book.all().difference(&book.seen).cloned().collect();
    assert!(missing.is_empty(), "never brought about: {missing:?}");
}

async fn uploads(book: &mut Book, server: &TestServer, path: &str) {
    let mut forged = report(1);
    let last = forged.len() - 30;
    forged[last - 40] ^= 1;
    for (body, status) in [
        (base64(&report(1)), 200),
        ("no".into(), 400),
        (STANDARD.encode(forged), 401),
        ("A".repeat(1025), 413),
    ] {
        let response = server.request(Method::POST, path, &[], body).await;
        assert_eq!(response.status, status);
        book.note("post", path, &response);
    }
}

async fn questions(book: &mut Book, server: &TestServer, path: &str) {
    for (query, status) in [
        ("", 200),
        ("?intervalNumber=1&intervalLength=21600", 400),
        ("?intervalNumber=74359&intervalLength=1", 401),
    ] {
        let response = server.get(&format!("{path}{query}")).await;
        assert_eq!(response.status, status);
        book.note("get", path, &response);
    }
    let any = [("if-none-match", "*")];
    book.note("get", path, &server.get_with(path, &any).await);
}

async fn files(book: &mut Book, server: &TestServer, suffix: &str) {
    let path = format!("/tcnreport/21600/{{n}}{suffix}");
    for number in [74_359, 74_358, 99_999, 70_000] {
        let response = server
            .get(&format!("/tcnreport/21600/{number}{suffix}"))
            .await;
        book.note("get", &path, &response);
    }
    let any = [("if-none-match", "*")];
    let known = format!("/tcnreport/21600/74358{suffix}");
    book.note("get", &path, &server.get_with(&known, &any).await);
}

/// Another program holds the database, and an interval ends.
async fn the_store_fails(book: &mut Book, server: &TestServer, clock: &ManualClock) {
    let other = rusqlite::Connection::open(server.directory.join("reportd.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    clock.set(END + INTERVAL);
    for path in UPLOAD_PATHS {
        let body = base64(&report(2));
        let response = server.request(Method::POST, path, &[], body).await;
        assert_eq!(response.status, 503);
        book.note("post", path, &response);
        let response = server.get(path).await;
        assert_eq!(response.status, 503);
        book.note("get", path, &response);
    }
    for suffix in ["", ".json", ".tcn"] {
        let response = server.get(&format!("/tcnreport/21600/74359{suffix}")).await;
        assert_eq!(response.status, 503);
        book.note("get", &format!("/tcnreport/21600/{{n}}{suffix}"), &response);
    }
    let sick = server.get("/health").await;
    assert_eq!(sick.status, 503);
    book.note("get", "/health", &sick);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        server.get("/health").await.status,
        200,
        "it does not recover"
    );
    server.upload(&report(2)).await;
}

async fn limited(book: &mut Book) {
    let directory = tempfile::tempdir().unwrap();
    let few = ServerSettings {
        uploads_per_second: NonZeroU32::MIN,
        ..settings()
    };
    let server = TestServer::with(&few, directory.path(), ManualClock::at(NOW)).await;
    for path in UPLOAD_PATHS {
        let mut response = server.request(Method::POST, path, &[], "").await;
        while response.status != 429 {
            response = server.request(Method::POST, path, &[], "").await;
        }
        book.note("post", path, &response);
    }
    server.stop().await;
}

async fn slow(book: &mut Book) {
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    let mut streams = Vec::new();
    for path in UPLOAD_PATHS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc");
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push((path, stream));
    }
    tokio::time::pause();
    for (path, mut stream) in streams {
        let mut response = String::new();
        let _ = soon(stream.read_to_string(&mut response)).await;
        assert!(response.starts_with("HTTP/1.1 408"), "{response}");
        assert!(response.contains("content-type: text/plain"), "{response}");
        book.seen.insert(("post".into(), path.into(), 408));
    }
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn the_metrics_count_and_name_nobody() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    for _ in 0..11 {
        server.upload(&report(1)).await;
        server.post("%").await;
        server.get("/nowhere").await;
    }
    let early = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(
        !early.contains("outcome"),
        "uploads are told at once: {early}"
    );
    clock.set(NOW + 900);
    let text = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "tcn_reportd_uploads_total{outcome=\"Stored\"} 0",
        "tcn_reportd_uploads_total{outcome=\"Known\"} 10",
        "tcn_reportd_uploads_total{outcome=\"Malformed\"} 10",
        "tcn_reportd_answers_total{status=\"404\"} 10",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }
    for secret in ["127.0.0.1", "nowhere", "tcnreport/"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(
        server
            .request(Method::DELETE, "/metrics", &[], "")
            .await
            .status,
        405
    );
    server.stop().await;
}
