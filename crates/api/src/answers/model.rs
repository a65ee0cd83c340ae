//! The API's schemas.

pub(crate) mod downloads;
pub(crate) mod example;
mod new;

use std::collections::{BTreeMap, BTreeSet};

use domain::{Entry, Execution, ExecutionId, JobError, Json, OutcomeKind, Overrides, Pattern, State, Status, Timeline};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use self::downloads::Urls;
pub(crate) use self::{
    downloads::{ArtifactView, UploadView},
    new::{NewExecution, Resources, Retry, Said, tags, texts as read_texts, wrong},
};
use crate::{answers::time::Time, app::App};

/// A request, its state, and its outcome. `done` says whether it is over; `status` says what state it is in or how it ended.
///
/// `result` is present once `done` is true; so is `error`, unless `status` is `COMPLETED`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Execution, example = example::completed)]
pub(crate) struct ExecutionView {
    status: StatusView,
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    execution_id: String,
    /// How the end of its job is recorded.
    pattern: PatternView,
    /// Whether the execution is over. It does not change after that.
    done: bool,
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
    /// The newest attempt, from 1. It may exceed `maxAttempts` by `uncountedAttempts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempt: Option<u32>,
    /// How many attempts the job may have, not counting `uncountedAttempts`.
    max_attempts: u32,
    /// The exit codes after which the job is retried; absent if it is retried after all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([75]))]
    retry_on_exit_codes: Option<BTreeSet<i32>>,
    /// What the request overrides; absent if it overrides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    overrides: Option<OverridesView>,
    /// Attempts that the platform ended, not the job: AWS lost or reclaimed the host, could not start the task or retired its
    /// platform, or the local stack was stopped. They do not count against `maxAttempts`: up to 53 for retirements and up to
    /// three for the other reasons. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    uncounted_attempts: Option<u32>,
    /// ARN of its newest task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    task_arn: Option<String>,
    /// ARN of the durable execution that drives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    durable_execution_arn: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When its newest task was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    started_at: Option<Time>,
    /// When it is to start, or was to start; absent if it was to start at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    scheduled_for: Option<Time>,
    /// If no task was started by then, it is `EXPIRED`; absent if there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    start_before: Option<Time>,
    /// When its job must have ended.
    #[schema(value_type = String, format = DateTime)]
    deadline: Time,
    /// When it is deleted, together with its `Idempotency-Key`: 30 days after its end. Until it ends, this is 30 days after its
    /// deadline.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    tags: BTreeMap<String, String>,
    /// The execution of which this one is a rerun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rerun_of: Option<String>,
    /// The name of the schedule that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "nightly-report")]
    schedule: Option<String>,
    /// The time of the schedule that it was started for; absent if the schedule was triggered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    schedule_time: Option<Time>,
    /// The batch that it belongs to: see `GET /batches/{batchId}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    batch_id: Option<String>,
    /// What happened and when, oldest first.
    timeline: Vec<EntryView>,
    links: Links,
    /// Exit code of the job; absent while it runs, and if it never ran or its end is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0, nullable = false)]
    exit_code: Option<i32>,
    /// When the job ended; absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    finished_at: Option<Time>,
    /// From `startedAt` to `finishedAt`, in milliseconds; absent until the execution is over, and if no task was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 30_000)]
    duration_ms: Option<u64>,
    /// Where the result comes from: `file` (the file that `EXECUTION_RESULT_FILE` names), `stdout`, `log` (the task's log, where stdout
    /// and stderr are one stream), `artifact` (the same file, which is too large to be shown here and is the artifact `result.json`) or
    /// `none`. If the job printed something but has no result, the timeline has `noResult` and the reason. Absent until the job has
    /// ended, and if an older version recorded the result without its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, example = "stdout", nullable = false)]
    result_source: Option<&'static str>,
    /// The job's result, at most 180 KB and 64 levels: what it wrote to the file that `EXECUTION_RESULT_FILE` names, or else
    /// the last JSON object or array that it printed; `null` if there is none. Absent until the job has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    result: Option<Json>,
    /// The job's output files: those in the directory that `EXECUTION_OUTPUT_DIR` names, and a result file of more than 180 KB. Sorted by
    /// name; absent if there are none, and until the job has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    artifacts: Vec<ArtifactView>,
    /// Why it did not complete; absent if it did, and until the job has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ErrorView>,
}

