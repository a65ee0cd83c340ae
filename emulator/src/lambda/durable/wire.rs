//! Durable executions as the Lambda API shows them, and the tokens that name their parts.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    operation::{ErrorObject, Kind, Operation, Status},
    store::Execution,
};
use crate::lambda::json;

/// Seconds since 1970 with milliseconds: how the REST-JSON protocol writes a timestamp.
pub(crate) fn seconds(at: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double for the next 280,000 years")]
    let seconds = at.as_millisecond() as f64 / 1_000.0;
    json!(seconds)
}

/// The detail of the EventBridge event about an execution's status.
pub(crate) fn status_change(execution: &Execution) -> Value {
    let text = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let mut detail = json!({
        "durableExecutionArn": execution.arn,
        "durableExecutionName": execution.name,
        "functionArn": execution.function_arn(),
        "status": execution.status,
        "startTimestamp": text(execution.started_at),
    });
    if let Some(ended_at) = execution.ended_at {
        json::set(&mut detail, "endTimestamp", json!(text(ended_at)));
    }
    detail
}

/// An operation, as `CheckpointDurableExecution` and `GetDurableExecutionState` return it and as an invocation carries it.
pub(crate) fn operation(operation: &Operation) -> Value {
    let mut shown = Map::new();
    let mut set = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    set("Id", json!(operation.id));
    set("Type", json!(operation.kind));
    set("Status", json!(operation.status));
    set("StartTimestamp", seconds(operation.started_at));
    for (name, value) in
        [("ParentId", &operation.parent_id), ("Name", &operation.name), ("SubType", &operation.sub_type)]
    {
        if let Some(value) = value {
            set(name, json!(value));
        }
    }
    if let Some(ended_at) = operation.ended_at {
        set("EndTimestamp", seconds(ended_at));
    }
    if let Some((name, details)) = details(operation) {
        set(name, details);
    }
    Value::Object(shown)
}

fn details(operation: &Operation) -> Option<(&'static str, Value)> {
    let mut details = Map::new();
    let mut set = |name: &str, value: Value| drop(details.insert(name.to_owned(), value));
    if let Some(result) = &operation.result {
        set("Result", json!(result));
    }
    if let Some(error) = &operation.error {
        set("Error", json!(error));
    }
    let name = match operation.kind {
        Kind::Step => {
            set("Attempt", json!(operation.attempt));
            if let (Status::Pending, Some(due)) = (operation.status, operation.due) {
                set("NextAttemptTimestamp", seconds(due));
            }
            "StepDetails"
        }
        Kind::Callback => {
            set("CallbackId", json!(operation.callback_id));
            "CallbackDetails"
        }
        Kind::Context => {
            set("ReplayChildren", json!(operation.replay_children));
            "ContextDetails"
        }
        Kind::Wait => {
            let due = operation.scheduled_end.or(operation.due).or(operation.ended_at);
            return due.map(|due| ("WaitDetails", json!({ "ScheduledEndTimestamp": seconds(due) })));
        }
        Kind::ChainedInvoke => "ChainedInvokeDetails",
        Kind::Execution => return None,
    };
    Some((name, Value::Object(details)))
}

/// The operation that represents the execution itself, which is always the first.
pub(crate) fn execution_operation(execution: &Execution) -> Value {
    json!({
        "Id": execution.id(),
        "Name": execution.name,
        "Type": Kind::Execution,
        "Status": Status::Started,
        "StartTimestamp": seconds(execution.started_at),
        "ExecutionDetails": { "InputPayload": execution.input },
    })
}

/// How the payload of an invocation writes timestamps: milliseconds since 1970.
pub(crate) fn in_milliseconds(mut operation: Value) -> Value {
    let convert = |members: &mut Map<String, Value>| {
        for (name, value) in members {
            if let (true, Some(seconds)) = (name.ends_with("Timestamp"), value.as_f64()) {
                #[expect(clippy::cast_possible_truncation, reason = "it was made of milliseconds")]
                let millis = (seconds * 1_000.0).round() as i64;
                *value = json!(millis);
            }
        }
    };
    if let Some(members) = operation.as_object_mut() {
        convert(members);
        for details in ["StepDetails", "WaitDetails"] {
            if let Some(details) = members.get_mut(details).and_then(Value::as_object_mut) {
                convert(details);
            }
        }
    }
    operation
}

/// An execution, as `GetDurableExecution` returns it.
pub(crate) fn execution(execution: &Execution) -> Value {
    let mut shown = summary(execution);
    json::set(&mut shown, "InputPayload", json!(execution.input));
    json::set(&mut shown, "Version", json!(execution.version));
    for (name, value) in [
        ("Result", execution.result.as_ref().map(|result| json!(result))),
        ("Error", execution.error.as_ref().map(|error: &ErrorObject| json!(error))),
        ("TraceHeader", execution.trace.as_ref().map(|trace| json!({ "XAmznTraceId": trace }))),
    ] {
        if let Some(value) = value {
            json::set(&mut shown, name, value);
        }
    }
    shown
}

/// An execution, as it is listed.
pub(crate) fn summary(execution: &Execution) -> Value {
    let mut shown = json!({
        "DurableExecutionArn": execution.arn,
        "DurableExecutionName": execution.name,
        "FunctionArn": execution.function_arn(),
        "StartTimestamp": seconds(execution.started_at),
        "Status": execution.status,
    });
    if let Some(ended_at) = execution.ended_at {
        json::set(&mut shown, "EndTimestamp", seconds(ended_at));
    }
    shown
}

/// Names the state of an execution that a checkpoint builds on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointToken {
    arn: String,
    token: u64,
}

impl CheckpointToken {
    pub(crate) fn of(execution: &Execution) -> String {
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

/// Both are `[A-Za-z0-9+/]+={0,2}` in the service's model.
fn encode(value: &impl Serialize) -> String {
    BASE64_STANDARD.encode(serde_json::to_vec(value).unwrap_or_default())
}
