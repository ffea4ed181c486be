//! The part of HTTP that a source needs.
//!
//! A request names what is requested and reveals nothing of the client: no name of a
//! program, no cookie, no referrer. Proxies of the environment are honoured
//! (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`); with `socks5h://` the proxy resolves
//! names, as Tor needs it. A redirect is followed within the same origin only: the user
//! trusted the configured server and no other.
//!
//! Responses are written to unnamed files as they arrive, up to their limit; longer
//! ones are cut there. They are unpacked afterwards, so that packed bytes count too.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url, Version};
use tcn_exchange::content_encoding::ContentEncoding;
use tcn_exchange::source::Limits;
use tcn_exchange::upload_result::{LONGEST_REASON, UploadResult};
use tcn_protocol::UnixTime;

use super::date::{ServerTime, http_date};
use super::error::SyncError;
use super::problem::Problem;
use super::unpack::unnamed_file;

/// Redirects followed for one document.
const MOST_REDIRECTS: usize = 3;

/// Longest tag kept, in bytes.
const LONGEST_TAG: usize = 256;

/// How many timeouts an upload may last: it is one small request.
const TIMEOUTS_AN_UPLOAD: u32 = 3;

/// The result of a request for a document.
pub(super) enum FetchResponse {
    /// A document.
    Document(Download),
    /// The document is the one we have.
    Unchanged,
    /// No document, not yet or no longer.
    Absent,
    /// No access. A bucket that may not be listed answers so for documents that do not
    /// exist.
    Denied,
    /// A web page: some servers answer so for documents that do not exist.
    Page,
}

/// A document as received.
pub(super) struct Download {
    pub(super) file: File,
    pub(super) bytes: u64,
    pub(super) encoding: ContentEncoding,
    /// The connection would have reported a missing end.
    pub(super) delimited: bool,
    /// The document is longer than the limit; this is its start.
    pub(super) is_part: bool,
    pub(super) tag: Option<String>,
}

/// Why there is no response.
pub(super) enum FetchError {
    /// The source, or the connection to it, failed.
    Source(Problem),
    /// This machine failed.
    Machine(SyncError),
}

/// A client for the documents of one source.
pub(super) fn client(server: &Url, limits: &Limits) -> Result<Client, Problem> {
    builder(server)
        .redirect(Policy::custom(|attempt| {
            let origin = |url: &Url| url.origin();
            let within = attempt
                .previous()
                .first()
                .is_some_and(|first| origin(first) == origin(attempt.url()));
            if within && attempt.previous().len() <= MOST_REDIRECTS {
                attempt.follow()
            } else {
                attempt.error("a redirect to elsewhere, or one too many")
            }
        }))
        .connect_timeout(limits.timeout)
        .read_timeout(limits.timeout)
        .timeout(limits.longest_answer())
        .build()
        .map_err(|error| problem(&error))
}

/// The settings of every client of a server. Without TLS, no certificates are loaded: a
/// machine that fetches from itself need not have any to trust.
fn builder(server: &Url) -> ClientBuilder {
    let builder = Client::builder().referer(false);
    match server.scheme() {
        "http" => builder.tls_certs_only([]),
        _ => builder,
    }
}

