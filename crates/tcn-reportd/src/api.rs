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
use tcn_exchange::admission::{self, LARGEST_BODY, Refusal};
use tcn_exchange::interval::Interval;

use super::answer::{self, Asked, Freshness, later, refusal};
use super::chores::chain;
use super::desk::{Desk, Keeper, Records};
use super::form::Form;
use super::metrics::Outcome;
use super::place::{Place, place};
use super::question::{self, Question, QuestionError};
use super::store::{Stored, Unavailable};

/// Paths of CoEpi's API: by its Lambda, its own server, and its Go server.
pub const UPLOADS: [&str; 3] = [
    "/v4/tcnreport/0.4.0",
    "/tcnreport/0.4.0",
    "/tcnreport/v0.4.0",
];

/// How long the body of a request (1 KiB) may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

const OPENAPI: &str = include_str!("openapi.json");

type Shared = State<Arc<Desk>>;

/// The address a request came from.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// All routes of the server.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi));
    let keeper = match &desk.records {
        Records::Keeper(keeper) => Some(keeper.clone()),
        Records::Front(_) => None,
    };
    for path in UPLOADS {
        let mut methods = post(upload);
        if let Some(keeper) = &keeper {
            let asked = get(current_or_numbered).layer(Extension(keeper.clone()));
            methods = methods.merge(asked);
        }
        router = router.route(path, methods);
    }
    if let Some(keeper) = keeper {
        let by_name = get(named).layer(Extension(keeper));
        router = router.route("/tcnreport/21600/{name}", by_name);
    }
    router
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "no such path; see /openapi.json") })
        .with_state(desk)
}

async fn upload(
    State(desk): Shared,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let sender = desk.proxies.sender(peer, request.headers());
    let _under_way = match desk.limits.admit(sender, desk.clock.since_start()) {
        Ok(under_way) => under_way,
        Err(wait) => {
            desk.metrics.upload(Outcome::Limited, desk.clock.now());
            return limited(wait);
        }
    };
    let (outcome, response) = match body(request).await {
        Ok(body) => judged(&desk, &body).await,
        Err(refused) => refused,
    };
    desk.metrics.upload(outcome, desk.clock.now());
    response
}

async fn judged(desk: &Desk, body: &[u8]) -> (Outcome, Response) {
    let report = match admission::admit(body, desk.sound_time()) {
        Ok(report) => report,
        Err(refused @ Refusal::Unverified(_)) => {
            let response = refusal(StatusCode::UNAUTHORIZED, &refused.to_string());
            return (Outcome::Unverified, response);
        }
        Err(refused) => {
            let response = refusal(StatusCode::BAD_REQUEST, &refused.to_string());
            return (Outcome::Malformed, response);
        }
    };
    match desk.keep(report).await {
        // The sender does not learn which: it would learn that the report was sent
        // before.
        Ok(Stored::New) => (Outcome::Stored, StatusCode::OK.into_response()),
        Ok(Stored::Known) => (Outcome::Known, StatusCode::OK.into_response()),
        Err(why) => (Outcome::Unavailable, later(why)),
    }
}

/// The body, within the limits of length and time.
async fn body(request: Request) -> Result<bytes::Bytes, (Outcome, Response)> {
    let too_large = || {
        let why = "the body is longer than any report; send one signed report in base64";
        (
            Outcome::TooLarge,
            refusal(StatusCode::PAYLOAD_TOO_LARGE, why),
        )
    };
    let declared = request.headers().get(CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > LARGEST_BODY as u64) {
        return Err(too_large());
    }
    let reading = Limited::new(request.into_body(), LARGEST_BODY).collect();
    match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_gone)) => {
            let why = "the body broke off; send the report again";
            Err((Outcome::Malformed, refusal(StatusCode::BAD_REQUEST, why)))
        }
        Err(_elapsed) => {
            let why = "the body took longer than ten seconds; send the report again";
            Err((Outcome::TooSlow, refusal(StatusCode::REQUEST_TIMEOUT, why)))
        }
    }
}

fn limited(wait: Duration) -> Response {
    let why = "too many uploads; wait as long as Retry-After says";
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, why);
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

