//! Callbacks: other programs complete an operation that a durable execution waits for, or extend its heartbeat timeout.

use rusqlite::Transaction;

use super::{
    Change, Durable, change,
    operation::{self, ErrorObject, Operation},
    owe,
    store::{self, Execution, ExecutionStatus},
    wire::CallbackId,
};
use crate::{
    lambda::limits::{self, invalid},
    wire::AwsError,
};

impl Durable {
    /// `SendDurableExecutionCallbackSuccess` and `…Failure`.
    pub(crate) fn call_back(
        &self,
        callback_id: &str,
        answer: Result<Option<String>, ErrorObject>,
    ) -> Result<(), AwsError> {
        check_size(&answer)?;
        let now = self.0.clock.now();
        self.0.db.transact(|tx| {
            let (mut execution, open) = find(tx, callback_id)?;
            let Some(called) = open.called_back(answer, now).filter(|_| is_running(&execution)) else {
                return Err(closed(&execution, &open));
            };
            execution.written += called.bytes() as u64;
            if execution.written > limits::WRITTEN_BYTES {
                return Err(invalid("The result exceeds the durable execution's limit of stored bytes."));
            }
            change(tx, &mut execution, &called, Change::GoesOn, now)?;
            owe(&mut execution, now);
            Ok(store::save(tx, &execution)?)
        })?;
        self.0.changes.notify();
        Ok(())
    }

    /// `SendDurableExecutionCallbackHeartbeat`.
    pub(crate) fn heartbeat(&self, callback_id: &str) -> Result<(), AwsError> {
        let now = self.0.clock.now();
        self.0.db.transact(|tx| {
            let (execution, open) = find(tx, callback_id)?;
            let Some(alive) = open.alive(now).filter(|_| is_running(&execution)) else {
                return Err(closed(&execution, &open));
            };
            // The function does not have to know about a heartbeat.
            Ok(store::postpone(tx, &execution.arn, &alive)?)
        })?;
        self.0.changes.notify();
        Ok(())
    }
}

fn check_size(answer: &Result<Option<String>, ErrorObject>) -> Result<(), AwsError> {
    match answer {
        Ok(Some(result)) if result.len() > limits::CALLBACK_BYTES => Err(invalid(format!(
            "Callback result size must be less than or equal to {} bytes.",
            limits::CALLBACK_BYTES
        ))),
        Err(error) if error.bytes() > limits::ERROR_BYTES => {
            Err(invalid(format!("Error object size must be less than {} bytes.", limits::ERROR_BYTES)))
        }
        _ => Ok(()),
    }
}

fn find(tx: &Transaction<'_>, callback_id: &str) -> Result<(Execution, Operation), AwsError> {
    let unknown = || invalid("Invalid callback id.");
    let id = CallbackId::read(callback_id).ok_or_else(unknown)?;
    let execution = store::load(tx, &id.arn)?.ok_or_else(unknown)?;
    let operation = store::operation(tx, &id.arn, &id.operation)?.ok_or_else(unknown)?;
    if operation.kind != operation::Kind::Callback {
        return Err(unknown());
    }
    Ok((execution, operation))
}

fn is_running(execution: &Execution) -> bool {
    execution.status == ExecutionStatus::Running
}

fn closed(execution: &Execution, callback: &Operation) -> AwsError {
    let timed_out = callback.status == operation::Status::TimedOut || !is_running(execution);
    let code = if timed_out { "CallbackTimeoutException" } else { "InvalidParameterValueException" };
    AwsError::bad_request(code, "The callback has already been completed or has timed out.")
}
