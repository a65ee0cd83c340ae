//! The events of a history, named and formed as in AWS's model
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Event.html>). They are stored in this form.

#![expect(clippy::struct_field_names, reason = "the names are AWS's")]

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    operation::{ErrorObject, Kind, Operation, Status},
    store::{Execution, ExecutionStatus},
};
use crate::wire::Seconds;

/// An event in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event {
    event_type: String,
    pub(super) event_id: u64,
    event_timestamp: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_type: Option<String>,
    #[serde(flatten)]
    details: Details,
}

/// Declares the details of events. The name of a variant is the type of its event. The member with the details has the same name with the
/// suffix `Details`.
macro_rules! details {
    ($($name:ident($details:ty) as $member:literal,)+) => {
        /// The details of an event.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum Details {
            $(#[serde(rename = $member)] $name($details),)+
        }

        impl Details {
            /// The type of the event.
            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                }
            }
        }
    };
}

details! {
    ExecutionStarted(ExecutionStarted) as "ExecutionStartedDetails",
    ExecutionSucceeded(Succeeded) as "ExecutionSucceededDetails",
    ExecutionFailed(Failed) as "ExecutionFailedDetails",
    ExecutionTimedOut(Failed) as "ExecutionTimedOutDetails",
    ExecutionStopped(Failed) as "ExecutionStoppedDetails",
    ContextStarted(Nothing) as "ContextStartedDetails",
    ContextSucceeded(Succeeded) as "ContextSucceededDetails",
    ContextFailed(Failed) as "ContextFailedDetails",
    StepStarted(Nothing) as "StepStartedDetails",
    StepSucceeded(StepSucceeded) as "StepSucceededDetails",
    StepFailed(StepFailed) as "StepFailedDetails",
    WaitStarted(Wait) as "WaitStartedDetails",
    WaitSucceeded(Wait) as "WaitSucceededDetails",
    WaitCancelled(WaitCancelled) as "WaitCancelledDetails",
    CallbackStarted(CallbackStarted) as "CallbackStartedDetails",
    CallbackSucceeded(Succeeded) as "CallbackSucceededDetails",
    CallbackFailed(Failed) as "CallbackFailedDetails",
    CallbackTimedOut(Failed) as "CallbackTimedOutDetails",
    ChainedInvokeStarted(ChainedInvokeStarted) as "ChainedInvokeStartedDetails",
    ChainedInvokeSucceeded(Succeeded) as "ChainedInvokeSucceededDetails",
    ChainedInvokeFailed(Failed) as "ChainedInvokeFailedDetails",
    ChainedInvokeTimedOut(Failed) as "ChainedInvokeTimedOutDetails",
    ChainedInvokeStopped(Failed) as "ChainedInvokeStoppedDetails",
    InvocationCompleted(InvocationCompleted) as "InvocationCompletedDetails",
}

/// An input, a result or an error, which may be left out: `EventInput`, `EventResult` and `EventError`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Data<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<T>,
    truncated: bool,
}

impl<T> Data<T> {
    fn of(payload: Option<T>) -> Self {
        Self { payload, truncated: false }
    }

    fn truncate(&mut self) {
        *self = Self { payload: None, truncated: true };
    }
}

/// Nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nothing {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ExecutionStarted {
    input: Data<String>,
    execution_timeout: i64,
}

/// Something ended with a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Succeeded {
    result: Data<String>,
}

