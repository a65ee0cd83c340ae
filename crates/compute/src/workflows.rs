//! Durable executions: Lambda.

use std::error::Error;

use aws_sdk_lambda::{
    Client, operation::get_durable_execution::GetDurableExecutionError, primitives::Blob, types::InvocationType,
};
use domain::{Attempt, ExecutionId, Pattern};

use aws::{CallFailed, Connection};
use contract::messages::{StoredStart, WakeUp};

/// The two durable functions.
#[derive(Debug, Clone)]
pub struct Workflows {
    client: Client,
    sync: String,
    callback: String,
}

/// Why a workflow could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A durable execution of this name has another payload: a caller started one directly, with the id of this execution as its name.
    #[error("a durable execution named {0} already exists with another payload")]
    NameTaken(ExecutionId),
    /// Lambda did not answer, or refused the call.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Workflows {
    /// The durable functions by their qualified names (`name:alias`): AWS refuses to start a durable execution with an unqualified
    /// name.
    #[must_use]
    pub fn new(connection: &Connection, sync: impl Into<String>, callback: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), sync: sync.into(), callback: callback.into() }
    }

    /// Starts the workflow of a stored execution. Idempotent: the execution's id is the durable execution's name, and a second start with
    /// the same name and payload returns the first (<https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-idempotency.html>).
    /// The first one may be over by then. If AWS returns its ARN, this function returns it too, and [`Workflows::status`] shows its
    /// status.
    ///
    /// # Errors
    ///
    /// [`StartError`]; after [`CallFailed`] with an unknown outcome, repeat it.
    pub async fn start(&self, id: &ExecutionId, pattern: Pattern) -> Result<Option<String>, StartError> {
        self.start_attempt(id, pattern, Attempt::FIRST).await
    }

    /// Starts a workflow that begins with a later attempt. Idempotent.
    ///
    /// # Errors
    ///
    /// As for [`Workflows::start`].
    pub async fn start_attempt(
        &self,
        id: &ExecutionId,
        pattern: Pattern,
        attempt: Attempt,
    ) -> Result<Option<String>, StartError> {
        let function = match pattern {
            Pattern::Sync => &self.sync,
            Pattern::Callback => &self.callback,
        };
        let start = StoredStart::of(id.clone(), attempt);
        let payload = serde_json::to_vec(&start)
            .map_err(|why| CallFailed::rejected("lambda:Invoke", Box::new(why) as Box<dyn Error + Send + Sync>))?;
        let sent = self
            .client
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .durable_execution_name(start.name())
            .payload(Blob::new(payload))
            .send()
            .await;
        match sent {
            Ok(started) => Ok(started.durable_execution_arn),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_lambda::operation::invoke::InvokeError::is_durable_execution_already_started_exception,
                ) =>
            {
                // AWS may refuse a repeat on a newer version in this way, so this may be our own start on an earlier version.
                let ours = self.started(function, &start).await?;
                ours.map(Some).ok_or_else(|| StartError::NameTaken(id.clone()))
            }
            Err(error) => Err(CallFailed::new("lambda:Invoke", error).into()),
        }
    }
}

impl Workflows {
    /// The ARN of the durable execution that was started with this name and payload on any version of a function. A durable execution with
    /// the same name and another payload was started by another caller.
    async fn started(&self, function: &str, start: &StoredStart) -> Result<Option<String>, CallFailed> {
        let list = self.client.list_durable_executions_by_function().function_name(unqualified(function));
        let found = list.durable_execution_name(start.name()).send().await;
        let found = found.map_err(|error| CallFailed::new("lambda:ListDurableExecutionsByFunction", error))?;
        for one in found.durable_executions() {
            let arn = one.durable_execution_arn();
            let asked = self.client.get_durable_execution().durable_execution_arn(arn).send().await;
            let payload = match asked {
                Ok(answer) => answer.input_payload,
                Err(error) => return Err(CallFailed::new("lambda:GetDurableExecution", error)),
            };
            if payload.and_then(|payload| serde_json::from_str(&payload).ok()).as_ref() == Some(start) {
                return Ok(Some(arn.to_owned()));
            }
        }
        Ok(None)
    }
}

