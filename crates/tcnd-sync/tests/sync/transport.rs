//! Connections to a server: TLS, and proxies.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::NamedTempFile;

use crate::mock_server::{MockServer, Reply};
use crate::mock_tcnd::{MockTcnd, PartState};
use crate::{Harness, json, report, reports, soon};

/// A server with a certificate for `localhost`, and a file of that certificate. It records
/// whether each ClientHello offers to resume an earlier session.
struct Tls {
    server: MockServer,
    pem: NamedTempFile,
    kinds: Arc<Mutex<Vec<rustls::HandshakeKind>>>,
}

fn tls() -> Tls {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let noted = kinds.clone();
    let server = MockServer::over(
        move |mut stream: TcpStream| {
            let mut connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            while connection.is_handshaking() {
                connection.complete_io(&mut stream)?;
            }
            noted.lock().unwrap().extend(connection.handshake_kind());
            Ok(Box::new(StreamOwned::new(connection, stream)))
        },
        |request| {
            if request.is_post() {
                Reply::status(200)
            } else {
                Reply::ok(json(&reports(1..4)))
            }
        },
    );
    let pem = NamedTempFile::new().unwrap();
    fs::write(pem.path(), cert.pem()).unwrap();
    Tls { server, pem, kinds }
}

impl Tls {
    fn url(&self) -> String {
        format!("https://localhost:{}/", self.server.port)
    }
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    let tls = tls();
    let harness = Harness::of("coepi-v4", &tls.url(), "publish = true");
    harness.tcnd.want([MockTcnd::past(1)]);
    harness.tcnd.publish("a", report(9));
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "tls-failed");
    harness.tcnd.knows(&[]);
    assert_eq!(harness.tcnd.state().parts[0].state, PartState::Failed(None));
    assert_eq!(tls.server.asked(), 0, "nothing was said to it");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let tls = tls();
    let url = format!("https://127.0.0.1:{}/", tls.server.port);
    let harness = Harness::of("coepi-v4", &url, "");
    harness.run_with(&[("SSL_CERT_FILE", tls.pem.path())]).is(1);
    assert_eq!(harness.tcnd.recorded("a"), "tls-failed");
}

#[test]
fn a_trusted_server_is_spoken_to_and_no_upload_resumes_a_session() {
    let tls = tls();
    let harness = Harness::of("coepi-v4", &tls.url(), "publish = true");
    harness.tcnd.want([MockTcnd::past(1)]);
    for seed in 10..13 {
        harness.tcnd.publish("a", report(seed));
    }
    harness.run_with(&[("SSL_CERT_FILE", tls.pem.path())]).is(0);
    harness.tcnd.knows(&reports(1..4));
    harness.tcnd.whole("a", [MockTcnd::past(1)]);
    let kinds = tls.kinds.lock().unwrap().clone();
    assert_eq!(
        kinds.len(),
        4,
        "one connection to fetch by, one for each part"
    );
    assert!(
        kinds
            .iter()
            .all(|kind| *kind != rustls::HandshakeKind::Resumed),
        "{kinds:?}"
    );
}

/// As on a machine without the package ca-certificates.
#[test]
fn without_certificates_to_trust_plain_http_still_works() {
    let server =
        MockServer::with_posts(|_| Reply::ok(json(&reports(1..4))), |_| Reply::status(200));
    let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
    harness.tcnd.want([MockTcnd::past(1)]);
    harness.tcnd.publish("a", report(9));
    let empty = harness.folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    harness
        .run_with(&[
            ("SSL_CERT_FILE", empty.to_str().unwrap()),
            ("SSL_CERT_DIR", "/nonexistent"),
        ])
        .is(0);
    harness.tcnd.knows(&reports(1..4));
    assert_eq!(harness.tcnd.state().parts[0].state, PartState::Accepted);
}

/// A SOCKS5 server that connects every name to one port here, and reports the names.
fn socks(port: u16) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || lead(stream.unwrap(), port, &sender));
        }
    });
    (address.to_string(), received)
}

/// RFC 1928, without authentication, CONNECT alone.
fn lead(
    mut client: TcpStream,
    port: u16,
    sender: &std::sync::mpsc::Sender<String>,
) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods)?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 4];
    client.read_exact(&mut request)?;
    assert_eq!(request[..3], [5, 1, 0]);
    let name = match request[3] {
        3 => {
            let mut length = [0];
            client.read_exact(&mut length)?;
            let mut name = vec![0; length[0].into()];
            client.read_exact(&mut name)?;
            String::from_utf8(name).unwrap()
        }
        kind => format!("an address of kind {kind}, resolved by the client"),
    };
    let mut asked = [0; 2];
    client.read_exact(&mut asked)?;
    sender.send(name).unwrap();
    let server = TcpStream::connect(("127.0.0.1", port))?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut &server, &mut client)?;
    Ok(())
}

#[test]
fn a_proxy_of_the_environment_is_used_and_resolves_the_names() {
    let server =
        MockServer::with_posts(|_| Reply::ok(json(&reports(1..4))), |_| Reply::status(200));
    let (proxy, names) = socks(server.port);
    let harness = Harness::of(
        "coepi-v4",
        "http://abcdefgh.onion/reports",
        "publish = true",
    );
    harness.tcnd.want([MockTcnd::past(1)]);
    harness.tcnd.publish("a", report(10));
    harness
        .run_with(&[("ALL_PROXY", format!("socks5h://{proxy}"))])
        .is(0);
    harness.tcnd.knows(&reports(1..4));
    for _ in ["fetch", "upload"] {
        assert_eq!(soon(&names), "abcdefgh.onion");
    }
    let hosts = server.seen();
    assert!(
        hosts
            .iter()
            .all(|request| request.header("host").as_deref() == Some("abcdefgh.onion"))
    );
}

#[test]
fn without_the_proxy_nobody_is_asked() {
    let server = MockServer::new(|_| Reply::ok(json(&reports(1..4))));
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let harness = Harness::of("coepi-v4", &server.url(), "");
    harness
        .run_with(&[("ALL_PROXY", format!("socks5h://{gone}"))])
        .is(1);
    assert_eq!(harness.tcnd.recorded("a"), "unreachable");
    assert_eq!(server.asked(), 0, "it was gone round");
}
