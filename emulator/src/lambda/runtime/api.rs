//! The Runtime API of one process.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot};

use super::{Outcome, Request, RuntimeError};
use crate::{
    clock::Clock,
    lambda::{durable::operation::ErrorObject, limits},
};

/// An invocation on its way to a process.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request: Request,
    pub(super) function_arn: String,
    /// Is notified when the process takes it. The timeout counts from then on.
    pub(super) taken: oneshot::Sender<Timestamp>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// The state of the Runtime API of one process.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    clock: Clock,
    timeout: Duration,
    next: AsyncMutex<mpsc::Receiver<Invocation>>,
    under_way: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    /// The error that the process reported when it could not start.
    init_error: Mutex<Option<ErrorObject>>,
    init_failed: Notify,
}

impl RuntimeApi {
    pub(super) fn new(clock: Clock, timeout: Duration, invocations: mpsc::Receiver<Invocation>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            timeout,
            next: AsyncMutex::new(invocations),
            under_way: Mutex::default(),
            init_error: Mutex::default(),
            init_failed: Notify::new(),
        })
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// Waits until the process reports that it could not start.
    pub(super) async fn init_failed(&self) -> ErrorObject {
        loop {
            let said = self.init_failed.notified();
            if let Some(error) = self.take_init_error() {
                return error;
            }
            said.await;
        }
    }

    pub(super) fn take_init_error(&self) -> Option<ErrorObject> {
        self.init_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, Option<(String, oneshot::Sender<Outcome>)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the invocation in flight, if it has this id.
    fn finish(&self, id: &str, outcome: Outcome) -> Response {
        let mut under_way = self.under_way();
        match under_way.take() {
            Some((current, answer)) if current == id => {
                // The caller may have given up waiting; the process gets the same response.
                let _ = answer.send(outcome);
                accepted()
            }
            other => {
                *under_way = other;
                let body = RuntimeError::new("InvalidRequestID", "Invalid request ID");
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
        }
    }
}

/// The response to a report of a process.
#[derive(Debug, Serialize)]
struct StatusResponse {
    status: &'static str,
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(StatusResponse { status: "OK" })).into_response()
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> Response {
    let Some(invocation) = api.next.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let now = api.clock.now();
    let timeout = SignedDuration::try_from(api.timeout).unwrap_or(SignedDuration::MAX);
    let deadline = now.checked_add(timeout).unwrap_or(Timestamp::MAX).as_millisecond();
    let request = invocation.request;
    let headers: HeaderMap = [
        ("lambda-runtime-aws-request-id", Some(request.id.clone())),
        ("lambda-runtime-deadline-ms", Some(deadline.to_string())),
        ("lambda-runtime-invoked-function-arn", Some(invocation.function_arn)),
        ("lambda-runtime-trace-id", Some(request.trace.unwrap_or_else(|| new_trace(now, &request.id)))),
        ("lambda-runtime-client-context", request.client_context),
        ("content-type", Some("application/json".to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value?).ok()?)))
    .collect();
    let _ = invocation.taken.send(now);
    *api.under_way() = Some((request.id, invocation.answer));
    (headers, request.payload).into_response()
}

/// A trace that is not sampled, in X-Ray's format.
fn new_trace(now: Timestamp, request_id: &str) -> String {
    let digits: String = request_id.chars().filter(char::is_ascii_hexdigit).collect();
    let (root, parent) = (digits.get(..24).unwrap_or_default(), digits.get(16..).unwrap_or_default());
    format!("Root=1-{:08x}-{root};Parent={parent};Sampled=0", now.as_second())
}

async fn response(State(api): State<Arc<RuntimeApi>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > limits::SYNC_BYTES {
        let size = body.len();
        let message =
            format!("Response payload size ({size} bytes) exceeded maximum allowed payload size (6291556 bytes).");
        api.finish(&id, Outcome::failed("Function.ResponseSizeTooLarge", message));
        let said = RuntimeError::new("RequestEntityTooLarge", "Exceeded maximum allowed payload size.");
        return (StatusCode::PAYLOAD_TOO_LARGE, Json(said)).into_response();
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
    api.init_failed.notify_one();
    accepted()
}

/// The error that a process reports. Its type may be in a header.
fn reported(headers: &HeaderMap, body: &[u8]) -> ErrorObject {
    let error = ErrorObject::from(serde_json::from_slice::<RuntimeError>(body).unwrap_or_default());
    let header = headers.get("Lambda-Runtime-Function-Error-Type").and_then(|value| value.to_str().ok());
    ErrorObject { error_type: error.error_type.or_else(|| header.map(str::to_owned)), ..error }
}
