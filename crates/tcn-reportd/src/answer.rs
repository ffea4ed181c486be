//! An edition as an HTTP response: validators, caching, streamed content.
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

use super::bucket::FOR_EVER;
use super::desk::Desk;
use super::edition::{Copy, Edition, Piece};
use super::form::Form;
use super::shelf::blocking;
use super::store::Unavailable;

/// The longest that a response about the open interval may be cached, in seconds.
pub(super) const SHORT: u64 = 300;

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
                let text = format!("public, max-age={}", seconds.min(SHORT));
                HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-cache"))
            }
            Self::Not => HeaderValue::from_static("no-store"),
        }
    }
}

/// The parts of a request that its response depends on.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// The value of a list header, joined over all its lines.
    fn list(&self, name: HeaderName) -> String {
        let lines = self.headers.get_all(name).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        lines.join(",")
    }

    /// JSON in the encoding that the client prefers.
    pub(super) fn json(&self) -> Form {
        Form::json(&self.list(ACCEPT_ENCODING))
    }

    /// The form that the client prefers.
    pub(super) fn any(&self) -> Form {
        if Form::stream_is_wanted(&self.list(ACCEPT)) {
            Form::Tcn
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

/// The response that carries one form of an edition.
pub(super) async fn edition(
    desk: &Desk,
    edition: &Edition,
    form: Form,
    vary: Option<&'static str>,
    freshness: Freshness,
    asked: Asked<'_>,
) -> Response {
    let copy = edition.form(form);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, freshness.header());
    if let Ok(etag) = HeaderValue::try_from(copy.etag()) {
        headers.insert(ETAG, etag);
    }
    if let Some(vary) = vary {
        headers.insert(VARY, HeaderValue::from_static(vary));
    }
    if asked.has(copy.etag()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(copy.length()));
    if let Some(encoding) = form.encoding() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if asked.method != Method::HEAD {
        match body(copy).await {
            Ok(body) => *response.body_mut() = body,
            Err(fault) => {
                desk.reading.failed(&fault, 1);
                return later(Unavailable::Failing);
            }
        }
    }
    response
}

/// The content. Small content comes from memory; else it is read from the file, chunk
/// by chunk, as fast as the client takes it.
async fn body(copy: &Copy) -> io::Result<Body> {
    if let Some(held) = copy.held() {
        return Ok(Body::from(held));
    }
    let first = Piece::first(copy);
    let (piece, rest) = blocking(|| first.read()).await?;
    let piece = copy.hold(piece);
    if rest.is_none() {
        return Ok(Body::from(piece));
    }
    let others = try_unfold(rest, |piece| async {
        match piece {
            Some(piece) => blocking(|| piece.read()).await.map(Some),
            None => Ok(None),
        }
    });
    let pieces = once(ready(Ok(piece))).chain(others);
    Ok(Body::from_stream(pieces))
}

/// The response for an interval without reports.
pub(super) fn empty(freshness: Freshness) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, freshness.header()),
    ];
    (headers, "[]").into_response()
}

/// A refusal, with a text for the author of the client.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response {
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
pub(super) fn later(why: Unavailable) -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, &why.to_string());
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
        Asked { method, headers }.has(etag)
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
