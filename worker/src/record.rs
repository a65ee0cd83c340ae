//! Records in the execution's item that the job began and what it came to: the callback pattern.

use std::time::Duration;

use aws::{AdvanceError, Cause, Connection, Executions, Phase, clock};
use domain::{Attempt, Event, Execution, ExecutionId, Next, Status, Verdict};
use jiff::Timestamp;

use crate::{
    config::{Config, Item},
    finished::Finished,
    metadata,
    retry::Backoff,
    stops::Stop,
};

/// The item that this task reports to.
#[derive(Debug)]
pub(crate) struct Record {
    executions: Executions,
    id: ExecutionId,
    attempt: Attempt,
    metadata: Option<String>,
}

/// Whether the job is still to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Wanted,
    /// Somebody asked for an end before it began.
    Cancelling,
    /// The execution is over already.
    Over(Status),
}

/// What came of recording an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is recorded, or another one was.
    Recorded,
    /// It is not the worker's to record: why the task was stopped ECS tells, and another attempt may follow.
    Left,
    /// It could not be recorded for a day.
    Failed,
}

/// Why the start could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// Two tasks for one attempt: the recorded one does the work.
    #[error("another task works on this attempt: {0}")]
    Taken(domain::Refused),
    /// The item is not there, or the call is refused for good.
    #[error("cannot record the start, and so could not record the end")]
    Unrecordable(#[source] AdvanceError),
}

impl Record {
    /// The item that the configuration names, if this task is to report for itself.
    pub(crate) async fn of(config: &Config) -> Option<Self> {
        let Item { table, id } = config.record.clone()?;
        let executions = Executions::new(&Connection::from_env().await, table);
        Some(Self { executions, id, attempt: config.attempt, metadata: config.metadata.clone() })
    }

    /// Records that this task is there, and learns whether its job is still wanted. While the table cannot be reached
    /// nothing begins: nobody knows then whether something else has the attempt.
    pub(crate) async fn started(&self) -> Result<Standing, NotStarted> {
        let task_arn = self.task_arn().await;
        let mut backoff = Backoff::default();
        let since = clock::now();
        loop {
            match self.note_start(task_arn.clone()).await {
                Ok(execution) => return Ok(standing(execution.status())),
                Err(AdvanceError::Refused(refused)) => return Err(NotStarted::Taken(refused)),
                Err(error) if may_pass(&error, since) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot record the start yet");
                    backoff.wait().await;
                }
                Err(error) => return Err(NotStarted::Unrecordable(error)),
            }
        }
    }

    /// Without an ARN there is nothing to note, and the job may be unwanted all the same.
    async fn note_start(&self, task_arn: Option<String>) -> Result<Execution, AdvanceError> {
        let Some(task_arn) = task_arn else {
            return self.executions.get(&self.id).await?.ok_or_else(|| AdvanceError::NotFound(self.id.clone()));
        };
        let event = Event::TaskStarted { attempt: self.attempt, task_arn };
        self.executions.advance(&self.id, &event, clock::now()).await
    }

    async fn task_arn(&self) -> Option<String> {
        let Some(endpoint) = &self.metadata else {
            tracing::warn!("there is no ECS agent to ask which task this is: its start is not recorded");
            return None;
        };
        let arn = metadata::task_arn(endpoint).await;
        arn.inspect_err(|error| {
            tracing::warn!(error = &**error as &dyn std::error::Error, "no task ARN: its start is not recorded");
        })
        .ok()
    }

    /// Records what the job came to, if that is the worker's to do. It is tried for a day, also when it is denied, since
    /// permissions can be fixed while the task lives. After that the reconciler has to find out.
    ///
    /// An end that is recorded already stays.
    ///
    /// # Errors
    ///
    /// That there is no such item, or that it contradicts this end.
    pub(crate) async fn ended(&self, finished: &Finished) -> Result<Ended, AdvanceError> {
        let mut backoff = Backoff::default();
        let since = clock::now();
        loop {
            match self.try_ended(finished).await {
                Ok(ended) => return Ok(ended),
                Err(error @ (AdvanceError::NotFound(_) | AdvanceError::Refused(_))) => return Err(error),
                Err(error) if lasts(since, Cause::Denied.patience(Phase::TaskStarted)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot record the end");
                    return Ok(Ended::Failed);
                }
                Err(error @ (AdvanceError::Call(_) | AdvanceError::Contended(_))) => {
                    // In the job's log, where an operator looks: if it goes on like this, the result is lost.
                    if backoff.is_long() {
                        tracing::error!(error = &error as &dyn std::error::Error, "cannot record the end yet");
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    async fn try_ended(&self, finished: &Finished) -> Result<Ended, AdvanceError> {
        let cancelling = match finished.stop {
            Some(Stop::Signal(_)) => {
                self.executions.get(&self.id).await?.is_some_and(|now| now.status() == Status::Cancelling)
            }
            Some(Stop::Deadline) | None => false,
        };
        let now = self.executions.get(&self.id).await?.ok_or_else(|| AdvanceError::NotFound(self.id.clone()))?;
        let ending = finished.report().ending(cancelling, now.request.timeout);
        match ending.verdict {
            // CANCELLED is true once ECS says that the task has stopped: the reconciler hears of that.
            Verdict::Cancelled(_) => return Ok(Ended::Left),
            // Why it was stopped only ECS knows: by somebody, or by a platform that failed and owes it another attempt. The
            // reconciler hears of that.
            Verdict::Failed(_) if matches!(finished.stop, Some(Stop::Signal(_))) => return Ok(Ended::Left),
            // The reconciler sees how the task ended, and starts the next attempt.
            Verdict::Failed(_) if now.next(self.attempt, &ending, clock::now()) != Next::End => {
                tracing::warn!("the attempt failed; another one follows, or a cancel is under way");
                return Ok(Ended::Left);
            }
            Verdict::Completed | Verdict::Failed(_) | Verdict::TimedOut(_) => {}
        }
        let ended = self.executions.advance(&self.id, &Event::Ended(ending.clone()), clock::now()).await?;
        if ended.state.ending() != Some(&ending) {
            tracing::warn!(status = %ended.status(), "another end is recorded already; it stays");
        }
        Ok(Ended::Recorded)
    }
}

/// Whether it has lasted for longer than that.
pub(crate) fn lasts(since: Timestamp, patience: Duration) -> bool {
    Duration::try_from(clock::now().duration_since(since)).is_ok_and(|lasted| lasted > patience)
}

fn standing(status: Status) -> Standing {
    match status {
        Status::Pending | Status::Running => Standing::Wanted,
        Status::Cancelling => Standing::Cancelling,
        Status::Completed | Status::Failed | Status::TimedOut | Status::Cancelled => Standing::Over(status),
    }
}

/// Whether what is tried since then may yet succeed. Until the start is recorded nothing else ends a wait for AWS than the
/// deadline; a missing permission is told in minutes.
fn may_pass(error: &AdvanceError, since: Timestamp) -> bool {
    match error {
        AdvanceError::Call(failed) if failed.cause == Cause::Denied => {
            !lasts(since, failed.cause.patience(Phase::BeforeTask))
        }
        AdvanceError::Call(failed) => failed.retryable(),
        AdvanceError::Contended(_) => true,
        AdvanceError::NotFound(_) | AdvanceError::Refused(_) => false,
    }
}
