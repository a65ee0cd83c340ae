//! What is known about a task: what ECS reports, and what it printed.

use jiff::Timestamp;

/// Longest event that the `awslogs` driver writes, in bytes; it cuts a longer line into several events
/// (`maximumBytesPerEvent` in moby's `daemon/logger/awslogs/cloudwatchlogs.go`: 262,144 minus 26 of overhead).
pub const MAX_EVENT_BYTES: usize = 262_144 - 26;

/// A task, as ECS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// Whether it is over: `lastStatus` is `STOPPED`.
    pub stopped: bool,
    /// When all of its containers had started.
    pub started_at: Option<Timestamp>,
    /// Why it stopped, as ECS's code.
    pub stop_code: Option<String>,
    /// Why it stopped, in words.
    pub stopped_reason: Option<String>,
    /// When it stopped.
    pub stopped_at: Option<Timestamp>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// The environment variables that it was started with. They are not needed once it is over.
    pub environment: Vec<(String, String)>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name in the task definition.
    pub name: String,
    /// Its exit code; absent if it never ran, or its end is unknown.
    pub exit_code: Option<i32>,
    /// What went wrong with it, as ECS reports it.
    pub reason: Option<String>,
}

/// One line that a task printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was printed.
    pub at: Timestamp,
    /// Its text, without the line's end.
    pub text: String,
}
