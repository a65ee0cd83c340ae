//! Decides what follows the end of an attempt. Workflows, the reconciler and workers all use this module, so they decide in the same way.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Attempt, ErrorKind, Event, Execution, JobError, Moment, Outcome, OutcomeKind, State, Unknown, Waiting, judge,
    limits,
};

/// What follows the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is returned")]
pub enum Next {
    /// The execution ends as the attempt did.
    End,
    /// The execution ends as cancelled: the attempt failed, and another would have followed if no cancel had been requested.
    Cancelled,
    /// Another attempt.
    Retry(Retry),
}

/// Another attempt follows one that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The failure, an [`Event::AttemptFailed`]. Record it, then call [`Execution::next`] again: the execution may have changed in the
    /// meantime.
    pub failed: Event,
    /// Which attempt follows.
    pub attempt: Attempt,
    /// How long to wait before that attempt starts: as its [`RetryRule`](crate::RetryRule) says, but no longer than until just past the
    /// deadline.
    pub wait: Duration,
}

/// Whether another attempt may follow one with this outcome, if the job may have `max_attempts`. The answer depends only on these two, so a
/// replayed workflow decides as it did before. The execution's [`RetryRule`](crate::RetryRule) may still say that none follows: see
/// [`Execution::next`].
#[must_use]
pub fn may_retry(max_attempts: u32, outcome: &Outcome) -> bool {
    judge::may_be_retried(outcome) && (max_attempts > 1 || judge::excused(outcome))
}

/// Attempts that failed without ending the execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedAttempts {
    /// The newest attempt that failed.
    pub last: Option<Attempt>,
    /// How many of them the platform ended, except for those in `retired`.
    pub excused: u32,
    /// How many of them ended because AWS retired the platform of their task.
    pub retired: u32,
    /// Why the last of them failed.
    pub error: Option<JobError>,
    /// Exit code of the last of them.
    pub exit_code: Option<i32>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// Longest error message, in bytes, that is kept for an attempt that was not the last.
const LAST_ERROR_BYTES: usize = 500;

impl FailedAttempts {
    /// How many of these attempts are not counted.
    fn uncounted(&self) -> u32 {
        self.excused.min(limits::EXCUSED) + self.retired.min(limits::RETIRED)
    }

    fn has(&self, attempt: Attempt) -> bool {
        self.last.is_some_and(|last| last >= attempt)
    }

    /// The same, with one more failed attempt.
    fn and(&self, attempt: Attempt, error: &JobError, excused: bool, exit_code: Option<i32>) -> Self {
        let retired = excused && error.kind == ErrorKind::TaskRetired;
        Self {
            last: Some(attempt),
            excused: self.excused + u32::from(excused && !retired),
            retired: self.retired + u32::from(retired),
            error: Some(error.shortened(LAST_ERROR_BYTES)),
            exit_code,
            ..self.clone()
        }
    }
}

/// Whether another attempt follows, regardless of how this one failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    No,
    ButCancelled,
    Yes,
}

impl Execution {
    /// What follows the end of `attempt` at `now`. The answer is the same whether its failure is recorded already or not.
    #[must_use]
    pub fn next(&self, attempt: Attempt, outcome: &Outcome, now: Timestamp) -> Next {
        let OutcomeKind::Failed(error) = &outcome.kind else { return Next::End };
        if !judge::may_be_retried(outcome) || !self.request.retry.allows(outcome) {
            return Next::End;
        }
        let (excused, exit_code) = (judge::excused(outcome), outcome.exit_code);
        let recorded = self.failed.has(attempt);
        let uncounted = if recorded {
            self.failed.uncounted()
        } else {
            self.failed.and(attempt, error, excused, exit_code).uncounted()
        };
        match self.follows(attempt, uncounted, now) {
            Follows::No => Next::End,
            Follows::ButCancelled => Next::Cancelled,
            Follows::Yes => Next::Retry(Retry {
                failed: Event::AttemptFailed { attempt, error: error.clone(), excused, exit_code },
                attempt: attempt.next(),
                wait: self.until_deadline(self.request.retry.backoff_before(attempt.next()), now),
            }),
        }
    }

    fn follows(&self, attempt: Attempt, uncounted: u32, now: Timestamp) -> Follows {
        if attempt.get() >= self.request.max_attempts + uncounted {
            return Follows::No;
        }
        match &self.state {
            State::Final { .. } => Follows::No,
            State::Cancelling { .. } => Follows::ButCancelled,
            State::Scheduled { .. } | State::Pending | State::Running { .. } if now >= self.deadline => Follows::No,
            State::Scheduled { .. } | State::Pending | State::Running { .. } => Follows::Yes,
        }
    }

