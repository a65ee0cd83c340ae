//! A worker's report of how its job ended, for the workflow or the reconciler, which records the outcome.
//!
//! ECS reports only one exit code for a task. The log has what the job printed, but AWS allows only a few reads a second for a whole
//! account. The worker knows both exactly.

use std::time::Duration;

use crate::{
    ErrorKind, Outcome, OutcomeKind, Unknown, limits,
    output::{Output, StoppedBy, cut_short},
};

/// Largest stored report, in bytes: a result, and an error with its log tail, escaped.
const BYTES: usize = limits::RESULT_BYTES + 64 * 1024;

/// Longest kind of an error, in bytes.
const KIND_BYTES: usize = 64;

/// How a job ended, as its worker saw it. It is stored, and another version of this code may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How the job ended, whether or not it was told to end.
    pub outcome: Outcome,
    /// What told it to end, if anything did; the first, if there were several.
    pub told: Option<Told>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// What told a job to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Unusable {
    /// A report that cannot be used, and why.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Report {
    /// A report of this outcome.
    #[must_use]
    pub fn new(outcome: Outcome, told: Option<Told>) -> Self {
        Self { outcome, told, unknown: Unknown::default() }
    }

    /// Checks that the text of a report is not larger than a worker's report can be.
    ///
    /// # Errors
    ///
    /// [`Unusable`] if it is larger.
    pub fn fits(text: &str) -> Result<(), Unusable> {
        if text.len() > BYTES { Err(Unusable::new("the report is too large")) } else { Ok(()) }
    }

    /// The report, if a worker could have written it. A stored report is untrusted: a job has the same credentials as its worker and may
    /// write anything. Without this check, a job could exceed the limits, pass its own failure off as the platform's, or report an
    /// outcome that is refused each time it is recorded.
    ///
    /// # Errors
    ///
    /// [`Unusable`]: what is wrong with it.
    pub fn checked(self) -> Result<Self, Unusable> {
        let unusable = |why: String| Err(Unusable::new(why));
        let result = self.outcome.result.as_ref();
        if result.is_some_and(|result| !matches!(Output::of_file(result.text().as_bytes()), Output::Json(_))) {
            return unusable("its result exceeds the limits".to_owned());
        }
        if let Some(why) = self.outcome.artifacts.as_ref().and_then(|artifacts| artifacts.wrong()) {
            return unusable(why);
        }
        match &self.outcome.kind {
            OutcomeKind::Completed => Ok(self),
            OutcomeKind::Failed(error) if error.stop_code.is_some() || error.kind == ErrorKind::TaskRetired => {
                unusable("only ECS tells why a task was stopped".to_owned())
            }
            OutcomeKind::Failed(error)
                if error.kind.as_str().len() > KIND_BYTES
                    || !error.unknown.is_empty()
                    || error.message.len() > limits::ERROR_MESSAGE_BYTES
                    || error.log_tail.as_ref().is_some_and(|tail| tail.len() > limits::LOG_TAIL_BYTES) =>
            {
                unusable("its error exceeds the limits".to_owned())
            }
            OutcomeKind::Failed(_) => Ok(self),
            OutcomeKind::TimedOut(_) | OutcomeKind::Cancelled(_) | OutcomeKind::Expired(_) => {
                unusable("a worker reports a success or a failure".to_owned())
            }
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{JobError, Json, OutcomeKind, output::ResultSource};

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
