//! Limits: of rate, of size, of time, of connections.

use std::num::NonZeroU32;

use tcn_reportd::{ServerSettings, UPLOAD_PATHS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::harness::{END, ManualClock, NOW, TestServer, base64, report, settings, soon};

async fn with(settings: ServerSettings) -> (tempfile::TempDir, TestServer) {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::with(&settings, directory.path(), ManualClock::at(NOW)).await;
    (directory, server)
}

/// All bytes until the other side ends the connection, in whatever way.
async fn until_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = soon(stream.read_to_end(&mut all)).await;
    all
}

/// The head of an upload, from the headers on.
fn post_head(rest: &str) -> String {
    format!("POST {} HTTP/1.1\r\nhost: x\r\n{rest}", UPLOAD_PATHS[0])
}

#[tokio::test]
async fn one_address_waits_while_others_do_not() {
    let (_directory, server) = with(ServerSettings {
        uploads_per_minute_and_address: NonZeroU32::MIN,
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..settings()
    })
    .await;
    let body = base64(&report(1));
    let from = |address| [("x-forwarded-for", address)];
    for _ in 0..15 {
        let response = server.post_with(&from("192.0.2.1"), body.clone()).await;
        assert_eq!(response.status, 200);
    }
    let limited = server.post_with(&from("192.0.2.1"), body.clone()).await;
    assert_eq!(limited.status, 429);
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait));
    let other = server.post_with(&from("192.0.2.2"), body).await;
    assert_eq!(other.status, 200);
    assert_eq!(
        server.get(UPLOAD_PATHS[0]).await.status,
        200,
        "readers are not limited"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_cannot_say_who_he_is() {
    let (_directory, server) = with(ServerSettings {
        uploads_per_minute_and_address: NonZeroU32::MIN,
        ..settings()
    })
    .await;
    let mut statuses = Vec::new();
    for n in 0..16 {
        let address = format!("192.0.2.{n}");
        let headers = [("x-forwarded-for", &*address)];
        let response = server.post_with(&headers, "").await;
        statuses.push(response.status.as_u16());
    }
    assert_eq!(statuses, [vec![400; 15], vec![429]].concat());
    server.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_read_no_further_than_its_limit() {
    let (_directory, server) = with(settings()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = post_head("transfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("400\r\n{}\r\n", "A".repeat(1024));
    // The server may end the connection while the test writes: an error is then as
    // good.
    for _ in 0..100 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(status(&mut stream).await, "HTTP/1.1 413");
    server.stop().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_ended() {
    let (_directory, server) = with(settings()).await;
    let idle = "";
    let head = "GET /health HTTP/1.1\r\nhost:";
    let body = post_head("content-length: 300\r\n\r\nabc");
    let kept = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut streams = Vec::new();
    for sent in [idle, head, &body, kept] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    // Nothing more is sent, so the time may be advanced.
    tokio::time::pause();
    let mut responses = Vec::new();
    for mut stream in streams {
        responses.push(String::from_utf8(until_end(&mut stream).await).unwrap());
    }
    assert!(responses[0].is_empty(), "{}", responses[0]);
    assert!(responses[1].is_empty() || responses[1].starts_with("HTTP/1.1 408"));
    assert!(responses[2].starts_with("HTTP/1.1 408"), "{}", responses[2]);
    assert!(responses[3].starts_with("HTTP/1.1 200"));
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_ended() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    for n in 0..1500 {
        server.upload(&report(n)).await;
    }
    clock.set(END);
    let path = "/tcnreport/21600/74359";
    let one = server.get(path).await.body.len();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let many = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(200);
    stream.write_all(many.as_bytes()).await.unwrap();
    tokio::time::pause();
    // The server gives up earlier; the test reads only then.
    let wait = std::time::Duration::from_secs(90);
    let _ = timeout(wait, std::future::pending::<()>()).await;
    let all = until_end(&mut stream).await;
    assert!(all.len() < 200 * one, "all of it came");
    tokio::time::resume();
    server.stop().await;
}

/// A connection from this address of the loopback network.
async fn from(last: [u8; 2], to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 1, last[0], last[1]], 0).into()).unwrap();
    soon(socket.connect(to)).await.unwrap()
}

const ASKED: &[u8] = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";

/// The status of the first response on a connection.
async fn status(stream: &mut TcpStream) -> String {
    let mut first = [0; 12];
    soon(stream.read_exact(&mut first)).await.unwrap();
    String::from_utf8(first.to_vec()).unwrap()
}

async fn assert_served(address: [u8; 2], server: &TestServer) {
    let mut stream = from(address, server.address).await;
    stream.write_all(ASKED).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200", "{address:?}");
}

#[tokio::test]
async fn one_address_that_floods_costs_nobody_an_upload() {
    let (_directory, server) = with(ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        uploads_per_second: NonZeroU32::new(60).unwrap(),
        ..ServerSettings::default()
    })
    .await;
    let address = server.address;
    let flood = post_head("content-length: 0\r\n\r\n");
    let (began, has_begun) = tokio::sync::oneshot::channel();
    let flooder = tokio::spawn(async move {
        let mut stream = from([0, 1], address).await;
        let (mut responses, mut refused, mut began) = ([0; 1 << 16], 0, Some(began));
        loop {
            stream
                .write_all(flood.repeat(100).as_bytes())
                .await
                .unwrap();
            let length = stream.read(&mut responses).await.unwrap();
            let text = String::from_utf8_lossy(&responses[..length]).into_owned();
            refused += text.matches("HTTP/1.1 429").count();
            if refused > 1000
                && let Some(began) = began.take()
            {
                began.send(()).unwrap();
            }
        }
    });
    soon(has_begun).await.unwrap();
    for n in 0..206_u8 {
        let body = base64(&report(n.into()));
        let mut stream = from([1, n], address).await;
        let length = body.len();
        let upload = post_head(&format!("content-length: {length}\r\n\r\n{body}"));
        stream.write_all(upload.as_bytes()).await.unwrap();
        assert_eq!(status(&mut stream).await, "HTTP/1.1 200", "upload {n}");
    }
    flooder.abort();
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_of_one_address_keep_nobody_out() {
    let (_directory, server) = with(ServerSettings {
        connections: NonZeroU32::new(40).unwrap(),
        connections_per_address: NonZeroU32::new(40).unwrap(),
        ..settings()
    })
    .await;
    let mut held = Vec::new();
    for n in 0..40 {
        let mut stream = from([0, 1], server.address).await;
        // Half of them never send a request.
        if n % 2 == 0 {
            stream.write_all(ASKED).await.unwrap();
            assert_eq!(status(&mut stream).await, "HTTP/1.1 200");
        }
        held.push(stream);
    }
    for n in 0..20 {
        for address in [[0, 1], [1, n]] {
            assert_served(address, &server).await;
        }
    }
    let longest_idle = &mut held[1];
    assert!(until_end(longest_idle).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_has_all_it_may_in_use_is_told_so() {
    let (_directory, server) = with(ServerSettings {
        connections_per_address: NonZeroU32::new(2).unwrap(),
        ..settings()
    })
    .await;
    let head = post_head("expect: 100-continue\r\ncontent-length: 9\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = from([0, 1], server.address).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        // The request is under way once the server has sent 100 Continue.
        assert_eq!(status(&mut stream).await, "HTTP/1.1 100");
        held.push(stream);
    }
    let mut third = from([0, 1], server.address).await;
    let told = String::from_utf8(until_end(&mut third).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())));
    assert_served([0, 2], &server).await;
    held[0].write_all(b"123456789").await.unwrap();
    let rest = soon(async {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains("HTTP/1.1 400") {
            let mut more = [0; 1024];
            let length = held[0].read(&mut more).await.unwrap();
            assert!(length > 0);
            all.extend_from_slice(&more[..length]);
        }
    });
    rest.await;
    assert_served([0, 1], &server).await;
    server.stop().await;
}

/// As Azure, AWS and nginx write it, and RFC 7239.
#[tokio::test]
async fn whom_a_proxy_names_is_counted_whatever_way_it_is_written() {
    let (_directory, server) = with(ServerSettings {
        uploads_per_minute_and_address: NonZeroU32::MIN,
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..settings()
    })
    .await;
    let upload = async |name, value: &str| {
        let headers = [(name, value)];
        let response = server.post_with(&headers, "x").await;
        response.status.as_u16()
    };
    let legacy = "x-forwarded-for";
    for n in 0..15 {
        assert_eq!(
            upload(legacy, &format!("198.51.100.1:{}", 1000 + n)).await,
            400
        );
    }
    // The same sender, written in other ways.
    for same in ["198.51.100.1", "198.51.100.9, 198.51.100.1:9, 127.0.0.2"] {
        assert_eq!(upload(legacy, same).await, 429, "{same}");
    }
    assert_eq!(
        upload("forwarded", "for=\"198.51.100.1:80\";proto=https").await,
        429
    );
    // Each is another sender.
    for other in [
        "192.0.2.9:1",
        "[2001:db8::1]:443",
        "2001:db8:1::1",
        "unknown, 192.0.2.7",
        "unknown",
        "_hidden",
        "\"",
    ] {
        assert_eq!(upload(legacy, other).await, 400, "{other}");
    }
    assert_eq!(
        upload("forwarded", "For=\"[2001:db8:2::1]:4711\"").await,
        400
    );
    assert_eq!(upload("x-other", "1").await, 400);
    server.stop().await;
}
