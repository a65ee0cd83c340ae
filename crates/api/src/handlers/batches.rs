//! Batches: many executions that one request starts.

mod new;
mod start;

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use domain::{Batch, BatchId, batch::Progress};
use runtime::clock;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

pub(crate) use self::start::{__path_start_batch, start_batch};
use crate::{
    answers::{
        problem::{Answers, Code, Problem, answers},
        time::Time,
    },
    app::App,
    extract::{caller::Caller, parameters::NoParameters, path::Path},
    handlers::executions,
};

/// A batch: how many of its executions are in each state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Batch)]
struct BatchView {
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    batch_id: String,
    /// When its request was first accepted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// How many executions its request has: those that were accepted and those that were refused.
    #[schema(example = 1000)]
    total: u32,
    accepted: u32,
    refused: u32,
    /// How many executions are in each state. A state that none is in is left out. With `missing` and `deleted`, the numbers add up to
    /// `accepted`.
    #[schema(example = json!({"RUNNING": 12, "COMPLETED": 988}))]
    counts: BTreeMap<String, u32>,
    /// How many executions could not be stored because the request failed: repeat it, with the same `Idempotency-Key`. Absent if there
    /// are none.
    #[serde(skip_serializing_if = "none")]
    #[schema(value_type = Option<u32>, nullable = false)]
    missing: u32,
    /// How many executions have been deleted, 30 days after their end. Absent if there are none.
    #[serde(skip_serializing_if = "none")]
    #[schema(value_type = Option<u32>, nullable = false)]
    deleted: u32,
    /// How many executions are over, including those that have been deleted.
    finished: u32,
    /// `finished` divided by `accepted`, from 0 to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.988)]
    progress: f64,
    /// Whether all executions are over, except for `missing` ones. It does not change after that, unless the request is repeated to start
    /// those.
    done: bool,
    /// When it is deleted, together with its `Idempotency-Key`: 30 days after the latest deadline of its executions.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    links: BatchLinks,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn none(count: &u32) -> bool {
    *count == 0
}

/// Links from a batch to related operations, relative to the API's URL.
#[derive(Debug, Serialize, ToSchema)]
struct BatchLinks {
    /// The batch itself.
    #[serde(rename = "self")]
    #[schema(example = "/batches/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    itself: String,
    /// The list of its executions.
    #[schema(example = "/executions?batch=0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    executions: String,
}

impl BatchLinks {
    fn of(id: &BatchId) -> Self {
        Self { itself: format!("/batches/{id}"), executions: format!("/executions?batch={id}") }
    }
}

impl BatchView {
    fn of(batch: &Batch, progress: Progress) -> Self {
        let accepted = batch.accepted();
        let Progress { counts, missing, deleted, finished, done } = progress;
        Self {
            batch_id: batch.id.to_string(),
            created_at: batch.created_at.into(),
            total: batch.total,
            accepted,
            refused: batch.total - accepted,
            counts,
            missing,
            deleted,
            finished,
            progress: if accepted == 0 { 1.0 } else { f64::from(finished) / f64::from(accepted) },
            done,
            expires_at: batch.expires_at.into(),
            links: BatchLinks::of(&batch.id),
        }
    }
}

/// The errors of a read.
struct NotFound;

impl IntoResponses for NotFound {
    fn responses() -> Answers {
        answers(&[Code::BatchNotFound])
    }
}

/// Get a batch.
///
/// Says how many of its executions are in each state; `GET /executions?batch=ID` lists them. The counts are eventually consistent: they may
/// be a moment behind the executions. While the batch is not done, `Retry-After` says when to poll again. With `If-None-Match` and the last
/// `ETag`, an unchanged batch is a 304 without a body.
#[utoipa::path(
    get, path = "/batches/{batchId}", operation_id = "getBatch", tag = "batches",
    params(
        ("batchId" = String, Path, description = "Id of the batch", max_length = 36,
            example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The last `ETag`"),
    ),
    responses(
        (status = 200, description = "The batch", body = BatchView, headers(
            ("ETag" = String, description = "Identifies this version of the batch"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the batch is done"),
        )),
        (status = 304, description = "The batch has not changed since the `ETag` in `If-None-Match`", headers(
            ("ETag" = String, description = "Identifies this version of the batch"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the batch is done"),
        )),
        NoParameters,
        NotFound,
        Problem,
    ),
)]
pub(crate) async fn get_batch(
    State(app): State<App>,
    Caller(owner): Caller,
    _: NoParameters,
    headers: HeaderMap,
    id: Result<Path, Problem>,
) -> Result<Response, Problem> {
    let not_found =
        || Problem::new(Code::BatchNotFound, "no such batch, or it has expired, or you do not have access to it");
    let now = clock::now();
    let id: BatchId = id.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(not_found)?;
    let found = app.batches.get(&id).await?;
    let batch = found.filter(|batch| batch.owner == owner && batch.expires_at > now).ok_or_else(not_found)?;
    let progress = batch.progress(app.executions.count_batch(&id, &owner, now).await?, now);
    let view = BatchView::of(&batch, progress);
    let body = serde_json::to_vec(&view).map_err(|why| Problem::inside(&why))?;
    let etag = executions::etag_of(&body);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| executions::matches(known, &etag));
    let mut telling = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]);
    if let Ok(etag) = HeaderValue::try_from(etag) {
        telling.insert(header::ETAG, etag);
    }
    if !view.done {
        telling.insert(header::RETRY_AFTER, HeaderValue::from(executions::next_poll(batch.created_at, now)));
    }
    if known {
        return Ok((StatusCode::NOT_MODIFIED, telling).into_response());
    }
    telling.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((telling, body).into_response())
}
