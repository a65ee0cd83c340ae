//! Durable executions: started by name, invoked until they are through, changed by checkpoints, timers and callbacks.
//!
//! Every change is one transaction. An execution is *owed* an invocation from the moment that gives it something to do
//! until the invocation that takes it up has ended well, and that debt is on disk: whoever dies in between leaves it behind,
//! and the next start of the stack pays it.

pub(crate) mod checkpoint;
mod invocation;
pub(crate) mod operation;
mod store;
mod wire;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rusqlite::Transaction;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use self::{
    operation::ErrorObject,
    store::{Execution, ExecutionStatus},
    wire::CallbackId,
};
use super::functions::{Functions, Qualified};
use crate::{clock::Clock, db::Db, wire::AwsError};

pub use store::SCHEMA;

/// The longest the driver sleeps: a clock that is set, or a mistake of ours, costs no more than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The durable executions of this machine. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Durable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    functions: Functions,
    /// Executions with an invocation under way in this process: one at a time each.
    active: Mutex<HashSet<String>>,
    changed: Notify,
}

impl Durable {
    pub(crate) fn new(db: Db, clock: Clock, functions: Functions) -> Self {
        let inner = Inner { db, clock, functions, active: Mutex::default(), changed: Notify::new() };
        Self(Arc::new(inner))
    }

    /// Starts an execution, or finds the one of that name: the same name and input is the same execution.
    pub(crate) fn start(&self, of: &Qualified, name: Option<&str>, input: &str) -> Result<String, AwsError> {
        let durable = of.function.durable.as_ref().ok_or_else(|| AwsError::internal("not a durable function"))?;
        let name = match name {
            Some(name) => valid_name(name)?.to_owned(),
            None => Uuid::new_v4().to_string(),
        };
        let now = self.0.clock.now();
        let started = self.0.db.transact(|tx| {
            if let Some(seen) = store::find(tx, &of.function.name, &name)? {
                return if seen.input == input { Ok(seen.arn) } else { Err(already_started(&name)) };
            }
            let arn = format!("{}/durable-execution/{name}/{}", of.arn(), Uuid::new_v4());
            let timeout = SignedDuration::try_from(durable.execution_timeout).unwrap_or(SignedDuration::MAX);
            let execution = Execution {
                arn: arn.clone(),
                function: of.function.name.clone(),
                version: of.version.clone(),
                name,
                input: input.to_owned(),
                status: ExecutionStatus::Running,
                result: None,
                error: None,
                started_at: now,
                ended_at: None,
                times_out_at: now.checked_add(timeout).unwrap_or(Timestamp::MAX),
                token: 0,
                touched: 0,
                seen: 0,
                failures: 0,
                owed_at: Some(now),
                last_checkpoint: None,
            };
            store::save(tx, &execution)?;
            Ok::<_, AwsError>(arn)
        })?;
        self.0.changed.notify_one();
        Ok(started)
    }

    /// `GetDurableExecution`.
    pub(crate) fn get(&self, arn: &str) -> Result<Value, AwsError> {
        let execution = self.0.db.transact(|tx| load(tx, arn))?;
        let function_arn = execution.arn.split("/durable-execution/").next().unwrap_or_default();
        Ok(wire::execution(&execution, function_arn))
    }

    /// `SendDurableExecutionCallbackSuccess` and `…Failure`.
    pub(crate) fn call_back(
        &self,
        callback_id: &str,
        answer: Result<Option<String>, ErrorObject>,
    ) -> Result<(), AwsError> {
        let invalid = || AwsError::bad_request("InvalidParameterValueException", "Invalid callback id.");
        let id = CallbackId::read(callback_id).ok_or_else(invalid)?;
        let now = self.0.clock.now();
        self.0.db.transact(|tx| {
            let mut execution = store::load(tx, &id.arn)?.ok_or_else(invalid)?;
            let open = store::operation(tx, &id.arn, &id.operation)?.ok_or_else(invalid)?;
            let running = execution.status == ExecutionStatus::Running;
            let Some(called) = open.called_back(answer, now).filter(|_| running) else {
                let timed_out = open.status == operation::Status::TimedOut || !running;
                let code = if timed_out { "CallbackTimeoutException" } else { "InvalidParameterValueException" };
                return Err(AwsError::bad_request(code, "The callback has already been completed or has timed out."));
            };
            store::put(tx, &mut execution, &called)?;
            owe(&mut execution, now);
            Ok(store::save(tx, &execution)?)
        })?;
        self.0.changed.notify_one();
        Ok(())
    }

