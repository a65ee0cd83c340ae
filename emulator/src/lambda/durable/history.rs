//! The history of a durable execution: an event for everything that happens to it, numbered in order.
//!
//! Events are stored in the form in which `GetDurableExecutionHistory` returns them.

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde_json::{Map, Value, json};

use super::{
    Durable, load,
    operation::{ErrorObject, Kind, Operation, Status},
    store::{Execution, ExecutionStatus},
    wire::seconds,
};
use crate::{
    lambda::{arn, json, limits::marker},
    wire::AwsError,
};

/// The default number of events in one page.
const PAGE: i64 = 100;

/// The maximum number of events in one page.
const LARGEST_PAGE: i64 = 1_000;

/// What happened. Its number is given when it is appended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    kind: &'static str,
    at: Timestamp,
    details: Value,
}

impl Event {
    fn new(kind: &'static str, at: Timestamp, details: Value) -> Self {
        Self { kind, at, details }
    }

    pub(crate) fn execution_started(execution: &Execution) -> Self {
        let timeout = execution.times_out_at.duration_since(execution.started_at).as_secs();
        let details = json!({ "Input": payload(&execution.input), "ExecutionTimeout": timeout });
        Self::new("ExecutionStarted", execution.started_at, details)
    }

    pub(crate) fn execution_ended(execution: &Execution, at: Timestamp) -> Option<Self> {
        let error = || json!({ "Error": failure(execution.error.as_ref()) });
        let (kind, details) = match execution.status {
            ExecutionStatus::Running => return None,
            ExecutionStatus::Succeeded => {
                ("ExecutionSucceeded", json!({ "Result": result(execution.result.as_deref()) }))
            }
            ExecutionStatus::Failed => ("ExecutionFailed", error()),
            ExecutionStatus::TimedOut => ("ExecutionTimedOut", error()),
            ExecutionStatus::Stopped => ("ExecutionStopped", error()),
        };
        Some(Self::new(kind, at, details))
    }

    pub(crate) fn invocation_completed(
        started_at: Timestamp,
        ended_at: Timestamp,
        request_id: &str,
        error: Option<&ErrorObject>,
    ) -> Self {
        let mut details = json!({ "StartTimestamp": seconds(started_at), "EndTimestamp": seconds(ended_at), "RequestId": request_id });
        if let Some(error) = error {
            json::set(&mut details, "Error", failure(Some(error)));
        }
        Self::new("InvocationCompleted", ended_at, details)
    }

    /// The event for the state that an operation reached `at` this time. `None` if no event belongs to the state: a step that is ready for
    /// a retry has none until the retry starts. `input` is the input of a chained invoke.
    pub(crate) fn of(operation: &Operation, at: Timestamp, input: Option<&str>) -> Option<Self> {
        let ended = || json!({ "Result": result(operation.result.as_deref()) });
        let failed = || json!({ "Error": failure(operation.error.as_ref()) });
        let (kind, details) = match (operation.kind, operation.status) {
            (Kind::Context, Status::Started) => ("ContextStarted", json!({})),
            (Kind::Context, Status::Succeeded) => ("ContextSucceeded", ended()),
            (Kind::Context, Status::Failed) => ("ContextFailed", failed()),
            (Kind::Step, Status::Started) => ("StepStarted", json!({})),
            (Kind::Step, Status::Succeeded) => ("StepSucceeded", tried(ended(), operation, at)),
            (Kind::Step, Status::Failed) => ("StepFailed", tried(failed(), operation, at)),
            // An attempt that is followed by another one: with an error, it failed; without one, it was a poll without a result.
            (Kind::Step, Status::Pending) if operation.error.is_some() => {
                ("StepFailed", tried(failed(), operation, at))
            }
            (Kind::Step, Status::Pending) => ("StepSucceeded", tried(ended(), operation, at)),
            (Kind::Wait, Status::Started) => ("WaitStarted", wait(operation, true)),
            (Kind::Wait, Status::Succeeded) => ("WaitSucceeded", wait(operation, false)),
            (Kind::Wait, Status::Cancelled) => {
                ("WaitCancelled", if operation.error.is_some() { failed() } else { json!({}) })
            }
            (Kind::Callback, Status::Started) => ("CallbackStarted", callback(operation)),
            (Kind::Callback, Status::Succeeded) => ("CallbackSucceeded", ended()),
            (Kind::Callback, Status::Failed) => ("CallbackFailed", failed()),
            (Kind::Callback, Status::TimedOut) => ("CallbackTimedOut", failed()),
            (Kind::ChainedInvoke, Status::Started) => ("ChainedInvokeStarted", chained_invoke(operation, input)),
            (Kind::ChainedInvoke, Status::Succeeded) => ("ChainedInvokeSucceeded", ended()),
            (Kind::ChainedInvoke, Status::Failed) => ("ChainedInvokeFailed", failed()),
            (Kind::ChainedInvoke, Status::TimedOut) => ("ChainedInvokeTimedOut", failed()),
            (Kind::ChainedInvoke, Status::Stopped) => ("ChainedInvokeStopped", failed()),
            _ => return None,
        };
        Some(Self::new(kind, at, details))
    }

    fn shown(self, id: u64, of: Option<&Operation>, execution: &Execution) -> Value {
        let mut shown = Map::new();
        let mut set = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
        set("EventType", json!(self.kind));
        set("EventId", json!(id));
        set("EventTimestamp", seconds(self.at));
        if let Some(operation) = of {
            set("Id", json!(operation.id));
            let named =
                [("Name", &operation.name), ("ParentId", &operation.parent_id), ("SubType", &operation.sub_type)];
            for (name, value) in named {
                if let Some(value) = value {
                    set(name, json!(value));
                }
            }
        } else if self.kind != "InvocationCompleted" {
            set("Id", json!(execution.id()));
            set("Name", json!(execution.name));
        }
        set(&format!("{}Details", self.kind), self.details);
        Value::Object(shown)
    }
}