/// What a request overrides in its job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Overrides)]
pub(crate) struct OverridesView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resources: Option<Resources>,
    /// The names of environment variables. Their values are not shown, because they may be secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["DEBUG"]))]
    environment: Vec<String>,
}

impl OverridesView {
    pub(crate) fn of(overrides: &Overrides) -> Option<Self> {
        let Overrides { cpu, memory, environment } = overrides;
        let given = cpu.is_some() || memory.is_some();
        let resources = given.then_some(Resources { cpu: *cpu, memory: *memory });
        (!overrides.is_empty()).then(|| Self { resources, environment: environment.keys().cloned().collect() })
    }
}

/// An execution's state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = Status)]
pub(crate) enum StatusView {
    /// Accepted for later; it starts at `scheduledFor`.
    Scheduled,
    /// Accepted; no task has been started yet.
    Pending,
    /// Its task was started.
    Running,
    /// A cancel was requested; its task is being stopped.
    Cancelling,
    /// Its job exited with 0.
    Completed,
    /// Its job failed, or the platform under it.
    Failed,
    /// Its deadline passed before its job ended.
    TimedOut,
    /// It was stopped because a caller cancelled it.
    Cancelled,
    /// No task was started before `startBefore`.
    Expired,
}

impl StatusView {
    pub(crate) fn of(status: Status) -> Self {
        match status {
            Status::Scheduled => Self::Scheduled,
            Status::Pending => Self::Pending,
            Status::Running => Self::Running,
            Status::Cancelling => Self::Cancelling,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::TimedOut => Self::TimedOut,
            Status::Cancelled => Self::Cancelled,
            Status::Expired => Self::Expired,
        }
    }
}

/// Milliseconds between two times, if both are known.
pub(crate) fn milliseconds(started_at: Option<Timestamp>, finished_at: Option<Timestamp>) -> Option<u64> {
    Some(u64::try_from(finished_at?.as_millisecond() - started_at?.as_millisecond()).unwrap_or_default())
}

/// Why a job did not complete.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExecutionError)]
pub(crate) struct ErrorView {
    /// What went wrong, for programs. `exit-code`, `signal`, `command-not-found`: the job failed. `result-too-large`, `result-too-deep`,
    /// `result-not-json`: the job exited with 0, but its result has more than 180 KB or 64 levels, or its result file is not valid JSON.
    /// `result-unreadable`: the job exited with 0, but its result could not be read. `artifacts-not-kept`: the job exited with 0, but its
    /// output files exceed the limits or could not be uploaded. `stopped`: ECS or an operator stopped the task. `cancelled`: a caller
    /// cancelled the execution. `timed-out`: the deadline passed. `not-started-in-time`: no task was started before `startBefore`. `task-retired`: AWS retired the platform of the task. `task-refused`,
    /// `task-failed-to-start`, `no-capacity`, `unknown-job`: no task was started for the last attempt. `task-lost`, `workflow-failed`:
    /// how the job ended is unknown. Later versions may add others.
    #[schema(example = "exit-code")]
    r#type: String,
    /// What went wrong, in a few words, for people.
    #[schema(example = "exited with code 3")]
    message: String,
    /// The end of what the job printed: from stderr, or from stdout if stderr is empty, or from its log. At most 4 KB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "no such order", nullable = false)]
    log_tail: Option<String>,
    /// Exit code of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3, nullable = false)]
    exit_code: Option<i32>,
    /// ECS's stop code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "EssentialContainerExited", nullable = false)]
    stop_code: Option<String>,
}

impl ErrorView {
    pub(crate) fn of(error: JobError, exit_code: Option<i32>) -> Self {
        Self {
            r#type: error.kind.to_string(),
            message: error.message,
            log_tail: error.log_tail,
            exit_code,
            stop_code: error.stop_code,
        }
    }
}

/// How the end of the job is recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Pattern)]
pub(crate) enum PatternView {
    Sync,
    Callback,
}

impl PatternView {
    pub(crate) fn of(pattern: Pattern) -> Self {
        match pattern {
            Pattern::Sync => Self::Sync,
            Pattern::Callback => Self::Callback,
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineEntry)]
pub(crate) struct EntryView {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// `created`, `scheduled`, `due`, `workflowStarted`, `waitingForCapacity`, `taskStarted`, `attemptFailed`, `cancelRequested`,
    /// `noResult` or `ended`. Later versions may add others.
    #[schema(example = "taskStarted")]
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "attempt 1", nullable = false)]
    detail: Option<String>,
}

