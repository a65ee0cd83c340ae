//! Gives every request an id, gives error responses their body, and writes the log of requests: one line for each, and one more
//! if it failed for an internal cause.
//!
//! **Invariant**: no line has the path or a header, which may name executions and contain keys, nor the owner's name, since logs are
//! shared.

use std::time::Instant;

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::{Instrument as _, Level};

use crate::{
    answers::problem::{Code, Failure, Problem},
    app::App,
    extract::caller::gateway,
    random,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    let owner = app.callers.sender(request.headers(), request.extensions());
    // Everything that is logged while the request is processed has the id.
    let answering = tracing::info_span!("request", requestId = id);
    let mut response = next.run(request).instrument(answering).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if let Some((code, failure)) = problem.failure() {
            log(&id, &method, &route, code, failure);
        }
        response = with_body(response, &problem, &id);
    }
    tracing::info!(
        requestId = id,
        %method,
        route,
        status = response.status().as_u16(),
        durationMs = began.elapsed().as_secs_f64() * 1000.0,
        owner = owner.map_or_else(|| "-".to_owned(), |owner| owner.pseudonym()),
        "answered"
    );
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The one line about an internal failure.
fn log(id: &str, method: &Method, route: &str, code: Code, failure: &Failure) {
    // A line's level is part of its declaration.
    macro_rules! line {
        ($level:expr) => {
            tracing::event!($level, requestId = id, %method, route, code = code.name(), error = failure.error, "a request failed")
        };
    }
    if failure.level == Level::ERROR { line!(Level::ERROR) } else { line!(Level::WARN) }
}

fn with_body(bare: Response, problem: &Problem, id: &str) -> Response {
    let (parts, _) = bare.into_parts();
    let mut response = (parts.status, Json(problem.body(id))).into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let problem_json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, problem_json);
    response
}

/// API Gateway's id of the request, which is also in its access log, or else a new one.
fn request_id(request: &Request) -> String {
    let given = gateway(request.extensions()).and_then(|context| context.request_id.clone());
    let fresh = || {
        // Without randomness, an id that is not unique is better than no response.
        let random = random::bytes::<10>().unwrap_or_default();
        format!("{:020x}", random.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte)))
    };
    given.filter(|id| !id.is_empty()).unwrap_or_else(fresh)
}
