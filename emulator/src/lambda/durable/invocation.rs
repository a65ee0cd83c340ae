//! One invocation of a durable function: its input, and what its response does to the execution.

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::{
    Durable,
    checkpoint::{too_large_for_parent, too_many_operations},
    ending::End,
    event::Happened,
    history, load,
    operation::{ErrorObject, Operation},
    state::{self, Page},
    store::{self, Execution, ExecutionStatus},
    wire::{CheckpointToken, Milliseconds, Operations},
};
use crate::{
    lambda::{
        limits,
        runtime::{Outcome, Ran, Request},
    },
    retry,
    wire::{AwsError, write},
};

/// How many operations are sent with an invocation; the function fetches the others.
const INLINE_OPERATIONS: usize = 1_000;

/// How long after a failure an invocation is repeated.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// After how many consecutive failures an invocation is no longer repeated, as in AWS's test engine (`MAX_CONSECUTIVE_FAILED_ATTEMPTS`).
const MOST_FAILURES: u32 = 5;

/// How many times in a row a function may respond that it waits although there is nothing to wait for.
const MAX_IDLE_RESPONSES: u32 = 3;

/// The input of an invocation of a durable function, as AWS's SDKs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Input<'a> {
    durable_execution_arn: &'a str,
    checkpoint_token: String,
    /// What has changed since the previous invocation.
    updated_operation_ids: Vec<String>,
    initial_execution_state: Operations<Milliseconds>,
}

/// The response of a durable function.
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
    /// Invokes the function once and processes its response. While the database cannot be written, the invocation does not begin, and a
    /// response that has arrived waits.
    ///
    /// If the emulator crashes before the invocation, during it, or before its response is recorded, the execution is still owed an
    /// invocation. The function then replays in the next one.
    pub(super) async fn invoke(&self, arn: &str) {
        if let Err(why) = self.try_invoke(arn).await {
            tracing::error!(arn, why = why.message, "cannot record an invocation of a durable function");
        }
    }

    async fn try_invoke(&self, arn: &str) -> Result<(), AwsError> {
        let execution = self.once_possible(arn, load).await?;
        let slot = match self.0.functions.qualified(&execution.function, Some(&execution.version)) {
            Ok(function) => self.0.functions.slot(&function).await,
            Err(gone) => {
                let error = ErrorObject::new(gone.code, gone.message);
                let (durable, now) = (self.clone(), self.0.clock.now());
                let end = move |tx: &Transaction<'_>, arn: &str| {
                    durable.end(tx, &mut load(tx, arn)?, End::Failed(error.clone()), now)
                };
                return self.once_possible(arn, end).await;
            }
        };
        let Some(slot) = slot else { return Ok(()) };
        // Begin only when an invocation may run: its input must have the current state, and each invocation gets a new token.
        let Some(request) = self.once_possible(arn, begin).await? else { return Ok(()) };
        let ran = slot.run(request).await;
        let (durable, now) = (self.clone(), self.0.clock.now());
        self.once_possible(arn, move |tx, arn| durable.take_up(tx, arn, ran.clone(), now)).await
    }

    /// Runs a transaction about an execution, and retries as long as the database fails.
    async fn once_possible<T: Send + 'static>(
        &self,
        arn: &str,
        work: impl Fn(&Transaction<'_>, &str) -> Result<T, AwsError> + Clone + Send + 'static,
    ) -> Result<T, AwsError> {
        let (db, arn) = (self.0.db.clone(), arn.to_owned());
        retry::until_done("cannot record an invocation of a durable function; retrying", move || {
            let done = db.transact(|tx| work(tx, &arn));
            match done {
                Err(why) if why.status.is_server_error() => Err(why),
                done => Ok(done),
            }
        })
        .await
    }

    fn take_up(&self, tx: &Transaction<'_>, arn: &str, ran: Ran, now: Timestamp) -> Result<(), AwsError> {
        let mut execution = load(tx, arn)?;
        let failure = match &ran.outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Answered(_) => None,
        };
        let event = Happened::invocation_completed(ran.started_at, ran.ended_at, &ran.request_id, failure);
        history::append(tx, &mut execution, None, event)?;
        execution.token += 1;
        if execution.status != ExecutionStatus::Running {
            return Ok(store::save(tx, &execution)?);
        }
        let answer = match ran.outcome {
            Outcome::Answered(body) => read(&body),
            Outcome::Failed(error) => return self.again(tx, &mut execution, error, MOST_FAILURES, now),
        };
        let invalid = |why: String| ErrorObject::new("InvalidParameterValueException", why);
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return self.end(tx, &mut execution, End::Failed(invalid(why)), now),
        };
        let how = match answer.status {
            AnswerStatus::Pending => return self.wait(tx, &mut execution, now),
            AnswerStatus::Failed => End::Failed(answer.error.unwrap_or_default()),
            AnswerStatus::Succeeded => {
                let size = answer.result.as_ref().map_or(0, String::len);
                if execution.parent.is_some() && size > limits::EVENT_BYTES {
                    End::Failed(ErrorObject::message(too_large_for_parent()))
                } else {
                    End::Succeeded(answer.result)
                }
            }
        };
        execution.failures = 0;
        self.end(tx, &mut execution, how, now)
    }

    /// Handles a function that has suspended because it has nothing to do until something happens.
    fn wait(&self, tx: &Transaction<'_>, execution: &mut Execution, now: Timestamp) -> Result<(), AwsError> {
        if execution.touched > execution.seen || execution.stirred {
            // Something happened that the function may not have seen when it suspended.
            execution.owed_at = Some(now);
        } else if store::operations_since(tx, &execution.arn, 0)?.iter().any(Operation::wakes) {
            execution.owed_at = None;
        } else {
            let why = "Cannot return PENDING status with no pending operations.";
            let error = ErrorObject::new("InvalidParameterValueException", why);
            return self.again(tx, execution, error, MAX_IDLE_RESPONSES, now);
        }
        execution.failures = 0;
        Ok(store::save(tx, execution)?)
    }

    fn again(
        &self,
        tx: &Transaction<'_>,
        execution: &mut Execution,
        error: ErrorObject,
        most: u32,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        execution.failures += 1;
        tracing::warn!(
            arn = execution.arn,
            failures = execution.failures,
            ?error,
            "an invocation of a durable function failed"
        );
        if execution.failures >= most {
            return self.end(tx, execution, End::Failed(error), now);
        }
        // The repeated invocation counts as an operation.
        execution.operations += 1;
        if execution.operations > limits::OPERATIONS {
            let error = ErrorObject::new("InvalidParameterValueException", too_many_operations());
            return self.end(tx, execution, End::Failed(error), now);
        }
        execution.owed_at = Some(now.checked_add(RETRY_AFTER).unwrap_or(Timestamp::MAX));
        Ok(store::save(tx, execution)?)
    }
}

