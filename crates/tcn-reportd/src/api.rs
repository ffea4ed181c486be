//! The routes: CoEpi's API, intervals as files, and what an operator needs.
//!
//! | path | is |
//! |---|---|
//! | `/v4/tcnreport/0.4.0`, `/tcnreport/0.4.0`, `/tcnreport/v0.4.0` | CoEpi's API, at all its paths |
//! | `/tcnreport/21600/<n>`, `.json`, `.tcn` | an interval, cacheable by its name |
//! | `/health`, `/metrics`, `/openapi.json` | for the operator |
//!
//! A front end has no intervals and so none of their routes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tcn_exchange::admission::{self, AdmissionError, LARGEST_BODY};
use tcn_exchange::interval::Interval;
use tcnd_logging::error_chain;

use super::metrics::IntakeOutcome;
use super::phase::{Phase, phase};
use super::query::{self, IntervalQuery, QueryError};
use super::representation::Representation;
use super::response::{self, Freshness, RequestParts, error_response, unavailable};
use super::state::{Backend, Primary, ServerState};
use super::store::{Stored, Unavailable};

/// Paths of CoEpi's API: by its Lambda, its own server, and its Go server.
pub const UPLOAD_PATHS: [&str; 3] = [
    "/v4/tcnreport/0.4.0",
    "/tcnreport/0.4.0",
    "/tcnreport/v0.4.0",
];

/// How long the body of a request (1 KiB) may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const OPENAPI: &str = include_str!("openapi.json");

/// The address a request came from.
#[derive(Clone, Copy)]
pub(super) struct PeerAddress(pub IpAddr);

/// All routes of the server.
pub(super) fn routes(state: Arc<ServerState>) -> Router {
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi));
    let primary = match &state.backend {
        Backend::Primary(primary) => Some(primary.clone()),
        Backend::Frontend(_) => None,
    };
    for path in UPLOAD_PATHS {
        let mut methods = post(upload);
        if let Some(primary) = &primary {
            let request = get(interval_by_query).layer(Extension(primary.clone()));
            methods = methods.merge(request);
        }
        router = router.route(path, methods);
    }
    if let Some(primary) = primary {
        let by_name = get(interval_by_name).layer(Extension(primary));
        router = router.route("/tcnreport/21600/{name}", by_name);
    }
    router
        .fallback(|| async {
            error_response(StatusCode::NOT_FOUND, "no such path; see /openapi.json")
        })
        .with_state(state)
}

async fn upload(
    State(state): State<Arc<ServerState>>,
    Extension(PeerAddress(peer)): Extension<PeerAddress>,
    request: Request,
) -> Response {
    let sender = state.proxies.sender(peer, request.headers());
    let _in_flight = match state.limits.admit(sender, state.clock.since_start()) {
        Ok(in_flight) => in_flight,
        Err(wait) => {
            state
                .metrics
                .upload(IntakeOutcome::Limited, state.clock.now());
            return too_many_requests(wait);
        }
    };
    let (outcome, response) = match body(request).await {
        Ok(body) => admit_and_store(&state, &body).await,
        Err((outcome, status, why)) => (outcome, error_response(status, why)),
    };
    state.metrics.upload(outcome, state.clock.now());
    response
}

async fn admit_and_store(state: &ServerState, body: &[u8]) -> (IntakeOutcome, Response) {
    let report = match admission::admit(body, state.sound_time()) {
        Ok(report) => report,
        Err(refused @ AdmissionError::Unverified(_)) => {
            let response = error_response(StatusCode::UNAUTHORIZED, &refused.to_string());
            return (IntakeOutcome::Unverified, response);
        }
        Err(refused) => {
            let response = error_response(StatusCode::BAD_REQUEST, &refused.to_string());
            return (IntakeOutcome::Malformed, response);
        }
    };
    match state.store_report(report).await {
        // The sender does not learn which: it would learn that the report was sent
        // before.
        Ok(Stored::New) => (IntakeOutcome::Stored, StatusCode::OK.into_response()),
        Ok(Stored::Known) => (IntakeOutcome::Known, StatusCode::OK.into_response()),
        Err(why) => (IntakeOutcome::Unavailable, unavailable(why)),
    }
}

