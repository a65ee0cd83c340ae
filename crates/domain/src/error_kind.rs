//! Why an execution did not complete, for programs.

use std::fmt;

/// The kind of a failure: the `type` of a [`crate::JobError`]. Kinds are part of the API: never rename one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The job exited with a code other than 0.
    ExitCode,
    /// A signal killed the job, and nothing shows that it was sent on purpose. One cause is running out of memory.
    Signal,
    /// The command does not exist, or cannot be executed.
    CommandNotFound,
    /// The job exited with 0, but its result is too large to be kept.
    ResultTooLarge,
    /// The job exited with 0, but its result is nested too deep to be kept.
    ResultTooDeep,
    /// The job exited with 0, but its result file is not valid JSON.
    ResultNotJson,
    /// The job exited with 0, but its result could not be read: AWS denied access to the log, or failed for a day.
    ResultUnreadable,
    /// The job exited with 0, but its output files could not be stored: they exceed the limits, or could not be uploaded.
    ArtifactsNotKept,
    /// AWS retired the platform of the task.
    TaskRetired,
    /// It is not known how the job ended.
    TaskLost,
    /// The task was stopped, but neither by a cancel, nor at its deadline, nor to retire its platform.
    Stopped,
    /// The execution was cancelled.
    Cancelled,
    /// The deadline passed before the job ended.
    TimedOut,
    /// No task was started before the time that the request sets.
    NotStartedInTime,
    /// This installation no longer has a job of that name.
    UnknownJob,
    /// ECS had no capacity for the task until the deadline.
    NoCapacity,
    /// ECS refused to start the task, or AWS kept denying the start.
    TaskRefused,
    /// The workflow could not continue: AWS refused its calls, or failed for a day.
    WorkflowFailed,
    /// ECS began to start the task, but failed, for example because of its image or its network.
    TaskFailedToStart,
    /// A kind that only a newer version of this code knows, by its name.
    Other(String),
}

impl ErrorKind {
    /// All kinds that this version knows.
    pub const KNOWN: [Self; 19] = [
        Self::ExitCode,
        Self::Signal,
        Self::CommandNotFound,
        Self::ResultTooLarge,
        Self::ResultTooDeep,
        Self::ResultNotJson,
        Self::ResultUnreadable,
        Self::ArtifactsNotKept,
        Self::TaskRetired,
        Self::TaskLost,
        Self::Stopped,
        Self::Cancelled,
        Self::TimedOut,
        Self::UnknownJob,
        Self::NoCapacity,
        Self::TaskRefused,
        Self::WorkflowFailed,
        Self::TaskFailedToStart,
        Self::NotStartedInTime,
    ];

    /// The name it has in the API and in the table.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ExitCode => "exit-code",
            Self::Signal => "signal",
            Self::CommandNotFound => "command-not-found",
            Self::ResultTooLarge => "result-too-large",
            Self::ResultTooDeep => "result-too-deep",
            Self::ResultNotJson => "result-not-json",
            Self::ResultUnreadable => "result-unreadable",
            Self::ArtifactsNotKept => "artifacts-not-kept",
            Self::TaskRetired => "task-retired",
            Self::TaskLost => "task-lost",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
            Self::UnknownJob => "unknown-job",
            Self::NoCapacity => "no-capacity",
            Self::TaskRefused => "task-refused",
            Self::WorkflowFailed => "workflow-failed",
            Self::TaskFailedToStart => "task-failed-to-start",
            Self::NotStartedInTime => "not-started-in-time",
            Self::Other(name) => name,
        }
    }

    /// Whether this kind means that no task was started for an attempt. Transient failures have already been retried for as long as that
    /// does no harm, so the failure is permanent.
    #[must_use]
    pub fn is_refused_start(&self) -> bool {
        match self {
            Self::UnknownJob | Self::TaskRefused => true,
            Self::ExitCode
            | Self::Signal
            | Self::CommandNotFound
            | Self::ResultTooLarge
            | Self::ResultTooDeep
            | Self::ResultNotJson
            | Self::ResultUnreadable
            | Self::ArtifactsNotKept
            | Self::TaskRetired
            | Self::TaskLost
            | Self::Stopped
            | Self::Cancelled
            | Self::TimedOut
            | Self::NotStartedInTime
            | Self::NoCapacity
            | Self::WorkflowFailed
            | Self::TaskFailedToStart
            | Self::Other(_) => false,
        }
    }
}

impl From<&str> for ErrorKind {
    fn from(name: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|kind| kind.as_str() == name);
        known.unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_kinds_are_read_from_their_names() {
        for kind in ErrorKind::KNOWN.into_iter().chain([ErrorKind::Other("queue-expired".into())]) {
            assert_eq!(ErrorKind::from(kind.as_str()), kind);
        }
    }

    /// Kinds are stored in the table and are part of the API.
    #[test]
    fn no_kind_is_ever_renamed() {
        let names = ErrorKind::KNOWN.each_ref().map(ErrorKind::as_str).join(" ");
        insta::assert_snapshot!(names);
    }
}
