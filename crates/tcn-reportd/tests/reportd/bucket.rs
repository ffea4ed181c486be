//! A mock S3-compatible bucket, over HTTP on loopback.
//!
//! It does what the server needs of a bucket (put, copy, get, list, delete) and refuses
//! every unsigned request: it computes the AWS signature, version 4, of each request by
//! the AWS documentation ("Create a signed AWS API request"). It is not S3: it has one
//! bucket and one key, and lists in one page.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sha2::{Digest, Sha256};
use tcn_reportd::BucketSettings;

const KEY: &str = "AKEXAMPLE";
const SECRET: &str = "not-so-secret";
const REGION: &str = "nowhere-1";

#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) content: Bytes,
    pub(crate) headers: HeaderMap,
}

#[derive(Clone, Default)]
pub(crate) struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
    down: Arc<AtomicBool>,
}

impl Bucket {
    /// Serves a bucket, and returns how to reach it.
    pub(crate) async fn serve() -> (Self, impl Fn(&str) -> BucketSettings) {
        let bucket = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().fallback(response).with_state(bucket.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(routes.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A client that breaks the connection does not matter.
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        (bucket, move |prefix| place(address, prefix, SECRET))
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, Object> {
        self.objects.lock().unwrap().clone()
    }

    pub(crate) fn put(&self, name: &str, content: Bytes) {
        let headers = HeaderMap::new();
        let object = Object { content, headers };
        self.objects.lock().unwrap().insert(name.to_owned(), object);
    }

    /// From now on requests fail, or succeed again.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

/// The bucket at this address, for a client with this secret.
fn place(address: SocketAddr, prefix: &str, secret: &str) -> BucketSettings {
    let endpoint = format!("http://{address}");
    let options = [
        ("aws_endpoint", &*endpoint),
        ("aws_allow_http", "true"),
        ("aws_region", REGION),
        ("aws_access_key_id", KEY),
        ("aws_secret_access_key", secret),
    ];
    BucketSettings {
        url: format!("s3://bucket/{prefix}"),
        options: options
            .map(|(key, value)| (key.into(), value.into()))
            .into(),
    }
}

/// The same bucket with a wrong secret.
pub(crate) fn forged(mut place: BucketSettings) -> BucketSettings {
    place
        .options
        .insert("aws_secret_access_key".into(), "wrong".into());
    place
}

async fn response(State(bucket): State<Bucket>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if bucket.down.load(Ordering::SeqCst) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if !is_signed(&head, &body) {
        return (
            StatusCode::FORBIDDEN,
            "<Error><Code>SignatureDoesNotMatch</Code></Error>",
        )
            .into_response();
    }
    let name = head.uri.path().trim_start_matches("/bucket");
    let name = name.trim_start_matches('/').to_owned();
    let query = head.uri.query().unwrap_or("");
    let mut objects = bucket.objects.lock().unwrap();
    match (&head.method, query) {
        (&Method::PUT, "") => {
            let object = stored(&objects, &head.headers, body);
            objects.insert(name, object);
            let result = "<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>";
            ([("etag", "\"x\"")], result).into_response()
        }
        (&Method::GET, query) if query.contains("list-type=2") => list(&objects, query),
        (&Method::GET | &Method::HEAD, "") => found(objects.get(&name)),
        (&Method::POST, "delete") => {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let mut result = String::from("<DeleteResult>");
            for rest in text.split("<Key>").skip(1) {
                let name = rest.split("</Key>").next().unwrap();
                objects.remove(name);
                result += &format!("<Deleted><Key>{name}</Key></Deleted>");
            }
            (result + "</DeleteResult>").into_response()
        }
        (method, _) => panic!("{method} {name}?{query} was not expected"),
    }
}

/// The object to store: the body, or the object that the headers say to copy.
fn stored(objects: &BTreeMap<String, Object>, headers: &HeaderMap, content: Bytes) -> Object {
    let Some(source) = headers.get("x-amz-copy-source") else {
        let headers = kept(headers);
        return Object { content, headers };
    };
    let source = source.to_str().unwrap().trim_start_matches('/');
    objects[source.trim_start_matches("bucket/")].clone()
}

fn found(object: Option<&Object>) -> Response {
    let Some(object) = object else {
        let text = "<Error><Code>NoSuchKey</Code></Error>";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let mut response = Response::new(Body::from(object.content.clone()));
    *response.headers_mut() = object.headers.clone();
    let date = ("last-modified", "Mon, 23 Nov 2020 19:00:00 GMT");
    ([date, ("etag", "\"x\"")], response).into_response()
}

fn kept(headers: &HeaderMap) -> HeaderMap {
    let names = ["content-type", "cache-control", "content-encoding"];
    let kept = headers
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn list(objects: &BTreeMap<String, Object>, query: &str) -> Response {
    let prefix = query
        .split('&')
        .find_map(|part| part.strip_prefix("prefix="));
    let prefix = prefix.unwrap_or("").replace("%2F", "/");
    let mut text = String::from("<ListBucketResult>");
    for (name, object) in objects.iter().filter(|(name, _)| name.starts_with(&prefix)) {
        let size = object.content.len();
        text += &format!(
            "<Contents><Key>{name}</Key><Size>{size}</Size>\
             <LastModified>2020-11-23T19:00:00.000Z</LastModified></Contents>"
        );
    }
    (text + "</ListBucketResult>").into_response()
}

/// Whether a client with the secret sent exactly this.
fn is_signed(head: &Parts, body: &[u8]) -> bool {
    let header = |name: &str| {
        head.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    if header("x-amz-content-sha256") != hex(&Sha256::digest(body)) {
        return false;
    }
    let part = |name: &str| {
        let mut parts = header("authorization").split([' ', ',']).map(str::trim);
        parts
            .find_map(|part| part.strip_prefix(name))
            .unwrap_or("")
            .to_owned()
    };
    let (credential, signed) = (part("Credential="), part("SignedHeaders="));
    let scope = credential.split_once('/').map_or("", |(_, scope)| scope);
    let mut query: Vec<_> = head.uri.query().unwrap_or("").split('&').collect();
    query.sort_unstable();
    let query: Vec<_> = query
        .into_iter()
        .map(|pair| {
            if pair.is_empty() || pair.contains('=') {
                pair.into()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    let headers: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name).trim()))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{}",
        head.method,
        head.uri.path(),
        query.join("&"),
        header("x-amz-content-sha256"),
    );
    let hashed = hex(&Sha256::digest(canonical));
    let date = header("x-amz-date");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
    let day = date.get(..8).unwrap_or("");
    let key = [day, REGION, "s3", "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| {
            hmac(&key, part.as_bytes())
        });
    hex(&hmac(&key, text.as_bytes())) == part("Signature=")
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