/// A function's name or ARN without its version or alias: AWS then lists the durable executions of every version
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_ListDurableExecutionsByFunction.html>).
fn unqualified(function: &str) -> &str {
    let parts = if function.starts_with("arn:") { 7 } else { 1 };
    function.match_indices(':').nth(parts - 1).and_then(|(at, _)| function.get(..at)).unwrap_or(function)
}

/// The status of a durable execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowStatus {
    /// It is running, or will be: an operator may have paused it.
    Running,
    /// It is over: AWS's status, and the reason, if AWS gives one.
    Over(String),
    /// AWS no longer knows it, because its retention has passed.
    Forgotten,
}

impl Workflows {
    /// Ends the wait of a workflow, and returns whether it was waiting. Idempotent, and safe at any time: a callback that was completed or
    /// has timed out is not changed. In that case, a workflow that is not over checks its task by itself. AWS's model has three errors for
    /// such a callback, and does not say which of them Lambda returns
    /// (<https://docs.aws.amazon.com/lambda/latest/api/API_SendDurableExecutionCallbackSuccess.html>).
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if Lambda did not answer or refused the call.
    pub async fn wake(&self, callback_id: &str, wake_up: WakeUp) -> Result<bool, CallFailed> {
        const CALL: &str = "lambda:SendDurableExecutionCallbackSuccess";
        let result = serde_json::to_vec(&wake_up).map_err(|why| CallFailed::rejected(CALL, why))?;
        let request = self.client.send_durable_execution_callback_success().callback_id(callback_id);
        let sent = request.result(Blob::new(result)).send().await;
        match sent {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(|why| {
                    why.is_callback_timeout_exception()
                        || why.is_invalid_parameter_value_exception()
                        || why.is_resource_not_found_exception()
                }) =>
            {
                Ok(false)
            }
            Err(error) => Err(CallFailed::new(CALL, error)),
        }
    }

    /// The status of a durable execution. AWS answers 30 such calls a second for the whole account.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if Lambda did not answer or refused the call.
    pub async fn status(&self, durable_execution_arn: &str) -> Result<WorkflowStatus, CallFailed> {
        let sent = self.client.get_durable_execution().durable_execution_arn(durable_execution_arn).send().await;
        match sent {
            Ok(answer) if !is_over(answer.status.as_str()) => Ok(WorkflowStatus::Running),
            Ok(answer) => {
                let why = answer.error.and_then(|error| error.error_message).unwrap_or_default();
                Ok(WorkflowStatus::Over(format!("{} {why}", answer.status.as_str()).trim().to_owned()))
            }
            Err(error)
                if error.as_service_error().is_some_and(GetDurableExecutionError::is_resource_not_found_exception) =>
            {
                Ok(WorkflowStatus::Forgotten)
            }
            Err(error) => Err(CallFailed::new("lambda:GetDurableExecution", error)),
        }
    }
}

/// Whether a status means that a durable execution is over. The others mean that it is running or paused
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_GetDurableExecution.html>). A status that this version does not know does not count
/// as the end.
fn is_over(status: &str) -> bool {
    ["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"].contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualifier_is_removed_from_names_and_arns() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:longhaul-sync";
        for (qualified, name) in [("longhaul-sync:live", "longhaul-sync"), (&format!("{arn}:live"), arn)] {
            assert_eq!(unqualified(qualified), name);
            assert_eq!(unqualified(name), name);
        }
    }

    #[test]
    fn only_ended_statuses_count_as_over() {
        for status in ["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"] {
            assert!(is_over(status), "{status}");
        }
        for status in ["RUNNING", "PAUSING", "PAUSED", "DELETING", "SOMETHING_NEW"] {
            assert!(!is_over(status), "{status}");
        }
    }
}
