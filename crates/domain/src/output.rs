//! Derives a job's outcome from its exit and its output, in the same way for the worker in the task and the workflow that waits for
//! it.

mod scan;

use std::time::Duration;

use jiff::Timestamp;

pub use self::scan::Scanner;
use crate::{ErrorKind, JobError, Json, Outcome, OutcomeKind, limits};

/// The code that shells report for a command that exists but cannot be executed
/// (<https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_08_02>).
pub const NOT_EXECUTABLE: i32 = 126;

/// The code that shells report for a command that does not exist.
pub const NOT_FOUND: i32 = 127;

/// What shells add to a signal's number to report it as an exit code.
const SIGNALLED: i32 = 128;

/// Highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// How a job's process ended.
///
/// If only a code is known, it is interpreted as in a shell: ECS reports 137 for a container that SIGKILL ended, and the worker exits with
/// the code that a shell would report for its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It could not be started.
    NotStarted {
        /// The code that shells report: [`NOT_FOUND`] or [`NOT_EXECUTABLE`].
        code: i32,
        /// Which command, and why.
        why: String,
    },
    /// It is not known how it ended. The text says what is known.
    Lost(String),
}

impl Exit {
    /// Its exit code, as in a shell; `None` if it is not known how it ended.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Code(code) | Self::NotStarted { code, .. } => Some(*code),
            Self::Signal(signal) => Some(SIGNALLED + signal),
            Self::Lost(_) => None,
        }
    }

    fn interpret_shell_code(self) -> Self {
        match self {
            Self::Code(code) if (SIGNALLED + 1..=SIGNALLED + LAST_SIGNAL).contains(&code) => {
                Self::Signal(code - SIGNALLED)
            }
            Self::Code(_) | Self::Signal(_) | Self::NotStarted { .. } | Self::Lost(_) => self,
        }
    }
}

/// The result that a job produced, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    /// Nothing: the job printed nothing.
    #[default]
    None,
    /// Nothing: the job printed something, but no JSON object or array.
    Text,
    /// Nothing: the end of the output looks like broken JSON.
    Broken,
    /// Nothing: the last lines of the log contain no result, and earlier lines were not read.
    OutOfReach,
    /// This value.
    Json(Json),
    /// A value of this many bytes: more than [`limits::RESULT_BYTES`].
    TooLarge(usize),
    /// A value with this many levels: more than [`limits::RESULT_DEPTH`].
    TooDeep(usize),
    /// A result file that is not valid, and why.
    BadFile(String),
    /// A JSON file that is too large for the item, and becomes the artifact [`crate::artifacts::RESULT`].
    Artifact,
}

impl Output {
    /// The result that a file holds: one JSON value of any kind.
    #[must_use]
    pub fn of_file(bytes: &[u8]) -> Self {
        if bytes.len() > limits::RESULT_BYTES {
            return Self::TooLarge(bytes.len());
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self::BadFile("the result file is not UTF-8".to_owned());
        };
        match Json::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Ok(json) if json.depth() > limits::RESULT_DEPTH => Self::TooDeep(json.depth()),
            Ok(json) => Self::Json(json),
            Err(_) if text.trim().is_empty() => Self::BadFile("the result file is empty".to_owned()),
            Err(_) => Self::BadFile("the result file is not one valid JSON value".to_owned()),
        }
    }
}

/// Where a result comes from, or why there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResultSource {
    /// The file that `EXECUTION_RESULT_FILE` names.
    File,
    /// The job's stdout.
    Stdout,
    /// The task's log, where stdout and stderr are one stream.
    Log,
    /// The file that `EXECUTION_RESULT_FILE` names, which is too large for the item and is the artifact [`crate::artifacts::RESULT`].
    Artifact,
    /// There is none: the job printed nothing or never ran, or its result cannot be kept. Older versions did not record a source, so their
    /// data has this too, even with a result.
    #[default]
    None,
    /// There is none: the job printed something, but no JSON object or array.
    NoneInText,
    /// There is none: the end of the output looks like broken JSON.
    NoneButBroken,
    /// There is none among the last lines of the log.
    NoneInReach,
}

