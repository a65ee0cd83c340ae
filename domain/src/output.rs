//! What a job's exit and its output come to: one judgement for the worker in the task and the workflow that waits for it.

use jiff::Timestamp;

use crate::{Ending, JobError, Json, Verdict, limits};

/// The kinds of a job's failure that are judged here: the `type` of a [`JobError`]. They are part of the API: never rename
/// one.
pub mod kinds {
    /// The job exited with a code other than 0.
    pub const EXIT_CODE: &str = "exit-code";
    /// A signal killed the job that nobody is known to have sent on purpose; out of memory, for one.
    pub const SIGNAL: &str = "signal";
    /// The command is not there, or cannot be executed.
    pub const COMMAND_NOT_FOUND: &str = "command-not-found";
    /// The job succeeded, and its result is larger than what can be kept.
    pub const RESULT_TOO_LARGE: &str = "result-too-large";
    /// The job exited with 0, and AWS would not show its log, where its result is.
    pub const RESULT_UNREADABLE: &str = "result-unreadable";
    /// AWS retired what the task ran on.
    pub const TASK_RETIRED: &str = "task-retired";
    /// Nobody saw how the job ended.
    pub const TASK_LOST: &str = "task-lost";
    /// The task was stopped, and not because the execution was cancelled.
    pub const STOPPED: &str = "stopped";
    /// The execution was cancelled.
    pub const CANCELLED: &str = "cancelled";
    /// The job was not over at its deadline.
    pub const TIMED_OUT: &str = "timed-out";
    /// This installation knows no job of that name any more.
    pub const UNKNOWN_TASK: &str = "unknown-task";
    /// ECS had no room for the task for as long as it was tried.
    pub const NO_CAPACITY: &str = "no-capacity";
    /// ECS would not start the task.
    pub const TASK_REFUSED: &str = "task-refused";
    /// The workflow could not see the job through: AWS refused what it has to do, or failed for a day.
    pub const WORKFLOW_FAILED: &str = "workflow-failed";
    /// ECS began to start the task, and could not: its image, say, or its network.
    pub const TASK_FAILED_TO_START: &str = "task-failed-to-start";
}

/// What shells report for a command that is there and cannot be executed
/// (<https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_08_02>).
pub const NOT_EXECUTABLE: i32 = 126;

/// What shells report for a command that is not there.
pub const NOT_FOUND: i32 = 127;

/// What shells add to a signal's number to report it as an exit code.
const SIGNALLED: i32 = 128;

/// Highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// How a job's process ended.
///
/// Where only a code is known, it is read as shells mean it: ECS reports 137 for a container that SIGKILL ended, and the
/// worker passes its command's end on in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It could not be started.
    NotStarted {
        /// What shells report then: [`NOT_FOUND`] or [`NOT_EXECUTABLE`].
        code: i32,
        /// Which command, and why not.
        why: String,
    },
    /// Nobody saw its end; this is known instead.
    Lost(String),
}

impl Exit {
    /// The exit code that tells of it, as shells do; `None` if it never ran or nobody saw.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Code(code) | Self::NotStarted { code, .. } => Some(*code),
            Self::Signal(signal) => Some(SIGNALLED + signal),
            Self::Lost(_) => None,
        }
    }

    fn read_like_a_shell(self) -> Self {
        match self {
            Self::Code(code) if (SIGNALLED + 1..=SIGNALLED + LAST_SIGNAL).contains(&code) => {
                Self::Signal(code - SIGNALLED)
            }
            Self::Code(_) | Self::Signal(_) | Self::NotStarted { .. } | Self::Lost(_) => self,
        }
    }
}

/// What a job printed as its result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    /// No line was a JSON value.
    #[default]
    None,
    /// This value.
    Json(Json),
    /// A value of this many bytes: more than [`limits::RESULT_BYTES`].
    TooLarge(usize),
}

impl Output {
    /// The result that a line is; `None` if it is not one JSON value.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let json = Json::parse(line).ok()?;
        let bytes = json.text().len();
        Some(if bytes > limits::RESULT_BYTES { Self::TooLarge(bytes) } else { Self::Json(json) })
    }
}

