//! An execution that waits to start a task: how long it waits, and how it ends if it cannot start one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Attempt, ErrorKind, Execution, JobError, Outcome, OutcomeKind, State, Unknown, judge, limits};

/// A wait of the workflow, during which no task is being started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The attempt that starts after the wait.
    pub attempt: Attempt,
    /// When it starts; at the deadline at the latest. Until then, no call to ECS is in flight.
    pub until: Timestamp,
    /// When ECS first had no capacity for this attempt, if that has happened. Kept if a later start is denied.
    pub since: Option<Timestamp>,
    /// What ECS said, if it had no capacity.
    pub why: Option<String>,
    /// The denial, if AWS denied the start.
    pub denied: Option<Denied>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// AWS keeps denying the start of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Since when AWS has denied it.
    pub since: Timestamp,
    /// What AWS said last.
    pub why: String,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

impl Waiting {
    /// A plain wait before `attempt`.
    pub(crate) fn until(attempt: Attempt, until: Timestamp) -> Self {
        Self { attempt, until, since: None, why: None, denied: None, unknown: Unknown::default() }
    }
}

/// How much the clocks of two functions may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(1);

/// The longest wait for capacity.
///
/// Each try is an operation, of the 3,000 that a durable execution may have. A wait is at least a hundredth of the execution's age,
/// so a year of waiting takes at most about 1,300 tries, however many attempts share it: 100 in the first 8 h, 500 until the waits
/// reach 12 h after 50 days, and two a day after that.
const LONGEST_FOR_CAPACITY: SignedDuration = SignedDuration::from_hours(12);

impl Execution {
    /// How long to wait for capacity before the start of `attempt` is retried: as long as it has waited so far, from 1 s to 5 min, but at
    /// least a hundredth of the execution's age. It ends just past the deadline at the latest.
    #[must_use]
    pub fn wait_for_capacity(&self, attempt: Attempt, now: Timestamp) -> Duration {
        let waited = now.duration_since(self.no_capacity_since(attempt).unwrap_or(now));
        let (second, most) = (SignedDuration::from_secs(1), SignedDuration::from_mins(5));
        let by_age = now.duration_since(self.started_from()) / 100;
        let wait = waited.clamp(second, most).max(by_age).min(LONGEST_FOR_CAPACITY);
        self.until_deadline(Duration::from_secs(wait.as_secs().unsigned_abs()), now)
    }

    /// Since when ECS has had no capacity for `attempt`.
    pub(crate) fn no_capacity_since(&self, attempt: Attempt) -> Option<Timestamp> {
        self.waiting.as_ref().filter(|waiting| waiting.attempt == attempt)?.since
    }

    /// The wait that follows a start for which ECS has no capacity.
    pub(crate) fn waits_for_capacity(&self, attempt: Attempt, why: &str, until: Timestamp, at: Timestamp) -> Waiting {
        let since = Some(self.no_capacity_since(attempt).unwrap_or(at));
        Waiting { since, why: Some(shortened(why)), ..Waiting::until(attempt, until.min(self.last_start())) }
    }

    /// How long to wait before the start of `attempt`, which AWS denies, is retried: as long as it has been denied so far, from 1 s to 5
    /// min. It ends just past the deadline at the latest.
    #[must_use]
    pub fn wait_for_permission(&self, attempt: Attempt, now: Timestamp) -> Duration {
        let (second, most) = (SignedDuration::from_secs(1), SignedDuration::from_mins(5));
        let wait = now.duration_since(self.denied_since(attempt).unwrap_or(now)).clamp(second, most);
        self.until_deadline(Duration::from_secs(wait.as_secs().unsigned_abs()), now)
    }

    /// Since when AWS has denied every start of `attempt`, if it denied the last one.
    #[must_use]
    pub fn denied_since(&self, attempt: Attempt) -> Option<Timestamp> {
        let waiting = self.waiting.as_ref().filter(|waiting| waiting.attempt == attempt)?;
        waiting.denied.as_ref().map(|denied| denied.since)
    }