/// The input of the next invocation; `None` if none is owed any more.
pub(super) fn begin(tx: &Transaction<'_>, arn: &str) -> Result<Option<Request>, AwsError> {
    let mut execution = load(tx, arn)?;
    if execution.status != ExecutionStatus::Running || execution.owed_at.is_none() {
        return Ok(None);
    }
    let operations = state::replayed(tx, &execution)?;
    let news: Vec<String> =
        store::operations_since(tx, arn, execution.seen)?.into_iter().map(|operation| operation.id).collect();
    execution.seen = execution.touched;
    execution.stirred = false;
    // Invalidates the token of an earlier invocation, which may still be running somewhere.
    execution.token += 1;
    store::save(tx, &execution)?;
    let page = Page::of(&execution, &operations, 0, INLINE_OPERATIONS);
    let input = write(&Input {
        durable_execution_arn: &execution.arn,
        checkpoint_token: CheckpointToken::of(&execution),
        updated_operation_ids: news,
        initial_execution_state: page.shown(),
    })?;
    let request = Request::new(Bytes::from(input));
    Ok(Some(Request { trace: execution.trace, execution: Some(execution.name), ..request }))
}

fn read(body: &[u8]) -> Result<Answer, String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|why| format!("Invalid Status in invocation output: {why}"))?;
    match answer.status {
        AnswerStatus::Failed if answer.result.is_some() => Err("Cannot provide a Result for FAILED status.".into()),
        AnswerStatus::Succeeded if answer.error.is_some() => {
            Err("Cannot provide an Error for SUCCEEDED status.".into())
        }
        AnswerStatus::Failed | AnswerStatus::Succeeded | AnswerStatus::Pending => Ok(answer),
    }
}