/// Why a body is refused, for the metrics and for the sender.
type Refused = (IntakeOutcome, StatusCode, &'static str);

/// The body, within the limits of length and time.
async fn body(request: Request) -> Result<bytes::Bytes, Refused> {
    let why = "the body is longer than any report; send one signed report in base64";
    let too_large = (IntakeOutcome::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, why);
    let declared = request.headers().get(CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > LARGEST_BODY as u64) {
        return Err(too_large);
    }
    let reading = Limited::new(request.into_body(), LARGEST_BODY).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_gone)) => {
            let why = "the body broke off; send the report again";
            Err((IntakeOutcome::Malformed, StatusCode::BAD_REQUEST, why))
        }
        Err(_elapsed) => {
            let why = "the body took longer than ten seconds; send the report again";
            Err((IntakeOutcome::TooSlow, StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

fn too_many_requests(wait: Duration) -> Response {
    let why = "too many uploads; wait as long as Retry-After says";
    let mut response = error_response(StatusCode::TOO_MANY_REQUESTS, why);
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

async fn interval_by_query(
    State(state): State<Arc<ServerState>>,
    Extension(primary): Extension<Primary>,
    Query(parameters): Query<Vec<(String, String)>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let query = query::read(&parameters);
    let query = query.map_err(|error| error_response(status(error), &error.to_string()))?;
    let open = primary.store.open_interval().await.map_err(unavailable)?;
    let interval = match query {
        IntervalQuery::Current => open,
        IntervalQuery::Numbered(interval) => interval,
    };
    let (method, headers) = (&method, &headers);
    let request = RequestParts { method, headers };
    Ok(match phase(interval, open) {
        Phase::Future | Phase::Gone => response::empty(Freshness::Not),
        phase @ (Phase::Open | Phase::Past) => {
            let vary = Some("accept-encoding");
            let wanted = (interval, phase, request.json(), vary);
            serve(&state, &primary, wanted, request).await
        }
    })
}

const fn status(error: QueryError) -> StatusCode {
    match error {
        QueryError::WrongLength => StatusCode::UNAUTHORIZED,
        QueryError::LengthMissing
        | QueryError::NotANumber
        | QueryError::NotPositive
        | QueryError::BeforeFirst => StatusCode::BAD_REQUEST,
    }
}

async fn interval_by_name(
    State(state): State<Arc<ServerState>>,
    Extension(primary): Extension<Primary>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let (method, headers) = (&method, &headers);
    let request = RequestParts { method, headers };
    let (digits, representation, vary) = if let Some(digits) = name.strip_suffix(".json") {
        (digits, request.json(), Some("accept-encoding"))
    } else if let Some(digits) = name.strip_suffix(".tcn") {
        (digits, Representation::Tcn, None)
    } else {
        (&*name, request.any(), Some("accept, accept-encoding"))
    };
    // Each interval has one name; else caches would keep several copies.
    let number = digits.parse().ok().and_then(Interval::new);
    let interval = number.filter(|interval| interval.to_string() == digits);
    let unknown = "no such interval; numbers are unix time / 21600";
    let interval = interval.ok_or_else(|| error_response(StatusCode::NOT_FOUND, unknown))?;
    let open = primary.store.open_interval().await.map_err(unavailable)?;
    Ok(match phase(interval, open) {
        Phase::Future => error_response(StatusCode::NOT_FOUND, "this interval has not started"),
        Phase::Gone => error_response(StatusCode::GONE, "intervals are kept for 14 days"),
        phase @ (Phase::Open | Phase::Past) => {
            let wanted = (interval, phase, representation, vary);
            serve(&state, &primary, wanted, request).await
        }
    })
}

async fn serve(
    state: &ServerState,
    primary: &Primary,
    (interval, phase, representation, vary): (
        Interval,
        Phase,
        Representation,
        Option<&'static str>,
    ),
    request: RequestParts<'_>,
) -> Response {
    let found = match phase {
        Phase::Past => primary.intervals.past(interval).await,
        Phase::Open | Phase::Future | Phase::Gone => primary.intervals.open(interval).await,
    };
    let rendered = match found {
        Ok(rendered) => {
            state.reading.succeeded();
            rendered
        }
        Err(error) => {
            state.reading.failed(&error_chain(&error), 1);
            return unavailable(Unavailable::Failing);
        }
    };
    let freshness = if phase == Phase::Past {
        Freshness::ForEver
    } else {
        let left = interval.end().0.saturating_sub(state.clock.now().0);
        Freshness::Seconds(left)
    };
    response::rendered(state, &rendered, representation, vary, freshness, request).await
}

async fn health(State(state): State<Arc<ServerState>>) -> Response {
    match state.ready().await {
        Ok(()) => uncached(CONTENT_TYPE_JSON, "{\"status\":\"ready\"}\n"),
        Err(why) => unavailable(why),
    }
}

async fn metrics(State(state): State<Arc<ServerState>>) -> Response {
    let text = state.metrics.text(
        state.clock.now(),
        state.unavailable().map(Unavailable::word),
    );
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    uncached(kind, text)
}

async fn openapi() -> Response {
    uncached(CONTENT_TYPE_JSON, OPENAPI)
}

const CONTENT_TYPE_JSON: &str = "application/json";

fn uncached(kind: &'static str, body: impl Into<Body>) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")];
    (headers, body.into()).into_response()
}
