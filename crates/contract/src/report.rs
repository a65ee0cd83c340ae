//! The report that a worker stores when its job has ended. A worker of one version writes it, and a workflow of another version may read
//! it.

use domain::{Attempt, Execution, Outcome, Report, Told, Unknown, Unusable};
use serde::{Deserialize, Serialize};

use crate::written::{self, As, in_form};

in_form! {
    Report => ReportForm,
    Told => ToldForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Report", rename_all = "camelCase")]
struct ReportForm {
    #[serde(with = "written")]
    outcome: Outcome,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Told", rename_all = "camelCase")]
enum ToldForm {
    ByDeadline,
    BySignal,
}

/// The attribute of an item that holds a report, as JSON text.
pub const REPORT: &str = "report";

/// The key under which the worker of an attempt stores its report, in the table of executions. It contains the random name of the
/// execution's creation, so a role that may write reports but not read anything can write only under the keys that it was given. No
/// execution id contains a `/`.
///
/// `None` if an older version created the execution, without such a name.
#[must_use]
pub fn key(execution: &Execution, attempt: Attempt) -> Option<String> {
    execution.creation.as_ref().map(|creation| format!("report/{creation}/{attempt}"))
}

/// A report as JSON text.
///
/// # Errors
///
/// Does not fail in practice, since it is plain data.
pub fn text(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string(&As(report.clone()))
}

/// Reads a stored report. It is untrusted: see [`Report::checked`].
///
/// # Errors
///
/// [`Unusable`]: what is wrong with it, or that this version cannot read it.
pub fn read(text: &str) -> Result<Report, Unusable> {
    Report::fits(text)?;
    let report = serde_json::from_str::<As<Report>>(text).map_err(|why| Unusable::new(why.to_string()))?;
    report.0.checked()
}

#[cfg(test)]
mod tests {
    use domain::{ErrorKind, JobError, Json, OutcomeKind, Owner, Pattern, Request, limits, output::ResultSource};
    use jiff::Timestamp;

    use super::*;

    fn report(told: Option<Told>) -> Report {
        let outcome = Outcome {
            kind: OutcomeKind::Completed,
            result: Some(Json::parse("[1]").unwrap()),
            result_source: ResultSource::File,
            artifacts: None,
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
        assert_eq!(key(&named, Attempt::FIRST.next()).as_deref(), Some("report/0b9f8a3e/2"));
        assert_eq!(key(&unnamed, Attempt::FIRST), None);
        assert_eq!(REPORT, "report");
    }

    /// A worker of one version writes a report, and a workflow of another version may read it.
    #[test]
    fn a_report_never_changes() {
        let plain = r#"{"outcome":{"kind":"completed","result":[1],"resultSource":"file","exitCode":0,"finishedAt":"1970-01-01T00:00:00Z"}}"#;
        let told = plain.replace("}}", r#"},"told":"bySignal"}"#);
        for (report, written) in [(report(None), plain), (report(Some(Told::BySignal)), &*told)] {
            assert_eq!(text(&report).unwrap(), written);
            assert_eq!(read(written), Ok(report));
        }
        let newer = plain.replace("}}", r#"},"spent":7}"#);
        assert_eq!(text(&read(&newer).unwrap()).unwrap(), newer);
    }

    /// A job can write anything under its worker's key.
    #[test]
    fn a_report_that_no_worker_writes_is_refused() {
        let error = || JobError::new("exit-code", "exited with code 3");
        let with = |kind, result: &str| {
            let outcome = Outcome { kind, result: Json::parse(result).ok(), ..report(None).outcome };
            read(&text(&Report::new(outcome, None)).unwrap())
        };
        let failed = |error| with(OutcomeKind::Failed(error), "null");
        assert!(failed(error()).is_ok() && with(OutcomeKind::Completed, "7").is_ok());
        let large = format!("\"{}\"", "x".repeat(limits::RESULT_BYTES));
        let deep = "[".repeat(limits::RESULT_DEPTH + 1) + &"]".repeat(limits::RESULT_DEPTH + 1);
        let long = "x".repeat(limits::LOG_TAIL_BYTES + 1);
        for (report, why) in [
            (with(OutcomeKind::Completed, &large), "its result exceeds the limits"),
            (with(OutcomeKind::Completed, &deep), "its result exceeds the limits"),
            (with(OutcomeKind::Completed, &format!("[{large},{large}]")), "the report is too large"),
            (with(OutcomeKind::Cancelled(error()), "null"), "a worker reports a success or a failure"),
            (with(OutcomeKind::Expired(error()), "null"), "a worker reports a success or a failure"),
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
            assert_eq!(report.unwrap_err().to_string(), why);
        }
        assert!(read("{").is_err());
    }

    /// The largest report that a worker can write is exactly at the limits.
    #[test]
    fn the_largest_report_is_read() {
        let largest = JobError {
            log_tail: Some("x".repeat(limits::LOG_TAIL_BYTES)),
            ..JobError::new(&*"k".repeat(64), "x".repeat(limits::ERROR_MESSAGE_BYTES))
        };
        let report = Report::new(Outcome::without_job(OutcomeKind::Failed(largest), Timestamp::UNIX_EPOCH), None);
        let written = text(&report).unwrap();
        assert_eq!(read(&written), Ok(report.clone()));
        let padded = |bytes: usize| format!("{written}{}", " ".repeat(bytes - written.len()));
        assert_eq!(read(&padded(244 * 1024)), Ok(report));
        assert!(read(&padded(244 * 1024 + 1)).is_err());
    }
}
