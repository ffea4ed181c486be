//! HTTP responses: intervals with validators, caching and streamed content, and errors.
//!
//! Spec: RFC 9110 (13.1.2, If-None-Match), RFC 9111, RFC 8246 (immutable).

use std::io;

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::ready;
use futures::stream::{StreamExt, once, try_unfold};

use super::blocking::blocking;
use super::bucket::FOR_EVER;
use super::rendered_interval::{Chunk, RenderedInterval, RepresentationFile};
use super::representation::Representation;
use super::state::ServerState;
use super::store::Unavailable;

/// The longest that a response about the open interval may be cached, in seconds.
pub(super) const MAX_OPEN_AGE: u64 = 300;

/// How long a response may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The content never changes.
    ForEver,
    /// This many seconds, 300 at most. Never past the end of the interval: a copy made
    /// before that must not pass for the complete interval.
    Seconds(u64),
    /// Not at all: the content is about to change.
    Not,
}

impl Freshness {
    fn header(self) -> HeaderValue {
        match self {
            Self::ForEver => HeaderValue::from_static(FOR_EVER),
            Self::Seconds(0) => HeaderValue::from_static("no-cache"),
            Self::Seconds(seconds) => {
                let text = format!("public, max-age={}", seconds.min(MAX_OPEN_AGE));
                HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-cache"))
            }
            Self::Not => HeaderValue::from_static("no-store"),
        }
    }
}

/// The parts of a request that its response depends on.
#[derive(Clone, Copy)]
pub(super) struct RequestParts<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl RequestParts<'_> {
    /// The value of a list header, joined over all its lines.
    fn list(&self, name: HeaderName) -> String {
        let lines = self.headers.get_all(name).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        lines.join(",")
    }

    /// JSON in the encoding that the client prefers.
    pub(super) fn json(&self) -> Representation {
        Representation::json(&self.list(ACCEPT_ENCODING))
    }

    /// The representation that the client prefers.
    pub(super) fn any(&self) -> Representation {
        if Representation::stream_is_wanted(&self.list(ACCEPT)) {
            Representation::Tcn
        } else {
            self.json()
        }
    }

    /// Whether the client already has the content that this validator names.
    fn has(&self, etag: &str) -> bool {
        let known = self.list(IF_NONE_MATCH);
        known.split(',').map(str::trim).any(|known| {
            // The comparison is the weak one (RFC 9110, 13.1.2).
            known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
        })
    }
}

/// The response that carries one representation of an interval.
pub(super) async fn rendered(
    state: &ServerState,
    rendered: &RenderedInterval,
    representation: Representation,
    vary: Option<&'static str>,
    freshness: Freshness,
    request: RequestParts<'_>,
) -> Response {
    let file = rendered.file(representation);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, freshness.header());
    if let Ok(etag) = HeaderValue::try_from(file.etag()) {
        headers.insert(ETAG, etag);
    }
    if let Some(vary) = vary {
        headers.insert(VARY, HeaderValue::from_static(vary));
    }
    if request.has(file.etag()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(representation.media_type()),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(file.length()));
    if let Some(encoding) = representation.encoding() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if request.method != Method::HEAD {
        match body(file).await {
            Ok(body) => *response.body_mut() = body,
            Err(error) => {
                state.reading.failed(&error, 1);
                return unavailable(Unavailable::Failing);
            }
        }
    }
    response
}

/// The content. Small content comes from memory; else it is read from the file, chunk
/// by chunk, as fast as the client takes it.
async fn body(file: &RepresentationFile) -> io::Result<Body> {
    if let Some(held) = file.held() {
        return Ok(Body::from(held));
    }
    let first = Chunk::first(file);
    let (chunk, rest) = blocking(|| first.read()).await?;
    let chunk = file.hold(chunk);
    if rest.is_none() {
        return Ok(Body::from(chunk));
    }
    let others = try_unfold(rest, |chunk| async {
        match chunk {
            Some(chunk) => blocking(|| chunk.read()).await.map(Some),
            None => Ok(None),
        }
    });
    let chunks = once(ready(Ok(chunk))).chain(others);
    Ok(Body::from_stream(chunks))
}

/// The response for an interval without reports.
pub(super) fn empty(freshness: Freshness) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, freshness.header()),
    ];
    (headers, "[]").into_response()
}

/// An error, with a text for the author of the client.
pub(super) fn error_response(status: StatusCode, why: &str) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, format!("{why}\n")).into_response()
}

/// The response when the server is unavailable, and when to try again.
pub(super) fn unavailable(why: Unavailable) -> Response {
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, &why.to_string());
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(header: &str, etag: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, header.parse().unwrap());
        let method = &Method::GET;
        let headers = &headers;
        RequestParts { method, headers }.has(etag)
    }

    #[test]
    fn a_validator_is_found_in_a_list() {
        assert!(has("\"a\"", "\"a\""));
        assert!(has("\"b\", W/\"a\"", "\"a\""));
        assert!(has("*", "\"a\""));
        assert!(!has("\"ab\"", "\"a\""));
        assert!(!has("a", "\"a\""));
    }

    #[test]
    fn what_is_open_is_cached_for_minutes_at_most() {
        assert_eq!(Freshness::Seconds(9000).header(), "public, max-age=300");
        assert_eq!(Freshness::Seconds(7).header(), "public, max-age=7");
        assert_eq!(Freshness::Seconds(0).header(), "no-cache");
    }
}
