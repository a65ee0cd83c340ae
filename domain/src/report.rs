//! What a worker says of its job's end where somebody else records it.
//!
//! ECS says how a task ended in one exit code, and the log holds what the job printed, if it is to be read: AWS allows a few
//! reads a second for a whole account. The worker knows both exactly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Ending, Execution, Unknown,
    output::{StoppedBy, cut_short},
};

/// What a worker says of its job's end. It is stored for whoever records the end, which may be another version of this code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How the job ended, as if nobody had told it to.
    pub ending: Ending,
    /// Who told it to end, if somebody did: the first who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// What a newer version stored beside it.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Who told a job to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// Its worker, because the deadline passed.
    ByDeadline,
    /// A signal, which does not say why it was sent.
    BySignal,
}

impl Report {
    /// A report of an end.
    #[must_use]
    pub fn new(ending: Ending, told: Option<Told>) -> Self {
        Self { ending, told, unknown: Unknown::default() }
    }

    /// How the job ended, for whoever knows no more than whether the execution is being cancelled. `timeout` is how long the
    /// job was allowed to take.
    #[must_use]
    pub fn ending(&self, cancelling: bool, timeout: Duration) -> Ending {
        let by = match self.told {
            None => return self.ending.clone(),
            Some(Told::ByDeadline) => StoppedBy::Deadline,
            Some(Told::BySignal) if cancelling => StoppedBy::Cancel,
            Some(Told::BySignal) => StoppedBy::Other,
        };
        cut_short(by, timeout, self.ending.clone())
    }
}

impl Execution {
    /// The key under which the worker of an attempt stores its report, beside the executions. It holds the random name of this
    /// execution's creation: who may write reports and read nothing can only write the ones whose keys it was given. No
    /// execution's id has a `/`.
    ///
    /// `None` if an older version made the execution, without such a name.
    #[must_use]
    pub fn report_key(&self, attempt: Attempt) -> Option<String> {
        self.creation.as_ref().map(|creation| format!("report/{creation}/{attempt}"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{JobError, Json, Verdict, output::ResultSource};

    fn report(told: Option<Told>) -> Report {
        let ending = Ending {
            verdict: Verdict::Completed,
            result: Some(Json::parse("[1]").unwrap()),
            result_source: ResultSource::File,
            exit_code: Some(0),
            finished_at: Timestamp::UNIX_EPOCH,
        };
        Report::new(ending, told)
    }

    /// The worker of one version writes it, the workflow of another reads it.
    #[test]
    fn a_stored_report_never_changes() {
        let plain = r#"{"ending":{"verdict":"completed","result":[1],"resultSource":"file","exitCode":0,"finishedAt":"1970-01-01T00:00:00Z"}}"#;
        let told = plain.replace("}}", r#"},"told":"bySignal"}"#);
        for (report, text) in [(report(None), plain), (report(Some(Told::BySignal)), &*told)] {
            assert_eq!(serde_json::to_string(&report).unwrap(), text);
            assert_eq!(serde_json::from_str::<Report>(text).unwrap(), report);
        }
        let newer = plain.replace("}}", r#"},"spent":7}"#);
        let read: Report = serde_json::from_str(&newer).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), newer);
    }

    #[test]
    fn a_job_that_was_told_to_end_has_not_completed_and_keeps_its_own_exit_code() {
        let minute = Duration::from_mins(1);
        assert_eq!(report(None).ending(true, minute).verdict, Verdict::Completed);
        for (told, cancelling, verdict) in [
            (Told::ByDeadline, false, Verdict::TimedOut(JobError::new("timed-out", "timed out after 1 min"))),
            (Told::BySignal, true, Verdict::Cancelled(JobError::new("cancelled", "cancelled"))),
            (Told::BySignal, false, Verdict::Failed(JobError::new("stopped", "the task was stopped"))),
        ] {
            let ending = report(Some(told)).ending(cancelling, minute);
            assert_eq!((ending.verdict, ending.exit_code), (verdict, Some(0)));
            assert!(ending.result.is_some());
        }
    }
}
