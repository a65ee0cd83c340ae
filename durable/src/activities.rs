//! What a workflow does to the world, and what it records of each deed.
//!
//! Each deed is safe to repeat. What it returns is a checkpoint: it outlives a deployment, so variants and fields are only
//! ever added, and it is small, because every checkpoint is paid for and read again at each replay.

use std::{fmt, future::Future, time::Duration};

use domain::{Attempt, Ending, ExecutionId, JobError, Json, Pattern, Status};
use serde::{Deserialize, Serialize};

/// What the workflow does to the world. Each is safe to repeat: before, after and instead of its record.
pub trait Activities: Send + Sync + 'static {
    /// Reads the execution that a durable execution was started for, or creates it if it was started directly.
    fn accept(
        &self,
        input: &Json,
        pattern: Pattern,
        durable_execution_arn: &str,
    ) -> impl Future<Output = Result<Accepted, EffectFailed>> + Send;

    /// Starts the task of an attempt, unless nobody wants it any more.
    fn run_task(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        tried: Try,
    ) -> impl Future<Output = Result<Started, EffectFailed>> + Send;

    /// Records that the task of an attempt was started.
    fn record_task(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        task_arn: &str,
    ) -> impl Future<Output = Result<Recorded, EffectFailed>> + Send;

    /// Notes the callback that wakes the workflow, then looks for the task's end, in this order: an end that is told after the
    /// look finds the callback. ECS is asked only if nobody told, and if `ask`. Stops a task that is not wanted any more.
    fn check_task(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        callback_id: &str,
        ask: bool,
    ) -> impl Future<Output = Result<Look, EffectFailed>> + Send;

    /// Determines the outcome of a stopped task; `None` if it is still running after all. `patience` says how long to retry what AWS
    /// does not show yet.
    fn collect(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        patience: Patience,
    ) -> impl Future<Output = Result<Option<Ending>, EffectFailed>> + Send;

    /// Records that an attempt failed, and says whether another may follow.
    fn fail_attempt(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        ending: &Ending,
    ) -> impl Future<Output = Result<Again, EffectFailed>> + Send;

    /// Records the end. If another one is recorded already, that one stays and is returned.
    fn record(&self, id: &ExecutionId, ending: &Ending) -> impl Future<Output = Result<Finished, EffectFailed>> + Send;

    /// Asks for a task to be stopped.
    fn stop_task(&self, task_arn: &str) -> impl Future<Output = Result<(), EffectFailed>> + Send;

    /// Stops what was started, and records the outcome that could not be recorded before, or else that the workflow failed and why.
    /// The workflow's last activity.
    fn give_up(
        &self,
        id: &ExecutionId,
        why: &str,
        known: Option<&Ending>,
    ) -> impl Future<Output = Result<Finished, EffectFailed>> + Send;
}

/// How long to retry what AWS does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// AWS may be a moment behind: what is missing and what is denied is retried.
    Late,
    /// What is still missing does not exist; what is denied is retried.
    Denied,
    /// The last attempt: what is denied now stays unknown.
    None,
}

/// Which try of starting a task this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// The first.
    First,
    /// A later one: a task may be running whose start nobody remembers.
    Again,
    /// A later one, and the last for a permission error, which is reported within minutes.
    LastDenial,
    /// The last one: what fails now is how the attempt ends.
    Last,
}

/// What a workflow needs to know of its execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The execution.
    pub id: ExecutionId,
    /// How often it may be tried in all.
    pub max_attempts: u32,
    /// The attempt to begin with.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub attempt: Attempt,
    /// Seconds to wait before it. Absent from what older versions recorded: they began at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<u64>,
}

fn first() -> Attempt {
    Attempt::FIRST
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this way")]
fn is_first(attempt: &Attempt) -> bool {
    *attempt == Attempt::FIRST
}

/// What came of accepting an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Accepted {
    /// There is something to do.
    Job(Job),
    /// It is over already.
    Over(Finished),
}

/// What came of starting a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Started {
    /// This task works on the attempt.
    Task(String),
    /// There is none, and there will be none: this is how the attempt ends.
    Not(Ending),
}

/// What came of recording a started task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The execution's status after it.
    pub status: Status,
    /// Seconds until its deadline.
    pub seconds_left: u64,
}

/// Whether another attempt follows one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Again {
    /// It does, after the usual backoff, or it does not.
    Said(bool),
    /// It would come after so many seconds: the deadline is nearer than the backoff is long.
    In {
        /// Seconds until just past the deadline.
        seconds: u64,
    },
}

/// What a look at a task showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Look {
    /// It works, or will.
    Running {
        /// Seconds until the execution's deadline.
        #[serde(rename = "secondsLeft")]
        seconds_left: u64,
    },
    /// It was asked to stop.
    Stopping,
    /// It is over.
    Stopped,
}

/// An execution that is over: what the durable execution returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// The execution.
    pub execution_id: ExecutionId,
    /// What it came to; RUNNING when the task reports for itself.
    pub status: Status,
    /// The job's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// The task that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_arn: Option<String>,
}

/// A deed that failed.
#[derive(Debug)]
pub struct EffectFailed {
    /// What it means for the next try.
    pub cause: aws::Cause,
    /// When to try again, if that is not for the usual cadence to say: then for as long as it says so.
    pub again_in: Option<Duration>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl EffectFailed {
    /// A failure that may pass.
    pub fn passing(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: aws::Cause::Unavailable, again_in: None, source: source.into() }
    }

    /// AWS denied a call: see [`aws::Cause::patience`].
    pub fn denied(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: aws::Cause::Denied, again_in: None, source: source.into() }
    }

    /// The same, to be tried again after a time, however often it was tried before.
    #[must_use]
    pub fn again_in(self, wait: Duration) -> Self {
        Self { again_in: Some(wait), ..self }
    }

    /// A failure that stays.
    pub fn lasting(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: aws::Cause::Rejected, again_in: None, source: source.into() }
    }
}

impl fmt::Display for EffectFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.cause == aws::Cause::Rejected { "failed for good" } else { "failed for now" })
    }
}

impl std::error::Error for EffectFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<aws::CallFailed> for EffectFailed {
    fn from(failed: aws::CallFailed) -> Self {
        Self { cause: failed.cause, again_in: None, source: failed.into() }
    }
}
