//! Decides what is read to determine the outcome of a task that has stopped, and what follows if it cannot be read.
//!
//! The worker's report is preferred. Without one, the exit code comes from ECS and the result from the log. The `sync` workflow and the
//! reconciler both collect outcomes, and both use this module.

use jiff::Timestamp;

use crate::{
    Execution, Outcome, Report, judge,
    task::{Line, Task},
};

/// A stopped task whose outcome has to be determined.
#[derive(Debug, Clone, Copy)]
pub struct StoppedTask<'a> {
    /// The execution that it belongs to.
    pub execution: &'a Execution,
    /// Its ARN.
    pub arn: &'a str,
    /// What ECS says about it; `None` if ECS has forgotten it.
    pub described: Option<&'a Task>,
}

/// What to retry if AWS does not show how a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Retry transient failures, and a log that is still empty, because CloudWatch may be a moment behind.
    Late,
    /// Retry only transient failures, which include permission errors. A log that is still empty is taken as complete.
    Failures,
    /// Retry nothing: this is the last try, and what cannot be read now stays unknown.
    None,
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFailed {
    /// The error; a permission error names the permission.
    pub why: String,
    /// Whether the same read may succeed later.
    pub transient: bool,
}

/// What follows a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the end of the task's log.
    ReadLog,
    /// Start again later.
    Retry,
    /// This is the outcome.
    Decided(Box<Outcome>),
}

impl StoppedTask<'_> {
    /// What follows the read of the worker's report.
    #[must_use]
    pub fn after_report(
        &self,
        report: Result<Option<&Report>, ReadFailed>,
        patience: Patience,
        now: Timestamp,
    ) -> Step {
        match report {
            Ok(Some(report)) => decided(judge::reported(self.execution, self.described, report, now)),
            Err(failed) if failed.transient && patience != Patience::None => Step::Retry,
            Ok(None) | Err(_) if self.execution.log_of(self.arn).is_some() => Step::ReadLog,
            Ok(None) => decided(judge::outcome(self.execution, self.described, &[], now)),
            Err(failed) => decided(judge::outcome_without_log(self.execution, self.described, &failed.why, now)),
        }
    }

    /// What follows the read of the log, which is read if there is no usable report.
    #[must_use]
    pub fn after_log(&self, lines: Result<&[Line], ReadFailed>, patience: Patience, now: Timestamp) -> Step {
        match lines {
            Ok([]) if patience == Patience::Late => Step::Retry,
            Ok(lines) => decided(judge::outcome(self.execution, self.described, lines, now)),
            Err(failed) if failed.transient && patience != Patience::None => Step::Retry,
            Err(failed) => decided(judge::outcome_without_log(self.execution, self.described, &failed.why, now)),
        }
    }
}

fn decided(outcome: Outcome) -> Step {
    Step::Decided(Box::new(outcome))
}

#[cfg(test)]
mod tests;
