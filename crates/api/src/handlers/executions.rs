//! Reading and polling an execution.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::Execution;
use jiff::Timestamp;
use runtime::clock;
use sha2::{Digest as _, Sha256};

use crate::{
    answers::{
        model::{ExecutionView, downloads},
        problem::Problem,
    },
    app::App,
    extract::{caller::Caller, owned::Owned, parameters::NoParameters, prefer::Prefer},
};

/// Bytes of the hash in an `ETag`.
const ETAG_BYTES: usize = 12;

/// Get an execution.
///
/// While it is not final, `Retry-After` says when to poll again. With `If-None-Match` and the last `ETag`, an unchanged execution is
/// a 304 without a body. With `Prefer: wait` as well, the response is held until something has changed.
#[utoipa::path(
    get, path = "/executions/{executionId}", operation_id = "getExecution", tag = "executions",
    params(
        Owned,
        Prefer,
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The last `ETag`"),
    ),
    responses(
        (status = 200, description = "The execution, even if its job failed", body = ExecutionView, headers(
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        (status = 304, description = "The execution has not changed since the `ETag` in `If-None-Match`", headers(
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        NoParameters,
        Owned,
        Problem,
    ),
)]
pub(crate) async fn get_execution(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    mut prefer: Prefer,
    headers: HeaderMap,
    Owned(execution): Owned,
) -> Response {
    let now = clock::now();
    let is_known = |seen: &Execution| {
        let etag = etag(seen, now);
        headers.get_all(header::IF_NONE_MATCH).iter().any(|known| matches(known, &etag))
    };
    let asks_for_news = headers.contains_key(header::IF_NONE_MATCH);
    let enough = |seen: &Execution| seen.status().is_final() || (asks_for_news && !is_known(seen));
    let execution = prefer.hold(&app, execution, enough).await;
    let mut telling = following(&execution, now);
    prefer.add_headers(&mut telling);
    if asks_for_news && is_known(&execution) {
        return (StatusCode::NOT_MODIFIED, telling).into_response();
    }
    (telling, axum::Json(ExecutionView::of(&app, execution, now).await)).into_response()
}

/// The headers for polling an execution: `ETag`, and `Retry-After` while it is not final.
pub(crate) fn following(execution: &Execution, now: Timestamp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::try_from(etag(execution, now)) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if !execution.status().is_final() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after(execution, now)));
    }
    headers
}

/// A strong `ETag`: a hash of the status, of the start's time and of the whole timeline. The number of entries would not be enough, since a
/// full timeline drops entries. Every other change of the representation adds an entry to the timeline, except for changes before its start. A change that it does not show,
/// such as a visit of the sweep, adds none. Presigned URLs change with time.
fn etag(execution: &Execution, now: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(execution.status().as_str());
    if let Some(started) = execution.state.started_task() {
        hash.update(started.started_at.as_millisecond().to_be_bytes());
    }
    for entry in execution.timeline.entries() {
        hash.update(entry.at.as_millisecond().to_be_bytes());
        hash.update(entry.what.as_str());
        hash.update(entry.detail.as_deref().unwrap_or_default());
    }
    // These are changed without an entry.
    if execution.scheduled_for.is_some() {
        let latest = execution.start_before.map(Timestamp::as_millisecond);
        hash.update(latest.unwrap_or_default().to_be_bytes());
        for text in execution.request.tags.iter().flat_map(|(key, value)| [key, value]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
    }
    if downloads::has_any(execution) {
        hash.update(downloads::valid(now).from.as_second().to_be_bytes());
    }
    quoted(hash)
}

/// A strong `ETag` of a representation that does not contain presigned URLs.
pub(crate) fn etag_of(body: &[u8]) -> String {
    quoted(Sha256::new_with_prefix(body))
}

fn quoted(hash: Sha256) -> String {
    let tag = hash.finalize().iter().take(ETAG_BYTES).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("\"{tag:024x}\"")
}

/// `If-None-Match` compares weakly (RFC 9110, 13.1.2), and may list several tags or `*`.
pub(crate) fn matches(known: &HeaderValue, etag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
}

/// Seconds until the next poll is worthwhile: a tenth of the execution's age, from 1 s to 1 min. Before its start time, the time until
/// then, up to an hour, because it may be moved.
fn retry_after(execution: &Execution, now: Timestamp) -> u64 {
    if let Some(left) = execution.until_start(now) {
        return left.as_secs().min(3_600);
    }
    next_poll(execution.started_from(), now)
}

/// A tenth of the time since then in seconds, from 1 s to 1 min.
pub(crate) fn next_poll(since: Timestamp, now: Timestamp) -> u64 {
    let age = u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default();
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
