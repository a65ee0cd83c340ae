//! `CheckpointDurableExecution`: what a running function records.

use jiff::Timestamp;
use rusqlite::Transaction;
use serde::Deserialize;

use super::{
    Change, Durable, change,
    ending::End,
    load,
    operation::Kind,
    store::{self, Answered, Execution, ExecutionStatus},
    update::{self, Update},
    wire::{CallbackId, CheckpointDurableExecutionResponse, CheckpointToken, Operations},
};
use crate::{
    lambda::{
        arn,
        limits::{self, invalid},
    },
    wire::AwsError,
};

/// The body of `CheckpointDurableExecution`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Checkpoint {
    #[serde(rename = "CheckpointToken")]
    pub(crate) token: String,
    #[serde(default)]
    pub(crate) updates: Vec<Update>,
    pub(crate) client_token: Option<String>,
}

impl Checkpoint {
    fn check(&self) -> Result<(), AwsError> {
        if let Some(token) = &self.client_token {
            limits::CLIENT_TOKEN.check("clientToken", token)?;
        }
        self.updates.iter().try_for_each(Update::check)
    }
}

impl Durable {
    /// Applies all updates or none. The response contains the next token and every operation that changed since the function's last
    /// known state. A checkpoint that is sent again gets the same response.
    pub(crate) fn checkpoint(
        &self,
        arn: &str,
        checkpoint: &Checkpoint,
    ) -> Result<CheckpointDurableExecutionResponse, AwsError> {
        arn::check_execution(arn)?;
        checkpoint.check()?;
        let now = self.0.clock.now();
        let answer = self.0.db.transact(|tx| {
            let mut execution = load(tx, arn)?;
            if let Some(answered) = sent_again(&execution, checkpoint) {
                return Ok(answered);
            }
            self.check_token(&execution, &checkpoint.token)?;
            update::fit_together(&checkpoint.updates).map_err(invalid)?;
            for update in &checkpoint.updates {
                self.apply(tx, &mut execution, update, now)?;
            }
            if execution.status == ExecutionStatus::Running {
                within_limits(execution.operations, execution.written)?;
            }
            tell_what_is_due(tx, &mut execution, now)?;
            let news = store::operations_since(tx, arn, execution.seen)?;
            execution.seen = execution.touched;
            execution.token += 1;
            let news = Operations { operations: news.iter().map(Into::into).collect(), next_marker: None };
            let answer = CheckpointDurableExecutionResponse {
                checkpoint_token: CheckpointToken::of(&execution),
                new_execution_state: Some(news),
            };
            execution.last_checkpoint = checkpoint.client_token.clone().map(|client_token| Answered {
                client_token,
                checkpoint_token: checkpoint.token.clone(),
                answer: answer.clone(),
            });
            store::save(tx, &execution)?;
            Ok::<_, AwsError>(answer)
        })?;
        // The updates may have set a timer that is due before all others, or begun a chained invoke.
        if !checkpoint.updates.iter().all(Update::is_quiet) {
            self.0.changes.notify();
        }
        Ok(answer)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        execution: &mut Execution,
        update: &Update,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        if let Some(parent) = &update.parent_id {
            let parent = store::operation(tx, &execution.arn, parent)?;
            if parent.is_none_or(|parent| parent.kind != Kind::Context) {
                return Err(invalid("Invalid parent operation id."));
            }
        }
        execution.written += update.bytes() as u64;
        if update.kind == Kind::Execution {
            return self.end_by(tx, execution, update, now);
        }
        let current = store::operation(tx, &execution.arn, &update.id)?;
        execution.operations += update.costs(current.as_ref());
        let callback_id = CallbackId::of(&execution.arn, &update.id);
        let next = update.apply(current.as_ref(), &callback_id, now).map_err(invalid)?;
        if update.kind == Kind::ChainedInvoke {
            return self.chain(tx, execution, update, next, now);
        }
        let what = if current.is_some() { Change::GoesOn } else { Change::Begins };
        Ok(change(tx, execution, &next, what, now)?)
    }

    /// Ends the execution by its own last update.
    fn end_by(
        &self,
        tx: &Transaction<'_>,
        execution: &mut Execution,
        update: &Update,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let how = match update.ends_execution().map_err(invalid)? {
            Ok(result) if execution.parent.is_some() => {
                if result.as_ref().is_some_and(|result| result.len() > limits::EVENT_BYTES) {
                    return Err(invalid(too_large_for_parent()));
                }
                End::Succeeded(result)
            }
            Ok(result) => End::Succeeded(result),
            Err(error) => End::Failed(error),
        };
        self.end(tx, execution, how, now)
    }

    /// Only the current invocation may read and write, and only based on the newest state.
    pub(super) fn check_token(&self, execution: &Execution, token: &str) -> Result<(), AwsError> {
        let running = execution.status == ExecutionStatus::Running && self.active().contains(&execution.arn);
        if running && token == CheckpointToken::of(execution) {
            return Ok(());
        }
        // The SDKs recognize a stale token by the beginning of this message.
        Err(invalid("Invalid Checkpoint Token"))
    }
}

fn sent_again(execution: &Execution, checkpoint: &Checkpoint) -> Option<CheckpointDurableExecutionResponse> {
    let last = execution.last_checkpoint.as_ref()?;
    let same =
        checkpoint.client_token.as_ref() == Some(&last.client_token) && checkpoint.token == last.checkpoint_token;
    same.then(|| last.answer.clone())
}

/// The error for a result that is too large for a chained invoke.
pub(super) fn too_large_for_parent() -> String {
    format!("Execution output payload size must be less than or equal to {} bytes.", limits::EVENT_BYTES)
}

/// Checks an execution's limits. Beyond them, it may only end.
fn within_limits(operations: u64, written: u64) -> Result<(), AwsError> {
    if operations > limits::OPERATIONS {
        return Err(invalid(too_many_operations()));
    }
    if written > limits::WRITTEN_BYTES {
        let most = limits::WRITTEN_BYTES;
        return Err(invalid(format!("The durable execution exceeds the maximum of {most} bytes of data written.")));
    }
    Ok(())
}

pub(super) fn too_many_operations() -> String {
    format!("The durable execution exceeds the maximum of {} operations.", limits::OPERATIONS)
}

/// Applies the timers that have come due in the meantime, so that the running function sees them and need not be invoked again for them.
fn tell_what_is_due(tx: &Transaction<'_>, execution: &mut Execution, now: Timestamp) -> Result<(), AwsError> {
    if execution.status != ExecutionStatus::Running {
        return Ok(());
    }
    for due in store::due_of(tx, &execution.arn, now)? {
        if let Some(changed) = due.due_at(now) {
            change(tx, execution, &changed, Change::GoesOn, now)?;
            execution.stirred = true;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_has_3000_operations_and_100_megabytes() {
        let most = 100 * 1024 * 1024;
        for (operations, written, fits) in [(3_000, most, true), (3_001, 0, false), (1, most + 1, false)] {
            assert_eq!(within_limits(operations, written).is_ok(), fits, "{operations} {written}");
        }
    }
}
