//! Nothing of a request is logged, at the level the program logs.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::child;
use super::durable::config;
use super::harness::{base64, report, soon};

#[tokio::test]
async fn no_body_query_or_address_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = child::start(directory.path(), &config(directory.path()));
    let body = base64(&report(1));
    let mut ports = Vec::new();
    for request in [
        format!("POST /tcnreport/0.4.0 HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.51.100.77\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        "GET /tcnreport/0.4.0?intervalNumber=abcxyz&intervalLength=21600 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(),
        "GET /secretpath HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(),
        "NONSENSEVERB\r\n\r\n".into(),
        "POST /tcnreport/0.4.0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\n%badbody%".into(),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ports.push(stream.local_addr().unwrap().port().to_string());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        let _ = soon(stream.read_to_end(&mut response)).await;
        assert!(!response.is_empty());
    }
    server.terminate();
    let own = server.address.port().to_string();
    let (status, log) = server.wait();
    assert!(status.success());
    assert!(log.contains("listening on"), "there is no log: {log}");
    let log = log.replace(&own, "");
    for secret in [
        &*body,
        &body[..40],
        "198.51.100.77",
        "abcxyz",
        "secretpath",
        "NONSENSEVERB",
        "badbody",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for port in ports {
        assert!(
            !log.contains(&format!(":{port}")),
            "an address is in the log"
        );
    }
}
