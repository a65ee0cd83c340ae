//! Reports of workers, in the table of executions.
//!
//! A task's role may write reports but not read anything. Each report has a key that only the functions and the execution's own task
//! know.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use domain::{Execution, Report, Unusable, limits};
use jiff::Timestamp;

use aws::{CallFailed, Connection};

use contract::{
    report::{self, REPORT},
    schema::{EXPIRES, KEY},
};

/// The reports in the table.
#[derive(Debug, Clone)]
pub struct Reports {
    client: Client,
    table: String,
}

impl Reports {
    /// The reports in the table with this name.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), table: table.into() }
    }

    /// Stores a report under its key. Idempotent.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn put(&self, key: &str, report: &Report, now: Timestamp) -> Result<(), CallFailed> {
        const CALL: &str = "dynamodb:PutItem";
        let text = report::text(report).map_err(|why| CallFailed::rejected(CALL, why))?;
        let expires = now.checked_add(limits::RETENTION).unwrap_or(Timestamp::MAX).as_second();
        let item = HashMap::from([
            (KEY.to_owned(), AttributeValue::S(key.to_owned())),
            (REPORT.to_owned(), AttributeValue::S(text)),
            (EXPIRES.to_owned(), AttributeValue::N(expires.to_string())),
        ]);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| CallFailed::new(CALL, error))
    }

    /// The report of the worker in one of an execution's tasks, if there is a usable one. One strongly consistent `GetItem`: what
    /// the worker wrote is visible when its task has stopped.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn of(&self, execution: &Execution, task_arn: &str) -> Result<Option<Report>, CallFailed> {
        const CALL: &str = "dynamodb:GetItem";
        let Some(key) = execution.attempt_of(task_arn).and_then(|attempt| report::key(execution, attempt)) else {
            return Ok(None);
        };
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = get.key(KEY, AttributeValue::S(key)).send().await;
        let found = answer.map_err(|error| CallFailed::new(CALL, error))?.item;
        let text = found.and_then(|mut item| item.remove(REPORT)?.as_s().ok().cloned());
        // Without a usable report, ECS and the log are used.
        let unusable = |why: &Unusable| {
            tracing::warn!(
                executionId = %execution.id,
                %why,
                "the worker's report is not valid; using ECS and the log instead"
            );
        };
        Ok(text.and_then(|text| report::read(&text).inspect_err(unusable).ok()))
    }
}