    /// The wait that follows a denied start.
    pub(crate) fn waits_for_permission(&self, attempt: Attempt, why: &str, until: Timestamp, at: Timestamp) -> Waiting {
        let since = self.denied_since(attempt).unwrap_or(at);
        let denied = Denied { since, why: shortened(why), unknown: Unknown::default() };
        let since = self.no_capacity_since(attempt);
        Waiting { since, denied: Some(denied), ..Waiting::until(attempt, until.min(self.last_start())) }
    }

    /// How much longer `attempt` has to wait. Its task must not be started before that: during the wait, a cancel ends the execution at
    /// once, without looking for a task to stop.
    #[must_use]
    pub fn still_waits(&self, attempt: Attempt, now: Timestamp) -> Option<Duration> {
        let waiting = self.waiting.as_ref().filter(|waiting| waiting.attempt == attempt)?;
        (now < waiting.until - SKEW).then(|| waiting.until.duration_since(now).unsigned_abs())
    }

    /// The wait, shortened so that it ends just past the deadline or the latest start at the latest, and at least a second.
    #[must_use]
    pub fn until_deadline(&self, wait: Duration, now: Timestamp) -> Duration {
        let left = u64::try_from(self.last_start().duration_since(now).as_secs()).unwrap_or_default();
        // Until one second past the deadline, so that the workflow then sees that it has passed.
        wait.min(Duration::from_secs(left + 1)).max(Duration::from_secs(1))
    }

    /// Its latest start, while that counts: until the first task was started.
    pub(crate) fn latest_start(&self) -> Option<Timestamp> {
        let started = self.state.started_task().is_some() || self.failed.last.is_some();
        self.start_before.filter(|_| !started)
    }

    /// When it is too late to start a task: at the deadline, or before the first task, at the latest start if that is earlier.
    fn last_start(&self) -> Timestamp {
        self.latest_start().map_or(self.deadline, |latest| latest.min(self.deadline))
    }

    /// Whether no task was started by the latest start, which comes before the deadline.
    fn is_expired(&self, now: Timestamp) -> bool {
        self.latest_start().is_some_and(|latest| latest <= now.min(self.deadline))
    }

