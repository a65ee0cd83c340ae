//! Refuses requests of web pages that reach the API under another name (DNS rebinding): a request must name a host of this machine.
//! `emulator::guard` says why.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use emulator::guard::{Hosts, Refused};
use serde_json::json;
use uuid::Uuid;

/// In front of the API.
pub(crate) async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match hosts.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refused) => problem(&refused),
    }
}

/// The response of the API: a problem. It cannot occur behind API Gateway, so the `OpenAPI` document does not contain it.
fn problem(refused: &Refused) -> Response {
    let request_id = Uuid::new_v4().simple().to_string();
    let problem = json!({
        "type": "/docs/errors#host-not-allowed",
        "title": "The host is not allowed",
        "status": refused.status().as_u16(),
        "detail": refused.to_string(),
        "code": "host-not-allowed",
        "requestId": request_id,
    });
    let mut response = (refused.status(), Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-request-id", id);
    }
    response
}
