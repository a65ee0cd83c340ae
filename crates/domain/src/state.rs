//! The states of an execution, and the one function that computes the next state from an event.
//!
//! ```text
//!  SCHEDULED
//!    │ Due
//!    ▼        TaskStarted            Ended
//! PENDING ───────────────▶ RUNNING ─────────▶ COMPLETED | FAILED | TIMED_OUT | CANCELLED | EXPIRED
//!    │  CancelRequested       │ ▲ └─ TaskStarted (next attempt) ─┐
//!    └──────────▶ CANCELLING ◀┘ └────────────────────────────────┘
//! ```
//!
//! If none of its tasks is running, an execution that is cancelled is CANCELLED at once: see `Execution::is_idle`.
//!
//! An execution is SCHEDULED until its start time. No task is started before that, so a cancel ends it at once. It is EXPIRED if no task
//! was started in time.
//!
//! Every state that is not final accepts `Ended`: a job may report before its start was recorded, and a workflow may fail before
//! it could start anything.
//!
//! **Invariant**: a final state never changes.

use std::{fmt, num::NonZeroU32, str::FromStr};

use jiff::Timestamp;

use crate::{Artifacts, Changes, ErrorKind, JobLog, Json, Unknown, limits, output::ResultSource, task::Task};

/// Which attempt at running a job this is, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(NonZeroU32);

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The `number`th attempt, counted from 1; `None` for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number, from 1.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A task that was started for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedTask {
    /// The attempt.
    pub attempt: Attempt,
    /// ARN of the ECS task.
    pub task_arn: String,
    /// When it started: until it has stopped, the time when its start was recorded; after that, the time that ECS reports.
    pub started_at: Timestamp,
    /// Where it prints to, if not to the execution's current log, [`crate::Execution::log`].
    pub log: Option<JobLog>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

impl StartedTask {
    fn new(attempt: Attempt, task_arn: &str, started_at: Timestamp) -> Self {
        Self { attempt, task_arn: task_arn.to_owned(), started_at, log: None, unknown: Unknown::default() }
    }

    /// The same task, for a job that ended at `at`: if its start was recorded with a later time than that, its start time becomes `at`.
    fn ended(&self, at: Timestamp) -> Self {
        Self { started_at: self.started_at.min(at), ..self.clone() }
    }
}

/// The state of an execution. Each variant has only what applies in that state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Accepted for later: no task is started before `Execution::scheduled_for`.
    Scheduled {
        /// Id of the durable callback that wakes its workflow, if that waits already.
        wake: Option<String>,
    },
    /// Accepted; no task has been recorded.
    Pending,
    /// A task was started.
    Running {
        /// The newest task.
        started: StartedTask,
        /// Id of the durable callback that wakes a waiting workflow.
        wake: Option<String>,
    },
    /// A cancel was requested; the task, if there is one, is being stopped.
    Cancelling {
        /// The newest task.
        started: Option<StartedTask>,
        /// Id of the durable callback that wakes a waiting workflow.
        wake: Option<String>,
    },
    /// It is over.
    Final {
        /// The last task, if one was recorded.
        started: Option<StartedTask>,
        /// How it ended.
        outcome: Outcome,
    },
}

/// An execution's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it completed, and if not, why.
    pub kind: OutcomeKind,
    /// The job's result. A job that failed may have one too.
    pub result: Option<Json>,
    /// Where the result comes from, or why there is none.
    pub result_source: ResultSource,
    /// The files that the job left behind.
    pub artifacts: Option<Box<Artifacts>>,
    /// Exit code of the job; absent if it never ran or its end is unknown.
    pub exit_code: Option<i32>,
    /// When the job ended.
    pub finished_at: Timestamp,
}

/// How an outcome is classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The job exited with 0.
    Completed,
    /// The job failed, or the platform under it.
    Failed(JobError),
    /// The deadline passed first.
    TimedOut(JobError),
    /// It was stopped because a cancel was requested.
    Cancelled(JobError),
    /// No task was started before the time that the request sets.
    Expired(JobError),
}

/// Why a job did not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// Stable kind in kebab case, for programs.
    pub kind: ErrorKind,
    /// What happened, for people; at most [`limits::ERROR_MESSAGE_BYTES`].
    pub message: String,
    /// ECS's `stopCode`, if ECS gave one.
    pub stop_code: Option<String>,
    /// The end of what the job printed; at most [`limits::LOG_TAIL_BYTES`].
    pub log_tail: Option<String>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

