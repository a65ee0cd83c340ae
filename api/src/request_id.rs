//! Gives every request an id, its answer's errors their body, and the access log its line.

use std::time::Instant;

use axum::{
    Json,
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{problem::Problem, random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that a caller may choose.
const LONGEST: usize = 64;

pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = with_body(response, &problem, &id);
    }
    // Neither the path nor a header: they may name executions and carry keys.
    tracing::info!(
        requestId = id,
        %method,
        route = route.as_deref().unwrap_or("-"),
        status = response.status().as_u16(),
        micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
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

/// The caller's own id if it has a usable one, else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let usable = |id: &&str| {
        (1..=LONGEST).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match given.filter(usable) {
        Some(id) => id.to_owned(),
        // Without randomness, an id that names nothing is better than no answer.
        None => random::bytes().unwrap_or_default().iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}")),
    }
}
