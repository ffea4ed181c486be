//! Every acknowledged report is stored, however the server ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tcn_reportd::UPLOAD_PATHS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::child;
use super::harness::{ManualClock, NOW, TestServer, base64, report, settings, soon};

fn upload(report: &[u8]) -> String {
    let body = STANDARD.encode(report);
    let (path, length) = (UPLOAD_PATHS[0], body.len());
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Uploads on one connection until it breaks. Returns the reports that were
/// acknowledged.
async fn uploader(address: SocketAddr, first: u64, told: tokio::sync::mpsc::Sender<u64>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for n in first.. {
        let mut status = [0; 4096];
        let exchange = async {
            stream.write_all(upload(&report(n)).as_bytes()).await?;
            stream.read(&mut status).await
        };
        match soon(exchange).await {
            Ok(length) if length > 0 => {
                assert!(status.starts_with(b"HTTP/1.1 200"));
                told.send(n).await.unwrap();
            }
            Ok(_) | Err(_) => return,
        }
    }
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_answered() {
    for rounds in [1, 7, 40, 200] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = child::start(directory.path(), &config(directory.path()));
        let (told, mut exchange) = tokio::sync::mpsc::channel(1024);
        for uploads in 0..8 {
            let first = 1_000_000 * uploads;
            tokio::spawn(uploader(server.address, first, told.clone()));
        }
        drop(told);
        let mut kept = Vec::new();
        while kept.len() < rounds {
            kept.push(exchange.recv().await.unwrap());
        }
        server.kill();
        while let Some(n) = exchange.recv().await {
            kept.push(n);
        }
        let mut again = child::start(directory.path(), &config(directory.path()));
        let stored = everything(again.address).await;
        for n in &kept {
            let report = base64(&report(*n));
            assert!(
                stored.contains(&report),
                "report {n} of {} is lost",
                kept.len()
            );
        }
        again.terminate();
        assert!(again.wait().0.success());
    }
}

/// The interval before this one and this one: an interval may end meanwhile.
async fn everything(address: SocketAddr) -> String {
    let mut all = String::new();
    let mut numbers = vec![None];
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    numbers.push(Some(u64::try_from(clock.tv_sec).unwrap() / 21_600 - 1));
    for number in numbers {
        let query = number.map_or(String::new(), |n| {
            format!("?intervalNumber={n}&intervalLength=21600")
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {}{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            UPLOAD_PATHS[0]
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        soon(stream.read_to_string(&mut all)).await.unwrap();
    }
    all
}

/// Settings without rate limits, in a file.
pub(crate) fn config(directory: &std::path::Path) -> Vec<&'static str> {
    let path = directory.join("reportd.toml");
    let text = "uploads_per_second = 1000000\nuploads_per_minute_and_address = 1000000\n";
    std::fs::write(&path, text).unwrap();
    vec![
        "--config",
        Box::leak(path.to_str().unwrap().to_owned().into_boxed_str()),
    ]
}

#[tokio::test]
async fn told_to_stop_it_answers_what_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = child::start(directory.path(), &config(directory.path()));
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = upload(&report(1));
    let (most, rest) = request.split_at(request.len() - 10);
    stream.write_all(most.as_bytes()).await.unwrap();
    // The server has the head once another request is answered.
    let before = everything(server.address).await;
    assert!(before.ends_with("[]"));
    server.terminate();
    // It stops accepting before it ends any connection.
    let mut nothing = Vec::new();
    let _ = soon(idle.read_to_end(&mut nothing)).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut response = String::new();
    soon(stream.read_to_string(&mut response)).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(server.wait().0.success());
    let mut again = child::start(directory.path(), &config(directory.path()));
    assert!(
        everything(again.address)
            .await
            .contains(&base64(&report(1)))
    );
    again.kill();
}

#[tokio::test]
async fn who_never_finishes_does_not_hold_the_end() {
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = upload(&report(1));
    stream.write_all(&request.as_bytes()[..100]).await.unwrap();
    assert_eq!(server.get("/health").await.status, 200);
    let before = std::fs::metadata(server.directory.join("reportd.lock")).is_ok();
    assert!(before);
    let stopped = timeout(Duration::from_secs(25), server.stop()).await;
    assert!(stopped.is_ok(), "the end waits for a stranger");
}

#[tokio::test]
async fn one_directory_has_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let server = TestServer::with(&settings(), directory.path(), clock.clone()).await;
    let second = tcn_reportd::Server::bind(&settings(), directory.path(), Arc::new(clock)).await;
    let error = second.err().unwrap().to_string();
    assert!(error.contains("--state-dir"), "{error}");
    server.stop().await;
}