impl JobError {
    /// An error of this kind. If the message is too long, only its end is kept, after a `…`.
    #[must_use]
    pub fn new(kind: impl Into<ErrorKind>, message: impl Into<String>) -> Self {
        let message = keep_end(message.into(), limits::ERROR_MESSAGE_BYTES);
        Self { kind: kind.into(), message, stop_code: None, log_tail: None, unknown: Unknown::default() }
    }

    /// The same, with another message.
    #[must_use]
    pub fn with_message(&self, message: impl Into<String>) -> Self {
        Self { message: keep_end(message.into(), limits::ERROR_MESSAGE_BYTES), ..self.clone() }
    }

    /// The same, with the end of what the job printed, unless that is only white space.
    #[must_use]
    pub fn with_log_tail(self, tail: &str) -> Self {
        let tail = tail.trim();
        let log_tail = (!tail.is_empty()).then(|| keep_end(tail.to_owned(), limits::LOG_TAIL_BYTES));
        Self { log_tail, ..self }
    }
}

impl Outcome {
    /// An outcome without the job's own exit: it never ran, or how it ended can no longer be determined.
    #[must_use]
    pub fn without_job(kind: OutcomeKind, finished_at: Timestamp) -> Self {
        Self { kind, result: None, result_source: ResultSource::None, artifacts: None, exit_code: None, finished_at }
    }

    /// The outcome of an execution that failed because of the platform, not because of its job.
    #[must_use]
    pub fn failed(kind: ErrorKind, why: impl Into<String>, finished_at: Timestamp) -> Self {
        Self::without_job(OutcomeKind::Failed(JobError::new(kind, why)), finished_at)
    }
}

impl JobError {
    /// The same, with a message of at most this many bytes.
    pub(crate) fn shortened(&self, bytes: usize) -> Self {
        Self { message: keep_end(self.message.clone(), bytes), ..self.clone() }
    }
}

fn keep_end(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let mark = '…';
    let from = text.ceil_char_boundary(text.len() - limit + mark.len_utf8());
    format!("{mark}{}", text.get(from..).unwrap_or_default())
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its caller changed it.
    Changed(Box<Changes>),
    /// Its start time came.
    Due,
    /// Its workflow began: the durable execution with this ARN drives it.
    WorkflowStarted {
        /// ARN of the durable execution.
        durable_execution_arn: String,
        /// Where the tasks that it starts print to; `None` if the workflow does not know the job.
        log: Option<JobLog>,
    },
    /// A task was started for an attempt.
    TaskStarted {
        /// The attempt.
        attempt: Attempt,
        /// ARN of the ECS task.
        task_arn: String,
    },
    /// One of its tasks is over, as an event of ECS reported.
    TaskStopped {
        /// What ECS reported.
        task: Box<Task>,
    },
    /// The workflow is about to wait, and this callback wakes it.
    Watching {
        /// Id of the durable callback.
        callback_id: String,
    },
    /// ECS had no capacity for the task of an attempt; the start is retried.
    NoCapacity {
        /// The attempt.
        attempt: Attempt,
        /// What ECS says.
        why: String,
        /// When it is retried.
        until: Timestamp,
    },
    /// AWS denied the start of an attempt's task; it is retried.
    StartDenied {
        /// The attempt.
        attempt: Attempt,
        /// What AWS says.
        why: String,
        /// When the start is retried.
        until: Timestamp,
    },
    /// An attempt failed, and the execution continues.
    AttemptFailed {
        /// The attempt.
        attempt: Attempt,
        /// Why it failed.
        error: JobError,
        /// Whether the platform failed, not the job, so that it does not count among the job's attempts.
        excused: bool,
        /// Exit code of the job, if it ran and its end is known.
        exit_code: Option<i32>,
    },
    /// A cancel was requested.
    CancelRequested,
    /// The sweep visited it and found that it is making progress.
    Visited,
    /// The sweep visited it, but the visit failed, so the next one is postponed.
    VisitPostponed,
    /// It is over.
    Ended(Outcome),
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Changed(_) => "Changed",
            Self::Due => "Due",
            Self::WorkflowStarted { .. } => "WorkflowStarted",
            Self::TaskStarted { .. } => "TaskStarted",
            Self::TaskStopped { .. } => "TaskStopped",
            Self::Watching { .. } => "Watching",
            Self::NoCapacity { .. } => "NoCapacity",
            Self::StartDenied { .. } => "StartDenied",
            Self::AttemptFailed { .. } => "AttemptFailed",
            Self::CancelRequested => "CancelRequested",
            Self::Visited => "Visited",
            Self::VisitPostponed => "VisitPostponed",
            Self::Ended(_) => "Ended",
        }
    }
}

