//! What goes in and out: the shapes of the API.

pub(crate) mod example;
mod new;

use std::collections::BTreeMap;

use domain::{Entry, Execution, ExecutionId, JobError, Json, Pattern, State, Status, Timeline, Verdict};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::new::{NewExecution, Retry, wrong};
use crate::time::Time;

/// An execution: what was asked for, where it is, what it came to. `status` tells which; `done` tells what most need.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Execution, example = example::completed, discriminator(property_name = "status", mapping(
    ("PENDING" = "#/components/schemas/PendingExecution"),
    ("RUNNING" = "#/components/schemas/RunningExecution"),
    ("CANCELLING" = "#/components/schemas/CancellingExecution"),
    ("COMPLETED" = "#/components/schemas/CompletedExecution"),
    ("FAILED" = "#/components/schemas/FailedExecution"),
    ("TIMED_OUT" = "#/components/schemas/TimedOutExecution"),
    ("CANCELLED" = "#/components/schemas/CancelledExecution"),
)))]
pub(crate) enum ExecutionView {
    Pending(PendingExecution),
    Running(RunningExecution),
    Cancelling(CancellingExecution),
    Completed(CompletedExecution),
    Failed(FailedExecution),
    TimedOut(TimedOutExecution),
    Cancelled(CancelledExecution),
}

/// A schema whose only value is its name: what a discriminated union needs in each of its variants.
macro_rules! only {
    ($($name:ident = $value:tt),* $(,)?) => { $(
        #[derive(Debug, Default, Serialize, ToSchema)]
        #[schema(title = $value)]
        pub(crate) enum $name {
            #[default]
            #[serde(rename = $value)]
            Only,
        }
    )* };
}

pub(crate) use only;

only! {
    PendingStatus = "PENDING",
    RunningStatus = "RUNNING",
    CancellingStatus = "CANCELLING",
    CompletedStatus = "COMPLETED",
    FailedStatus = "FAILED",
    TimedOutStatus = "TIMED_OUT",
    CancelledStatus = "CANCELLED",
}

/// Accepted; no task has been started yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingExecution {
    status: PendingStatus,
    #[serde(flatten)]
    about: About,
}

/// Its task was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunningExecution {
    status: RunningStatus,
    #[serde(flatten)]
    about: About,
}

/// Somebody asked for an end; it is being stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancellingExecution {
    status: CancellingStatus,
    #[serde(flatten)]
    about: About,
}

/// Its job exited with 0.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompletedExecution {
    status: CompletedStatus,
    #[serde(flatten)]
    about: About,
    #[serde(flatten)]
    end: End,
    /// The job's output, at most 200 KB: the last line of JSON that it printed, of a sync execution among the last 1,000 lines
    /// of its log; `null` if there is none.
    #[schema(value_type = Value)]
    result: Json,
}

/// How an execution that did not complete looks.
macro_rules! unsuccessful {
    ($($(#[$doc:meta])* $name:ident: $status:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $name {
            status: $status,
            #[serde(flatten)]
            about: About,
            #[serde(flatten)]
            end: End,
            /// What the job printed all the same; `null` if nothing.
            #[schema(value_type = Value)]
            result: Json,
            error: ErrorView,
        }
    )* };
}

unsuccessful! {
    /// Its job failed, or the platform under it.
    FailedExecution: FailedStatus,
    /// Its deadline passed before its job ended.
    TimedOutExecution: TimedOutStatus,
    /// It was stopped because somebody asked for it.
    CancelledExecution: CancelledStatus,
}

/// What every execution has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    execution_id: String,
    /// How it learns of its job's end.
    pattern: PatternView,
    /// Whether nothing will change any more.
    done: bool,
    /// Name of the job.
    #[schema(example = "demo")]
    task: String,
    /// What the job got to work on, as it came in.
    #[schema(value_type = Value)]
    input: Json,
    /// Which try its newest task works on, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempt: Option<u32>,
    /// How often the job may be tried in all.
    max_attempts: u32,
    /// ARN of its newest task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    task_arn: Option<String>,
    /// ARN of the durable execution that sees it through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    durable_execution_arn: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When its newest task was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    started_at: Option<Time>,
    /// When its job has to be over.
    #[schema(value_type = String, format = DateTime)]
    deadline: Time,
    /// When it is forgotten, and its `Idempotency-Key` with it: 30 days after its end, and until then after its deadline.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    tags: BTreeMap<String, String>,
    /// The execution that this one does again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rerun_of: Option<String>,
    /// What happened and when, oldest first.
    timeline: Vec<EntryView>,
    links: Links,
}

