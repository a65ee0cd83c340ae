//! Validates a start and returns what it would start, without starting anything.

use std::collections::BTreeMap;

use domain::Json;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answers::{
        model::{OverridesView, PatternView, Retry, UploadView},
        problem::Problem,
        time::Time,
    },
    app::App,
    starting::Start,
};

/// A valid request, with every default filled in. Nothing was started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ValidatedRequest)]
pub(crate) struct Validated {
    pattern: PatternView,
    /// Name of the job.
    #[schema(example = "demo")]
    job: String,
    /// The job's input, as it was received.
    #[schema(value_type = Value)]
    input: Json,
    /// The upload that the request names; absent if it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    input_upload: Option<UploadView>,
    /// How long the job may take, in seconds.
    #[schema(example = 3600)]
    timeout_seconds: u64,
    /// When it would start, if it were accepted now; absent if at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    scheduled_for: Option<Time>,
    /// If no task is started by then, it is `EXPIRED`; absent if there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    start_before: Option<Time>,
    retry: Retry,
    /// What the request overrides; absent if it overrides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    overrides: Option<OverridesView>,
    tags: BTreeMap<String, String>,
    /// The execution id that is derived from the request's `Idempotency-Key`; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "62c4fb25-77ca-5a92-b17c-3ee4c569e2fd")]
    execution_id: Option<String>,
    /// Whether the request would only repeat one that was already accepted with its `Idempotency-Key`.
    replay: bool,
}

impl Validated {
    /// What would be started. A key that was used for a different request is refused here too.
    pub(super) async fn of(app: &App, start: Start, now: Timestamp) -> Result<Self, Problem> {
        let seen = if start.keyed { app.executions.get(&start.execution.id).await? } else { None };
        let seen = seen.filter(|seen| seen.expires_at > now).map(|seen| start.repeated(seen)).transpose()?;
        let Start { execution: start, keyed, .. } = start;
        Ok(Self {
            pattern: PatternView::of(start.pattern),
            job: start.request.job,
            input: start.request.input,
            input_upload: start.request.input_upload.as_ref().map(UploadView::of),
            timeout_seconds: start.request.timeout.as_secs(),
            scheduled_for: start.scheduled_for.map(Into::into),
            start_before: start.start_before.map(Into::into),
            retry: Retry {
                max_attempts: Some(start.request.max_attempts),
                on_exit_codes: start.request.retry.on_exit_codes,
            },
            overrides: OverridesView::of(&start.request.overrides),
            tags: start.request.tags,
            execution_id: keyed.then(|| start.id.to_string()),
            replay: seen.is_some(),
        })
    }
}
