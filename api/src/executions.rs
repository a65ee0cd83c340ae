//! Following an execution.

use aws::clock;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Execution, ExecutionId, Owner, limits};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use utoipa::{
    IntoParams, IntoResponses,
    openapi::{
        ObjectBuilder, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{
    caller::Caller,
    model::ExecutionView,
    parameters::NoParameters,
    path::Path,
    prefer::Prefer,
    problem::{Answers, Code, Problem, answers},
    router::App,
};

/// Bytes of the hash that an `ETag` shows.
const ETAG_BYTES: usize = 12;

/// Why an id leads to nothing.
pub(crate) struct NotFound;

impl IntoResponses for NotFound {
    fn responses() -> Answers {
        answers(&[Code::ExecutionNotFound, Code::ExecutionExpired])
    }
}

/// Which execution a path is about.
pub(crate) struct Id;

impl IntoParams for Id {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = ParameterBuilder::new().name("executionId").parameter_in(ParameterIn::Path);
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(limits::ID_CHARS));
        // The parameter's own example, not its schema's: the documentation page fills it in.
        let parameter =
            parameter.example(Some("0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".into())).schema(Some(text.build()));
        vec![parameter.description(Some("Id of the execution")).required(Required::True).build()]
    }
}

/// Get an execution as it is now.
///
/// While it is not final, `Retry-After` says when it is worth asking again. `If-None-Match` with the last `ETag` makes an
/// unchanged execution a 304 without a body; with `Prefer: wait` as well the answer is held until something has changed.
#[utoipa::path(
    get, path = "/executions/{executionId}", operation_id = "getExecution", tag = "executions",
    params(
        Id,
        Prefer,
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The last `ETag`"),
    ),
    responses(
        (status = 200, description = "The execution, also when its job failed", body = ExecutionView, headers(
            ("ETag" = String, description = "Stands for the execution as it is now"),
            ("Retry-After" = u64, description = "Seconds; absent when it is final"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was asked for"),
        )),
        (status = 304, description = "It is as `If-None-Match` knows it", headers(
            ("ETag" = String, description = "Stands for the execution as it is now"),
            ("Retry-After" = u64, description = "Seconds; absent when it is final"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was asked for"),
        )),
        NoParameters,
        NotFound,
        Problem,
    ),
)]
pub(crate) async fn get_execution(
    State(app): State<App>,
    Caller(owner): Caller,
    Path(id): Path,
    _: NoParameters,
    mut prefer: Prefer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let execution = owned(&app, &owner, &id, clock::now()).await?;
    let is_known = |seen: &Execution| {
        let etag = etag(seen);
        headers.get_all(header::IF_NONE_MATCH).iter().any(|known| matches(known, &etag))
    };
    let asks_for_news = headers.contains_key(header::IF_NONE_MATCH);
    let enough = |seen: &Execution| seen.status().is_final() || (asks_for_news && !is_known(seen));
    let execution = prefer.hold(&app, execution, enough).await;
    let mut telling = following(&execution, clock::now());
    prefer.tell(&mut telling);
    if asks_for_news && is_known(&execution) {
        return Ok((StatusCode::NOT_MODIFIED, telling).into_response());
    }
    Ok((telling, axum::Json(ExecutionView::of(execution))).into_response())
}

/// The execution of that id, if it is the caller's: another's is as if it were not there.
pub(crate) async fn owned(app: &App, owner: &Owner, id: &str, now: Timestamp) -> Result<Execution, Problem> {
    let id: ExecutionId = id.parse().map_err(|_| not_found())?;
    let found = app.executions.get(&id).await?;
    let execution = found.filter(|execution| execution.owner == *owner).ok_or_else(not_found)?;
    if execution.expires_at <= now {
        return Err(Problem::new(Code::ExecutionExpired, format!("it expired at {}", execution.expires_at)));
    }
    Ok(execution)
}

/// An execution that is not there, or another's.
pub(crate) fn not_found() -> Problem {
    Problem::new(Code::ExecutionNotFound, "no such execution, or you do not have access to it")
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

/// Strong: whatever changes in a representation stands in the timeline, but for the start's time, and what is not shown (that somebody looked after
/// it) does not. A hash of it, since a timeline that is full forgets.
fn etag(execution: &Execution) -> String {
    let mut hash = Sha256::new();
    hash.update(execution.status().as_str());
    if let Some(run) = execution.state.run() {
        hash.update(run.started_at.as_millisecond().to_be_bytes());
    }
    for entry in execution.timeline.entries() {
        hash.update(entry.at.as_millisecond().to_be_bytes());
        hash.update(entry.what.as_str());
        hash.update(entry.detail.as_deref().unwrap_or_default());
    }
    let tag = hash.finalize().iter().take(ETAG_BYTES).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("\"{tag:024x}\"")
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
