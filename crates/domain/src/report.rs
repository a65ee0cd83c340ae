//! A worker's report of how its job ended, for the workflow or the reconciler, which records the outcome.
//!
//! ECS reports only one exit code for a task. The log has what the job printed, but AWS allows only a few reads a second for a whole
//! account. The worker knows both exactly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, ErrorKind, Execution, Outcome, OutcomeKind, Unknown, limits,
    output::{Output, StoppedBy, cut_short},
};

/// Largest stored report, in bytes: a result, and an error with its log tail, escaped.
const BYTES: usize = limits::RESULT_BYTES + 64 * 1024;

/// Longest kind of an error, in bytes.
const KIND_BYTES: usize = 64;

/// How a job ended, as its worker saw it. It is stored, and another version of this code may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How the job ended, whether or not it was told to end.
    pub outcome: Outcome,
    /// What told it to end, if anything did; the first, if there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// Attributes that a newer version of this code stored.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What told a job to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// Its worker, because the deadline passed.
    ByDeadline,
    /// A signal, which does not say why it was sent.
    BySignal,
}

/// Why a stored report cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

impl Report {
    /// A report of this outcome.
    #[must_use]
    pub fn new(outcome: Outcome, told: Option<Told>) -> Self {
        Self { outcome, told, unknown: Unknown::default() }
    }

    /// Reads a stored report. It is untrusted: a job has the same credentials as its worker and may write anything. Anything that a
    /// worker would not write is refused. Otherwise, a job could exceed the limits, pass its own failure off as the platform's, or report
    /// an outcome that is refused each time it is recorded.
    ///
    /// # Errors
    ///
    /// [`Unusable`]: what is wrong with it, or that this version cannot read it.
    pub fn read(text: &str) -> Result<Self, Unusable> {
        let unusable = |why: &str| Err(Unusable(why.to_owned()));
        if text.len() > BYTES {
            return unusable("the report is too large");
        }
        let report: Self = serde_json::from_str(text).map_err(|why| Unusable(why.to_string()))?;
        let result = report.outcome.result.as_ref();
        if result.is_some_and(|result| !matches!(Output::of_file(result.text().as_bytes()), Output::Json(_))) {
            return unusable("its result exceeds the limits");
        }
        match &report.outcome.kind {
            OutcomeKind::Completed => Ok(report),
            OutcomeKind::Failed(error) if error.stop_code.is_some() || error.kind == ErrorKind::TaskRetired => {
                unusable("only ECS tells why a task was stopped")
            }
            OutcomeKind::Failed(error)
                if error.kind.as_str().len() > KIND_BYTES
                    || !error.unknown.is_empty()
                    || error.message.len() > limits::ERROR_MESSAGE_BYTES
                    || error.log_tail.as_ref().is_some_and(|tail| tail.len() > limits::LOG_TAIL_BYTES) =>
            {
                unusable("its error exceeds the limits")
            }
            OutcomeKind::Failed(_) => Ok(report),
            OutcomeKind::TimedOut(_) | OutcomeKind::Cancelled(_) => unusable("a worker reports a success or a failure"),
        }
    }

    /// The job's outcome, given whether the execution is being cancelled. `timeout` is how long the job was allowed to take.
    #[must_use]
    pub fn outcome(&self, cancelling: bool, timeout: Duration) -> Outcome {
        let by = match self.told {
            None => return self.outcome.clone(),
            Some(Told::ByDeadline) => StoppedBy::Deadline,
            Some(Told::BySignal) if cancelling => StoppedBy::Cancel,
            Some(Told::BySignal) => StoppedBy::Other,
        };
        cut_short(by, timeout, self.outcome.clone())
    }
}

