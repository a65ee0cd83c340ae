//! What a durable execution did: Lambda's history of it.

use aws_sdk_lambda::{
    Client,
    operation::get_durable_execution_history::GetDurableExecutionHistoryError,
    types::{Event, RetryDetails},
};
use domain::{
    Attempt, ExecutionId, Pattern,
    history::{OperationEvent, Outcome},
};
use jiff::Timestamp;

use aws::{CallFailed, Connection};
use contract::messages::StoredStart;

/// The histories of the two durable functions' executions. AWS answers 15 such calls a second for the whole account.
#[derive(Debug, Clone)]
pub struct Histories {
    client: Client,
    sync: String,
    callback: String,
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// What happened, oldest first.
    pub events: Vec<OperationEvent>,
    /// Where the history continues, if it does.
    pub marker: Option<String>,
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// AWS no longer knows the durable execution, because its retention has passed.
    #[error("AWS has forgotten the durable execution")]
    Forgotten,
    /// AWS does not know this marker.
    #[error("the marker is not valid")]
    Marker,
    /// Lambda did not answer, or refused the call.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Histories {
    /// The histories of these durable functions, by their qualified names.
    #[must_use]
    pub fn new(connection: &Connection, sync: impl Into<String>, callback: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), sync: sync.into(), callback: callback.into() }
    }

    /// Events of a durable execution from a marker on, at most `limit` (1 to 1,000), without inputs and results.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn events(&self, arn: &str, marker: Option<&str>, limit: i32) -> Result<HistoryPage, HistoryError> {
        const CALL: &str = "lambda:GetDurableExecutionHistory";
        let request = self.client.get_durable_execution_history().durable_execution_arn(arn);
        let request = request.include_execution_data(false).max_items(limit);
        let answer = request.set_marker(marker.map(str::to_owned)).send().await.map_err(|error| {
            match error.as_service_error() {
                Some(GetDurableExecutionHistoryError::ResourceNotFoundException(_)) => HistoryError::Forgotten,
                Some(GetDurableExecutionHistoryError::InvalidParameterValueException(_)) if marker.is_some() => {
                    HistoryError::Marker
                }
                _ => CallFailed::new(CALL, error).into(),
            }
        })?;
        let marker = answer.next_marker.filter(|marker| !marker.is_empty());
        Ok(HistoryPage { events: answer.events.into_iter().filter_map(happened).collect(), marker })
    }

    /// The durable execution that drives a later attempt of an execution, if AWS knows one. Callback executions have one for each
    /// attempt.
    ///
    /// A durable execution that was started before a deployment belongs to a different version from the one that the alias points to now.
    /// AWS's documentation says that a call without a version lists the durable executions of every version, but it used to say: those of
    /// `$LATEST` (<https://docs.aws.amazon.com/lambda/latest/api/API_ListDurableExecutionsByFunction.html>). So this function asks first
    /// for the alias's version, and then without a version.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if Lambda did not answer or refused the call.
    pub async fn of_attempt(
        &self,
        id: &ExecutionId,
        pattern: Pattern,
        attempt: Attempt,
    ) -> Result<Option<String>, CallFailed> {
        const CALL: &str = "lambda:ListDurableExecutionsByFunction";
        let function = match pattern {
            Pattern::Sync => &self.sync,
            Pattern::Callback => &self.callback,
        };
        // An ARN contains colons too; the qualifier comes after the last one.
        let (function, qualifier) = function.rsplit_once(':').unwrap_or((function, "$LATEST"));
        let name = StoredStart::of(id.clone(), attempt).name();
        for version in [Some(qualifier), None] {
            let list = self.client.list_durable_executions_by_function().function_name(function);
            let list = list.set_qualifier(version.map(str::to_owned)).durable_execution_name(&name);
            let answer = list.send().await.map_err(|error| CallFailed::new(CALL, error))?;
            if let Some(found) = answer.durable_executions.unwrap_or_default().into_iter().next() {
                return Ok(Some(found.durable_execution_arn));
            }
        }
        Ok(None)
    }
}

/// What an event says about an operation; `None` if it is about the execution as a whole.
fn happened(event: Event) -> Option<OperationEvent> {
    let (kind, outcome) = read(event.event_type.as_ref()?.as_str())?;
    let kind = kind.to_owned();
    let retry = retry(&event);
    let attempt = retry.and_then(|retry| u32::try_from(retry.current_attempt).ok());
    let again = retry.and_then(|retry| retry.next_attempt_delay_seconds).is_some_and(|seconds| seconds > 0);
    Some(OperationEvent {
        id: event.id?,
        name: event.name,
        kind,
        at: Timestamp::from_millisecond(event.event_timestamp?.to_millis().ok()?).ok()?,
        outcome,
        attempt,
        again,
    })
}

/// Splits an event's type into what it is about and what happened to it
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Event.html>).
fn read(event_type: &str) -> Option<(&str, Outcome)> {
    let ends = [
        ("Started", Outcome::Started),
        ("Succeeded", Outcome::Succeeded),
        ("Failed", Outcome::Failed),
        ("TimedOut", Outcome::TimedOut),
        ("Stopped", Outcome::Stopped),
        ("Cancelled", Outcome::Cancelled),
    ];
    let (kind, outcome) = ends.iter().find_map(|(end, outcome)| Some((event_type.strip_suffix(end)?, *outcome)))?;
    (kind != "Execution").then_some((kind, outcome))
}

fn retry(event: &Event) -> Option<&RetryDetails> {
    let failed = event.step_failed_details.as_ref().and_then(|details| details.retry_details.as_ref());
    failed.or_else(|| event.step_succeeded_details.as_ref().and_then(|details| details.retry_details.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_gives_the_operation_and_its_outcome() {
        for (event_type, expected) in [
            ("StepStarted", Some(("Step", Outcome::Started))),
            ("CallbackTimedOut", Some(("Callback", Outcome::TimedOut))),
            ("ChainedInvokeStopped", Some(("ChainedInvoke", Outcome::Stopped))),
            ("WaitCancelled", Some(("Wait", Outcome::Cancelled))),
            ("ExecutionSucceeded", None),
            ("InvocationCompleted", None),
        ] {
            assert_eq!(read(event_type), expected);
        }
    }
}
