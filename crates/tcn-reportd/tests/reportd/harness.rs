//! A server in this process, its clock, and a client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, UnixTime, wire,
};
use tcn_reportd::{Clock, OpenError, Server, ServerSettings, StartError, UPLOAD_PATHS};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than any operation takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The result of an operation, which must end before the deadline.
pub(crate) async fn soon<F: Future>(operation: F) -> F::Output {
    let ended = tokio::time::timeout(DEADLINE, operation).await;
    ended.expect("it ends in time")
}

/// 2020-11-23 19:00 UTC, in interval 74359.
pub(crate) const NOW: u64 = 1_606_158_000;

pub(crate) const INTERVAL: u64 = 21_600;

/// The first second after interval 74359.
pub(crate) const END: u64 = 74_360 * INTERVAL;

/// A clock that stands still until it is set.
#[derive(Clone)]
pub(crate) struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    pub(crate) fn at(time: u64) -> Self {
        Self(Arc::new(AtomicU64::new(time)))
    }

    pub(crate) fn set(&self, time: u64) {
        self.0.store(time, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that is not synchronised until the test says so.
#[derive(Clone)]
pub(crate) struct UnsyncedClock(pub(crate) ManualClock, pub(crate) Arc<AtomicBool>);

impl UnsyncedClock {
    pub(crate) fn at(time: u64) -> Self {
        Self(ManualClock::at(time), Arc::default())
    }
}

impl Clock for UnsyncedClock {
    fn now(&self) -> UnixTime {
        self.0.now()
    }

    fn is_synchronised(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    client: Client<HttpConnector, Full<Bytes>>,
    _own: Option<TempDir>,
    pub(crate) directory: PathBuf,
}

/// A complete response.
#[derive(Clone, Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The reports of a JSON array.
    pub(crate) fn reports(&self) -> Vec<Vec<u8>> {
        let items: Vec<String> = serde_json::from_slice(&self.body).unwrap();
        items
            .iter()
            .map(|item| STANDARD.decode(item).unwrap())
            .collect()
    }
}

/// Settings of a test: any port, and no limits unless the test sets them.
pub(crate) fn settings() -> ServerSettings {
    let plenty = std::num::NonZeroU32::new(1_000_000).unwrap();
    ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        uploads_per_second: plenty,
        uploads_per_minute_and_address: plenty,
        ..ServerSettings::default()
    }
}

impl TestServer {
    pub(crate) async fn new<C: Clock + Clone + 'static>(clock: &C) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::with(&settings(), directory.path(), clock.clone()).await;
        server._own = Some(directory);
        server
    }

    pub(crate) async fn with(
        settings: &ServerSettings,
        directory: &Path,
        clock: impl Clock + 'static,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let bound = bind(settings, directory, &clock).await;
        let address = bound.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bound.run(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop: Some(stop),
            task,
            client: Client::builder(TokioExecutor::new()).build_http(),
            _own: None,
            directory: directory.to_owned(),
        }
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let exchange = async {
            let response = self.client.request(request).await.unwrap();
            let (head, body) = response.into_parts();
            HttpResponse {
                status: head.status,
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        soon(exchange).await
    }

    pub(crate) async fn get(&self, path: &str) -> HttpResponse {
        self.request(Method::GET, path, &[], "").await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        self.request(Method::GET, path, headers, "").await
    }

    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> HttpResponse {
        self.post_with(&[], body).await
    }

    pub(crate) async fn post_with(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let path = UPLOAD_PATHS[0];
        self.request(Method::POST, path, headers, body).await
    }

    /// Uploads a valid report.
    pub(crate) async fn upload(&self, report: &[u8]) {
        let response = self.post(base64(report)).await;
        assert_eq!(response.status, 200, "{:?}", response.body);
        assert!(response.body.is_empty());
    }

    /// The reports of an interval, by CoEpi's API.
    pub(crate) async fn interval(&self, number: u64) -> Vec<Vec<u8>> {
        let path = format!(
            "{}?intervalNumber={number}&intervalLength=21600",
            UPLOAD_PATHS[1]
        );
        let response = self.get(&path).await;
        assert_eq!(response.status, 200);
        response.reports()
    }

    /// Asks the server to stop.
    pub(crate) fn request_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until it has ended.
    pub(crate) async fn end(self) {
        soon(self.task).await.unwrap();
    }

    pub(crate) async fn stop(mut self) {
        self.request_stop();
        self.end().await;
    }
}

/// Binds despite a stale lock: while another test starts a child, that child holds a
/// copy of every lock of this process from `fork` to `exec`. A lock that is really in
/// use outlasts the attempts.
async fn bind(settings: &ServerSettings, directory: &Path, clock: &Arc<dyn Clock>) -> Server {
    const ATTEMPTS: u32 = 100_000;
    for _ in 1..ATTEMPTS {
        match Server::bind(settings, directory, Arc::clone(clock)).await {
            Err(StartError::Store(OpenError::Locked { .. })) => tokio::task::yield_now().await,
            bound => return bound.unwrap(),
        }
    }
    panic!("the directory stays locked")
}

/// Report `n` of a sequence, with a memo of `memo` bytes and of this type.
pub(crate) fn report_with(n: u64, kind: u8, memo: &[u8]) -> Vec<u8> {
    let rak = ReportAuthorizationKey::generate(&mut ChaCha12Rng::seed_from_u64(n));
    let index = |index| RatchetIndex::new(index).unwrap();
    let span = ReportSpan::new(index(1), index(24)).unwrap();
    let memo = Memo::new(MemoType::new(kind), memo.to_vec()).unwrap();
    wire::write(&SignedReport::create(&rak, span, memo))
}

/// Report `n`, with CoEpi's memo of 20 bytes in it.
pub(crate) fn report(n: u64) -> Vec<u8> {
    report_with(n, 0, &[7; 20])
}

pub(crate) fn base64(report: &[u8]) -> String {
    STANDARD.encode(report)
}

pub(crate) fn sorted(mut reports: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    reports.sort();
    reports
}