impl ResultSource {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
            Self::Log => "log",
            Self::Artifact => "artifact",
            Self::None | Self::NoneInText | Self::NoneButBroken | Self::NoneInReach => "none",
        }
    }

    /// Explains why a job has no result although one was expected. A job that `completed` is expected to have one.
    #[must_use]
    pub fn explanation(self, completed: bool) -> Option<&'static str> {
        match self {
            Self::File | Self::Stdout | Self::Log | Self::Artifact | Self::None => None,
            Self::NoneButBroken => Some("the end of the output looks like broken JSON, so no result was taken"),
            Self::NoneInText if completed => Some("the job printed no JSON object or array and wrote no result file"),
            Self::NoneInReach if completed => Some("the last 10,000 lines of the log contain no JSON object or array"),
            Self::NoneInText | Self::NoneInReach => None,
        }
    }

    /// Whether this is [`ResultSource::None`].
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The outcome of a job that ended by itself. `found` says where its result was searched for. `tail` is the end of its output, which an
/// error contains.
#[must_use]
pub fn judge(exit: Exit, output: Output, found: ResultSource, tail: &str, finished_at: Timestamp) -> Outcome {
    let exit = exit.interpret_shell_code();
    let failed = |kind, what: &str, tail| OutcomeKind::Failed(JobError::new(kind, what).with_log_tail(tail));
    let kind = match (&exit, &output) {
        (
            Exit::Code(0),
            Output::None | Output::Text | Output::Broken | Output::OutOfReach | Output::Json(_) | Output::Artifact,
        ) => OutcomeKind::Completed,
        (Exit::Code(0), Output::TooLarge(bytes)) => {
            let most = limits::RESULT_BYTES;
            failed(ErrorKind::ResultTooLarge, &format!("the result has {bytes} bytes, at most {most} are kept"), "")
        }
        (Exit::Code(0), Output::TooDeep(levels)) => {
            let most = limits::RESULT_DEPTH;
            failed(ErrorKind::ResultTooDeep, &format!("the result has {levels} levels, at most {most} are kept"), "")
        }
        (Exit::Code(0), Output::BadFile(why)) => failed(ErrorKind::ResultNotJson, why, ""),
        (Exit::Code(code @ (NOT_EXECUTABLE | NOT_FOUND)), _) => {
            failed(ErrorKind::CommandNotFound, &format!("exited with code {code}"), tail)
        }
        (Exit::Code(code), _) => failed(ErrorKind::ExitCode, &format!("exited with code {code}"), tail),
        (Exit::Signal(signal), _) => failed(ErrorKind::Signal, &format!("killed by signal {}", named(*signal)), tail),
        (Exit::NotStarted { why, .. }, _) => failed(ErrorKind::CommandNotFound, why, ""),
        (Exit::Lost(why), _) => failed(ErrorKind::TaskLost, why, tail),
    };
    let (result, result_source) = match output {
        Output::Json(json) => (Some(json), found),
        Output::None | Output::TooLarge(_) | Output::TooDeep(_) | Output::BadFile(_) => (None, ResultSource::None),
        Output::Artifact => (None, ResultSource::Artifact),
        Output::Text => (None, ResultSource::NoneInText),
        Output::Broken => (None, ResultSource::NoneButBroken),
        Output::OutOfReach => (None, ResultSource::NoneInReach),
    };
    Outcome { kind, result, result_source, artifacts: None, exit_code: exit.code(), finished_at }
}

/// Who ended a job that did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoppedBy {
    /// Its deadline passed.
    Deadline,
    /// The execution was cancelled.
    Cancel,
    /// The platform, or an operator.
    Other,
}

/// The outcome of a job that was stopped. Whatever its exit code, it did not complete: a program may exit with 0 on SIGTERM.
/// `timeout` is how long it was allowed to take.
#[must_use]
pub fn cut_short(by: StoppedBy, timeout: Duration, outcome: Outcome) -> Outcome {
    let log_tail = match &outcome.kind {
        OutcomeKind::Completed => None,
        OutcomeKind::Failed(error)
        | OutcomeKind::TimedOut(error)
        | OutcomeKind::Cancelled(error)
        | OutcomeKind::Expired(error) => error.log_tail.clone(),
    };
    let error = |kind, what: &str| JobError { log_tail, ..JobError::new(kind, what) };
    let kind = match by {
        StoppedBy::Deadline => {
            OutcomeKind::TimedOut(error(ErrorKind::TimedOut, &format!("timed out after {}", duration_text(timeout))))
        }
        StoppedBy::Cancel => OutcomeKind::Cancelled(error(ErrorKind::Cancelled, "cancelled")),
        StoppedBy::Other => OutcomeKind::Failed(error(ErrorKind::Stopped, "the task was stopped")),
    };
    Outcome { kind, ..outcome }
}

