//! An execution: a request, its state, and what has happened to it.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{RoundMode, SignedDuration, SignedDurationRound, Timestamp, TimestampRound, Unit};

use crate::{
    Attempt, BatchId, Event, ExecutionId, FailedAttempts, JobLog, Moment, OutcomeKind, Owner, Refused, Request,
    StartedTask, State, Status, Timeline, Unknown, UnknownName, Waiting, attempts, limits, schedule::Origin,
    task::Task,
};

/// How the end of a job is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The workflow waits for the task and records the outcome.
    Sync,
    /// The workflow starts the task and returns; the worker in the task records the outcome.
    Callback,
}

impl Pattern {
    /// Its name, in the API and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Callback => "callback",
        }
    }
}

impl FromStr for Pattern {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        [Self::Sync, Self::Callback].into_iter().find(|pattern| pattern.as_str() == name).ok_or(UnknownName)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One job's execution, from the request to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// How the end of its job is recorded.
    pub pattern: Pattern,
    /// The caller that it belongs to.
    pub owner: Owner,
    /// What the caller requested.
    pub request: Request,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it is to start, or was to start, if that was after it was accepted. No task is started before that.
    pub scheduled_for: Option<Timestamp>,
    /// The latest start: if no task was started by then, it is EXPIRED.
    pub start_before: Option<Timestamp>,
    /// Identifies the tags of the request, if they were changed since: see [`Execution::differences`].
    pub first_tags: Option<String>,
    /// When its job must have ended.
    pub deadline: Timestamp,
    /// When it may be deleted; reads treat it as gone from then on. [`NEVER`] while it is not over.
    pub expires_at: Timestamp,
    /// ARN of the durable execution that drives it, once that has begun.
    pub durable_execution_arn: Option<String>,
    /// Where its tasks print to. Recorded when a workflow that finds the job in the catalog begins, since the job may be removed from the
    /// catalog later.
    pub log: Option<JobLog>,
    /// Its state.
    pub state: State,
    /// The tasks of earlier attempts, oldest first, at most [`limits::EARLIER_TASKS`]. Their logs can still be read.
    pub earlier: Vec<StartedTask>,
    /// The task that has ended, as an event of ECS reported it, so that the workflow does not have to ask ECS. Only present while
    /// the execution is not over.
    pub stopped: Option<Box<Task>>,
    /// When the sweep has to visit it if nothing else happens; `None` when it is over and none of its tasks can still be running.
    pub due: Option<Timestamp>,
    /// The execution of which this one is a rerun.
    pub rerun_of: Option<ExecutionId>,
    /// The schedule that started it.
    pub schedule: Option<Origin>,
    /// The batch that it belongs to.
    pub batch: Option<BatchId>,
    /// The attempts that failed without ending the execution.
    pub failed: FailedAttempts,
    /// If its workflow waits before it starts a task: until when, and why.
    pub waiting: Option<Waiting>,
    /// A random name that identifies the write that created it, to distinguish that write from another request's.
    pub creation: Option<String>,
    /// What has happened to it.
    pub timeline: Timeline,
    /// Counts its changes, from 1; conditional writes compare it.
    pub version: u64,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

impl Execution {
    /// A new execution, accepted at `now`. It is SCHEDULED if the request's start is later than that, and its timeout counts from its
    /// start.
    #[must_use]
    pub fn new(id: ExecutionId, pattern: Pattern, owner: Owner, request: Request, now: Timestamp) -> Self {
        let scheduled_for = request.start.map(|start| start.after(now)).filter(|start| *start > now);
        let deadline = deadline(scheduled_for.unwrap_or(now), request.timeout);
        let mut timeline = Timeline::default();
        timeline.push(now, Moment::Created, None);
        if let Some(start) = scheduled_for {
            timeline.push(now, Moment::Scheduled, Some(scheduled(start)));
        }
        let state = if scheduled_for.is_some() { State::Scheduled { wake: None } } else { State::Pending };
        Self {
            id,
            pattern,
            owner,
            created_at: now,
            scheduled_for,
            start_before: request.start_before,
            first_tags: None,
            request,
            deadline,
            expires_at: NEVER,
            durable_execution_arn: None,
            log: None,
            state,
            earlier: Vec::new(),
            stopped: None,
            due: Some(first_visit(scheduled_for, now)),
            rerun_of: None,
            schedule: None,
            batch: None,
            failed: FailedAttempts::default(),
            waiting: None,
            creation: None,
            timeline,
            version: 1,
            unknown: Unknown::default(),
        }
    }

    /// The state's name.
    #[must_use]
    pub fn status(&self) -> Status {
        self.state.status()
    }