/// Links from an execution to related operations, relative to the API's URL.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    /// The execution itself.
    #[serde(rename = "self")]
    #[schema(example = "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    itself: String,
    /// What its task printed.
    #[schema(example = "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c/logs")]
    logs: String,
    /// What its workflow did.
    #[schema(example = "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c/history")]
    history: String,
    /// Stops it, with POST; absent once it is over or being stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c/cancel")]
    cancel: Option<String>,
    /// Runs the same job again, with POST.
    #[schema(example = "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c/rerun")]
    rerun: String,
}

impl Links {
    pub(crate) fn of(id: &ExecutionId, status: Status) -> Self {
        let to = |what: &str| format!("/executions/{id}{what}");
        let can_be_stopped = matches!(status, Status::Scheduled | Status::Pending | Status::Running);
        Self {
            itself: to(""),
            logs: to("/logs"),
            history: to("/history"),
            cancel: can_be_stopped.then(|| to("/cancel")),
            rerun: to("/rerun"),
        }
    }
}

impl ExecutionView {
    /// What the API shows of an execution at `now`. The download URLs of its files are presigned from then on.
    pub(crate) async fn of(app: &App, execution: Execution, now: Timestamp) -> Self {
        let urls = Urls::of(app, &execution, now).await;
        let running = Self::so_far(&execution, &urls);
        let artifacts = urls.artifacts(&execution);
        let State::Final { started, outcome } = execution.state else { return running };
        let exit_code = outcome.exit_code;
        let error = match outcome.kind {
            OutcomeKind::Completed => None,
            OutcomeKind::Failed(why)
            | OutcomeKind::TimedOut(why)
            | OutcomeKind::Cancelled(why)
            | OutcomeKind::Expired(why) => Some(ErrorView::of(why, exit_code)),
        };
        let finished_at = Some(outcome.finished_at.into());
        let duration_ms = milliseconds(started.map(|started| started.started_at), Some(outcome.finished_at));
        // An older version recorded results without their source.
        let recorded = outcome.result.is_none() || outcome.result_source.as_str() != "none";
        let result_source = recorded.then(|| outcome.result_source.as_str());
        let result = Some(outcome.result.unwrap_or_else(Json::null));
        Self { exit_code, finished_at, duration_ms, result_source, result, artifacts, error, ..running }
    }

    fn so_far(execution: &Execution, urls: &Urls) -> Self {
        let started = execution.state.started_task();
        Self {
            status: StatusView::of(execution.status()),
            execution_id: execution.id.to_string(),
            pattern: PatternView::of(execution.pattern),
            done: execution.status().is_final(),
            job: execution.request.job.clone(),
            input: execution.request.input.clone(),
            input_upload: urls.upload(execution),
            attempt: started.map(|started| started.attempt.get()),
            max_attempts: execution.request.max_attempts,
            retry_on_exit_codes: execution.request.retry.on_exit_codes.clone(),
            overrides: OverridesView::of(&execution.request.overrides),
            uncounted_attempts: Some(execution.uncounted_attempts()).filter(|uncounted| *uncounted > 0),
            task_arn: started.map(|started| started.task_arn.clone()),
            durable_execution_arn: execution.durable_execution_arn.clone(),
            created_at: execution.created_at.into(),
            started_at: started.map(|started| started.started_at.into()),
            scheduled_for: execution.scheduled_for.map(Into::into),
            start_before: execution.start_before.map(Into::into),
            deadline: execution.deadline.into(),
            expires_at: execution.kept_until().into(),
            tags: execution.request.tags.clone(),
            rerun_of: execution.rerun_of.as_ref().map(ToString::to_string),
            schedule: execution.schedule.as_ref().map(|origin| origin.name.clone()),
            schedule_time: execution.schedule.as_ref().and_then(|origin| Some(origin.time?.into())),
            batch_id: execution.batch.as_ref().map(ToString::to_string),
            timeline: told(&execution.timeline),
            links: Links::of(&execution.id, execution.status()),
            exit_code: None,
            finished_at: None,
            duration_ms: None,
            result_source: None,
            result: None,
            artifacts: Vec::new(),
            error: None,
        }
    }
}

fn told(timeline: &Timeline) -> Vec<EntryView> {
    let entry =
        |entry: &Entry| EntryView { at: entry.at.into(), what: entry.what.to_string(), detail: entry.detail.clone() };
    timeline.entries().iter().map(entry).collect()
}
