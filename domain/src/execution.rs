//! An execution: a request, where it is, and what happened on the way.

use std::fmt;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Entry, Event, ExecutionId, JobError, Moment, Owner, Refused, Request, Run, State, Status, Timeline,
    limits, task::Task,
};

/// How an execution learns of its job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// The workflow waits for the task and records the end.
    Sync,
    /// The workflow starts the task and returns; the task reports for itself.
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

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Attempts that failed and were not the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempts {
    /// The last of them.
    pub last: Option<Attempt>,
    /// How many of them failed through the platform.
    pub excused: u32,
}

/// One job's execution, from the request to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its name.
    pub id: ExecutionId,
    /// How it learns of its job's end.
    pub pattern: Pattern,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What was asked for.
    pub request: Request,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its job has to be over.
    pub deadline: Timestamp,
    /// When it may be forgotten; a read treats it as gone from then on.
    pub expires_at: Timestamp,
    /// ARN of the durable execution that sees it through, once it has begun.
    pub durable_execution_arn: Option<String>,
    /// Where it is.
    pub state: State,
    /// The tasks of earlier attempts, oldest first: what they printed can still be read.
    pub earlier: Vec<Run>,
    /// The task that is over, as ECS told by itself: who waits for it need not ask. Only while the execution is not over.
    pub stopped: Option<Box<Task>>,
    /// When somebody has to look after it, should nothing else happen; `None` when it is over and nothing of it is left.
    pub due: Option<Timestamp>,
    /// The execution that this one does again.
    pub rerun_of: Option<ExecutionId>,
    /// The attempts that failed and were not the end.
    pub failed: FailedAttempts,
    /// What happened on the way.
    pub timeline: Timeline,
    /// Counts its changes, from 1: what a conditional write compares.
    pub version: u64,
}

impl Execution {
    /// A new execution, accepted at `now`.
    #[must_use]
    pub fn new(id: ExecutionId, pattern: Pattern, owner: Owner, request: Request, now: Timestamp) -> Self {
        let timeout = SignedDuration::try_from(request.timeout).unwrap_or(SignedDuration::MAX);
        let deadline = later(now, timeout);
        let mut timeline = Timeline::default();
        timeline.push(now, Moment::Created, None);
        Self {
            id,
            pattern,
            owner,
            request,
            created_at: now,
            deadline,
            expires_at: retained(deadline),
            durable_execution_arn: None,
            state: State::Pending,
            earlier: Vec::new(),
            stopped: None,
            due: Some(look(now, FIRST_LOOK)),
            rerun_of: None,
            failed: FailedAttempts::default(),
            timeline,
            version: 1,
        }
    }

    /// The state's name.
    #[must_use]
    pub fn status(&self) -> Status {
        self.state.status()
    }

    /// What `event`, seen at `at`, makes of it; `None` if that is recorded already.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the event cannot be true of its state, or comes after its end.
    pub fn after(&self, event: &Event, at: Timestamp) -> Result<Option<Self>, Refused> {
        match event {
            Event::WorkflowStarted { durable_execution_arn } => Ok(self.accepted_by(durable_execution_arn, at)),
            Event::TaskStopped { task } => Ok(self.task_stopped(task)),
            Event::Attended => Ok(self.attended(at)),
            Event::Postponed => Ok(self.postponed(at)),
            Event::NoCapacity { attempt, why } => Ok(self.no_capacity(*attempt, why, at)),
            Event::AttemptFailed { attempt, error, excused } => Ok(self.attempt_failed(*attempt, error, *excused, at)),
            Event::TaskStarted { .. } | Event::Watching { .. } | Event::CancelRequested | Event::Ended(_) => {
                self.with_state_after(event, at)
            }
        }
    }

    fn with_state_after(&self, event: &Event, at: Timestamp) -> Result<Option<Self>, Refused> {
        let Some(state) = self.state.on(event, at)? else { return Ok(None) };
        let mut next = Self { state, version: self.version + 1, ..self.clone() };
        match event {
            Event::TaskStarted { attempt, .. } => {
                next.earlier.extend(self.state.run().cloned());
                next.timeline.push(at, Moment::TaskStarted, Some(format!("attempt {attempt}")));
            }
            Event::CancelRequested => next.timeline.push(at, Moment::CancelRequested, None),
            Event::Ended(ending) => {
                next.stopped = None;
                next.expires_at = retained(ending.finished_at.max(at));
                next.timeline.push(at, Moment::Ended, Some(next.status().to_string()));
                // Nobody saw the job exit: something of it may run still, and that is looked for once more.
                next.due = ending.exit_code.is_none().then(|| look(at, FIRST_LOOK));
                return Ok(Some(next));
            }
            // A waiting workflow says so at every look: that is no news.
            Event::Watching { .. } => return Ok(Some(next)),
            Event::WorkflowStarted { .. }
            | Event::TaskStopped { .. }
            | Event::Attended
            | Event::Postponed
            | Event::NoCapacity { .. }
            | Event::AttemptFailed { .. } => {}
        }
        next.due = Some(look(at, FIRST_LOOK));
        Ok(Some(next))
    }