    /// Whether ECS still knows the client token of every start of `attempt` that may not have been recorded, so that repeating the
    /// start finds its task. A token is valid for an hour after its task's end, and for 24 h at most
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ECS_Idempotency.html>). Starts before the end of the last wait
    /// are known to have started nothing.
    #[must_use]
    pub fn token_is_alive(&self, attempt: Attempt, now: Timestamp) -> bool {
        self.waited_for_capacity(attempt).is_some_and(|until| now < until + SignedDuration::from_mins(50))
    }

    /// When the last wait of `attempt` for capacity ended, if there was one.
    #[must_use]
    pub fn waited_for_capacity(&self, attempt: Attempt) -> Option<Timestamp> {
        let refused = |waiting: &&Waiting| waiting.attempt == attempt && waiting.why.is_some();
        self.waiting.as_ref().filter(refused).map(|waiting| waiting.until)
    }

    /// Whether none of its tasks is running, and none is being started at `at`.
    ///
    /// Before a workflow has accepted it, nothing can have been started. If a workflow accepts the execution while a cancel ends it, the
    /// later write sees the earlier one. While its workflow waits, nothing calls ECS, because the wait is recorded before it begins. When
    /// the wait is about to end, a task may be started.
    #[must_use]
    pub fn is_idle(&self, at: Timestamp) -> bool {
        let waits = self.waiting.as_ref().is_some_and(|waiting| at < waiting.until - SKEW);
        match &self.state {
            State::Scheduled { .. } => true,
            State::Pending => waits || self.durable_execution_arn.is_none(),
            State::Running { .. } => waits,
            State::Cancelling { .. } | State::Final { .. } => false,
        }
    }

    /// Its outcome at `now` if none of its tasks is running: the recorded one, cancelled, expired, or timed out at its deadline. The error also says
    /// how the last attempt failed. `None` if none of these applies.
    #[must_use]
    pub fn outcome_without_task(&self, now: Timestamp) -> Option<Outcome> {
        let waiting = self.waiting.as_ref();
        let capacity = waiting.and_then(|waiting| waiting.why.as_deref());
        let denied = waiting.and_then(|waiting| waiting.denied.as_ref()).map(|denied| denied.why.as_str());
        let kind = match &self.state {
            State::Final { outcome, .. } => return Some(outcome.clone()),
            State::Cancelling { .. } => {
                let what = match (capacity, denied, self.failed.last) {
                    (Some(why), ..) => format!("cancelled while waiting for capacity ({why})"),
                    (None, Some(why), _) => format!("cancelled while the start of its task was denied ({why})"),
                    (None, None, Some(_)) => "cancelled while waiting to retry".to_owned(),
                    (None, None, None) => "cancelled before its task was started".to_owned(),
                };
                OutcomeKind::Cancelled(self.with_last_attempt(ErrorKind::Cancelled, what))
            }
            State::Scheduled { .. } | State::Pending if self.is_expired(now) => {
                let why = match (capacity, denied) {
                    (None, Some(why)) => format!("; the start was denied ({why})"),
                    (Some(why), _) => format!("; ECS had no capacity ({why})"),
                    (None, None) => String::new(),
                };
                let what = format!("no task was started before its latest start{why}");
                OutcomeKind::Expired(JobError::new(ErrorKind::NotStartedInTime, what))
            }
            State::Scheduled { .. } | State::Pending | State::Running { .. } if now >= self.deadline => {
                let (kind, what) = match (capacity, denied, self.failed.last) {
                    (None, Some(why), _) => {
                        (ErrorKind::TaskRefused, format!("the start of its task was denied until the deadline ({why})"))
                    }
                    (Some(why), ..) => {
                        (ErrorKind::NoCapacity, format!("ECS had no capacity until the deadline ({why})"))
                    }
                    (None, None, Some(_)) => {
                        (ErrorKind::TimedOut, "the deadline passed while waiting to retry".to_owned())
                    }
                    (None, None, None) => {
                        (ErrorKind::TimedOut, "no task could be started before the deadline".to_owned())
                    }
                };
                OutcomeKind::TimedOut(self.with_last_attempt(kind, what))
            }
            State::Scheduled { .. } | State::Pending | State::Running { .. } => return None,
        };
        Some(Outcome { exit_code: self.failed.exit_code, ..Outcome::without_job(kind, now) })
    }

    /// Its outcome if its workflow cannot continue at `now`. `why` is the reason. If ECS has reported the end of its task, the exit code is
    /// kept.
    #[must_use]
    pub fn outcome_without_workflow(&self, why: impl Into<String>, now: Timestamp) -> Outcome {
        let told = self.state.started_task().and_then(|started| self.reported_end(&started.task_arn));
        let exit_code = told.and_then(|task| judge::exit_code(self, task));
        Outcome { exit_code, ..Outcome::failed(ErrorKind::WorkflowFailed, why, now) }
    }

    fn with_last_attempt(&self, kind: ErrorKind, what: String) -> JobError {
        let (Some(attempt), Some(error)) = (self.failed.last, &self.failed.error) else {
            return JobError::new(kind, what);
        };
        let what = format!("{what}; {}", self.told(attempt, error, self.failed.exit_code));
        JobError { stop_code: error.stop_code.clone(), ..JobError::new(kind, what) }
    }
}

/// AWS's message, or only its beginning if it is long.
pub(crate) fn shortened(why: &str) -> String {
    why.get(..why.floor_char_boundary(limits::DETAIL_BYTES)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