/// Gets the document at `url`, unless it is the one that `tag` stands for; and the time
/// by the server's clock.
pub(super) async fn get(
    client: &Client,
    url: Url,
    accept: &'static str,
    tag: Option<&str>,
    most: u64,
    directory: &Path,
) -> Result<(FetchResponse, Option<ServerTime>), FetchError> {
    let source = |error: reqwest::Error| FetchError::Source(problem(&error));
    let mut request = client
        .get(url)
        .header(ACCEPT, accept)
        .header(ACCEPT_ENCODING, "zstd, gzip");
    if let Some(tag) = tag {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let response = request.send().await.map_err(source)?;
    let time = ServerTime::of(response.headers());
    match response.status() {
        StatusCode::OK if is_page(response.headers()) => return Ok((FetchResponse::Page, time)),
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => return Ok((FetchResponse::Denied, time)),
        StatusCode::NOT_MODIFIED if tag.is_some() => return Ok((FetchResponse::Unchanged, time)),
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok((FetchResponse::Absent, time)),
        status if status.is_redirection() => {
            return Err(FetchError::Source(Problem::WrongAnswer));
        }
        status => {
            let asked = retry_after(response.headers(), super::clock::now());
            let busy = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            let wait = busy.then(|| asked.unwrap_or_default());
            return Err(FetchError::Source(Problem::Refused(wait)));
        }
    }
    let got = document(response, most, directory).await?;
    Ok((FetchResponse::Document(got), time))
}

async fn document(
    mut response: Response,
    most: u64,
    directory: &Path,
) -> Result<Download, FetchError> {
    let headers = response.headers();
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.to_str());
    let encoding = encoding
        .transpose()
        .ok()
        .and_then(ContentEncoding::from_header)
        .ok_or(FetchError::Source(Problem::WrongAnswer))?;
    let tag = text(headers, &ETAG).filter(|tag| tag.len() <= LONGEST_TAG);
    let tag = tag.map(str::to_owned);
    // Before HTTP/2 a body may end with its connection, for whatever reason.
    let delimited = response.version() >= Version::HTTP_2
        || response.content_length().is_some()
        || headers.contains_key("transfer-encoding");
    let is_longer = response
        .content_length()
        .is_some_and(|length| length > most);
    let machine = |error: io::Error| FetchError::Machine(SyncError::State(error));
    let mut file = unnamed_file(directory).map_err(FetchError::Machine)?;
    let (mut bytes, mut is_part) = (0, false);
    while !is_part {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(_) if is_longer => return Err(FetchError::Source(Problem::TooLarge)),
            Err(error) => return Err(FetchError::Source(problem(&error))),
        };
        let room = most.saturating_sub(bytes);
        is_part = chunk.len() as u64 > room;
        let taken = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
        file.write_all(&chunk[..taken]).map_err(machine)?;
        bytes += taken as u64;
    }
    Ok(Download {
        file,
        bytes,
        encoding,
        delimited,
        is_part,
        tag,
    })
}

/// Whether the response is a web page, by its Content-Type.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = text(headers, &CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html")
}

/// Uploads one part, on a connection that is used for nothing else. Nothing is kept
/// alive and no TLS session is resumed, for the client is dropped with its request.
/// HTTP/1.1, where we control every byte: `Content-Type: text/plain`, `Accept: */*`,
/// `Host` and `Content-Length`.
pub(super) async fn post_report(
    url: &Url,
    body: String,
    timeout: Duration,
) -> Result<UploadResult, Problem> {
    let client = builder(url)
        .http1_only()
        .redirect(Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(timeout)
        .timeout(timeout * TIMEOUTS_AN_UPLOAD)
        .build()
        .map_err(|error| problem(&error))?;
    let request = client
        .post(url.clone())
        .header(CONTENT_TYPE, "text/plain")
        .body(body);
    let mut response = request.send().await.map_err(|error| problem(&error))?;
    let asked = retry_after(response.headers(), super::clock::now());
    let status = response.status().as_u16();
    let mut words = Vec::new();
    // The status has arrived; if the reason breaks off, the rest is missing.
    while words.len() < LONGEST_REASON {
        let Ok(Some(chunk)) = response.chunk().await else {
            break;
        };
        let room = LONGEST_REASON - words.len();
        words.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(UploadResult::from_response(status, &words, asked))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// How long the server asks the client to wait: seconds, or a date (RFC 9110, section
/// 10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = http_date(value)?;
    Some(Duration::from_secs(at.0.saturating_sub(now.0)))
}

/// The problem of the source that an error of a request stands for.
fn problem(error: &reqwest::Error) -> Problem {
    if error.is_timeout() {
        Problem::TimedOut
    } else if error.is_builder() || is_of_tls(error) {
        Problem::TlsFailed
    } else if error.is_connect() {
        Problem::Unreachable
    } else {
        Problem::WrongAnswer
    }
}

/// Whether TLS is the root cause.
fn is_of_tls(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return true;
        }
        // `source` of an `io::Error` skips the error it carries.
        let carried = error.downcast_ref().and_then(io::Error::get_ref);
        cause = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_asks_for_time_in_seconds_or_by_a_date() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, UnixTime(1_445_412_420)).map(|wait| wait.as_secs())
        };
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(asked("Wed, 21 Oct 2015 07:26:00 GMT"), Some(0));
        for nonsense in ["", "-1", "soon", "Wed, 99 Oct 2015 07:28:00 GMT"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), UnixTime(0)), None);
    }
}
