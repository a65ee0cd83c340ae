//! Following an execution.

use aws::clock;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Execution, ExecutionId, Owner};
use jiff::Timestamp;
use utoipa::IntoResponses;

use crate::{
    caller::Caller,
    model::ExecutionView,
    problem::{Answers, Code, Problem, answers},
    router::App,
};

/// Why an id leads to nothing.
pub(crate) struct NotFound;

impl IntoResponses for NotFound {
    fn responses() -> Answers {
        answers(&[Code::ExecutionNotFound, Code::ExecutionExpired])
    }
}

/// Get an execution as it is now.
///
/// While it is not final, `Retry-After` says when it is worth asking again. `If-None-Match` with the last `ETag` makes an
/// unchanged execution a 304 without a body.
#[utoipa::path(
    get, path = "/executions/{executionId}", operation_id = "getExecution", tag = "executions",
    params(
        ("executionId" = String, Path, description = "Id of the execution", max_length = 60,
            example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The last `ETag`"),
    ),
    responses(
        (status = 200, description = "The execution, also when its job failed", body = ExecutionView, headers(
            ("ETag" = String, description = "Stands for the execution as it is now"),
            ("Retry-After" = u64, description = "Seconds; absent when it is final"),
        )),
        (status = 304, description = "It is as `If-None-Match` knows it"),
        NotFound,
        Problem,
    ),
)]
pub(crate) async fn get_execution(
    State(app): State<App>,
    Caller(owner): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now = clock::now();
    let execution = owned(&app, &owner, &id, now).await?;
    let etag = etag(&execution);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, following(&execution, now)).into_response());
    }
    let headers = following(&execution, now);
    Ok((headers, axum::Json(ExecutionView::of(execution))).into_response())
}

/// The execution of that id, if it is the caller's: another's is as if it were not there.
pub(crate) async fn owned(app: &App, owner: &Owner, id: &str, now: Timestamp) -> Result<Execution, Problem> {
    let not_found = || Problem::new(Code::ExecutionNotFound, "there is no such execution, or it is somebody else's");
    let id: ExecutionId = id.parse().map_err(|_| not_found())?;
    let found = app.executions.get(&id).await?;
    let execution = found.filter(|execution| execution.owner == *owner).ok_or_else(not_found)?;
    if execution.expires_at <= now {
        return Err(Problem::new(Code::ExecutionExpired, format!("it expired at {}", execution.expires_at)));
    }
    Ok(execution)
}

/// The headers that help to follow an execution: `ETag`, and while it is not final `Retry-After`.
pub(crate) fn following(execution: &Execution, now: Timestamp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::try_from(etag(execution)) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if !execution.status().is_final() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after(execution, now)));
    }
    headers
}

/// Strong: an execution's version changes with everything that its representation shows.
fn etag(execution: &Execution) -> String {
    format!("\"{}\"", execution.version)
}

/// `If-None-Match` compares weakly (RFC 9110, 13.1.2), and may list several tags or `*`.
fn matches(known: &HeaderValue, etag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
}

/// Seconds until asking again is worth it: a tenth of the execution's age, from 1 s to 1 min.
fn retry_after(execution: &Execution, now: Timestamp) -> u64 {
    let age = u64::try_from(now.duration_since(execution.created_at).as_secs()).unwrap_or_default();
    (age / 10).clamp(1, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_reads_lists_and_weak_tags() {
        for (known, matched) in
            [("\"3\"", true), ("W/\"3\"", true), ("\"1\", \"3\"", true), ("*", true), ("\"33\"", false)]
        {
            assert_eq!(matches(&HeaderValue::from_static(known), "\"3\""), matched, "{known}");
        }
    }
}
