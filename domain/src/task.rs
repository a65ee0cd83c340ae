//! What is known of a task: what ECS says of it, and what it printed.

use jiff::Timestamp;

/// Longest event that the `awslogs` driver writes, in bytes; it cuts a longer line into several events
/// (`maximumBytesPerEvent` in moby's `daemon/logger/awslogs/cloudwatchlogs.go`: 262,144 less 26 of overhead).
pub const MAX_EVENT_BYTES: usize = 262_144 - 26;

/// A task, as ECS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// Whether it is over: `lastStatus` is `STOPPED`.
    pub stopped: bool,
    /// Why it stopped, as ECS's code.
    pub stop_code: Option<String>,
    /// Why it stopped, in words.
    pub stopped_reason: Option<String>,
    /// When it stopped.
    pub stopped_at: Option<Timestamp>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Variables that it was started with.
    pub environment: Vec<(String, String)>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name in the task definition.
    pub name: String,
    /// Absent when it never ran, or nobody saw it end.
    pub exit_code: Option<i32>,
    /// What ECS says went wrong with it.
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
