//! How a job ended, as the worker saw it, and what follows from it.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use domain::{
    Ending, Verdict,
    output::{Exit, Output, ResultSource, StoppedBy, cut_short, judge},
};
use jiff::Timestamp;

use crate::stops::Stop;

/// Exit code of a worker that failed itself, as `env`, `timeout` and `docker run` have it.
pub(crate) const OWN_FAILURE: u8 = 125;

/// Exit code for a job that ended with 0 only because its deadline passed, as `timeout` has it.
const DEADLINE_PASSED: i32 = 124;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// How its process, or what stands for it, ended.
    pub(crate) exit: Exit,
    /// Its result.
    pub(crate) output: Output,
    /// Where that was looked for.
    pub(crate) source: ResultSource,
    /// The end of what it printed on stderr, or on stdout if that is empty.
    pub(crate) tail: String,
    /// Why it was told to end, if it was: the first reason.
    pub(crate) stop: Option<Stop>,
    /// When it ended.
    pub(crate) at: Timestamp,
}

impl Finished {
    /// An end of which nothing else is known.
    pub(crate) fn of(exit: Exit, at: Timestamp) -> Self {
        let (output, source) = (Output::None, ResultSource::None);
        Self { exit, output, source, tail: String::new(), stop: None, at }
    }

    /// The end of a job that was stopped before it began.
    pub(crate) fn before_it_began(stop: Stop, at: Timestamp) -> Self {
        let exit = Exit::Lost("the job had not begun".to_owned());
        Self { stop: Some(stop), ..Self::of(exit, at) }
    }

    /// What is to be recorded. A signal says that the task was stopped, and not why: only the execution's state tells
    /// whether it was cancelled. `timeout` is how long the job was allowed to take.
    pub(crate) fn ending(&self, cancelling: bool, timeout: Duration) -> Ending {
        let ending = judge(self.exit.clone(), self.output.clone(), self.source, &self.tail, self.at);
        match self.stop {
            None => ending,
            Some(Stop::Deadline) => cut_short(StoppedBy::Deadline, timeout, ending),
            Some(Stop::Signal(_)) if cancelling => cut_short(StoppedBy::Cancel, timeout, ending),
            Some(Stop::Signal(_)) => cut_short(StoppedBy::Other, timeout, ending),
        }
    }

    /// Prints the result as the last line of stdout: where nobody records it, the log is where it is looked for.
    ///
    /// # Errors
    ///
    /// The job exited with 0, and its result file cannot be taken: an older document in the log would pass for its result.
    pub(crate) fn print_result(&self) -> io::Result<()> {
        match &self.output {
            Output::Json(json) => {
                // Line ends in JSON are white space. The job's own last line may not have ended.
                let line = json.text().replace(['\n', '\r'], " ");
                writeln!(io::stdout(), "\n{line}")
            }
            Output::TooLarge(_) | Output::TooDeep(_) | Output::BadFile(_)
                if self.source == ResultSource::File && self.exit.code() == Some(0) =>
            {
                let ending = self.ending(false, Duration::ZERO);
                match ending.verdict {
                    Verdict::Failed(error) => Err(io::Error::other(error.message)),
                    Verdict::Completed | Verdict::TimedOut(_) | Verdict::Cancelled(_) => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The worker's own exit code: the job's. The 0 of one that was told to end would tell whoever judges by the exit code alone
    /// that it had completed: ECS sends a signal also when another container of the task has ended, and says no more of it.
    pub(crate) fn exit_code(&self) -> u8 {
        let code = match (self.exit.code(), self.stop) {
            (Some(0) | None, Some(Stop::Deadline)) => Some(DEADLINE_PASSED),
            (Some(0) | None, Some(Stop::Signal(signal))) => Exit::Signal(signal.as_raw()).code(),
            (code, _) => code,
        };
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAILURE)
    }
}

#[cfg(test)]
mod tests {
    use domain::output::kinds;
    use rustix::process::Signal;

    use super::*;

    fn finished(exit: Exit, stop: Option<Stop>) -> Finished {
        Finished { stop, ..Finished::of(exit, Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn the_state_tells_a_cancelled_job_from_a_stopped_one() {
        let stopped = finished(Exit::Signal(15), Some(Stop::Signal(Signal::TERM)));
        let Verdict::Cancelled(error) = stopped.ending(true, Duration::ZERO).verdict else { panic!("{stopped:?}") };
        assert_eq!(error.kind, kinds::CANCELLED);
        let Verdict::Failed(error) = stopped.ending(false, Duration::ZERO).verdict else { panic!("{stopped:?}") };
        assert_eq!(error.kind, kinds::STOPPED);
    }

    #[test]
    fn nobody_s_stop_leaves_the_verdict_alone() {
        assert_eq!(finished(Exit::Code(0), None).ending(true, Duration::ZERO).verdict, Verdict::Completed);
    }

    #[test]
    fn the_exit_code_is_the_job_s_unless_that_would_hide_a_stop() {
        assert_eq!(finished(Exit::Code(3), None).exit_code(), 3);
        assert_eq!(finished(Exit::Signal(9), Some(Stop::Deadline)).exit_code(), 137);
        assert_eq!(finished(Exit::Code(0), Some(Stop::Deadline)).exit_code(), 124);
        assert_eq!(finished(Exit::Code(0), Some(Stop::Signal(Signal::TERM))).exit_code(), 143);
        assert_eq!(finished(Exit::Code(3), Some(Stop::Signal(Signal::TERM))).exit_code(), 3);
        assert_eq!(Finished::before_it_began(Stop::Signal(Signal::TERM), Timestamp::UNIX_EPOCH).exit_code(), 143);
        assert_eq!(finished(Exit::Lost("gone".into()), None).exit_code(), 125);
    }
}
