//! How a job ended, as the worker saw it, and what follows from it.

use std::io::{self, Write as _};

use domain::{
    Artifacts, ErrorKind, JobError, OutcomeKind, Report, Told,
    output::{Exit, Output, ResultSource, judge},
};
use jiff::Timestamp;

use crate::stops::Stop;

/// Exit code if the worker itself failed, as in `env`, `timeout` and `docker run`.
pub(crate) const OWN_FAILURE: u8 = 125;

/// Exit code for a job that exited with 0 only because its deadline passed, as in `timeout`.
const DEADLINE_PASSED: i32 = 124;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// How its process or its future ended.
    pub(crate) exit: Exit,
    /// Its result.
    pub(crate) output: Output,
    /// Where the result comes from.
    pub(crate) source: ResultSource,
    /// The end of what it printed on stderr, or on stdout if that is empty.
    pub(crate) tail: String,
    /// Its output files, once they are uploaded.
    pub(crate) artifacts: Option<Box<Artifacts>>,
    /// Why its output files could not be stored, if they could not.
    pub(crate) not_kept: Option<String>,
    /// Why it was told to end, if it was: the first reason.
    pub(crate) stop: Option<Stop>,
    /// When it ended.
    pub(crate) at: Timestamp,
}

impl Finished {
    /// An end without output: only the exit is known.
    pub(crate) fn of(exit: Exit, at: Timestamp) -> Self {
        let (output, source) = (Output::None, ResultSource::None);
        Self { exit, output, source, tail: String::new(), artifacts: None, not_kept: None, stop: None, at }
    }

    /// The end of a job that was stopped before it began.
    pub(crate) fn before_it_began(stop: Stop, at: Timestamp) -> Self {
        let exit = Exit::Lost("the job had not begun".to_owned());
        Self { stop: Some(stop), ..Self::of(exit, at) }
    }

    /// The report of how the job ended. A signal shows that the task was stopped, but not why: only the execution's state says whether it
    /// was cancelled.
    pub(crate) fn report(&self) -> Report {
        let mut outcome = judge(self.exit.clone(), self.output.clone(), self.source, &self.tail, self.at);
        outcome.artifacts.clone_from(&self.artifacts);
        if let (Some(why), Some(0)) = (&self.not_kept, outcome.exit_code) {
            let what = format!("exited with code 0, but its output files could not be stored: {why}");
            outcome.kind = OutcomeKind::Failed(JobError::new(ErrorKind::ArtifactsNotKept, what));
        }
        let told = self.stop.map(|stop| match stop {
            Stop::Deadline => Told::ByDeadline,
            Stop::Signal(_) => Told::BySignal,
        });
        Report::new(outcome, told)
    }

    /// Whether it has output files, stored or not. The log cannot name them.
    pub(crate) fn has_files(&self) -> bool {
        self.artifacts.is_some() || self.not_kept.is_some()
    }

    /// Prints the result as the last line of stdout. If the worker neither records nor reports the result, it is read from the log.
    ///
    /// # Errors
    ///
    /// If the job exited with 0 and its result file is not valid: otherwise, an earlier document in the log would be taken as its result.
    /// Also if it has output files, because the log cannot name them: otherwise, they would go missing unnoticed.
    pub(crate) fn print_result(&self) -> io::Result<()> {
        if self.has_files() && self.exit.code() == Some(0) {
            return Err(io::Error::other(
                "the output files are lost, because the outcome is neither recorded nor reported",
            ));
        }
        match &self.output {
            Output::Json(json) => {
                // Line ends in JSON are white space. The job's own last line may not have ended.
                let line = json.text().replace(['\n', '\r'], " ");
                writeln!(io::stdout(), "\n{line}")
            }
            Output::TooLarge(_) | Output::TooDeep(_) | Output::BadFile(_)
                if self.source == ResultSource::File && self.exit.code() == Some(0) =>
            {
                match self.report().outcome.kind {
                    OutcomeKind::Failed(error) => Err(io::Error::other(error.message)),
                    OutcomeKind::Completed
                    | OutcomeKind::TimedOut(_)
                    | OutcomeKind::Cancelled(_)
                    | OutcomeKind::Expired(_) => Ok(()),
                }
            }
            Output::TooLarge(_)
            | Output::TooDeep(_)
            | Output::BadFile(_)
            | Output::Artifact
            | Output::None
            | Output::Text
            | Output::Broken
            | Output::OutOfReach => Ok(()),
        }
    }

    /// The worker's own exit code, which is the job's. `is_known` says whether the outcome is recorded or reported. If it is not, only the
    /// exit code says how the job ended, so a job that was told to stop must not look completed: ECS also sends a signal when another
    /// container of the task has ended, and its description of the task does not mention that.
    pub(crate) fn exit_code(&self, is_known: bool) -> u8 {
        let code = match (self.exit.code(), self.stop) {
            (Some(code), _) if is_known => Some(code),
            (Some(0) | None, Some(Stop::Deadline)) => Some(DEADLINE_PASSED),
            (Some(0) | None, Some(Stop::Signal(signal))) => Exit::Signal(signal.as_raw()).code(),
            (code, _) => code,
        };
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAILURE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::ErrorKind;
    use rustix::process::Signal;

    use super::*;

    fn finished(exit: Exit, stop: Option<Stop>) -> Finished {
        Finished { stop, ..Finished::of(exit, Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn the_execution_s_state_distinguishes_a_cancel_from_another_stop() {
        let stopped = finished(Exit::Signal(15), Some(Stop::Signal(Signal::TERM)));
        let OutcomeKind::Cancelled(error) = stopped.report().outcome(true, Duration::ZERO).kind else {
            panic!("{stopped:?}")
        };
        assert_eq!(error.kind, ErrorKind::Cancelled);
        let OutcomeKind::Failed(error) = stopped.report().outcome(false, Duration::ZERO).kind else {
            panic!("{stopped:?}")
        };
        assert_eq!(error.kind, ErrorKind::Stopped);
    }

    #[test]
    fn without_a_stop_the_outcome_is_that_of_the_job() {
        assert_eq!(finished(Exit::Code(0), None).report().outcome(true, Duration::ZERO).kind, OutcomeKind::Completed);
    }

    #[test]
    fn the_exit_code_is_that_of_the_job_unless_it_would_hide_a_stop() {
        let term = Some(Stop::Signal(Signal::TERM));
        for (exit, stop, unknown, known) in [
            (Exit::Code(3), None, 3, 3),
            (Exit::Signal(9), Some(Stop::Deadline), 137, 137),
            (Exit::Code(0), Some(Stop::Deadline), 124, 0),
            (Exit::Code(0), term, 143, 0),
            (Exit::Code(3), term, 3, 3),
            (Exit::Lost("it had not begun".into()), term, 143, 143),
            (Exit::Lost("gone".into()), None, 125, 125),
        ] {
            let finished = finished(exit, stop);
            assert_eq!([finished.exit_code(false), finished.exit_code(true)], [unknown, known], "{finished:?}");
        }
    }
}
