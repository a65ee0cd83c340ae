//! Records the job's start and outcome in the execution's item, in the callback pattern.

use std::time::Duration;

use aws::{Cause, Connection, Phase};
use domain::{Attempt, Event, Execution, ExecutionId, Next, OutcomeKind, Status};
use jiff::Timestamp;
use runtime::clock;
use store::{AdvanceError, Executions};

use crate::{
    config::{Config, Item},
    finished::Finished,
    metadata,
    retry::Backoff,
    stops::Stop,
};

/// The item in which this task records.
#[derive(Debug)]
pub(crate) struct Record {
    executions: Executions,
    id: ExecutionId,
    attempt: Attempt,
    metadata: Option<String>,
}

/// Whether the job still has to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    /// It has to run.
    Wanted,
    /// The execution was cancelled before the job began.
    Cancelling,
    /// The execution is already over.
    Over(Status),
}

/// The result of recording an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is recorded, or another one already was.
    Recorded,
    /// The worker must not record it: only ECS knows why the task was stopped, or another attempt follows.
    Left,
    /// It could not be recorded, although the worker retried for a day or until the task had to end.
    Failed,
}

/// Why the start could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// There are two tasks for one attempt: the recorded one runs the job.
    #[error("another task was started for this attempt: {0}")]
    Taken(domain::Refused),
    /// The item does not exist, or the call failed permanently.
    #[error("cannot record the start, so the outcome could not be recorded either")]
    Unrecordable(#[source] AdvanceError),
}

impl Record {
    /// The item that the configuration names, if this task has to record its outcome.
    pub(crate) async fn of(config: &Config) -> Option<Self> {
        let Item { table, id } = config.record.clone()?;
        let executions = Executions::new(&Connection::from_env().await, table);
        Some(Self { executions, id, attempt: config.attempt, metadata: config.metadata.clone() })
    }

    /// Records the start of this task, and returns whether its job still has to run. While the table cannot be reached,
    /// nothing begins, because another task may have the attempt.
    pub(crate) async fn started(&self) -> Result<JobState, NotStarted> {
        let task_arn = self.task_arn().await;
        let mut backoff = Backoff::default();
        let since = clock::now();
        loop {
            match self.note_start(task_arn.clone()).await {
                Ok(execution) => return Ok(state(execution.status())),
                Err(AdvanceError::Refused(refused)) => return Err(NotStarted::Taken(refused)),
                Err(error) if may_pass(&error, since) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot record the task's start; retrying"
                    );
                    backoff.wait().await;
                }
                Err(error) => return Err(NotStarted::Unrecordable(error)),
            }
        }
    }

    /// Without an ARN, this only reads the execution, since the job may no longer have to run.
    async fn note_start(&self, task_arn: Option<String>) -> Result<Execution, AdvanceError> {
        let Some(task_arn) = task_arn else {
            return self.executions.get(&self.id).await?.ok_or_else(|| AdvanceError::NotFound(self.id.clone()));
        };
        let event = Event::TaskStarted { attempt: self.attempt, task_arn };
        self.executions.advance(&self.id, &event, clock::now()).await
    }

    async fn task_arn(&self) -> Option<String> {
        let Some(endpoint) = &self.metadata else {
            tracing::warn!("the task's start is not recorded by the worker: no ECS metadata endpoint is configured");
            return None;
        };
        let arn = metadata::task_arn(endpoint).await;
        arn.inspect_err(|error| {
            tracing::warn!(
                error = &**error as &dyn std::error::Error,
                "the task's start is not recorded by the worker: the ECS metadata endpoint did not return the task's ARN"
            );
        })
        .ok()
    }

    /// Records the job's outcome, if the worker may do so. It retries for a day, even if it is denied, since permissions can be fixed
    /// while the task lives. After that, the reconciler has to determine the outcome.
    ///
    /// An outcome that is already recorded is kept.
    ///
    /// # Errors
    ///
    /// If there is no such item, or it contradicts this outcome.
    pub(crate) async fn ended(&self, finished: &Finished) -> Result<Ended, AdvanceError> {
        let mut backoff = Backoff::default();
        let since = clock::now();
        loop {
            match self.try_ended(finished).await {
                Ok(ended) => return Ok(ended),
                Err(error @ (AdvanceError::NotFound(_) | AdvanceError::Refused(_))) => return Err(error),
                Err(error) if lasts(since, Cause::Denied.patience(Phase::TaskStarted)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot record the outcome; giving up");
                    return Ok(Ended::Failed);
                }
                Err(error @ (AdvanceError::Call(_) | AdvanceError::Contended(_))) => {
                    // This goes to the job's log, where an operator looks. If the failure continues, the result is lost.
                    if backoff.is_long() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "cannot record the outcome; retrying"
                        );
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    async fn try_ended(&self, finished: &Finished) -> Result<Ended, AdvanceError> {
        let now = self.executions.get(&self.id).await?.ok_or_else(|| AdvanceError::NotFound(self.id.clone()))?;
        let cancelling = match finished.stop {
            Some(Stop::Signal(_)) => now.status() == Status::Cancelling,
            Some(Stop::Deadline) | None => false,
        };
        let outcome = finished.report().outcome(cancelling, now.request.timeout);
        match outcome.kind {
            // CANCELLED is recorded once ECS says that the task has stopped. The reconciler gets that event.
            OutcomeKind::Cancelled(_) => return Ok(Ended::Left),
            // Only ECS knows why it was stopped: by an operator, or because the platform failed, so that another attempt follows. The
            // reconciler gets that event.
            OutcomeKind::Failed(_) if matches!(finished.stop, Some(Stop::Signal(_))) => return Ok(Ended::Left),
            // The reconciler sees how the task ended, and starts the next attempt.
            OutcomeKind::Failed(_) if now.next(self.attempt, &outcome, clock::now()) != Next::End => {
                tracing::warn!("the attempt failed; the reconciler starts the next one or completes the cancel");
                return Ok(Ended::Left);
            }
            OutcomeKind::Completed | OutcomeKind::Failed(_) | OutcomeKind::TimedOut(_) | OutcomeKind::Expired(_) => {}
        }
        let ended = self.executions.advance(&self.id, &Event::Ended(outcome.clone()), clock::now()).await?;
        if ended.state.outcome() != Some(&outcome) {
            tracing::warn!(status = %ended.status(), "another outcome is already recorded; this one is discarded");
        }
        Ok(Ended::Recorded)
    }
}

/// Whether more time than `patience` has passed.
pub(crate) fn lasts(since: Timestamp, patience: Duration) -> bool {
    Duration::try_from(clock::now().duration_since(since)).is_ok_and(|lasted| lasted > patience)
}

fn state(status: Status) -> JobState {
    match status {
        Status::Scheduled | Status::Pending | Status::Running => JobState::Wanted,
        Status::Cancelling => JobState::Cancelling,
        Status::Completed | Status::Failed | Status::TimedOut | Status::Cancelled | Status::Expired => {
            JobState::Over(status)
        }
    }
}

/// Whether retrying may still succeed. While AWS is unavailable, the worker keeps trying to record the start until the deadline, or until
/// the task is stopped. A missing permission is reported within minutes.
fn may_pass(error: &AdvanceError, since: Timestamp) -> bool {
    match error.cause() {
        cause @ Cause::Denied => !lasts(since, cause.patience(Phase::BeforeTask)),
        Cause::Throttled | Cause::Unavailable => true,
        Cause::Rejected => false,
    }
}
