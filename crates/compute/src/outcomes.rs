//! Determines the outcome of a task that has stopped: reads its worker's report, or else the end of its log.

use domain::{
    Outcome,
    collect::{Patience, ReadFailed, Step, StoppedTask},
    judge,
};

use aws::{CallFailed, Connection};
use jiff::Timestamp;
use store::Reports;

use crate::{Logs, Stream};

/// What the outcomes of tasks are read from.
#[derive(Debug, Clone)]
pub struct Outcomes {
    reports: Reports,
    logs: Logs,
}

impl Outcomes {
    /// The reports in the table with this name, and the logs of a connection's account.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { reports: Reports::new(connection, table), logs: Logs::new(connection) }
    }

    /// The outcome, at `now`, of a task that has stopped. `None` if its log is still empty and lines may still arrive, which only
    /// [`Patience::Late`] waits for.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if something could not be read, and reading it again may succeed within this patience.
    pub async fn of(
        &self,
        stopped: &StoppedTask<'_>,
        patience: Patience,
        now: Timestamp,
    ) -> Result<Option<Outcome>, CallFailed> {
        let report = self.reports.of(stopped.execution, stopped.arn).await;
        let read = report.as_ref().map(Option::as_ref).map_err(read_failed);
        match stopped.after_report(read, patience, now) {
            Step::Decided(outcome) => return Ok(Some(*outcome)),
            Step::Retry => return report.map(|_| None),
            Step::ReadLog => {}
        }
        if let Err(why) = &report {
            tracing::warn!(
                executionId = %stopped.execution.id,
                error = %why,
                "cannot read the worker's report; reading the log instead"
            );
        }
        let lines = match stopped.execution.log_of(stopped.arn) {
            Some(log) => self.logs.tail(&Stream::of(log, stopped.arn), judge::LINES, judge::holds_result).await,
            None => Ok(Vec::new()),
        };
        let read = lines.as_ref().map(Vec::as_slice).map_err(read_failed);
        match stopped.after_log(read, patience, now) {
            Step::Decided(outcome) => Ok(Some(*outcome)),
            Step::Retry | Step::ReadLog => lines.map(|_| None),
        }
    }
}

fn read_failed(failed: &CallFailed) -> ReadFailed {
    ReadFailed { why: failed.to_string(), transient: failed.retryable() }
}
