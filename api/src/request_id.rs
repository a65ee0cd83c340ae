//! Gives every request an id, its answer's errors their body, and the access log its line.

use std::time::Instant;

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument as _;

use crate::{caller::gateway, problem::Problem, random, router::App};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let owner = app.callers.sender(request.headers(), request.extensions());
    // Whatever is logged on the way carries the id.
    let answering = tracing::info_span!("request", requestId = id);
    let mut response = next.run(request).instrument(answering).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = with_body(response, &problem, &id);
    }
    // Neither the path nor a header: they may name executions and carry keys. Nor the owner's name: logs get around.
    tracing::info!(
        requestId = id,
        %method,
        route = route.as_ref().map_or("-", MatchedPath::as_str),
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

/// API Gateway's own id of the request, by which its access log has it too, else a new one.
fn request_id(request: &Request) -> String {
    let given = gateway(request.extensions()).and_then(|context| context.request_id.clone());
    let fresh = || {
        // Without randomness, an id that names nothing is better than no answer.
        let random = random::bytes().unwrap_or_default();
        format!("{:020x}", random.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte)))
    };
    given.filter(|id| !id.is_empty()).unwrap_or_else(fresh)
}
