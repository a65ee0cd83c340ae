//! Starts durable executions.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Transaction;
use uuid::Uuid;

use super::{
    Durable,
    event::Happened,
    history,
    store::{self, Execution, ExecutionStatus, Parent},
};
use crate::{
    lambda::{arn, functions::Qualified, limits},
    wire::AwsError,
};

/// The parameters of a start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) input: &'a str,
    pub(crate) trace: Option<&'a str>,
    pub(crate) parent: Option<Parent>,
}

impl Durable {
    /// Starts an execution, or finds the existing one: the same name and input is the same execution.
    pub(crate) fn start(&self, of: &Qualified, start: &Start<'_>) -> Result<String, AwsError> {
        start.name.map_or(Ok(()), |name| limits::EXECUTION_NAME.check("durableExecutionName", name))?;
        let now = self.0.clock.now();
        let arn = self.0.db.transact(|tx| self.create(tx, of, start, now))?;
        self.0.changes.notify();
        Ok(arn)
    }

    /// The execution's ARN. It is owed its first invocation.
    pub(super) fn create(
        &self,
        tx: &Transaction<'_>,
        of: &Qualified,
        start: &Start<'_>,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        let durable = of.durable().ok_or_else(|| AwsError::internal("not a durable function"))?;
        let name = start.name.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        // The driver may not have run for a while: names of executions whose retention has passed are free again.
        store::forget(tx, now)?;
        if let Some(seen) = store::find(tx, of.name(), &name)? {
            return if seen.input == start.input { Ok(seen.arn) } else { Err(already_started(&name)) };
        }
        let timeout = SignedDuration::try_from(durable.execution_timeout).unwrap_or(SignedDuration::MAX);
        let mut execution = Execution {
            arn: arn::execution(of.name(), &of.version, &name, &Uuid::new_v4().to_string()),
            function: of.name().to_owned(),
            version: of.version.clone(),
            name,
            input: start.input.to_owned(),
            status: ExecutionStatus::Running,
            result: None,
            error: None,
            started_at: now,
            ended_at: None,
            times_out_at: now.checked_add(timeout).unwrap_or(Timestamp::MAX),
            token: 0,
            touched: 0,
            stirred: false,
            seen: 0,
            failures: 0,
            owed_at: Some(now),
            last_checkpoint: None,
            events: 0,
            operations: 1,
            positions: Some(0),
            written: start.input.len() as u64,
            retention_days: Some(durable.retention_days),
            parent: start.parent.clone(),
            trace: start.trace.map(str::to_owned),
        };
        let started = Happened::execution_started(&execution);
        history::append(tx, &mut execution, None, started)?;
        store::save(tx, &execution)?;
        self.tell(tx, &execution)?;
        Ok(execution.arn)
    }
}

fn already_started(name: &str) -> AwsError {
    AwsError {
        status: axum::http::StatusCode::CONFLICT,
        code: "DurableExecutionAlreadyStartedException",
        message: format!("A durable execution named {name} was started with another payload."),
    }
}
