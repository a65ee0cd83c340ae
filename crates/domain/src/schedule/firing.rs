//! What a schedule does about the times that are due, and how each step is recorded.
//!
//! **Invariant**: an execution that was created for a time but not recorded, because the reconciler died in between, is for the time that
//! is `buffered` or `next`. A step that drops or buffers `next` is carried out only if no execution exists for it; if one does, its start
//! is recorded instead.

use jiff::{SignedDuration, Timestamp};

use super::{Counts, Failing, Last, Overlap, Schedule, Times};
use crate::ExecutionId;

/// From this many times in a row that could not be started, a schedule counts as failing.
pub const FAILING: u64 = 10;

/// The most times that one step handles, so that a step stays short whatever was missed.
const AT_ONCE: usize = 1_000;

/// What to do next for a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due.
    Wait,
    /// Start its request for a time.
    Start(Timestamp),
    /// Keep a time until the last execution is over.
    Buffer {
        /// The time.
        time: Timestamp,
        /// How many other times are dropped.
        skipped: u64,
        /// Whether to cancel the last execution.
        cancel: bool,
        /// The schedule's `next` after it.
        next: Option<Timestamp>,
    },
    /// Drop times because the last execution is not over, or because a newer time takes their place.
    Skip {
        /// How many.
        count: u64,
        /// The schedule's `next` after them.
        next: Option<Timestamp>,
    },
    /// Drop times that were due longer ago than the catch-up window.
    Miss {
        /// How many.
        count: u64,
        /// The schedule's `next` after them.
        next: Option<Timestamp>,
    },
}

impl Schedule {
    /// What to do at `now`. `busy`: whether the last execution is not over.
    #[must_use]
    pub fn step(&self, times: &Times, busy: bool, now: Timestamp) -> Step {
        if self.paused {
            return Step::Wait;
        }
        if let Some(time) = self.buffered.filter(|_| !busy) {
            return Step::Start(time);
        }
        let Some(next) = self.next.filter(|next| self.fires_at(*next) <= now) else { return Step::Wait };
        let window = SignedDuration::from_secs(i64::try_from(self.definition.catch_up_seconds).unwrap_or(i64::MAX));
        let missed = |time: &Timestamp| now.duration_since(self.fires_at(*time)) > window;
        if missed(&next) {
            let (count, _, next) = run(times, next, missed);
            return Step::Miss { count, next };
        }
        let due = || run(times, next, |time| self.fires_at(*time) <= now);
        match (self.definition.overlap, busy) {
            (Overlap::AllowAll, _) | (Overlap::Skip | Overlap::BufferOne, false) => Step::Start(next),
            (Overlap::BufferOne, true) if self.buffered.is_none() => {
                Step::Buffer { time: next, skipped: 0, cancel: false, next: times.after(next) }
            }
            (Overlap::Skip | Overlap::BufferOne, true) => {
                let (count, _, next) = due();
                Step::Skip { count, next }
            }
            (Overlap::CancelOther, false) => match due() {
                (1, ..) => Step::Start(next),
                (count, newest, _) => Step::Skip { count: count - 1, next: Some(newest) },
            },
            (Overlap::CancelOther, true) => {
                let (count, newest, next) = due();
                let skipped = count - 1 + u64::from(self.buffered.is_some());
                Step::Buffer { time: newest, skipped, cancel: true, next }
            }
        }
    }

    /// After an execution was started for a time. Idempotent: `None` if that is recorded.
    #[must_use]
    pub fn started(&self, times: &Times, time: Timestamp, now: Timestamp) -> Option<Self> {
        let id = self.execution_id(time);
        if self.last.as_ref().is_some_and(|last| last.execution_id == id) {
            return None;
        }
        let mut next = self.decided(times, time);
        next.counts.fired += 1;
        next.last = Some(Last { execution_id: id, time: Some(time), started_at: now });
        next.failing = None;
        Some(next)
    }

    /// After a caller has triggered it, and this execution was started. `None` if another one was started since, or that is recorded.
    #[must_use]
    pub fn triggered(&self, id: &ExecutionId, at: Timestamp) -> Option<Self> {
        if self.last.as_ref().is_some_and(|last| last.started_at >= at) {
            return None;
        }
        let last = Last { execution_id: id.clone(), time: None, started_at: at };
        Some(Self { last: Some(last), version: self.version + 1, ..self.clone() })
    }

    /// After its request could not be started for a time, and never will be.
    #[must_use]
    pub fn failed(&self, times: &Times, time: Timestamp, why: &str) -> Self {
        let mut next = self.decided(times, time);
        next.counts.failed += 1;
        let count = self.failing.as_ref().map_or(0, |failing| failing.count) + 1;
        next.failing = Some(Failing { count, last_error: why.to_owned(), time });
        next
    }

    /// After a step that starts nothing; `None` if the step changes nothing.
    #[must_use]
    pub fn without_start(&self, step: &Step) -> Option<Self> {
        let mut after = Self { version: self.version + 1, ..self.clone() };
        let Counts { skipped, missed, .. } = &mut after.counts;
        match step {
            Step::Wait | Step::Start(_) => return None,
            Step::Buffer { time, skipped: dropped, next, cancel: _ } => {
                *skipped += dropped;
                (after.buffered, after.next) = (Some(*time), *next);
            }
            Step::Skip { count, next } => {
                *skipped += count;
                after.next = *next;
            }
            Step::Miss { count, next } => {
                *missed += count;
                after.next = *next;
            }
        }
        Some(after)
    }

    /// Its definition may have been replaced in the meantime. Then its next time is another, and stays.
    fn decided(&self, times: &Times, time: Timestamp) -> Self {
        let mut next = Self { version: self.version + 1, ..self.clone() };
        if self.buffered == Some(time) {
            next.buffered = None;
        } else if self.next == Some(time) {
            next.next = times.after(time);
        }
        next
    }
}

/// The times from `first` on that pass a test, at most [`AT_ONCE`]: how many, the last of them, and the one after it.
fn run(times: &Times, first: Timestamp, test: impl Fn(&Timestamp) -> bool) -> (u64, Timestamp, Option<Timestamp>) {
    let (mut count, mut last) = (1, first);
    loop {
        match times.after(last) {
            Some(time) if test(&time) && count < AT_ONCE => (count, last) = (count + 1, time),
            next => return (count as u64, last, next),
        }
    }
}
