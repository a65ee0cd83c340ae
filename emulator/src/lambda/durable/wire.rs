//! Durable executions and their operations as the Lambda API shows them, named and formed as in its model
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Types.html>), and the tokens that name their parts.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    operation::{self, ErrorObject, Kind, Status},
    store::{self, ExecutionStatus},
};
use crate::wire::Seconds;

/// A time in the input of an invocation: milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Milliseconds(i64);

impl From<Timestamp> for Milliseconds {
    fn from(at: Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

/// An operation, as `CheckpointDurableExecution` and `GetDurableExecutionState` return it and as an invocation carries it. `T` is the
/// format of its times: [`Seconds`] or [`Milliseconds`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Operation<T> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "Type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_type: Option<String>,
    start_timestamp: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_timestamp: Option<T>,
    status: Status,
    #[serde(flatten)]
    details: Option<Details<T>>,
}

/// What only operations of one kind have. The name of a variant is that of the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the names are AWS's")]
enum Details<T> {
    ExecutionDetails(ExecutionDetails),
    ContextDetails(ContextDetails),
    StepDetails(StepDetails<T>),
    WaitDetails(WaitDetails<T>),
    CallbackDetails(CallbackDetails),
    ChainedInvokeDetails(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecutionDetails {
    input_payload: String,
}

/// How an operation ended. This is also the form of `ChainedInvokeDetails`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextDetails {
    replay_children: bool,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StepDetails<T> {
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_timestamp: Option<T>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WaitDetails<T> {
    scheduled_end_timestamp: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CallbackDetails {
    callback_id: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

impl<T: From<Timestamp>> From<&operation::Operation> for Operation<T> {
    fn from(operation: &operation::Operation) -> Self {
        Self {
            id: operation.id.clone(),
            parent_id: operation.parent_id.clone(),
            name: operation.name.clone(),
            kind: operation.kind,
            sub_type: operation.sub_type.clone(),
            start_timestamp: operation.started_at.into(),
            end_timestamp: operation.ended_at.map(T::from),
            status: operation.status,
            details: details(operation),
        }
    }
}

fn details<T: From<Timestamp>>(operation: &operation::Operation) -> Option<Details<T>> {
    let outcome = Outcome { result: operation.result.clone(), error: operation.error.clone() };
    Some(match operation.kind {
        Kind::Step => Details::StepDetails(StepDetails {
            attempt: operation.attempt,
            next_attempt_timestamp: operation.due.filter(|_| operation.status == Status::Pending).map(T::from),
            outcome,
        }),
        Kind::Callback => {
            Details::CallbackDetails(CallbackDetails { callback_id: operation.callback_id.clone(), outcome })
        }
        Kind::Context => {
            Details::ContextDetails(ContextDetails { replay_children: operation.replay_children, outcome })
        }
        Kind::Wait => {
            let due = operation.scheduled_end.or(operation.due).or(operation.ended_at)?;
            Details::WaitDetails(WaitDetails { scheduled_end_timestamp: due.into() })
        }
        Kind::ChainedInvoke => Details::ChainedInvokeDetails(outcome),
        Kind::Execution => return None,
    })
}

impl<T: From<Timestamp>> From<&store::Execution> for Operation<T> {
    /// The operation that represents the execution itself, which is always the first.
    fn from(execution: &store::Execution) -> Self {
        Self {
            id: execution.id().to_owned(),
            parent_id: None,
            name: Some(execution.name.clone()),
            kind: Kind::Execution,
            sub_type: None,
            start_timestamp: execution.started_at.into(),
            end_timestamp: None,
            status: Status::Started,
            details: Some(Details::ExecutionDetails(ExecutionDetails { input_payload: execution.input.clone() })),
        }
    }
}

/// Operations, and where the next page begins: `GetDurableExecutionState`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Operations<T> {
    pub(super) operations: Vec<Operation<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
}

/// `CheckpointDurableExecution`. It is stored, to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CheckpointDurableExecutionResponse {
    pub(super) checkpoint_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new_execution_state: Option<Operations<Seconds>>,
}

/// `StopDurableExecution`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StopDurableExecutionResponse {
    pub(super) stop_timestamp: Seconds,
}

/// `ListDurableExecutionsByFunction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListDurableExecutionsByFunctionResponse {
    pub(super) durable_executions: Vec<Execution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
}

/// An execution, as it is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Execution {
    durable_execution_arn: String,
    durable_execution_name: String,
    function_arn: String,
    status: ExecutionStatus,
    start_timestamp: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_timestamp: Option<Seconds>,
}

impl From<&store::Execution> for Execution {
    fn from(execution: &store::Execution) -> Self {
        Self {
            durable_execution_arn: execution.arn.clone(),
            durable_execution_name: execution.name.clone(),
            function_arn: execution.function_arn().to_owned(),
            status: execution.status,
            start_timestamp: execution.started_at.into(),
            end_timestamp: execution.ended_at.map(Seconds::from),
        }
    }
}

/// `GetDurableExecution`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetDurableExecutionResponse {
    #[serde(flatten)]
    execution: Execution,
    version: String,
    input_payload: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_header: Option<TraceHeader>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TraceHeader {
    x_amzn_trace_id: String,
}

impl From<store::Execution> for GetDurableExecutionResponse {
    fn from(execution: store::Execution) -> Self {
        Self {
            execution: (&execution).into(),
            version: execution.version,
            input_payload: execution.input,
            result: execution.result,
            error: execution.error,
            trace_header: execution.trace.map(|x_amzn_trace_id| TraceHeader { x_amzn_trace_id }),
        }
    }
}

/// The detail of the EventBridge event about an execution's status
/// (<https://docs.aws.amazon.com/lambda/latest/dg/durable-monitoring.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusChange {
    durable_execution_arn: String,
    durable_execution_name: String,
    function_arn: String,
    status: ExecutionStatus,
    start_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_timestamp: Option<String>,
}

impl From<&store::Execution> for StatusChange {
    fn from(execution: &store::Execution) -> Self {
        let date = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        Self {
            durable_execution_arn: execution.arn.clone(),
            durable_execution_name: execution.name.clone(),
            function_arn: execution.function_arn().to_owned(),
            status: execution.status,
            start_timestamp: date(execution.started_at),
            end_timestamp: execution.ended_at.map(date),
        }
    }
}

/// Names the state of an execution that a checkpoint builds on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointToken {
    arn: String,
    token: u64,
}

impl CheckpointToken {
    pub(crate) fn of(execution: &store::Execution) -> String {
        encode(&Self { arn: execution.arn.clone(), token: execution.token })
    }
}

/// Names a callback.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallbackId {
    pub(crate) arn: String,
    pub(crate) operation: String,
}

impl CallbackId {
    pub(crate) fn of(arn: &str, operation: &str) -> String {
        encode(&Self { arn: arn.to_owned(), operation: operation.to_owned() })
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64_STANDARD.decode(text).ok()?).ok()
    }
}

/// Encodes a token or an id. In the service's model, these must match `[A-Za-z0-9+/]+={0,2}`.
fn encode(value: &impl Serialize) -> String {
    BASE64_STANDARD.encode(serde_json::to_vec(value).unwrap_or_default())
}