/// What a job came to that ended by itself. `tail` is the end of what it said of its errors.
#[must_use]
pub fn judge(exit: Exit, output: Output, tail: &str, finished_at: Timestamp) -> Ending {
    let exit = exit.read_like_a_shell();
    let failed = |kind, what: &str, tail| Verdict::Failed(JobError::new(kind, with_end(what, tail)));
    let verdict = match (&exit, &output) {
        (Exit::Code(0), Output::None | Output::Json(_)) => Verdict::Completed,
        (Exit::Code(0), Output::TooLarge(bytes)) => {
            let most = limits::RESULT_BYTES;
            let what = format!("the result has {bytes} bytes, at most {most} are kept; the task's log holds it");
            failed(kinds::RESULT_TOO_LARGE, &what, "")
        }
        (Exit::Code(code @ (NOT_EXECUTABLE | NOT_FOUND)), _) => {
            failed(kinds::COMMAND_NOT_FOUND, &format!("exited with code {code}"), tail)
        }
        (Exit::Code(code), _) => failed(kinds::EXIT_CODE, &format!("exited with code {code}"), tail),
        (Exit::Signal(signal), _) => failed(kinds::SIGNAL, &format!("killed by signal {}", named(*signal)), tail),
        (Exit::NotStarted { why, .. }, _) => failed(kinds::COMMAND_NOT_FOUND, why, ""),
        (Exit::Lost(why), _) => failed(kinds::TASK_LOST, why, ""),
    };
    let result = match output {
        Output::Json(json) => Some(json),
        Output::None | Output::TooLarge(_) => None,
    };
    Ending { verdict, result, exit_code: exit.code(), finished_at }
}

/// Who ended a job that had not ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoppedBy {
    /// Its deadline passed.
    Deadline,
    /// The execution was cancelled.
    Cancel,
    /// Somebody else: the platform, or an operator.
    Other,
}

/// What a job came to that was stopped: however it ended then, it did not do what it was started for. A program that
/// answers SIGTERM with exit code 0 has not completed.
#[must_use]
pub fn cut_short(by: StoppedBy, ending: Ending) -> Ending {
    let after = match &ending.verdict {
        Verdict::Completed => "",
        Verdict::Failed(error) | Verdict::TimedOut(error) | Verdict::Cancelled(error) => &error.message,
    };
    let error = |kind, what| JobError::new(kind, with_end(what, after));
    let verdict = match by {
        StoppedBy::Deadline => Verdict::TimedOut(error(kinds::TIMED_OUT, "not over at its deadline")),
        StoppedBy::Cancel => Verdict::Cancelled(error(kinds::CANCELLED, "cancelled")),
        StoppedBy::Other => Verdict::Failed(error(kinds::STOPPED, "the task was stopped")),
    };
    Ending { verdict, ..ending }
}

/// `what: …end`, with as much of the end as an error's message may hold: `what` is never what gets lost.
fn with_end(what: &str, end: &str) -> String {
    const MARK: &str = ": …";
    let end = end.trim();
    if end.is_empty() {
        return what.to_owned();
    }
    let room = limits::ERROR_MESSAGE_BYTES.saturating_sub(what.len() + MARK.len());
    if end.len() <= room {
        return format!("{what}: {end}");
    }
    let from = end.ceil_char_boundary(end.len() - room);
    format!("{what}{MARK}{}", end.get(from..).unwrap_or_default())
}