    pub(crate) fn attempt_failed(
        &self,
        attempt: Attempt,
        error: &JobError,
        excused: bool,
        exit_code: Option<i32>,
        at: Timestamp,
    ) -> Option<Self> {
        if self.status().is_final() || self.failed.has(attempt) {
            return None;
        }
        let failed = self.failed.and(attempt, error, excused, exit_code);
        let uncounted = failed.uncounted();
        let waiting = (self.follows(attempt, uncounted, at) == Follows::Yes).then(|| {
            let backoff = self.request.retry.backoff_before(attempt.next());
            let backoff = SignedDuration::try_from(backoff).unwrap_or(SignedDuration::MAX);
            let until = at.checked_add(backoff).unwrap_or(self.deadline).min(self.deadline);
            Waiting::until(attempt.next(), until)
        });
        let mut next = Self { failed, waiting, version: self.version + 1, ..self.clone() };
        next.visit_again(at);
        let counted = uncounted == self.failed.uncounted();
        next.timeline.push(
            at,
            Moment::AttemptFailed,
            Some(failure(attempt, error, exit_code.is_some() && !excused, counted)),
        );
        Some(next)
    }

    /// The outcome of an execution that was being cancelled when its attempt failed, if another attempt would have followed otherwise:
    /// CANCELLED, because the cancel prevented that attempt.
    pub(crate) fn cancelled_instead(&self, outcome: &Outcome, at: Timestamp) -> Option<Outcome> {
        let OutcomeKind::Failed(error) = &outcome.kind else { return None };
        let newest = self.attempt_that_failed(error)?;
        if self.next(newest, outcome, at) != Next::Cancelled {
            return None;
        }
        let what = format!("cancelled; {}", self.told(newest, error, outcome.exit_code));
        let error = JobError { stop_code: error.stop_code.clone(), ..JobError::new(ErrorKind::Cancelled, what) };
        Some(Outcome { kind: OutcomeKind::Cancelled(error), ..outcome.clone() })
    }

    /// The attempt whose failure ends the execution, if several were allowed and the timeline does not have its failure yet.
    pub(crate) fn unrecorded_last_failure(&self, outcome: &Outcome) -> Option<Attempt> {
        let OutcomeKind::Failed(error) = &outcome.kind else { return None };
        let several = self.request.max_attempts > 1 || self.failed.last.is_some();
        let failed_by_itself =
            outcome.exit_code.is_some() || judge::may_be_retried(outcome) || error.kind.is_refused_start();
        let attempt = self.attempt_that_failed(error)?;
        (several && failed_by_itself && !self.failed.has(attempt)).then_some(attempt)
    }

    /// The attempt that an error ended: the newest one that has a task or is recorded as failed, or, if the error says that no task could
    /// be started, the one after that.
    fn attempt_that_failed(&self, error: &JobError) -> Option<Attempt> {
        let newest = self.state.started_task().map(|started| started.attempt).max(self.failed.last);
        if error.kind.is_refused_start() { Some(newest.map_or(Attempt::FIRST, Attempt::next)) } else { newest }
    }

    /// Whether a failed attempt, or the one that was to follow, has no recorded task. Such an attempt may still have a task, if the reply
    /// to its start was lost, or its workflow crashed before it could record the task.
    pub(crate) fn has_unseen_attempts(&self) -> bool {
        let Some(last) = self.failed.last else { return false };
        let begun = if last.get() < self.attempts() { last.next() } else { last };
        (1..=begun.get()).filter_map(Attempt::new).any(|attempt| self.started_task_of(attempt).is_none())
    }

    /// How many attempts there may be, including those that are not counted.
    pub(crate) fn attempts(&self) -> u32 {
        self.request.max_attempts + self.uncounted_attempts()
    }

    /// How many of its attempts do not count, because the platform ended them.
    #[must_use]
    pub fn uncounted_attempts(&self) -> u32 {
        self.failed.uncounted()
    }

    /// Says how an attempt failed, for people.
    pub(crate) fn told(&self, attempt: Attempt, error: &JobError, exit_code: Option<i32>) -> String {
        let of = self.attempts().max(attempt.get());
        let uncounted = match self.uncounted_attempts() {
            0 => String::new(),
            uncounted => format!(" ({uncounted} not counted)"),
        };
        match exit_code {
            Some(code) => format!("attempt {attempt} of {of}{uncounted} exited with code {code}"),
            None => format!("attempt {attempt} of {of}{uncounted} failed: {}: {}", error.kind, error.message),
        }
    }
}

/// What the timeline says about an attempt that failed. `by_itself` is whether the job's exit code shows why; otherwise it says what AWS
/// said.
pub(crate) fn failure(attempt: Attempt, error: &JobError, by_itself: bool, counted: bool) -> String {
    let uncounted = if counted { "" } else { " (not counted)" };
    let reason = error.message.lines().next().filter(|_| !by_itself);
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("attempt {attempt}: {}{uncounted}{reason}", error.kind)
}

#[cfg(test)]
mod tests;