/// Something ended with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Failed {
    error: Data<ErrorObject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StepSucceeded {
    result: Data<String>,
    retry_details: RetryDetails,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StepFailed {
    error: Data<ErrorObject>,
    retry_details: RetryDetails,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetryDetails {
    current_attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_delay_seconds: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Wait {
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    /// Only in the event about the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_end_timestamp: Option<Seconds>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WaitCancelled {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Data<ErrorObject>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CallbackStarted {
    callback_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_timeout: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChainedInvokeStarted {
    #[serde(skip_serializing_if = "Option::is_none")]
    function_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Data<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_execution_arn: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InvocationCompleted {
    start_timestamp: Seconds,
    end_timestamp: Seconds,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Data<ErrorObject>>,
}

impl Details {
    /// The details of the event about an execution's end; `None` if it has not ended.
    fn of_end(execution: &Execution) -> Option<Self> {
        let failed = || Failed { error: Data::of(execution.error.clone()) };
        Some(match execution.status {
            ExecutionStatus::Running => return None,
            ExecutionStatus::Succeeded => {
                Self::ExecutionSucceeded(Succeeded { result: Data::of(execution.result.clone()) })
            }
            ExecutionStatus::Failed => Self::ExecutionFailed(failed()),
            ExecutionStatus::TimedOut => Self::ExecutionTimedOut(failed()),
            ExecutionStatus::Stopped => Self::ExecutionStopped(failed()),
        })
    }

    /// The details of the event about the state that an operation reached `at` this time; `None` if that state has no event.
    fn of_operation(operation: &Operation, at: Timestamp, input: Option<&str>) -> Option<Self> {
        let result = || Data::of(operation.result.clone());
        let error = || Data::of(operation.error.clone());
        let succeeded = || Succeeded { result: result() };
        let failed = || Failed { error: error() };
        let step_succeeded = || StepSucceeded { result: result(), retry_details: RetryDetails::of(operation, at) };
        let step_failed = || StepFailed { error: error(), retry_details: RetryDetails::of(operation, at) };
        Some(match (operation.kind, operation.status) {
            (Kind::Context, Status::Started) => Self::ContextStarted(Nothing {}),
            (Kind::Context, Status::Succeeded) => Self::ContextSucceeded(succeeded()),
            (Kind::Context, Status::Failed) => Self::ContextFailed(failed()),
            (Kind::Step, Status::Started) => Self::StepStarted(Nothing {}),
            (Kind::Step, Status::Succeeded) => Self::StepSucceeded(step_succeeded()),
            (Kind::Step, Status::Failed) => Self::StepFailed(step_failed()),
            // Another attempt follows. If there is an error, this attempt failed; otherwise it was a poll without a result.
            (Kind::Step, Status::Pending) if operation.error.is_some() => Self::StepFailed(step_failed()),
            (Kind::Step, Status::Pending) => Self::StepSucceeded(step_succeeded()),
            (Kind::Wait, Status::Started) => Self::WaitStarted(Wait::of(operation, true)),
            (Kind::Wait, Status::Succeeded) => Self::WaitSucceeded(Wait::of(operation, false)),
            (Kind::Wait, Status::Cancelled) => {
                Self::WaitCancelled(WaitCancelled { error: operation.error.is_some().then(error) })
            }
            (Kind::Callback, Status::Started) => Self::CallbackStarted(CallbackStarted::of(operation)),
            (Kind::Callback, Status::Succeeded) => Self::CallbackSucceeded(succeeded()),
            (Kind::Callback, Status::Failed) => Self::CallbackFailed(failed()),
            (Kind::Callback, Status::TimedOut) => Self::CallbackTimedOut(failed()),
            (Kind::ChainedInvoke, Status::Started) => {
                Self::ChainedInvokeStarted(ChainedInvokeStarted::of(operation, input))
            }
            (Kind::ChainedInvoke, Status::Succeeded) => Self::ChainedInvokeSucceeded(succeeded()),
            (Kind::ChainedInvoke, Status::Failed) => Self::ChainedInvokeFailed(failed()),
            (Kind::ChainedInvoke, Status::TimedOut) => Self::ChainedInvokeTimedOut(failed()),
            (Kind::ChainedInvoke, Status::Stopped) => Self::ChainedInvokeStopped(failed()),
            _ => return None,
        })
    }

    /// The event's input or result, if it has one. Errors do not count.
    fn data(&mut self) -> Option<&mut Data<String>> {
        match self {
            Self::ExecutionStarted(details) => Some(&mut details.input),
            Self::ChainedInvokeStarted(details) => details.input.as_mut(),
            Self::StepSucceeded(details) => Some(&mut details.result),
            Self::ExecutionSucceeded(details)
            | Self::ContextSucceeded(details)
            | Self::CallbackSucceeded(details)
            | Self::ChainedInvokeSucceeded(details) => Some(&mut details.result),
            _ => None,
        }
    }
}

impl RetryDetails {
    fn of(operation: &Operation, at: Timestamp) -> Self {
        let next = operation.due.filter(|_| operation.status == Status::Pending);
        Self {
            current_attempt: operation.attempt,
            next_attempt_delay_seconds: next.map(|due| due.duration_since(at).as_secs()),
        }
    }
}

impl Wait {
    fn of(operation: &Operation, starts: bool) -> Self {
        let end = operation.scheduled_end;
        Self {
            duration: end.map(|end| end.duration_since(operation.started_at).as_secs()),
            scheduled_end_timestamp: end.filter(|_| starts).map(Seconds::from),
        }
    }
}

impl CallbackStarted {
    fn of(operation: &Operation) -> Self {
        let timeouts = operation.timeouts.as_ref();
        Self {
            callback_id: operation.callback_id.clone(),
            timeout: timeouts.map(|timeouts| timeouts.timeout_seconds),
            heartbeat_timeout: timeouts.map(|timeouts| timeouts.heartbeat_seconds),
        }
    }
}

impl ChainedInvokeStarted {
    fn of(operation: &Operation, input: Option<&str>) -> Self {
        let Some(invoked) = operation.invoked.clone() else { return Self::default() };
        Self {
            function_name: Some(invoked.function_name),
            tenant_id: invoked.tenant_id,
            input: input.map(|input| Data::of(Some(input.to_owned()))),
            executed_version: invoked.version,
            durable_execution_arn: invoked.execution,
        }
    }
}

/// Something that happened, before it has a number and a place in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happened {
    at: Timestamp,
    details: Details,
}

impl Happened {
    /// An execution has started.
    pub(crate) fn execution_started(execution: &Execution) -> Self {
        let details = ExecutionStarted {
            input: Data::of(Some(execution.input.clone())),
            execution_timeout: execution.times_out_at.duration_since(execution.started_at).as_secs(),
        };
        Self { at: execution.started_at, details: Details::ExecutionStarted(details) }
    }

    /// An execution has ended; `None` if it has not.
    pub(crate) fn execution_ended(execution: &Execution, at: Timestamp) -> Option<Self> {
        Some(Self { at, details: Details::of_end(execution)? })
    }

    /// An invocation has ended.
    pub(crate) fn invocation_completed(
        started_at: Timestamp,
        ended_at: Timestamp,
        request_id: &str,
        error: Option<&ErrorObject>,
    ) -> Self {
        let details = InvocationCompleted {
            start_timestamp: started_at.into(),
            end_timestamp: ended_at.into(),
            request_id: request_id.to_owned(),
            error: error.map(|error| Data::of(Some(error.clone()))),
        };
        Self { at: ended_at, details: Details::InvocationCompleted(details) }
    }

    /// An operation reached its state `at` this time. `None` if no event belongs to the state: a step that is ready for a retry has none
    /// until the retry starts. `input` is the input of a chained invoke.
    pub(crate) fn of(operation: &Operation, at: Timestamp, input: Option<&str>) -> Option<Self> {
        Some(Self { at, details: Details::of_operation(operation, at, input)? })
    }

    /// The event in the history of an execution, about one of its operations or the execution as a whole.
    pub(super) fn numbered(self, event_id: u64, of: Option<&Operation>, execution: &Execution) -> Event {
        let named = match (of, &self.details) {
            (Some(operation), _) => (Some(operation.id.clone()), operation.name.clone()),
            (None, Details::InvocationCompleted(_)) => (None, None),
            (None, _) => (Some(execution.id().to_owned()), Some(execution.name.clone())),
        };
        let (id, name) = named;
        Event {
            event_type: self.details.event_type().to_owned(),
            event_id,
            event_timestamp: self.at.into(),
            id,
            name,
            parent_id: of.and_then(|operation| operation.parent_id.clone()),
            sub_type: of.and_then(|operation| operation.sub_type.clone()),
            details: self.details,
        }
    }
}

impl Event {
    /// Removes the input or result, and marks it as truncated. Errors stay, because a history without data is usually read to find them.
    pub(super) fn without_data(mut self) -> Self {
        if let Some(data) = self.details.data() {
            data.truncate();
        }
        self
    }
}