    /// Somebody looked after it: the next look is a tenth of its age away. Its deadline is looked at when it passes. One that
    /// is over needs no other.
    fn attended(&self, at: Timestamp) -> Option<Self> {
        let due = self.due?;
        if self.status().is_final() {
            return Some(Self { due: None, version: self.version + 1, ..self.clone() });
        }
        let age = at.duration_since(self.created_at);
        let mut next = look(at, (age / 10).clamp(FIRST_LOOK, LAST_LOOK));
        if at < self.deadline {
            next = next.min(on_the_second(self.deadline));
        }
        (next > due).then(|| Self { due: Some(next), version: self.version + 1, ..self.clone() })
    }

    /// Somebody could not do what there is to do. It comes again soon, and behind those that have waited for longer.
    fn postponed(&self, at: Timestamp) -> Option<Self> {
        let next = look(at, FIRST_LOOK);
        (next > self.due?).then(|| Self { due: Some(next), version: self.version + 1, ..self.clone() })
    }

    /// What ECS told by itself of the end of a task, if that one is it.
    #[must_use]
    pub fn told_of(&self, task_arn: &str) -> Option<&Task> {
        self.stopped.as_deref().filter(|task| task.arn == task_arn)
    }

    /// It may be told before the task's start is recorded, twice, or late: of a task whose attempt is over, when the next one's
    /// may have stopped already. Of a callback execution nobody waits for it.
    fn task_stopped(&self, task: &Task) -> Option<Self> {
        let failed = self.state.run().filter(|run| self.failed.last.is_some_and(|last| run.attempt <= last));
        let late = self.earlier.iter().chain(failed).any(|run| run.task_arn == task.arn);
        if self.pattern == Pattern::Callback || self.status().is_final() || late || self.told_of(&task.arn).is_some() {
            return None;
        }
        let stopped = Some(Box::new(Task { environment: Vec::new(), ..task.clone() }));
        Some(Self { stopped, version: self.version + 1, ..self.clone() })
    }

    /// The task of an attempt, if one was recorded.
    #[must_use]
    pub fn run_of(&self, attempt: Attempt) -> Option<&Run> {
        self.earlier.iter().chain(self.state.run()).find(|run| run.attempt == attempt)
    }

    /// Whether `attempt` may be followed by another.
    #[must_use]
    pub fn may_try_again(&self, attempt: Attempt) -> bool {
        attempt.get() < self.request.max_attempts + self.failed.excused.min(limits::EXCUSED)
    }

    /// It is told once for an attempt, however often ECS is asked.
    fn no_capacity(&self, attempt: Attempt, why: &str, at: Timestamp) -> Option<Self> {
        let detail = format!("attempt {attempt}: {why}");
        let told = |entry: &Entry| {
            entry.what == Moment::WaitingForCapacity
                && entry.detail.as_ref().is_some_and(|told| told.starts_with(&format!("attempt {attempt}:")))
        };
        if self.status().is_final() || self.timeline.entries().iter().any(told) {
            return None;
        }
        let mut next = Self { version: self.version + 1, ..self.clone() };
        next.timeline.push(at, Moment::WaitingForCapacity, Some(detail));
        Some(next)
    }

    fn attempt_failed(&self, attempt: Attempt, error: &JobError, excused: bool, at: Timestamp) -> Option<Self> {
        if self.status().is_final() || self.failed.last.is_some_and(|last| last >= attempt) {
            return None;
        }
        let failed = FailedAttempts { last: Some(attempt), excused: self.failed.excused + u32::from(excused) };
        let due = Some(look(at, FIRST_LOOK));
        let mut next = Self { failed, due, version: self.version + 1, ..self.clone() };
        let counted = if excused { ", by the platform: not counted" } else { "" };
        next.timeline.push(at, Moment::AttemptFailed, Some(format!("attempt {attempt}: {}{counted}", error.kind)));
        Some(next)
    }

    /// The first durable execution stays: one that was started again under the same name, after AWS has forgotten the
    /// first, sees the same execution through and changes nothing here.
    fn accepted_by(&self, arn: &str, at: Timestamp) -> Option<Self> {
        if self.durable_execution_arn.is_some() || self.status().is_final() {
            return None;
        }
        let mut next = Self { durable_execution_arn: Some(arn.to_owned()), version: self.version + 1, ..self.clone() };
        next.timeline.push(at, Moment::WorkflowStarted, None);
        Some(next)
    }
}