    /// The execution after `event`, which was observed at `at`; `None` if the event is already recorded.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the event is impossible in this state, or the execution is over.
    pub fn after(&self, event: &Event, at: Timestamp) -> Result<Option<Self>, Refused> {
        match event {
            Event::WorkflowStarted { durable_execution_arn, log } => {
                Ok(self.accepted_by(durable_execution_arn, log.as_ref(), at))
            }
            Event::Changed(changes) => self.changed(changes, at),
            Event::TaskStopped { task } => Ok(self.task_stopped(task)),
            Event::Visited => Ok(self.visited(at)),
            Event::VisitPostponed => Ok(self.visit_postponed(at)),
            Event::NoCapacity { attempt, why, until } => Ok(self.no_capacity(*attempt, why, *until, at)),
            Event::StartDenied { attempt, why, until } => Ok(self.start_denied(*attempt, why, *until, at)),
            Event::AttemptFailed { attempt, error, excused, exit_code } => {
                Ok(self.attempt_failed(*attempt, error, *excused, *exit_code, at))
            }
            Event::CancelRequested if self.is_idle(at) => self.cancelled_at_once(at),
            Event::Ended(outcome) => {
                let instead = self.cancelled_instead(outcome, at).map(Event::Ended);
                self.with_state_after(instead.as_ref().unwrap_or(event), at)
            }
            Event::Due | Event::TaskStarted { .. } | Event::Watching { .. } | Event::CancelRequested => {
                self.with_state_after(event, at)
            }
        }
    }

    /// It is cancelled at once if none of its tasks is running, since there is nothing to wait for.
    fn cancelled_at_once(&self, at: Timestamp) -> Result<Option<Self>, Refused> {
        let Some(cancelling) = self.with_state_after(&Event::CancelRequested, at)? else { return Ok(None) };
        let Some(outcome) = cancelling.outcome_without_task(at) else { return Ok(Some(cancelling)) };
        let ended = cancelling.with_state_after(&Event::Ended(outcome), at)?;
        Ok(ended.map(|ended| Self { version: cancelling.version, ..ended }))
    }

    fn with_state_after(&self, event: &Event, at: Timestamp) -> Result<Option<Self>, Refused> {
        let Some(state) = self.state.on(event, at)? else { return Ok(None) };
        let mut next = Self { state, version: self.version + 1, ..self.clone() };
        match event {
            Event::TaskStarted { attempt, .. } => {
                next.waiting = None;
                if let Some(stopped) = &self.stopped {
                    next.state = next.state.with_start_of(stopped);
                }
                next.earlier.extend(self.state.started_task().cloned());
                let too_many = next.earlier.len().saturating_sub(limits::EARLIER_TASKS);
                next.earlier.drain(..too_many);
                let detail = match self.uncounted_attempts() {
                    0 => format!("attempt {attempt}"),
                    uncounted => format!("attempt {attempt} ({uncounted} not counted)"),
                };
                next.timeline.push(at, Moment::TaskStarted, Some(detail));
            }
            Event::Due => next.timeline.push(at, Moment::Due, None),
            Event::CancelRequested => next.timeline.push(at, Moment::CancelRequested, None),
            Event::Ended(outcome) => {
                next.stopped = None;
                next.waiting = None;
                next.expires_at = retained(outcome.finished_at.max(at));
                if let (Some(last), OutcomeKind::Failed(error)) = (self.unrecorded_last_failure(outcome), &outcome.kind)
                {
                    let detail = attempts::failure(last, error, outcome.exit_code.is_some(), true);
                    next.timeline.push(at, Moment::AttemptFailed, Some(detail));
                }
                if let Some(why) = outcome.result_source.explanation(outcome.kind == OutcomeKind::Completed) {
                    next.timeline.push(at, Moment::NoResult, Some(why.to_owned()));
                }
                next.timeline.push(at, Moment::Ended, Some(next.status().to_string()));
                // One of its tasks may still be running, so the sweep visits it once more.
                let unseen = outcome.exit_code.is_none() || self.has_unseen_attempts();
                next.due = unseen.then(|| visit(at, FIRST_VISIT));
                return Ok(Some(next));
            }
            // A waiting workflow reports this each time it checks its task, so it is not a reason to change `due`.
            Event::Watching { .. } => return Ok(Some(next)),
            Event::WorkflowStarted { .. }
            | Event::Changed(_)
            | Event::TaskStopped { .. }
            | Event::Visited
            | Event::VisitPostponed
            | Event::NoCapacity { .. }
            | Event::StartDenied { .. }
            | Event::AttemptFailed { .. } => {}
        }
        next.due = Some(visit(at, FIRST_VISIT));
        Ok(Some(next))
    }