/// A signal as people know it. Beyond these few, the numbers differ between platforms.
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

    fn judged(exit: Exit, output: Output, tail: &str) -> Ending {
        judge(exit, output, tail, Timestamp::UNIX_EPOCH)
    }

    fn error(ending: &Ending) -> (&str, &str) {
        match &ending.verdict {
            Verdict::Completed => ("", ""),
            Verdict::Failed(error) | Verdict::TimedOut(error) | Verdict::Cancelled(error) => {
                (&error.kind, &error.message)
            }
        }
    }

    #[test]
    fn a_line_that_is_one_json_value_is_a_result() {
        assert_eq!(Output::of_line("[2]\r"), Some(json("[2]")));
        for line in ["no", "{broken", "", "1 2"] {
            assert_eq!(Output::of_line(line), None, "{line:?}");
        }
        let large = format!("\"{}\"", "x".repeat(limits::RESULT_BYTES - 1));
        assert_eq!(Output::of_line(&large), Some(Output::TooLarge(limits::RESULT_BYTES + 1)));
    }

    #[test]
    fn success_needs_code_0_and_a_result_that_fits() {
        let done = judged(Exit::Code(0), json("1"), "noise");
        assert_eq!((done.verdict, done.exit_code), (Verdict::Completed, Some(0)));
        assert_eq!(judged(Exit::Code(0), Output::None, "").verdict, Verdict::Completed);
        let large = judged(Exit::Code(0), Output::TooLarge(300_000), "");
        assert_eq!(error(&large).0, kinds::RESULT_TOO_LARGE);
        assert!(error(&large).1.starts_with("the result has 300000 bytes, at most 204800 are kept"));
    }

    #[test]
    fn a_failure_says_how_and_keeps_its_result() {
        let failed = judged(Exit::Code(3), json("1"), "no disk\n");
        assert_eq!(error(&failed), (kinds::EXIT_CODE, "exited with code 3: no disk"));
        assert!(failed.result.is_some());
        assert_eq!(error(&judged(Exit::Code(3), Output::TooLarge(300_000), "")).1, "exited with code 3");
        let why = "cannot run x: not there".to_owned();
        let missing = judged(Exit::NotStarted { code: NOT_FOUND, why: why.clone() }, Output::None, "");
        assert_eq!((error(&missing), missing.exit_code), ((kinds::COMMAND_NOT_FOUND, &*why), Some(127)));
        let lost = judged(Exit::Lost("gone".into()), Output::None, "");
        assert_eq!((error(&lost), lost.exit_code), ((kinds::TASK_LOST, "gone"), None));
    }

    #[test]
    fn a_code_is_read_read_like_a_shell() {
        let killed = judged(Exit::Signal(9), Output::None, "");
        assert_eq!((error(&killed), killed.exit_code), ((kinds::SIGNAL, "killed by signal 9 (SIGKILL)"), Some(137)));
        assert_eq!(judged(Exit::Code(137), Output::None, ""), killed);
        assert_eq!(error(&judged(Exit::Code(127), Output::None, "")).0, kinds::COMMAND_NOT_FOUND);
        for code in [128, 193, 255] {
            assert_eq!(error(&judged(Exit::Code(code), Output::None, "")).0, kinds::EXIT_CODE, "{code}");
        }
    }

    #[test]
    fn a_long_end_loses_its_beginning_only() {
        let tail = format!("first {} last", "ä".repeat(limits::ERROR_MESSAGE_BYTES));
        let failed = judged(Exit::Code(3), Output::None, &tail);
        let (_, message) = error(&failed);
        assert!(message.len() <= limits::ERROR_MESSAGE_BYTES);
        assert!(message.starts_with("exited with code 3: …ä") && message.ends_with("ä last"), "{message}");
        let late = cut_short(StoppedBy::Deadline, failed.clone());
        assert!(error(&late).1.starts_with("not over at its deadline: …ä"));
    }

    #[test]
    fn a_stopped_job_has_not_completed() {
        let done = judged(Exit::Code(0), json("1"), "");
        let (by_deadline, by_cancel, by_other) = (
            cut_short(StoppedBy::Deadline, done.clone()),
            cut_short(StoppedBy::Cancel, done.clone()),
            cut_short(StoppedBy::Other, judged(Exit::Signal(15), Output::None, "")),
        );
        assert!(matches!(by_deadline.verdict, Verdict::TimedOut(_)));
        assert!(matches!(by_cancel.verdict, Verdict::Cancelled(_)));
        assert!(matches!(by_other.verdict, Verdict::Failed(_)));
        assert_eq!(error(&by_other), (kinds::STOPPED, "the task was stopped: killed by signal 15 (SIGTERM)"));
        assert_eq!(by_cancel.result, done.result);
    }
}