impl Execution {
    /// The key under which the worker of an attempt stores its report, in the table of executions. It contains the random name of this
    /// execution's creation, so a role that may write reports but not read anything can write only under the keys that it was given. No
    /// execution id contains a `/`.
    ///
    /// `None` if an older version created the execution, without such a name.
    #[must_use]
    pub fn report_key(&self, attempt: Attempt) -> Option<String> {
        self.creation.as_ref().map(|creation| format!("report/{creation}/{attempt}"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{JobError, Json, OutcomeKind, Owner, Pattern, Request, output::ResultSource};

    fn report(told: Option<Told>) -> Report {
        let outcome = Outcome {
            kind: OutcomeKind::Completed,
            result: Some(Json::parse("[1]").unwrap()),
            result_source: ResultSource::File,
            exit_code: Some(0),
            finished_at: Timestamp::UNIX_EPOCH,
        };
        Report::new(outcome, told)
    }

    #[test]
    fn a_report_s_key_contains_the_creation_name() {
        let request = Request::of(Json::null());
        let id = "e1".parse().unwrap();
        let unnamed = Execution::new(id, Pattern::Sync, Owner::new("ada"), request, Timestamp::UNIX_EPOCH);
        let named = Execution { creation: Some("0b9f8a3e".into()), ..unnamed.clone() };
        assert_eq!(named.report_key(Attempt::FIRST.next()).as_deref(), Some("report/0b9f8a3e/2"));
        assert_eq!(unnamed.report_key(Attempt::FIRST), None);
    }

    /// A worker of one version writes a report, and a workflow of another version may read it.
    #[test]
    fn the_format_of_a_report_never_changes() {
        let plain = r#"{"outcome":{"kind":"completed","result":[1],"resultSource":"file","exitCode":0,"finishedAt":"1970-01-01T00:00:00Z"}}"#;
        let told = plain.replace("}}", r#"},"told":"bySignal"}"#);
        for (report, text) in [(report(None), plain), (report(Some(Told::BySignal)), &*told)] {
            assert_eq!(serde_json::to_string(&report).unwrap(), text);
            assert_eq!(Report::read(text), Ok(report));
        }
        let newer = plain.replace("}}", r#"},"spent":7}"#);
        assert_eq!(serde_json::to_string(&Report::read(&newer).unwrap()).unwrap(), newer);
    }

    /// A job can write anything under its worker's key.
    #[test]
    fn a_report_that_no_worker_writes_is_refused() {
        let error = || JobError::new("exit-code", "exited with code 3");
        let with = |kind, result: &str| {
            let outcome = Outcome { kind, result: Json::parse(result).ok(), ..report(None).outcome };
            Report::read(&serde_json::to_string(&Report::new(outcome, None)).unwrap())
        };
        let failed = |error| with(OutcomeKind::Failed(error), "null");
        assert!(failed(error()).is_ok() && with(OutcomeKind::Completed, "7").is_ok());
        let large = format!("\"{}\"", "x".repeat(limits::RESULT_BYTES));
        let deep = "[".repeat(limits::RESULT_DEPTH + 1) + &"]".repeat(limits::RESULT_DEPTH + 1);
        let long = "x".repeat(limits::LOG_TAIL_BYTES + 1);
        for (read, why) in [
            (with(OutcomeKind::Completed, &large), "its result exceeds the limits"),
            (with(OutcomeKind::Completed, &deep), "its result exceeds the limits"),
            (with(OutcomeKind::Completed, &format!("[{large},{large}]")), "the report is too large"),
            (with(OutcomeKind::Cancelled(error()), "null"), "a worker reports a success or a failure"),
            (with(OutcomeKind::TimedOut(error()), "null"), "a worker reports a success or a failure"),
            (failed(JobError::new(ErrorKind::TaskRetired, "any")), "only ECS tells why a task was stopped"),
            (
                failed(JobError { stop_code: Some("SpotInterruption".into()), ..error() }),
                "only ECS tells why a task was stopped",
            ),
            (failed(JobError { kind: ErrorKind::Other(long.clone()), ..error() }), "its error exceeds the limits"),
            (failed(JobError { message: long.clone(), ..error() }), "its error exceeds the limits"),
            (failed(JobError { log_tail: Some(long.clone()), ..error() }), "its error exceeds the limits"),
        ] {
            assert_eq!(read.unwrap_err().to_string(), why);
        }
        assert!(Report::read("{").is_err());
    }

    /// The largest report that a worker can write is exactly at the limits.
    #[test]
    fn the_largest_report_is_read() {
        let largest = JobError {
            log_tail: Some("x".repeat(limits::LOG_TAIL_BYTES)),
            ..JobError::new(&*"k".repeat(KIND_BYTES), "x".repeat(limits::ERROR_MESSAGE_BYTES))
        };
        let report = Report::new(Outcome::without_job(OutcomeKind::Failed(largest), Timestamp::UNIX_EPOCH), None);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(Report::read(&text), Ok(report.clone()));
        let padded = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
        assert_eq!(Report::read(&padded(264 * 1024)), Ok(report));
        assert!(Report::read(&padded(264 * 1024 + 1)).is_err());
    }

    #[test]
    fn a_job_that_was_told_to_stop_has_not_completed_and_keeps_its_exit_code() {
        let minute = Duration::from_mins(1);
        assert_eq!(report(None).outcome(true, minute).kind, OutcomeKind::Completed);
        for (told, cancelling, kind) in [
            (Told::ByDeadline, false, OutcomeKind::TimedOut(JobError::new("timed-out", "timed out after 1 min"))),
            (Told::BySignal, true, OutcomeKind::Cancelled(JobError::new("cancelled", "cancelled"))),
            (Told::BySignal, false, OutcomeKind::Failed(JobError::new("stopped", "the task was stopped"))),
        ] {
            let outcome = report(Some(told)).outcome(cancelling, minute);
            assert_eq!((outcome.kind, outcome.exit_code), (kind, Some(0)));
            assert!(outcome.result.is_some());
        }
    }
}
