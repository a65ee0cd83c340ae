//! The activities of a workflow. Each is idempotent, and what it returns is recorded as a checkpoint: see [`contract::checkpoint`].

use std::{fmt, future::Future, time::Duration};

use contract::checkpoint::{Accepted, Again, Checked, Due, Finished, Recorded, Started};
use domain::{Attempt, ExecutionId, Json, Outcome, Pattern, collect::Patience};

/// A workflow's effects on the outside world. Each activity is idempotent: it may run again whether or not its result was recorded.
pub trait Activities: Send + Sync + 'static {
    /// Reads the execution that a durable execution was started for, or creates it if the durable function was invoked directly.
    fn accept(
        &self,
        input: &Json,
        pattern: Pattern,
        durable_execution_arn: &str,
    ) -> impl Future<Output = Result<Accepted, ActivityFailed>> + Send;

    /// Notes the callback that wakes the workflow, if there is one, then checks whether the start time has come, and records it. The order
    /// matters: if the execution is moved or cancelled after the check, the reconciler finds the callback.
    fn check_start(
        &self,
        id: &ExecutionId,
        callback_id: Option<&str>,
    ) -> impl Future<Output = Result<Due, ActivityFailed>> + Send;

    /// Starts the task of an attempt, unless it is no longer needed.
    fn run_task(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        tried: Try,
    ) -> impl Future<Output = Result<Started, ActivityFailed>> + Send;

    /// Records that the task of an attempt was started.
    fn record_task(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        task_arn: &str,
    ) -> impl Future<Output = Result<Recorded, ActivityFailed>> + Send;

    /// Notes the callback that wakes the workflow, then checks whether the task has ended. The order matters: if the end is reported after
    /// the check, the reconciler finds the callback. If no end is noted, asks ECS if `ask` is set or the task is no longer needed. Stops a
    /// task that is no longer needed.
    fn check_task(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        callback_id: &str,
        ask: bool,
    ) -> impl Future<Output = Result<Checked, ActivityFailed>> + Send;

    /// Determines the outcome of a stopped task; `None` if it turns out to be still running. `patience` says how long to retry
    /// what AWS does not show yet.
    fn collect(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        patience: Patience,
    ) -> impl Future<Output = Result<Option<Outcome>, ActivityFailed>> + Send;

    /// Records that an attempt failed, and says whether another may follow.
    fn fail_attempt(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<Again, ActivityFailed>> + Send;

    /// Records the outcome. If another one is already recorded, that one is kept and returned.
    fn record(
        &self,
        id: &ExecutionId,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<Finished, ActivityFailed>> + Send;

    /// Asks ECS to stop a task.
    fn stop_task(&self, task_arn: &str) -> impl Future<Output = Result<(), ActivityFailed>> + Send;

    /// Records `known`, the outcome that could not be recorded before, or else that the workflow failed and `why`. Then stops the tasks
    /// that are still running. This is the last activity of a workflow that cannot continue.
    fn give_up(
        &self,
        id: &ExecutionId,
        why: &str,
        known: Option<&Outcome>,
    ) -> impl Future<Output = Result<Finished, ActivityFailed>> + Send;
}

/// Which try of starting a task this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// The first.
    First,
    /// A later one: a task may be running whose start was not recorded.
    Again,
    /// A later one. If AWS denies it, it is the last, because a missing permission is reported within minutes.
    LastDenial,
    /// The last one: if it fails, the attempt ends with this error. The number of tries is not limited while ECS has no capacity, nor for
    /// transient failures after the attempt has waited for capacity.
    Last,
}

/// An activity that failed.
#[derive(Debug)]
pub struct ActivityFailed {
    /// The kind of failure, which determines for how long the activity is retried.
    pub cause: aws::Cause,
    /// When to retry, if not after the usual backoff. Such retries have no limit.
    pub again_in: Option<Duration>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl ActivityFailed {
    /// A transient failure.
    pub fn transient(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: aws::Cause::Unavailable, again_in: None, source: source.into() }
    }

    /// AWS denied a call: see [`aws::Cause::patience`].
    pub fn denied(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: aws::Cause::Denied, again_in: None, source: source.into() }
    }

    /// The same, to be retried after this time, however often it was tried before.
    #[must_use]
    pub fn again_in(self, wait: Duration) -> Self {
        Self { again_in: Some(wait), ..self }
    }

    /// A permanent failure.
    pub fn permanent(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: aws::Cause::Rejected, again_in: None, source: source.into() }
    }
}

impl fmt::Display for ActivityFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.cause == aws::Cause::Rejected { "permanent failure" } else { "transient failure" })
    }
}

impl std::error::Error for ActivityFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<store::AdvanceError> for ActivityFailed {
    fn from(failed: store::AdvanceError) -> Self {
        Self { cause: failed.cause(), again_in: None, source: failed.into() }
    }
}

impl From<aws::CallFailed> for ActivityFailed {
    fn from(failed: aws::CallFailed) -> Self {
        Self { cause: failed.cause, again_in: None, source: failed.into() }
    }
}
