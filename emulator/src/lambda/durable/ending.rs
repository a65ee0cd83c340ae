//! Ends durable executions: by their response, at their deadline, or from outside.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Transaction;

use super::{
    Durable, chained,
    event::Happened,
    history, load,
    operation::{ErrorObject, Status},
    store::{self, Execution, ExecutionStatus},
    wire::StopDurableExecutionResponse,
};
use crate::{lambda::arn, wire::AwsError};

/// How an execution ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    Succeeded(Option<String>),
    Failed(ErrorObject),
    TimedOut,
    Stopped(ErrorObject),
}

impl Durable {
    /// `StopDurableExecution`. An execution that has already ended does not change, and the response says when it ended.
    pub(crate) fn stop(&self, arn: &str, error: Option<ErrorObject>) -> Result<StopDurableExecutionResponse, AwsError> {
        arn::check_execution(arn)?;
        let now = self.0.clock.now();
        let error = error.unwrap_or_else(|| ErrorObject::message("Execution stopped by user request"));
        let stopped_at = self.0.db.transact(|tx| {
            let mut execution = load(tx, arn)?;
            self.end(tx, &mut execution, End::Stopped(error), now)?;
            Ok::<_, AwsError>(execution.ended_at.unwrap_or(now))
        })?;
        self.0.changes.notify();
        Ok(StopDurableExecutionResponse { stop_timestamp: stopped_at.into() })
    }

    /// Ends an execution, unless it has already ended. A chained invoke that waits for it gets its result in the same transaction.
    pub(super) fn end(
        &self,
        tx: &Transaction<'_>,
        execution: &mut Execution,
        how: End,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        if execution.status != ExecutionStatus::Running {
            return Ok(());
        }
        let timeout = execution.times_out_at.duration_since(execution.started_at).as_secs();
        let (status, outcome) = match how {
            End::Succeeded(result) => (ExecutionStatus::Succeeded, Ok(result)),
            End::Failed(error) => (ExecutionStatus::Failed, Err(error)),
            End::Stopped(error) => (ExecutionStatus::Stopped, Err(error)),
            End::TimedOut => {
                let why = format!("Execution timed out after {timeout} seconds.");
                (ExecutionStatus::TimedOut, Err(ErrorObject::message(why)))
            }
        };
        execution.status = status;
        (execution.result, execution.error) = match outcome {
            Ok(result) => (result, None),
            Err(error) => (None, Some(error)),
        };
        execution.ended_at = Some(now);
        execution.owed_at = None;
        execution.token += 1;
        if let Some(event) = Happened::execution_ended(execution, now) {
            history::append(tx, execution, None, event)?;
        }
        store::forget_timers(tx, &execution.arn)?;
        if let Some(days) = execution.retention_days {
            let kept = SignedDuration::from_hours(24 * i64::from(days));
            store::keep_until(tx, &execution.arn, now.checked_add(kept).unwrap_or(Timestamp::MAX))?;
        }
        store::save(tx, execution)?;
        self.tell(tx, execution)?;
        if let Some(parent) = execution.parent.clone() {
            let (status, answer) = as_answer(execution, timeout);
            chained::answer(tx, &parent, status, answer, now)?;
        }
        Ok(())
    }
}

/// The outcome of a chained invoke, from the execution that was started for it.
fn as_answer(execution: &Execution, timeout: i64) -> (Status, Result<Option<String>, ErrorObject>) {
    let error = || Err(execution.error.clone().unwrap_or_default());
    match execution.status {
        ExecutionStatus::Succeeded => (Status::Succeeded, Ok(execution.result.clone())),
        ExecutionStatus::Failed | ExecutionStatus::Running => (Status::Failed, error()),
        ExecutionStatus::Stopped => (Status::Stopped, error()),
        ExecutionStatus::TimedOut => {
            let why = format!("CHAINED_INVOKE timed out after {timeout} seconds.");
            (Status::TimedOut, Err(ErrorObject::new("ChainedInvoke.Timeout", why)))
        }
    }
}