async fn current_or_numbered(
    State(desk): Shared,
    Extension(keeper): Extension<Keeper>,
    Query(parameters): Query<Vec<(String, String)>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let question = match question::read(&parameters) {
        Ok(question) => question,
        Err(error) => return refusal(status(error), &error.to_string()),
    };
    let open = match keeper.store.settle().await {
        Ok(open) => open,
        Err(why) => return later(why),
    };
    let interval = match question {
        Question::Current => open,
        Question::Numbered(interval) => interval,
    };
    let (method, headers) = (&method, &headers);
    let asked = Asked { method, headers };
    match place(interval, open) {
        Place::Future | Place::Gone => answer::empty(Freshness::Not),
        stands @ (Place::Open | Place::Past) => {
            let vary = Some("accept-encoding");
            let wanted = (interval, stands, asked.json(), vary);
            serve(&desk, &keeper, wanted, asked).await
        }
    }
}

const fn status(error: QuestionError) -> StatusCode {
    match error {
        QuestionError::WrongLength => StatusCode::UNAUTHORIZED,
        QuestionError::LengthMissing
        | QuestionError::NotANumber
        | QuestionError::NotPositive
        | QuestionError::BeforeFirst => StatusCode::BAD_REQUEST,
    }
}

async fn named(
    State(desk): Shared,
    Extension(keeper): Extension<Keeper>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (method, headers) = (&method, &headers);
    let asked = Asked { method, headers };
    let (digits, form, vary) = if let Some(digits) = name.strip_suffix(".json") {
        (digits, asked.json(), Some("accept-encoding"))
    } else if let Some(digits) = name.strip_suffix(".tcn") {
        (digits, Form::Tcn, None)
    } else {
        (&*name, asked.any(), Some("accept, accept-encoding"))
    };
    // Each interval has one name; else caches would keep several copies.
    let number = digits.parse().ok().and_then(Interval::new);
    let Some(interval) = number.filter(|interval| interval.to_string() == digits) else {
        return refusal(
            StatusCode::NOT_FOUND,
            "no such interval; numbers are unix time / 21600",
        );
    };
    let open = match keeper.store.settle().await {
        Ok(open) => open,
        Err(why) => return later(why),
    };
    match place(interval, open) {
        Place::Future => refusal(StatusCode::NOT_FOUND, "this interval has not begun"),
        Place::Gone => refusal(StatusCode::GONE, "intervals are kept for 14 days"),
        stands @ (Place::Open | Place::Past) => {
            serve(&desk, &keeper, (interval, stands, form, vary), asked).await
        }
    }
}

async fn serve(
    desk: &Desk,
    keeper: &Keeper,
    (interval, stands, form, vary): (Interval, Place, Form, Option<&'static str>),
    asked: Asked<'_>,
) -> Response {
    let found = match stands {
        Place::Past => keeper.shelf.past(interval).await,
        Place::Open | Place::Future | Place::Gone => keeper.shelf.open(interval).await,
    };
    let edition = match found {
        Ok(edition) => {
            desk.reading.succeeded();
            edition
        }
        Err(fault) => {
            desk.reading.failed(&chain(&fault), 1);
            return later(Unavailable::Failing);
        }
    };
    let freshness = if stands == Place::Past {
        Freshness::ForEver
    } else {
        let left = interval.end().0.saturating_sub(desk.clock.now().0);
        Freshness::Seconds(left)
    };
    answer::edition(desk, &edition, form, vary, freshness, asked).await
}

async fn health(State(desk): Shared) -> Response {
    match desk.ready().await {
        Ok(()) => answer(CONTENT_TYPE_JSON, "{\"status\":\"ready\"}\n"),
        Err(why) => later(why),
    }
}

async fn metrics(State(desk): Shared) -> Response {
    let text = desk
        .metrics
        .text(desk.clock.now(), desk.trouble().map(Unavailable::word));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer(kind, text)
}

async fn openapi() -> Response {
    answer(CONTENT_TYPE_JSON, OPENAPI)
}

const CONTENT_TYPE_JSON: &str = "application/json";

fn answer(kind: &'static str, body: impl Into<Body>) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")];
    (headers, body.into()).into_response()
}
