//! A timeout for each request, shorter than the function's 29 s and API Gateway's 30 s
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>), which would answer with a bare 503.

use std::time::Duration;

use axum::{
    extract::Request,
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tracing::Level;

use crate::{
    answers::problem::{Code, Problem},
    extract::idempotency_key,
};

/// The timeout: more than the longest `Prefer: wait` and its last read.
const LONGEST: Duration = Duration::from_millis(27_500);

/// Answers 503 if AWS takes too long. The request may be abandoned within or between two AWS calls. What it has begun is completed by a
/// repeat of the request, or else by the next sweep.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    answer_within(LONGEST, request, next).await
}

async fn answer_within(longest: Duration, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let starts =
        request.method() == Method::POST && !["/cancel", "/pause", "/resume"].iter().any(|end| path.ends_with(end));
    let safe = !starts || request.headers().contains_key(idempotency_key::NAME);
    if let Ok(response) = tokio::time::timeout(longest, next.run(request)).await {
        return response;
    }
    let problem = Problem::new(Code::AwsUnavailable, "AWS took too long to answer; repeat the request");
    let problem = problem.because(Level::ERROR, "AWS took too long: the request was abandoned");
    if safe { problem } else { problem.not_safe_to_repeat() }.into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::StatusCode, middleware, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_slow_request_is_answered_before_lambda_ends_the_function() {
        let layer = |request, next| answer_within(Duration::from_millis(10), request, next);
        let handler = get(std::future::pending::<()>).post(std::future::pending::<()>);
        let router = Router::new().route("/executions/sync", handler).layer(middleware::from_fn(layer));
        for (method, key, told) in
            [("GET", "", "repeat"), ("POST", "k", "repeat"), ("POST", "", "may have been accepted")]
        {
            let mut request = Request::builder().method(method).uri("/executions/sync");
            if !key.is_empty() {
                request = request.header(idempotency_key::NAME, key);
            }
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()["retry-after"], "1");
            let problem = response.extensions().get::<Problem>().unwrap();
            assert!(format!("{problem:?}").contains(told), "{method} {key}: {problem:?}");
        }
    }
}