fn payload(text: &str) -> Value {
    json!({ "Payload": text, "Truncated": false })
}

fn result(result: Option<&str>) -> Value {
    result.map_or_else(|| json!({ "Truncated": false }), payload)
}

fn failure(error: Option<&ErrorObject>) -> Value {
    error.map_or_else(|| json!({ "Truncated": false }), |error| json!({ "Payload": error, "Truncated": false }))
}

fn tried(mut details: Value, operation: &Operation, at: Timestamp) -> Value {
    let mut tries = json!({ "CurrentAttempt": operation.attempt });
    if let (Status::Pending, Some(due)) = (operation.status, operation.due) {
        json::set(&mut tries, "NextAttemptDelaySeconds", json!(due.duration_since(at).as_secs()));
    }
    json::set(&mut details, "RetryDetails", tries);
    details
}

fn wait(operation: &Operation, starts: bool) -> Value {
    let Some(end) = operation.scheduled_end else { return json!({}) };
    let mut details = json!({ "Duration": end.duration_since(operation.started_at).as_secs() });
    if starts {
        json::set(&mut details, "ScheduledEndTimestamp", seconds(end));
    }
    details
}

fn callback(operation: &Operation) -> Value {
    let mut details = json!({ "CallbackId": operation.callback_id });
    if let Some(timeouts) = &operation.timeouts {
        json::set(&mut details, "Timeout", json!(timeouts.timeout_seconds));
        json::set(&mut details, "HeartbeatTimeout", json!(timeouts.heartbeat_seconds));
    }
    details
}

fn chained_invoke(operation: &Operation, input: Option<&str>) -> Value {
    let Some(invoked) = &operation.invoked else { return json!({}) };
    let mut details = json!({ "FunctionName": invoked.function_name });
    for (name, value) in [
        ("TenantId", invoked.tenant_id.as_ref().map(|tenant| json!(tenant))),
        ("Input", input.map(payload)),
        ("ExecutedVersion", invoked.version.as_ref().map(|version| json!(version))),
        ("DurableExecutionArn", invoked.execution.as_ref().map(|arn| json!(arn))),
    ] {
        if let Some(value) = value {
            json::set(&mut details, name, value);
        }
    }
    details
}

/// Appends an event, of an operation or of the execution as a whole. The execution has to be saved afterwards.
pub(crate) fn append(
    tx: &Transaction<'_>,
    execution: &mut Execution,
    of: Option<&Operation>,
    event: Event,
) -> rusqlite::Result<()> {
    execution.events += 1;
    let shown = event.shown(execution.events, of, execution);
    let mut write = tx.prepare_cached("INSERT INTO durable_events (arn, id, body) VALUES (?1, ?2, ?3)")?;
    write.execute(params![execution.arn, execution.events, shown.to_string()])?;
    Ok(())
}

/// Which page of a history is requested.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) with_data: bool,
    pub(crate) newest_first: bool,
    pub(crate) marker: Option<String>,
    pub(crate) max_items: Option<i64>,
}

impl Durable {
    /// `GetDurableExecutionHistory`.
    pub(crate) fn history(&self, arn: &str, wanted: &Wanted) -> Result<Value, AwsError> {
        arn::check_execution(arn)?;
        let from = marker(wanted.marker.as_deref())?;
        let page = wanted.max_items.filter(|items| *items > 0).unwrap_or(PAGE).min(LARGEST_PAGE);
        let bodies = self.0.db.transact(|tx| {
            load(tx, arn)?;
            Ok::<_, AwsError>(bodies(tx, arn, from, wanted.newest_first, page + 1)?)
        })?;
        let more = bodies.len() > usize::try_from(page).unwrap_or(usize::MAX);
        let shown: Vec<Value> = bodies.into_iter().take(usize::try_from(page).unwrap_or(usize::MAX)).collect();
        let last = shown.last().and_then(|event| event.get("EventId")).and_then(Value::as_i64).unwrap_or_default();
        let shown: Vec<_> = if wanted.with_data { shown } else { shown.into_iter().map(without_data).collect() };
        let mut answer = json!({ "Events": shown });
        if more {
            json::set(&mut answer, "NextMarker", json!(last.to_string()));
        }
        Ok(answer)
    }
}

/// Events after number `from`, in the requested order.
fn bodies(
    tx: &Transaction<'_>,
    arn: &str,
    from: Option<i64>,
    newest_first: bool,
    most: i64,
) -> rusqlite::Result<Vec<Value>> {
    let (sql, start) = if newest_first {
        ("SELECT body FROM durable_events WHERE arn = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3", i64::MAX)
    } else {
        ("SELECT body FROM durable_events WHERE arn = ?1 AND id > ?2 ORDER BY id LIMIT ?3", 0)
    };
    let mut read = tx.prepare_cached(sql)?;
    let rows = read.query_map(params![arn, from.unwrap_or(start), most], |row| row.get::<_, String>(0))?;
    rows.map(|body| json::read(&body?)).collect()
}

/// Removes inputs and results, and marks the event as truncated. Errors stay, since they are what a history without data is
/// usually read for.
fn without_data(mut event: Value) -> Value {
    let members = event.as_object_mut().into_iter().flatten();
    for (_, details) in members.filter(|(name, _)| name.ends_with("Details")) {
        for part in ["Input", "Result"] {
            if let Some(data) = details.get_mut(part).and_then(Value::as_object_mut) {
                data.remove("Payload");
                data.insert("Truncated".into(), json!(true));
            }
        }
    }
    event
}