/// How long after a change somebody looks after an execution, should nothing else have happened.
const FIRST_LOOK: SignedDuration = SignedDuration::from_mins(1);

/// The longest time between two looks: ECS forgets a stopped task after an hour
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>).
const LAST_LOOK: SignedDuration = SignedDuration::from_mins(30);

fn retained(end: Timestamp) -> Timestamp {
    on_the_second(later(end, SignedDuration::try_from(limits::RETENTION).unwrap_or(SignedDuration::MAX)))
}

/// When to look, some time from now.
fn look(now: Timestamp, by: SignedDuration) -> Timestamp {
    on_the_second(later(now, by))
}

/// The table keeps times that it sorts and expires by in whole seconds. What is compared with what was read has to be one:
/// a writer knows by that what it wrote itself. Up, so that what is due at a time is not looked at before it.
fn on_the_second(time: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    time.round(up).unwrap_or(time)
}

fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use Moment::{CancelRequested, Created, Ended, TaskStarted, WorkflowStarted};

    use super::*;
    use crate::{Attempt, Ending, Json, Verdict};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn execution() -> Execution {
        let request = Request {
            input: Json::null(),
            task: "demo".into(),
            timeout: Duration::from_mins(1),
            max_attempts: 1,
            tags: BTreeMap::new(),
        };
        Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(1_000))
    }

    #[test]
    fn a_life_is_told_by_its_timeline() {
        let events = [
            (Event::WorkflowStarted { durable_execution_arn: "arn:d".into() }, 1_001),
            (Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn:t".into() }, 1_002),
            (Event::Watching { callback_id: "cb".into() }, 1_003),
            (Event::CancelRequested, 1_004),
            (
                Event::Ended(Ending {
                    verdict: Verdict::Completed,
                    result: None,
                    exit_code: Some(0),
                    finished_at: at(1_005),
                }),
                1_006,
            ),
        ];
        let end = events.iter().fold(execution(), |now, (event, second)| {
            let next = now.after(event, at(*second)).unwrap().unwrap();
            assert_eq!(next.version, now.version + 1);
            assert_eq!(next.after(event, at(*second + 9)), Ok(None), "a repeat of {event:?} changes nothing");
            next
        });
        let told: Vec<_> = end.timeline.entries().iter().map(|entry| entry.what).collect();
        assert_eq!(told, [Created, WorkflowStarted, TaskStarted, CancelRequested, Ended]);
        assert_eq!(end.status(), Status::Completed);
        assert_eq!(end.expires_at, at(1_006) + limits::RETENTION);
    }

    #[test]
    fn somebody_looks_after_it_ever_less_often_and_at_its_deadline() {
        let mut seen = execution();
        let mut looks = Vec::new();
        while looks.len() < 4 {
            let due = seen.due.unwrap();
            looks.push(due.as_second() - 1_000);
            assert!(seen.after(&Event::Attended, due - SignedDuration::from_mins(2)).unwrap().is_none(), "not yet");
            seen = seen.after(&Event::Attended, due).unwrap().unwrap();
        }
        assert_eq!(looks, [60, 120, 180, 240]);
        let late = seen.after(&Event::Attended, at(1_000_000)).unwrap().unwrap();
        assert_eq!(late.due, Some(at(1_000_000) + LAST_LOOK));
    }

    /// An end that nobody saw may leave a task running: somebody looks for it until that went well.
    #[test]
    fn an_end_without_an_exit_code_is_looked_after_once_more() {
        let ended = |exit_code| {
            let verdict = Verdict::Failed(JobError::new("any", "any"));
            let ending = Ending { verdict, result: None, exit_code, finished_at: at(1_005) };
            execution().after(&Event::Ended(ending), at(1_005)).unwrap().unwrap()
        };
        assert_eq!(ended(Some(3)).due, None);
        let unseen = ended(None);
        assert_eq!(unseen.due, Some(at(1_065)));
        let failed = unseen.after(&Event::Postponed, at(1_065)).unwrap().unwrap();
        assert_eq!((failed.due, failed.version), (Some(at(1_125)), unseen.version + 1));
        let looked_after = failed.after(&Event::Attended, at(1_125)).unwrap().unwrap();
        assert_eq!((looked_after.due, &looked_after.state), (None, &unseen.state));
        for event in [Event::Attended, Event::Postponed] {
            assert_eq!(looked_after.after(&event, at(2_000)), Ok(None), "{event:?}");
        }
    }

    #[test]
    fn the_end_of_a_task_is_kept_until_its_attempt_is_over() {
        let stopped = |arn: &str| {
            let task = Task {
                arn: arn.into(),
                stopped: true,
                stop_code: None,
                stopped_reason: None,
                stopped_at: None,
                containers: Vec::new(),
                environment: vec![("SECRET".into(), "any".into())],
            };
            Event::TaskStopped { task: Box::new(task) }
        };
        let started =
            |number, arn: &str| Event::TaskStarted { attempt: Attempt::new(number).unwrap(), task_arn: arn.into() };
        let step = |from: &Execution, event: &Event| from.after(event, at(1_001)).unwrap();
        let early = step(&execution(), &stopped("t1")).expect("told before its start is recorded");
        assert_eq!(early.told_of("t1").map(|task| task.environment.len()), Some(0));
        let running = step(&early, &started(1, "t1")).unwrap();
        assert!(running.told_of("t1").is_some() && running.told_of("t2").is_none());
        assert_eq!(step(&running, &stopped("t1")), None, "told twice");
        let failed =
            Event::AttemptFailed { attempt: Attempt::FIRST, error: JobError::new("any", "any"), excused: false };
        let failed = step(&running, &failed).unwrap();
        let early = step(&failed, &stopped("t2")).expect("told before its start is recorded");
        assert_eq!(step(&early, &stopped("t1")), None, "its attempt is over, and what is noted is of the next one");
        let next = step(&early, &started(2, "t2")).unwrap();
        assert!(next.told_of("t2").is_some());
        let next = step(&running, &started(2, "t2")).unwrap();
        assert_eq!(step(&next, &stopped("t1")), None, "told late");
        let over = step(&next, &stopped("t2")).unwrap();
        assert!(over.told_of("t2").is_some());
        let ending = Ending { verdict: Verdict::Completed, result: None, exit_code: Some(0), finished_at: at(1_002) };
        let ended = step(&over, &Event::Ended(ending)).unwrap();
        assert_eq!((&ended.stopped, step(&ended, &stopped("t2"))), (&None, None));
        let callback = Execution { pattern: Pattern::Callback, ..execution() };
        assert_eq!(step(&callback, &stopped("t1")), None);
    }

    #[test]
    fn a_wait_for_capacity_is_told_once_for_an_attempt() {
        let busy = |number, why: &str| Event::NoCapacity { attempt: Attempt::new(number).unwrap(), why: why.into() };
        let first = execution().after(&busy(1, "RESOURCE:MEMORY"), at(1_001)).unwrap().unwrap();
        assert_eq!(first.after(&busy(1, "Rate exceeded"), at(1_002)), Ok(None));
        let second = first.after(&busy(2, "AGENT"), at(1_003)).unwrap().unwrap();
        let told = second.timeline.entries().iter().filter_map(|entry| entry.detail.as_deref()).collect::<Vec<_>>();
        assert_eq!(told, ["attempt 1: RESOURCE:MEMORY", "attempt 2: AGENT"]);
    }

    #[test]
    fn one_that_cannot_be_looked_after_makes_way() {
        let due = execution().due.unwrap();
        let postponed = execution().after(&Event::Postponed, due).unwrap().unwrap();
        assert_eq!(postponed.due, Some(due + FIRST_LOOK));
        assert_eq!(postponed.after(&Event::Postponed, due), Ok(None), "a repeat");
    }

    #[test]
    fn what_the_platform_broke_does_not_count_among_the_jobs_attempts() {
        let attempt = |number| Attempt::new(number).unwrap();
        let failed = |number, excused| Event::AttemptFailed {
            attempt: attempt(number),
            error: JobError::new("spot", "gone"),
            excused,
        };
        let mut seen = execution();
        assert!(!seen.may_try_again(attempt(1)), "one attempt is all that was asked for");
        for number in 1..=limits::EXCUSED {
            seen = seen.after(&failed(number, true), at(1_000)).unwrap().unwrap();
            assert!(seen.may_try_again(attempt(number)));
            assert_eq!(seen.after(&failed(number, true), at(1_001)), Ok(None), "a repeat");
        }
        let next = attempt(limits::EXCUSED + 1);
        assert!(!seen.may_try_again(next), "the job's own");
        seen = seen.after(&failed(next.get(), true), at(1_000)).unwrap().unwrap();
        assert!(!seen.may_try_again(next), "more are no accident");
    }

    #[test]
    fn an_execution_that_never_ends_is_kept_past_its_deadline() {
        assert_eq!(execution().deadline, at(1_060));
        assert_eq!(execution().expires_at, at(1_060) + limits::RETENTION);
    }
}