/// A duration in the largest unit in which it is a whole number: `90 s`, `2 min`, `24 h`.
fn duration_text(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// A signal's number, with its name if that number means the same signal on every platform.
fn named(signal: i32) -> String {
    let name = match signal {
        2 => "SIGINT",
        6 => "SIGABRT",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Output {
        Output::Json(Json::parse(text).unwrap())
    }

    fn judged(exit: Exit, output: Output, tail: &str) -> Outcome {
        judge(exit, output, ResultSource::Stdout, tail, Timestamp::UNIX_EPOCH)
    }

    fn stopped(by: StoppedBy, outcome: Outcome) -> Outcome {
        cut_short(by, Duration::from_secs(3), outcome)
    }

    fn error(outcome: &Outcome) -> (ErrorKind, &str, &str) {
        match &outcome.kind {
            OutcomeKind::Completed => (ErrorKind::Other(String::new()), "", ""),
            OutcomeKind::Failed(error)
            | OutcomeKind::TimedOut(error)
            | OutcomeKind::Cancelled(error)
            | OutcomeKind::Expired(error) => {
                (error.kind.clone(), &error.message, error.log_tail.as_deref().unwrap_or_default())
            }
        }
    }

    #[test]
    fn a_job_completes_with_exit_code_0_and_a_valid_result() {
        let done = judged(Exit::Code(0), json("[1]"), "noise");
        assert_eq!(
            (done.kind, done.exit_code, done.result_source),
            (OutcomeKind::Completed, Some(0), ResultSource::Stdout)
        );
        assert_eq!(judged(Exit::Code(0), Output::None, "").kind, OutcomeKind::Completed);
        for (output, kind, message) in [
            (Output::TooLarge(300_000), "result-too-large", "the result has 300000 bytes, at most 184320 are kept"),
            (Output::TooDeep(65), "result-too-deep", "the result has 65 levels, at most 64 are kept"),
            (Output::BadFile("the result file is empty".into()), "result-not-json", "the result file is empty"),
        ] {
            let failed = judged(Exit::Code(0), output, "noise");
            assert_eq!(error(&failed), (ErrorKind::from(kind), message, ""));
            assert_eq!((failed.result, failed.result_source), (None, ResultSource::None));
        }
    }

    #[test]
    fn a_missing_result_says_why() {
        for (output, source, told) in [
            (Output::None, ResultSource::None, None),
            (Output::Text, ResultSource::NoneInText, Some("the job printed no JSON object or array")),
            (Output::Broken, ResultSource::NoneButBroken, Some("the end of the output looks like broken JSON")),
            (Output::OutOfReach, ResultSource::NoneInReach, Some("the last 10,000 lines")),
        ] {
            let done = judged(Exit::Code(0), output, "");
            assert_eq!((done.kind, done.result_source, source.as_str()), (OutcomeKind::Completed, source, "none"));
            let explained = source.explanation(true);
            assert_eq!(explained.is_some(), told.is_some());
            assert!(explained.unwrap_or_default().starts_with(told.unwrap_or_default()), "{explained:?}");
        }
        assert!(ResultSource::NoneButBroken.explanation(false).is_some());
        for quiet in [ResultSource::NoneInText, ResultSource::NoneInReach, ResultSource::None] {
            assert_eq!(quiet.explanation(false), None, "a job that failed is not expected to leave a result");
        }
        let found = [ResultSource::File, ResultSource::Stdout, ResultSource::Log];
        assert_eq!(found.map(ResultSource::as_str), ["file", "stdout", "log"]);
        assert_eq!(found.map(|source| source.explanation(true)), [None; 3]);
    }

    #[test]
    fn a_failure_has_a_message_and_keeps_its_result() {
        let failed = judged(Exit::Code(3), json("[1]"), "no disk\n");
        assert_eq!(error(&failed), (ErrorKind::ExitCode, "exited with code 3", "no disk"));
        assert!(failed.result.is_some());
        assert_eq!(error(&judged(Exit::Code(3), Output::TooLarge(300_000), "")).1, "exited with code 3");
        let why = "cannot run x: not there".to_owned();
        let missing = judged(Exit::NotStarted { code: NOT_FOUND, why: why.clone() }, Output::None, "");
        assert_eq!((error(&missing), missing.exit_code), ((ErrorKind::CommandNotFound, &*why, ""), Some(127)));
        let lost = judged(Exit::Lost("gone".into()), Output::None, "");
        assert_eq!((error(&lost), lost.exit_code), ((ErrorKind::TaskLost, "gone", ""), None));
    }

    #[test]
    fn an_exit_code_above_128_is_a_signal() {
        let killed = judged(Exit::Signal(9), Output::None, "");
        assert_eq!(
            (error(&killed), killed.exit_code),
            ((ErrorKind::Signal, "killed by signal 9 (SIGKILL)", ""), Some(137))
        );
        assert_eq!(judged(Exit::Code(137), Output::None, ""), killed);
        for (code, told) in [
            (130, "killed by signal 2 (SIGINT)"),
            (134, "killed by signal 6 (SIGABRT)"),
            (139, "killed by signal 11 (SIGSEGV)"),
            (143, "killed by signal 15 (SIGTERM)"),
            (138, "killed by signal 10"),
            (192, "killed by signal 64"),
        ] {
            assert_eq!(error(&judged(Exit::Code(code), Output::None, "")), (ErrorKind::Signal, told, ""), "{code}");
        }
        assert_eq!(error(&judged(Exit::Code(127), Output::None, "")).0, ErrorKind::CommandNotFound);
        for code in [128, 193, 255] {
            assert_eq!(error(&judged(Exit::Code(code), Output::None, "")).0, ErrorKind::ExitCode, "{code}");
        }
    }

    #[test]
    fn a_long_log_tail_keeps_its_end() {
        let tail = format!("first {} last", "ä".repeat(limits::LOG_TAIL_BYTES));
        let failed = judged(Exit::Code(3), Output::None, &tail);
        let (_, message, kept) = error(&failed);
        assert_eq!(message, "exited with code 3");
        assert!(kept.len() <= limits::LOG_TAIL_BYTES && kept.len() > limits::LOG_TAIL_BYTES - 4);
        assert!(kept.starts_with("…ä") && kept.ends_with("ä last"), "{kept}");
        assert_eq!(error(&stopped(StoppedBy::Deadline, failed.clone())).2, kept);
    }

    #[test]
    fn a_stopped_job_has_not_completed() {
        let done = judged(Exit::Code(0), json("[1]"), "");
        for (by, kind, message) in [
            (StoppedBy::Deadline, ErrorKind::TimedOut, "timed out after 3 s"),
            (StoppedBy::Cancel, ErrorKind::Cancelled, "cancelled"),
            (StoppedBy::Other, ErrorKind::Stopped, "the task was stopped"),
        ] {
            let stopped = stopped(by, done.clone());
            assert_eq!(error(&stopped), (kind, message, ""));
            assert_eq!((stopped.exit_code, &stopped.result), (Some(0), &done.result));
            let status = match stopped.kind {
                OutcomeKind::Completed => panic!("{by:?}"),
                OutcomeKind::Failed(_) => StoppedBy::Other,
                OutcomeKind::TimedOut(_) => StoppedBy::Deadline,
                OutcomeKind::Cancelled(_) => StoppedBy::Cancel,
                OutcomeKind::Expired(_) => panic!("{by:?}"),
            };
            assert_eq!(status, by);
        }
    }

    #[test]
    fn durations_are_printed_in_their_largest_whole_unit() {
        for (seconds, told) in
            [(0, "0 s"), (3, "3 s"), (90, "90 s"), (120, "2 min"), (86_400, "24 h"), (3_660, "61 min")]
        {
            assert_eq!(duration_text(Duration::from_secs(seconds)), told);
        }
    }

    #[test]
    fn a_result_file_holds_one_json_value() {
        assert_eq!(Output::of_file(b" 42\n"), json("42"));
        assert_eq!(Output::of_file("\u{feff}{\"a\": 1}".as_bytes()), json(r#"{"a": 1}"#));
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(Output::of_file(deep(64).as_bytes()), json(&deep(64)));
        assert_eq!(Output::of_file(deep(65).as_bytes()), Output::TooDeep(65));
        let padded = |bytes: usize| Output::of_file(format!("{}42", " ".repeat(bytes - 2)).as_bytes());
        assert_eq!(padded(limits::RESULT_BYTES), json("42"));
        assert_eq!(padded(limits::RESULT_BYTES + 1), Output::TooLarge(limits::RESULT_BYTES + 1));
        for (bad, why) in [
            (&b""[..], "the result file is empty"),
            (b"\n", "the result file is empty"),
            (b"{", "the result file is not one valid JSON value"),
            (b"{} {}", "the result file is not one valid JSON value"),
            (b"NaN", "the result file is not one valid JSON value"),
            (b"\"\xff\"", "the result file is not UTF-8"),
        ] {
            assert_eq!(Output::of_file(bad), Output::BadFile(why.into()), "{bad:?}");
        }
    }
}