    /// After a visit of the sweep: the next one follows after a tenth of the execution's age, or at its latest start or its deadline if that
    /// is earlier. An execution that waits for its start time is visited when its workflow has to be started, and frequently from then on.
    /// An execution that is over needs no further visit.
    fn visited(&self, at: Timestamp) -> Option<Self> {
        let due = self.due?;
        if self.status().is_final() {
            return Some(Self { due: None, version: self.version + 1, ..self.clone() });
        }
        let mut next = match self.state {
            State::Scheduled { .. } => first_visit(self.scheduled_for, at),
            _ => visit(at, (at.duration_since(self.started_from()) / 10).clamp(FIRST_VISIT, LAST_VISIT)),
        };
        for limit in [Some(self.deadline), self.latest_start()].into_iter().flatten() {
            if at < limit {
                next = next.min(rounded_up_to_seconds(limit));
            }
        }
        (next > due).then(|| Self { due: Some(next), version: self.version + 1, ..self.clone() })
    }

    /// After a visit that failed: it is due again soon, but after executions that have waited longer.
    fn visit_postponed(&self, at: Timestamp) -> Option<Self> {
        let next = visit(at, FIRST_VISIT);
        (next > self.due?).then(|| Self { due: Some(next), version: self.version + 1, ..self.clone() })
    }

    /// How this task ended, if an event of ECS reported it.
    #[must_use]
    pub fn reported_end(&self, task_arn: &str) -> Option<&Task> {
        self.stopped.as_deref().filter(|task| task.arn == task_arn)
    }

    /// The event may arrive before the task's start is recorded, or twice. It may also arrive when the task's attempt is over, and even
    /// when the next attempt's task has already stopped. In a callback execution, no workflow waits for the event, so only the time of the
    /// start is taken from it.
    fn task_stopped(&self, task: &Task) -> Option<Self> {
        let failed =
            self.state.started_task().filter(|started| self.failed.last.is_some_and(|last| started.attempt <= last));
        let late = self.earlier.iter().chain(failed).any(|started| started.task_arn == task.arn);
        if self.status().is_final() || late || self.reported_end(&task.arn).is_some() {
            return None;
        }
        let state = self.state.with_start_of(task);
        let stopped = match self.pattern {
            Pattern::Sync => Some(Box::new(Task { environment: Vec::new(), ..task.clone() })),
            Pattern::Callback if state == self.state => return None,
            Pattern::Callback => None,
        };
        Some(Self { state, stopped, version: self.version + 1, ..self.clone() })
    }

    /// The attempt that a task belongs to, if that was recorded and is remembered.
    #[must_use]
    pub fn attempt_of(&self, task_arn: &str) -> Option<Attempt> {
        self.started_tasks().find(|started| started.task_arn == task_arn).map(|started| started.attempt)
    }

    /// The task of an attempt, if one was recorded and is remembered.
    #[must_use]
    pub fn started_task_of(&self, attempt: Attempt) -> Option<&StartedTask> {
        self.started_tasks().find(|started| started.attempt == attempt)
    }

    /// The tasks that are remembered, oldest first.
    pub(crate) fn started_tasks(&self) -> impl DoubleEndedIterator<Item = &StartedTask> {
        self.earlier.iter().chain(self.state.started_task())
    }

    /// From when its age counts: its start time, or when it was accepted.
    #[must_use]
    pub fn started_from(&self) -> Timestamp {
        self.scheduled_for.unwrap_or(self.created_at)
    }

    /// Whether its start time is so far ahead that no workflow is started for it yet. The sweep starts its workflow in time.
    #[must_use]
    pub fn is_dormant(&self, now: Timestamp) -> bool {
        let State::Scheduled { .. } = self.state else { return false };
        self.scheduled_for.is_some_and(|start| start.duration_since(now) > LEAD)
    }

    /// How long its workflow has to wait for its start time, in whole seconds, at least one; `None` if that has come.
    #[must_use]
    pub fn until_start(&self, now: Timestamp) -> Option<Duration> {
        let State::Scheduled { .. } = self.state else { return None };
        let left = self.scheduled_for?.duration_since(now);
        let left = left.round(SignedDurationRound::new().smallest(Unit::Second).mode(RoundMode::Ceil)).unwrap_or(left);
        left.is_positive().then(|| left.unsigned_abs())
    }

    /// When it is expected to be deleted: while it is not over, this assumes that it ends at its deadline.
    #[must_use]
    pub fn kept_until(&self) -> Timestamp {
        kept_until(self.expires_at, self.deadline)
    }