/// What every execution has that is over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct End {
    /// Exit code of the job; absent when it never ran or nobody saw it end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0, nullable = false)]
    exit_code: Option<i32>,
    /// When the job ended.
    #[schema(value_type = String, format = DateTime)]
    finished_at: Time,
    /// From `startedAt` to `finishedAt`, in milliseconds; absent if no task was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 30_000)]
    duration_ms: Option<u64>,
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
    /// What went wrong, for programs. `exit-code`, `signal`, `command-not-found`: the job failed. `result-too-large`: it
    /// exited with 0, and its result has more than 200 KB. `result-unreadable`: it exited with 0, and its result could not be
    /// read. `stopped`, `cancelled`, `timed-out`: it was stopped, by somebody unknown, by a caller or at its deadline.
    /// `task-retired`: AWS retired what it ran on. `task-refused`, `task-failed-to-start`, `no-capacity`, `unknown-task`: it
    /// never ran. `task-lost`, `workflow-failed`: nobody can tell how it ended. There may be more.
    #[schema(example = "exit-code")]
    r#type: String,
    /// What went wrong, for people: with the end of what the job said about it.
    #[schema(example = "exited with code 3: no such order")]
    message: String,
    /// Exit code of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3, nullable = false)]
    exit_code: Option<i32>,
    /// ECS's stop code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "EssentialContainerExited", nullable = false)]
    stop_code: Option<String>,
}

/// How an execution learns of its job's end.
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
    /// `created`, `workflowStarted`, `waitingForCapacity`, `taskStarted`, `attemptFailed`, `cancelRequested` or `ended`. There
    /// may be more.
    #[schema(value_type = String, example = "taskStarted")]
    what: domain::Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "attempt 1", nullable = false)]
    detail: Option<String>,
}

/// Where else to go from an execution. Each is relative to where the API is.
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
        let can_be_stopped = matches!(status, Status::Pending | Status::Running);
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
    pub(crate) fn of(execution: Execution) -> Self {
        let about = About::of(&execution);
        let (run, ending) = match execution.state {
            State::Pending => return Self::Pending(PendingExecution { status: PendingStatus::Only, about }),
            State::Running { .. } => return Self::Running(RunningExecution { status: RunningStatus::Only, about }),
            State::Cancelling { .. } => {
                return Self::Cancelling(CancellingExecution { status: CancellingStatus::Only, about });
            }
            State::Final { run, ending } => (run, ending),
        };
        let end = End {
            exit_code: ending.exit_code,
            finished_at: ending.finished_at.into(),
            duration_ms: milliseconds(run.map(|run| run.started_at), Some(ending.finished_at)),
        };
        let result = ending.result.unwrap_or_else(Json::null);
        let error = |error: JobError| ErrorView {
            r#type: error.kind,
            message: error.message,
            exit_code: ending.exit_code,
            stop_code: error.stop_code,
        };
        match ending.verdict {
            Verdict::Completed => {
                Self::Completed(CompletedExecution { status: CompletedStatus::Only, about, end, result })
            }
            Verdict::Failed(why) => {
                Self::Failed(FailedExecution { status: FailedStatus::Only, about, end, result, error: error(why) })
            }
            Verdict::TimedOut(why) => Self::TimedOut(TimedOutExecution {
                status: TimedOutStatus::Only,
                about,
                end,
                result,
                error: error(why),
            }),
            Verdict::Cancelled(why) => Self::Cancelled(CancelledExecution {
                status: CancelledStatus::Only,
                about,
                end,
                result,
                error: error(why),
            }),
        }
    }
}

impl About {
    fn of(execution: &Execution) -> Self {
        let run = execution.state.run();
        Self {
            execution_id: execution.id.to_string(),
            pattern: PatternView::of(execution.pattern),
            done: execution.status().is_final(),
            task: execution.request.task.clone(),
            input: execution.request.input.clone(),
            attempt: run.map(|run| run.attempt.get()),
            max_attempts: execution.request.max_attempts,
            task_arn: run.map(|run| run.task_arn.clone()),
            durable_execution_arn: execution.durable_execution_arn.clone(),
            created_at: execution.created_at.into(),
            started_at: run.map(|run| run.started_at.into()),
            deadline: execution.deadline.into(),
            expires_at: execution.kept_until().into(),
            tags: execution.request.tags.clone(),
            rerun_of: execution.rerun_of.as_ref().map(ToString::to_string),
            timeline: told(&execution.timeline),
            links: Links::of(&execution.id, execution.status()),
        }
    }
}

fn told(timeline: &Timeline) -> Vec<EntryView> {
    let entry =
        |entry: &Entry| EntryView { at: entry.at.into(), what: entry.what.clone(), detail: entry.detail.clone() };
    timeline.entries().iter().map(entry).collect()
}
