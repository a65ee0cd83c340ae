//! Durable executions: started by name, invoked until they have ended, changed by checkpoints, timers and callbacks.
//!
//! Every change is one transaction, together with its event in the history. An execution is *owed* an invocation from the moment it has
//! something to do until an invocation that started afterwards has ended successfully. What is owed is on disk, so if a process dies in
//! between, the invocation is made after the next start of the emulator.

mod callbacks;
pub(crate) mod chained;
pub(crate) mod checkpoint;
mod ending;
mod event;
pub(crate) mod history;
mod invocation;
pub(crate) mod listing;
pub(crate) mod operation;
pub(crate) mod start;
mod state;
pub(crate) mod store;
#[cfg(test)]
mod tests;
mod update;
pub(crate) mod wire;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::Transaction;

use self::{
    ending::End,
    event::Happened,
    operation::Operation,
    store::{Execution, ExecutionStatus},
    wire::GetDurableExecutionResponse,
};
use super::{arn, changes::Changes, functions::Functions};
use crate::{
    clock::Clock,
    db::Db,
    events::Events,
    retry::{self, Backoff},
    wire::AwsError,
};

/// Longest sleep of the driver. It limits the delay if the clock is changed, or if a wake-up is missed because of a bug.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The durable executions of this machine. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Durable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    functions: Functions,
    events: Events,
    changes: Arc<Changes>,
    /// Executions with an invocation in flight in this process: one at a time each.
    active: Mutex<HashSet<String>>,
}

impl Durable {
    pub(crate) fn new(db: Db, clock: Clock, functions: Functions, events: Events, changes: Arc<Changes>) -> Self {
        Self(Arc::new(Inner { db, clock, functions, events, changes, active: Mutex::default() }))
    }

    /// `GetDurableExecution`.
    pub(crate) fn get(&self, arn: &str) -> Result<GetDurableExecutionResponse, AwsError> {
        arn::check_execution(arn)?;
        let execution = self.0.db.transact(|tx| load(tx, arn))?;
        Ok(execution.into())
    }

    /// Waits until an execution has ended.
    pub(crate) async fn ended(&self, arn: &str) -> Result<Execution, AwsError> {
        let mut news = self.0.changes.ended.subscribe();
        loop {
            news.mark_unchanged();
            let execution = self.0.db.transact(|tx| load(tx, arn))?;
            if execution.status != ExecutionStatus::Running {
                return Ok(execution);
            }
            if news.changed().await.is_err() {
                return Err(AwsError::internal("the emulator is stopping"));
            }
        }
    }

    /// Makes each owed invocation when it is due, as long as it is polled.
    pub(crate) async fn drive(&self) {
        let mut backoff = Backoff::default();
        loop {
            let changed = self.0.changes.durable.notified();
            let mut moves = self.0.clock.moves();
            let sleep = match self.0.db.transact(|tx| self.advance(tx)) {
                Ok((owed, ended, next)) => {
                    backoff.succeeded();
                    for arn in owed {
                        self.invoke_in_background(arn);
                    }
                    if ended {
                        self.0.changes.notify();
                    }
                    next
                }
                Err(why) => {
                    retry::log_problem("cannot read which durable executions to invoke; retrying", &why.message);
                    tokio::time::sleep(backoff.failed()).await;
                    continue;
                }
            };
            tokio::select! {
                _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), changed) => {}
                _ = moves.changed() => {}
            }
        }
    }

    /// Applies the changes that time alone causes. Returns which executions are owed an invocation, whether one ended, and how long it
    /// takes until anything else is due.
    fn advance(&self, tx: &Transaction<'_>) -> Result<(Vec<String>, bool, Duration), AwsError> {
        let now = self.0.clock.now();
        let overdue = store::timed_out(tx, now)?;
        for arn in &overdue {
            self.end(tx, &mut load(tx, arn)?, End::TimedOut, now)?;
        }
        let due = store::due(tx, now)?;
        let more = due.len() == store::DUE_AT_A_TIME;
        for (arn, waiting) in due {
            let mut execution = load(tx, &arn)?;
            let Some(changed) = waiting.due_at(now) else { continue };
            change(tx, &mut execution, &changed, Change::GoesOn, now)?;
            owe(&mut execution, now);
            store::save(tx, &execution)?;
        }
        store::forget(tx, now)?;
        let next = if more { Some(now) } else { store::next_change(tx, now)? };
        let sleep = next.map_or(LONGEST_SLEEP, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        let owed = store::owed(tx, &self.active(), now)?;
        Ok((owed, !overdue.is_empty(), sleep))
    }

    /// Sends an execution's status to EventBridge, in the transaction that records it.
    fn tell(&self, tx: &Transaction<'_>, execution: &Execution) -> rusqlite::Result<()> {
        let detail = wire::StatusChange::from(execution);
        self.0.events.put(tx, "aws.lambda", "Durable Execution Status Change", &[], &detail)
    }

    /// Starts an invocation, unless the execution has one in flight. When that one ends, the driver examines the execution again.
    fn invoke_in_background(&self, arn: String) {
        if !self.active().insert(arn.clone()) {
            return;
        }
        let durable = self.clone();
        tokio::spawn(async move {
            durable.invoke(&arn).await;
            durable.active().remove(&arn);
            durable.0.changes.notify();
        });
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ARN of the durable execution whose callback a path names.
pub(crate) fn execution_of_callback(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/durable-execution-callbacks/")?;
    let id = rest.split('/').next()?.replace("%3D", "=").replace("%2F", "/").replace("%2B", "+");
    wire::CallbackId::read(&id).map(|callback| callback.arn)
}

fn load(tx: &Transaction<'_>, arn: &str) -> Result<Execution, AwsError> {
    store::load(tx, arn)?.ok_or_else(|| AwsError {
        status: axum::http::StatusCode::NOT_FOUND,
        code: "ResourceNotFoundException",
        message: format!("Durable execution not found: {arn}"),
    })
}

/// What a change means for an operation.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Begins,
    /// It begins, with this input.
    BeginsWith(&'a str),
    GoesOn,
}

/// Records an operation's next state and its event. The execution has to be saved afterwards.
fn change(
    tx: &Transaction<'_>,
    execution: &mut Execution,
    operation: &Operation,
    what: Change<'_>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    store::put(tx, execution, operation, !matches!(what, Change::GoesOn))?;
    let input = if let Change::BeginsWith(input) = what { Some(input) } else { None };
    match Happened::of(operation, now, input) {
        Some(event) => history::append(tx, execution, Some(operation), event),
        None => Ok(()),
    }
}

/// Marks an execution as owed an invocation now, unless one is already owed earlier.
fn owe(execution: &mut Execution, now: Timestamp) {
    if execution.status == ExecutionStatus::Running {
        execution.owed_at = Some(execution.owed_at.map_or(now, |at| at.min(now)));
        execution.stirred = true;
    }
}