/// A state without its data: the API's `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Accepted for later: its start time has not come.
    Scheduled,
    /// Accepted; no task has been recorded.
    Pending,
    /// A task was started.
    Running,
    /// Being stopped because a cancel was requested.
    Cancelling,
    /// The job exited with 0.
    Completed,
    /// The job failed, or the platform under it.
    Failed,
    /// The deadline passed first.
    TimedOut,
    /// Stopped because a cancel was requested.
    Cancelled,
    /// No task was started before the time that the request sets.
    Expired,
}

impl Status {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether the state can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::Pending | Self::Running | Self::Cancelling => false,
            Self::Completed | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Expired => true,
        }
    }

    /// Its name in the API and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Cancelling => "CANCELLING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl FromStr for Status {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|status| status.as_str() == name).ok_or(UnknownName)
    }
}

/// The text is not a name that this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that a state refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {from} execution refuses {event}: {why}")]
pub struct Refused {
    /// The state it was in.
    pub from: Status,
    /// The event's name.
    pub event: &'static str,
    /// Why the state refuses it.
    pub why: &'static str,
}

impl State {
    /// The state's name.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Scheduled { .. } => Status::Scheduled,
            Self::Pending => Status::Pending,
            Self::Running { .. } => Status::Running,
            Self::Cancelling { .. } => Status::Cancelling,
            Self::Final { outcome, .. } => match outcome.kind {
                OutcomeKind::Completed => Status::Completed,
                OutcomeKind::Failed(_) => Status::Failed,
                OutcomeKind::TimedOut(_) => Status::TimedOut,
                OutcomeKind::Cancelled(_) => Status::Cancelled,
                OutcomeKind::Expired(_) => Status::Expired,
            },
        }
    }

    /// The newest task, if one was recorded.
    #[must_use]
    pub fn started_task(&self) -> Option<&StartedTask> {
        match self {
            Self::Scheduled { .. } | Self::Pending => None,
            Self::Running { started, .. } => Some(started),
            Self::Cancelling { started, .. } | Self::Final { started, .. } => started.as_ref(),
        }
    }

    pub(crate) fn started_task_mut(&mut self) -> Option<&mut StartedTask> {
        match self {
            Self::Scheduled { .. } | Self::Pending => None,
            Self::Running { started, .. } => Some(started),
            Self::Cancelling { started, .. } | Self::Final { started, .. } => started.as_mut(),
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Scheduled { .. } | Self::Pending | Self::Running { .. } | Self::Cancelling { .. } => None,
            Self::Final { outcome, .. } => Some(outcome),
        }
    }

    /// The same, with the time at which a task started, as ECS reports it.
    pub(crate) fn with_start_of(&self, task: &Task) -> Self {
        let mut next = self.clone();
        if matches!(next, Self::Final { .. }) {
            return next;
        }
        if let (Some(started), Some(started_at)) =
            (next.started_task_mut().filter(|started| started.task_arn == task.arn), task.started_at)
        {
            started.started_at = started_at;
        }
        next
    }

    /// The state after `event`, which was observed at `at`. Steps run at least once, so an event that is already recorded gives
    /// `None`, not an error.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the event is impossible in this state, or the execution is over.
    pub fn on(&self, event: &Event, at: Timestamp) -> Result<Option<Self>, Refused> {
        let refused = |why| Refused { from: self.status(), event: event.name(), why };
        match (self, event) {
            // These events change what an execution stores outside of its state: see `Execution::after`.
            (
                Self::Scheduled { .. }
                | Self::Pending
                | Self::Running { .. }
                | Self::Cancelling { .. }
                | Self::Final { .. },
                Event::WorkflowStarted { .. }
                | Event::Changed(_)
                | Event::TaskStopped { .. }
                | Event::Visited
                | Event::VisitPostponed
                | Event::NoCapacity { .. }
                | Event::StartDenied { .. }
                | Event::AttemptFailed { .. },
            ) => Ok(None),

            (Self::Scheduled { .. }, Event::Due) => Ok(Some(Self::Pending)),
            (Self::Pending | Self::Running { .. } | Self::Cancelling { .. }, Event::Due) => Ok(None),
            (Self::Final { .. }, Event::Due) => Err(refused("it is over")),

            (Self::Scheduled { .. }, Event::TaskStarted { .. }) => Err(refused("its start time has not come")),
            (Self::Pending, Event::TaskStarted { attempt, task_arn }) => {
                let started = StartedTask::new(*attempt, task_arn, at);
                Ok(Some(Self::Running { started, wake: None }))
            }
            (Self::Running { started, wake }, Event::TaskStarted { attempt, task_arn }) => {
                let Some(started) = next_started_task(Some(started), *attempt, task_arn, at).map_err(refused)? else {
                    return Ok(None);
                };
                Ok(Some(Self::Running { started, wake: wake.clone() }))
            }
            (Self::Cancelling { started, wake }, Event::TaskStarted { attempt, task_arn }) => {
                let Some(started) = next_started_task(started.as_ref(), *attempt, task_arn, at).map_err(refused)?
                else {
                    return Ok(None);
                };
                Ok(Some(Self::Cancelling { started: Some(started), wake: wake.clone() }))
            }
            (Self::Final { started, .. }, Event::TaskStarted { attempt, task_arn }) => match started {
                Some(started) if started.attempt == *attempt && started.task_arn == *task_arn => Ok(None),
                Some(_) | None => Err(refused("it is over")),
            },

            (Self::Scheduled { wake }, Event::Watching { callback_id }) => {
                let changed = wake.as_ref() != Some(callback_id);
                Ok(changed.then(|| Self::Scheduled { wake: Some(callback_id.clone()) }))
            }
            (Self::Pending, Event::Watching { .. }) => Err(refused("there is no task to watch")),
            (Self::Running { started, wake }, Event::Watching { callback_id }) => {
                let changed = wake.as_ref() != Some(callback_id);
                Ok(changed.then(|| Self::Running { started: started.clone(), wake: Some(callback_id.clone()) }))
            }
            (Self::Cancelling { started, wake }, Event::Watching { callback_id }) => {
                let changed = wake.as_ref() != Some(callback_id);
                Ok(changed.then(|| Self::Cancelling { started: started.clone(), wake: Some(callback_id.clone()) }))
            }
            (Self::Final { .. }, Event::Watching { .. }) => Err(refused("it is over")),

            (Self::Scheduled { wake }, Event::CancelRequested) => {
                Ok(Some(Self::Cancelling { started: None, wake: wake.clone() }))
            }
            (Self::Pending, Event::CancelRequested) => Ok(Some(Self::Cancelling { started: None, wake: None })),
            (Self::Running { started, wake }, Event::CancelRequested) => {
                Ok(Some(Self::Cancelling { started: Some(started.clone()), wake: wake.clone() }))
            }
            (Self::Cancelling { .. }, Event::CancelRequested) => Ok(None),
            (Self::Final { .. }, Event::CancelRequested) => Err(refused("it is over")),

            (
                Self::Scheduled { .. } | Self::Pending | Self::Running { .. },
                Event::Ended(Outcome { kind: OutcomeKind::Cancelled(_), .. }),
            ) => Err(refused("no cancel was requested")),
            // The worker recorded its start after the workflow had looked for a task and found none: the start was in time.
            (
                Self::Running { .. } | Self::Cancelling { started: Some(_), .. },
                Event::Ended(Outcome { kind: OutcomeKind::Expired(_), .. }),
            ) => Ok(None),
            (Self::Scheduled { .. } | Self::Pending, Event::Ended(outcome)) => {
                Ok(Some(Self::Final { started: None, outcome: outcome.clone() }))
            }
            (Self::Running { started, .. }, Event::Ended(outcome)) => {
                Ok(Some(Self::Final { started: Some(started.ended(outcome.finished_at)), outcome: outcome.clone() }))
            }
            (Self::Cancelling { started, .. }, Event::Ended(outcome)) => {
                let started = started.as_ref().map(|started| started.ended(outcome.finished_at));
                Ok(Some(Self::Final { started, outcome: outcome.clone() }))
            }
            (Self::Final { outcome, .. }, Event::Ended(again)) if outcome == again => Ok(None),
            (Self::Final { .. }, Event::Ended(_)) => Err(refused("it is over")),
        }
    }
}

/// The newest task after a task was started; `None` if that task is already recorded, or a later attempt has begun.
fn next_started_task(
    newest: Option<&StartedTask>,
    attempt: Attempt,
    task_arn: &str,
    at: Timestamp,
) -> Result<Option<StartedTask>, &'static str> {
    match newest {
        Some(started) if started.attempt == attempt && started.task_arn != task_arn => {
            Err("this attempt has another task already")
        }
        Some(started) if started.attempt >= attempt => Ok(None),
        Some(_) | None => Ok(Some(StartedTask::new(attempt, task_arn, at))),
    }
}

#[cfg(test)]
mod tests;
