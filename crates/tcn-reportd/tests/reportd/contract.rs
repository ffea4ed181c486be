//! The OpenAPI document agrees with the behaviour of the server.
//!
//! The tests cause every status of every operation in the document, and every status
//! they cause is in the document.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tcn_reportd::{Settings, UPLOADS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::rig::{Answer, DEADLINE, END, Hand, INTERVAL, NOW, Rig, report, settings};

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
    fn note(&mut self, method: &str, path: &str, answer: &Answer) {
        let status = answer.status.as_str();
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
                !answer.header(name).is_empty(),
                "{method} {path} {status}: no {name}"
            );
        }
        let kind = answer.header("content-type").split(';').next().unwrap();
        match said["content"].as_object() {
            Some(content) => assert!(content.contains_key(kind), "{path} {status}: {kind}"),
            None => assert!(answer.body.is_empty(), "{method} {path} {status}"),
        }
        self.seen
            .insert((method.into(), path.into(), answer.status.as_u16()));
    }
}

#[tokio::test]
async fn the_document_is_what_the_server_does() {
    let clock = Hand::at(NOW);
    let rig = Rig::new(&clock).await;
    let served = rig.get("/openapi.json").await;
    let document: Value = serde_json::from_slice(&served.body).unwrap();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut book = Book {
        document,
        seen: BTreeSet::new(),
    };
    for path in ["/openapi.json", "/health", "/metrics"] {
        book.note("get", path, &rig.get(path).await);
    }
    for path in UPLOADS {
        uploads(&mut book, &rig, path).await;
        questions(&mut book, &rig, path).await;
    }
    for suffix in ["", ".json", ".tcn"] {
        files(&mut book, &rig, suffix).await;
    }
    the_store_fails(&mut book, &rig, &clock).await;
    rig.stop().await;
    limited(&mut book).await;
    slow(&mut book).await;
    let missing: Vec<_> = book.all().difference(&book.seen).cloned().collect();
    assert!(missing.is_empty(), "never brought about: {missing:?}");
}

async fn uploads(book: &mut Book, rig: &Rig, path: &str) {
    let mut forged = report(1);
    let last = forged.len() - 30;
    forged[last - 40] ^= 1;
    for (body, status) in [
        (STANDARD.encode(report(1)), 200),
        ("no".into(), 400),
        (STANDARD.encode(forged), 401),
        ("A".repeat(1025), 413),
    ] {
        let answer = rig.request(Method::POST, path, &[], body).await;
        assert_eq!(answer.status, status);
        book.note("post", path, &answer);
    }
}

async fn questions(book: &mut Book, rig: &Rig, path: &str) {
    for (query, status) in [
        ("", 200),
        ("?intervalNumber=1&intervalLength=21600", 400),
        ("?intervalNumber=74359&intervalLength=1", 401),
    ] {
        let answer = rig.get(&format!("{path}{query}")).await;
        assert_eq!(answer.status, status);
        book.note("get", path, &answer);
    }
    let any = [("if-none-match", "*")];
    book.note("get", path, &rig.get_with(path, &any).await);
}

async fn files(book: &mut Book, rig: &Rig, suffix: &str) {
    let path = format!("/tcnreport/21600/{{n}}{suffix}");
    for number in [74_359, 74_358, 99_999, 70_000] {
        let answer = rig.get(&format!("/tcnreport/21600/{number}{suffix}")).await;
        book.note("get", &path, &answer);
    }
    let any = [("if-none-match", "*")];
    let known = format!("/tcnreport/21600/74358{suffix}");
    book.note("get", &path, &rig.get_with(&known, &any).await);
}

/// Another program holds the database, and an interval ends.
async fn the_store_fails(book: &mut Book, rig: &Rig, clock: &Hand) {
    let other = rusqlite::Connection::open(rig.directory.join("reportd.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    clock.set(END + INTERVAL);
    for path in UPLOADS {
        let body = STANDARD.encode(report(2));
        let answer = rig.request(Method::POST, path, &[], body).await;
        assert_eq!(answer.status, 503);
        book.note("post", path, &answer);
        let answer = rig.get(path).await;
        assert_eq!(answer.status, 503);
        book.note("get", path, &answer);
    }
    for suffix in ["", ".json", ".tcn"] {
        let answer = rig.get(&format!("/tcnreport/21600/74359{suffix}")).await;
        assert_eq!(answer.status, 503);
        book.note("get", &format!("/tcnreport/21600/{{n}}{suffix}"), &answer);
    }
    let sick = rig.get("/health").await;
    assert_eq!(sick.status, 503);
    book.note("get", "/health", &sick);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(rig.get("/health").await.status, 200, "it does not recover");
    rig.upload(&report(2)).await;
}

async fn limited(book: &mut Book) {
    let directory = tempfile::tempdir().unwrap();
    let few = Settings {
        uploads_per_second: NonZeroU32::MIN,
        ..settings()
    };
    let rig = Rig::with(&few, directory.path(), Arc::new(Hand::at(NOW))).await;
    for path in UPLOADS {
        let mut answer = rig.request(Method::POST, path, &[], "").await;
        while answer.status != 429 {
            answer = rig.request(Method::POST, path, &[], "").await;
        }
        book.note("post", path, &answer);
    }
    rig.stop().await;
}

async fn slow(book: &mut Book) {
    let rig = Rig::new(&Hand::at(NOW)).await;
    let mut streams = Vec::new();
    for path in UPLOADS {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc");
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push((path, stream));
    }
    tokio::time::pause();
    for (path, mut stream) in streams {
        let mut answer = String::new();
        let _ = timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("content-type: text/plain"), "{answer}");
        book.seen.insert(("post".into(), path.into(), 408));
    }
    tokio::time::resume();
    rig.stop().await;
}

#[tokio::test]
async fn the_metrics_count_and_name_nobody() {
    let clock = Hand::at(NOW);
    let rig = Rig::new(&clock).await;
    for _ in 0..11 {
        rig.upload(&report(1)).await;
        rig.post("%").await;
        rig.get("/nowhere").await;
    }
    let early = String::from_utf8(rig.get("/metrics").await.body.to_vec()).unwrap();
    assert!(
        !early.contains("outcome"),
        "uploads are told at once: {early}"
    );
    clock.set(NOW + 900);
    let text = String::from_utf8(rig.get("/metrics").await.body.to_vec()).unwrap();
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
        rig.request(Method::DELETE, "/metrics", &[], "")
            .await
            .status,
        405
    );
    rig.stop().await;
}