    /// Invokes what is owed, when it is owed, for as long as it is polled.
    pub(crate) async fn drive(&self) {
        loop {
            let changed = self.0.changed.notified();
            let sleep = match self.0.db.transact(|tx| self.advance(tx)) {
                Ok((owed, next)) => {
                    for arn in owed {
                        self.invoke_in_background(arn);
                    }
                    next
                }
                Err(why) => {
                    tracing::error!(why = why.message, "durable executions do not advance");
                    Duration::from_secs(1)
                }
            };
            let _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), changed).await;
        }
    }

    /// Does what time alone does, and says which executions are owed an invocation, and how long nothing else is due.
    fn advance(&self, tx: &Transaction<'_>) -> Result<(Vec<String>, Duration), AwsError> {
        let now = self.0.clock.now();
        for arn in store::timed_out(tx, now)? {
            let mut execution = load(tx, &arn)?;
            let error = ErrorObject::new("ExecutionTimedOut", "The durable execution has timed out.");
            end(tx, &mut execution, ExecutionStatus::TimedOut, None, Some(error), now)?;
        }
        for (arn, waiting) in store::due(tx, now)? {
            let mut execution = load(tx, &arn)?;
            let Some(changed) = waiting.due_at(now) else { continue };
            store::put(tx, &mut execution, &changed)?;
            owe(&mut execution, now);
            store::save(tx, &execution)?;
        }
        let next = store::next_change(tx, now)?;
        let sleep = next.map_or(LONGEST_SLEEP, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        Ok((store::owed(tx, now)?, sleep))
    }

    /// One at a time: an execution that is being invoked is looked at again when that has ended.
    fn invoke_in_background(&self, arn: String) {
        if !self.active().insert(arn.clone()) {
            return;
        }
        let durable = self.clone();
        tokio::spawn(async move {
            durable.invoke(&arn).await;
            durable.active().remove(&arn);
            durable.0.changed.notify_one();
        });
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(tx: &Transaction<'_>, arn: &str) -> Result<Execution, AwsError> {
    store::load(tx, arn)?.ok_or_else(|| AwsError {
        status: axum::http::StatusCode::NOT_FOUND,
        code: "ResourceNotFoundException",
        message: format!("Durable execution not found: {arn}"),
    })
}

/// Owes an execution an invocation now. An earlier debt stays: it is not paid later for this.
fn owe(execution: &mut Execution, now: Timestamp) {
    if execution.status == ExecutionStatus::Running {
        execution.owed_at = Some(execution.owed_at.map_or(now, |at| at.min(now)));
    }
}

/// Ends an execution. Its first end stays.
fn end(
    tx: &Transaction<'_>,
    execution: &mut Execution,
    status: ExecutionStatus,
    result: Option<String>,
    error: Option<ErrorObject>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if execution.status != ExecutionStatus::Running {
        return Ok(());
    }
    execution.status = status;
    execution.result = result;
    execution.error = error;
    execution.ended_at = Some(now);
    execution.owed_at = None;
    execution.token += 1;
    store::forget_timers(tx, &execution.arn)?;
    store::save(tx, execution)
}

fn already_started(name: &str) -> AwsError {
    AwsError {
        status: axum::http::StatusCode::CONFLICT,
        code: "DurableExecutionAlreadyStartedException",
        message: format!("A durable execution named {name} was started with another payload."),
    }
}

/// `[a-zA-Z0-9-_]{1,64}` in the service's model.
fn valid_name(name: &str) -> Result<&str, AwsError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain && (1..=64).contains(&name.len()) {
        return Ok(name);
    }
    let message = "DurableExecutionName must have 1 to 64 letters, digits, '-' and '_'";
    Err(AwsError::bad_request("InvalidParameterValueException", message))
}