    /// The timeline has one entry for each attempt that waits for capacity, however often its start is retried.
    fn no_capacity(&self, attempt: Attempt, why: &str, until: Timestamp, at: Timestamp) -> Option<Self> {
        let detail = format!("attempt {attempt}: {why}");
        if self.status().is_final() || self.started_task_of(attempt).is_some() {
            return None;
        }
        let waiting = Some(self.waits_for_capacity(attempt, why, until, at));
        let told = self.no_capacity_since(attempt).is_some();
        if told && self.waiting == waiting {
            return None;
        }
        let mut next = Self { waiting, version: self.version + 1, ..self.clone() };
        if !told {
            next.timeline.push(at, Moment::WaitingForCapacity, Some(detail));
        }
        Some(next)
    }

    fn start_denied(&self, attempt: Attempt, why: &str, until: Timestamp, at: Timestamp) -> Option<Self> {
        if self.status().is_final() || self.started_task_of(attempt).is_some() {
            return None;
        }
        let waiting = Some(self.waits_for_permission(attempt, why, until, at));
        (waiting != self.waiting).then(|| Self { waiting, version: self.version + 1, ..self.clone() })
    }

    /// The sweep visits it a while after `at`.
    pub(crate) fn visit_again(&mut self, at: Timestamp) {
        self.due = Some(visit(at, FIRST_VISIT));
    }

    /// The first durable execution's ARN is kept. If AWS has forgotten that durable execution and it is started again under the same
    /// name, the new one drives the same execution and changes nothing here. The durable execution of a later attempt changes nothing
    /// either, unless the job's log has moved.
    fn accepted_by(&self, arn: &str, log: Option<&JobLog>, at: Timestamp) -> Option<Self> {
        let log = log.filter(|log| self.log.as_ref() != Some(*log));
        let first = self.durable_execution_arn.is_none();
        if self.status().is_final() || !(first || log.is_some()) {
            return None;
        }
        let mut next = Self { version: self.version + 1, ..self.clone() };
        if let Some(log) = log {
            next.print_to(log);
        }
        if first {
            next.durable_execution_arn = Some(arn.to_owned());
            next.timeline.push(at, Moment::WorkflowStarted, None);
        }
        Some(next)
    }
}

/// Expiry of an execution that is not over: it is never deleted. Older versions can read this time, too.
pub const NEVER: Timestamp = Timestamp::constant(253_370_764_800, 0);

pub(crate) fn kept_until(expires_at: Timestamp, deadline: Timestamp) -> Timestamp {
    if expires_at == NEVER { retained(deadline) } else { expires_at }
}

/// How long before its start time an execution's workflow is started. The sweep runs once a minute, so the workflow waits when the time
/// comes. It is not started earlier, because a durable execution may only run 366 days, and the job may need them.
const LEAD: SignedDuration = SignedDuration::from_mins(2);

/// The deadline of an execution that starts at `start`.
pub(crate) fn deadline(start: Timestamp, timeout: Duration) -> Timestamp {
    later(start, SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX))
}

/// How a start time is written in the timeline.
pub(crate) fn scheduled(start: Timestamp) -> String {
    format!("for {start:.3}")
}

/// How long after a change the sweep visits an execution if nothing else has happened.
const FIRST_VISIT: SignedDuration = SignedDuration::from_mins(1);

/// The longest time between two visits: ECS forgets a stopped task after an hour
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>).
const LAST_VISIT: SignedDuration = SignedDuration::from_mins(30);

fn retained(end: Timestamp) -> Timestamp {
    rounded_up_to_seconds(later(end, SignedDuration::try_from(limits::RETENTION).unwrap_or(SignedDuration::MAX)))
}

/// The time of the first visit: a while after `now`, or if the start time is far ahead, when the workflow has to be started.
pub(crate) fn first_visit(scheduled_for: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let soon = visit(now, FIRST_VISIT);
    match scheduled_for.and_then(|start| start.checked_sub(LEAD).ok()) {
        Some(wanted) if wanted > now => rounded_up_to_seconds(wanted),
        Some(_) | None => soon,
    }
}

/// The time of the next visit, this long after `now`.
fn visit(now: Timestamp, by: SignedDuration) -> Timestamp {
    rounded_up_to_seconds(later(now, by))
}

/// Rounds up to a whole second. The table stores `due` and `expiresAt` in whole seconds. They must be rounded before the write, because a
/// writer recognizes its own write by comparing what it wrote with what it reads. They are rounded up, so that an execution is not visited
/// before it is due.
fn rounded_up_to_seconds(time: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    time.round(up).unwrap_or(time)
}

fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
