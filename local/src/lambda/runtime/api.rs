//! The Runtime API of one process.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use super::Outcome;
use crate::lambda::durable::operation::ErrorObject;

/// Largest answer of an invocation: 6 MB (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub(super) const LARGEST_ANSWER: usize = 6 * 1024 * 1024;

/// An invocation on its way to a process.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) deadline: Timestamp,
    pub(super) function_arn: String,
    pub(super) payload: Bytes,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// What the Runtime API of one process knows.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    next: AsyncMutex<mpsc::Receiver<Invocation>>,
    under_way: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    /// What the process said when it could not start.
    init_error: Mutex<Option<ErrorObject>>,
}

impl RuntimeApi {
    pub(super) fn new(invocations: mpsc::Receiver<Invocation>) -> Arc<Self> {
        Arc::new(Self { next: AsyncMutex::new(invocations), under_way: Mutex::default(), init_error: Mutex::default() })
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(LARGEST_ANSWER + 1024))
            .with_state(self.clone())
    }

    pub(super) fn take_init_error(&self) -> Option<ErrorObject> {
        self.init_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, Option<(String, oneshot::Sender<Outcome>)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the invocation under way, if `id` names it.
    fn finish(&self, id: &str, outcome: Outcome) -> Response {
        let mut under_way = self.under_way();
        match under_way.take() {
            Some((current, answer)) if current == id => {
                // Whoever waited may have given up: the process is told the same.
                let _ = answer.send(outcome);
                (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
            }
            other => {
                *under_way = other;
                let body = json!({ "errorType": "InvalidRequestID", "errorMessage": "Invalid request ID" });
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
        }
    }
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> Response {
    let Some(invocation) = api.next.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id.clone()),
        ("Lambda-Runtime-Deadline-Ms", invocation.deadline.as_millisecond().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn),
        ("Content-Type", "application/json".to_owned()),
    ];
    *api.under_way() = Some((invocation.request_id, invocation.answer));
    (headers, invocation.payload).into_response()
}

async fn response(State(api): State<Arc<RuntimeApi>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > LARGEST_ANSWER {
        let size = body.len();
        let message =
            format!("Response payload size ({size} bytes) exceeded maximum allowed payload size (6291556 bytes).");
        api.finish(&id, Outcome::failed("Function.ResponseSizeTooLarge", message));
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    api.finish(&id, Outcome::Answered(body))
}

async fn error(
    State(api): State<Arc<RuntimeApi>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    api.finish(&id, Outcome::Failed(reported(&headers, &body)))
}

async fn init_error(State(api): State<Arc<RuntimeApi>>, headers: HeaderMap, body: Bytes) -> Response {
    *api.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reported(&headers, &body));
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

/// `{"errorMessage", "errorType", "stackTrace"}`, in the Runtime API's own spelling.
fn reported(headers: &HeaderMap, body: &[u8]) -> ErrorObject {
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Reported {
        error_message: Option<String>,
        error_type: Option<String>,
        stack_trace: Vec<String>,
    }
    let reported: Reported = serde_json::from_slice(body).unwrap_or_default();
    let header = headers.get("Lambda-Runtime-Function-Error-Type").and_then(|value| value.to_str().ok());
    ErrorObject {
        error_type: reported.error_type.or_else(|| header.map(str::to_owned)),
        error_message: reported.error_message,
        stack_trace: reported.stack_trace,
        error_data: None,
    }
}
