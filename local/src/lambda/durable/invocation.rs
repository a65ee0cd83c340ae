//! One invocation of a durable function: what it is given, and what its answer does to the execution.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Transaction;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Durable, end, load,
    operation::{ErrorObject, Kind, Status},
    store::{self, Execution, ExecutionStatus},
    wire::{self, CheckpointToken},
};
use crate::{lambda::runtime::Outcome, wire::AwsError};

/// Operations that travel with an invocation; the function fetches the others.
const INLINE_OPERATIONS: usize = 1_000;

/// An invocation that failed is repeated after this long …
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// … until so many have failed in a row: as AWS's own test engine does it (`MAX_CONSECUTIVE_FAILED_ATTEMPTS`).
const MOST_FAILURES: u32 = 5;

/// What a durable function answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    status: AnswerStatus,
    result: Option<String>,
    error: Option<ErrorObject>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum AnswerStatus {
    Succeeded,
    Failed,
    Pending,
}

impl Durable {
    /// Invokes the function once and takes its answer up.
    ///
    /// Dies before the invocation, during it, or before its answer is recorded: the execution is owed one still, and the
    /// next one replays.
    pub(super) async fn invoke(&self, arn: &str) {
        let begun = self.0.db.transact(|tx| begin(tx, arn));
        let done = match begun {
            Ok(Some((execution, payload))) => {
                let outcome = match self.0.functions.qualified(&execution.function, Some(&execution.version)) {
                    Ok(function) => self.0.functions.run(&function, payload.to_string().into()).await,
                    Err(why) => Outcome::Failed(ErrorObject::new(why.code, why.message)),
                };
                let now = self.0.clock.now();
                self.0.db.transact(|tx| take_up(tx, arn, outcome, now))
            }
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        if let Err(why) = done {
            tracing::error!(arn, why = why.message, "an invocation was not recorded");
        }
    }
}

/// What the function is invoked with; `None` if nothing is owed any more.
fn begin(tx: &Transaction<'_>, arn: &str) -> Result<Option<(Execution, Value)>, AwsError> {
    let mut execution = load(tx, arn)?;
    if execution.status != ExecutionStatus::Running || execution.owed_at.is_none() {
        return Ok(None);
    }
    let operations = store::operations_since(tx, arn, 0)?;
    let more = operations.len() > INLINE_OPERATIONS;
    let mut shown = vec![wire::execution_operation(&execution)];
    shown.extend(operations.iter().take(INLINE_OPERATIONS).map(wire::operation));
    execution.seen = execution.touched;
    // The token of an earlier invocation, which may still be running somewhere, is good for nothing from now on.
    execution.token += 1;
    store::save(tx, &execution)?;
    let mut state = json!({ "Operations": shown });
    if let (true, Some(state)) = (more, state.as_object_mut()) {
        state.insert("NextMarker".into(), json!((INLINE_OPERATIONS + 1).to_string()));
    }
    let payload = json!({
        "DurableExecutionArn": execution.arn,
        "CheckpointToken": CheckpointToken::of(&execution),
        "InitialExecutionState": state,
    });
    Ok(Some((execution, payload)))
}

fn take_up(tx: &Transaction<'_>, arn: &str, outcome: Outcome, now: Timestamp) -> Result<(), AwsError> {
    let mut execution = load(tx, arn)?;
    if execution.status != ExecutionStatus::Running {
        return Ok(());
    }
    execution.token += 1;
    let body = match outcome {
        Outcome::Answered(body) => body,
        Outcome::Failed(error) => return again(tx, &mut execution, error, now),
    };
    let answer: Answer = match serde_json::from_slice(&body) {
        Ok(answer) => answer,
        Err(why) => {
            let error = ErrorObject::new("InvalidParameterValueException", format!("Invalid invocation output: {why}"));
            return Ok(end(tx, &mut execution, ExecutionStatus::Failed, None, Some(error), now)?);
        }
    };
    execution.failures = 0;
    match answer.status {
        AnswerStatus::Succeeded => {
            end(tx, &mut execution, ExecutionStatus::Succeeded, answer.result, None, now)?;
        }
        AnswerStatus::Failed => {
            let error = answer.error.unwrap_or_default();
            end(tx, &mut execution, ExecutionStatus::Failed, None, Some(error), now)?;
        }
        AnswerStatus::Pending if execution.touched > execution.seen => {
            // Something happened that the function had not seen when it went to sleep.
            execution.owed_at = Some(now);
            store::save(tx, &execution)?;
        }
        AnswerStatus::Pending if !waits(tx, arn)? => {
            let error = ErrorObject::new("InvalidParameterValueException", "PENDING without a pending operation.");
            again(tx, &mut execution, error, now)?;
        }
        AnswerStatus::Pending => {
            execution.owed_at = None;
            store::save(tx, &execution)?;
        }
    }
    Ok(())
}

/// Whether something can wake the execution.
fn waits(tx: &Transaction<'_>, arn: &str) -> rusqlite::Result<bool> {
    let operations = store::operations_since(tx, arn, 0)?;
    Ok(operations.iter().any(|operation| {
        matches!(
            (operation.kind, operation.status),
            (Kind::Wait | Kind::Callback | Kind::ChainedInvoke, Status::Started) | (Kind::Step, Status::Pending)
        )
    }))
}

fn again(tx: &Transaction<'_>, execution: &mut Execution, error: ErrorObject, now: Timestamp) -> Result<(), AwsError> {
    execution.failures += 1;
    tracing::warn!(arn = execution.arn, failures = execution.failures, ?error, "an invocation failed");
    if execution.failures >= MOST_FAILURES {
        return Ok(end(tx, execution, ExecutionStatus::Failed, None, Some(error), now)?);
    }
    execution.owed_at = Some(now.checked_add(RETRY_AFTER).unwrap_or(Timestamp::MAX));
    Ok(store::save(tx, execution)?)
}
