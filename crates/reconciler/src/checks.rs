//! A rate limit for a sweep's `GetDurableExecution` calls. Lambda answers 30 of them a second for a whole account
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), and a sweep may have far more to make.
//!
//! A sweep visits every execution that is due, and queues its calls here. They are made one after the other at a fixed rate while
//! the sweep continues. Executions without a running task come first, since nothing else shows that their workflow is over. The
//! others come in an order that changes with each sweep, so that none is always the last. A call that is not made in time is
//! dropped: the execution's next visit queues it again. Once Lambda throttles, no more calls are made in this sweep.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{Execution, ExecutionId};
use lambda_runtime::Error;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// Calls per second. A sweep has 40 s of each minute, so this is 10 a second on average, a third of what Lambda answers.
const CALLS_PER_SECOND: u32 = 15;

/// Maximum number of queued calls: as many as a sweep can make. Beyond that, the call that would come last is dropped.
const MAX_WAITING: usize = 600;

/// A call to be made: whether a durable execution is still running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkflowCheck {
    /// ARN of the durable execution.
    pub(crate) arn: String,
    /// Whether the ARN comes from a repeated start, which may have found a durable execution that is over.
    pub(crate) restarted: bool,
    /// Whether only this call can show that the durable execution is over, because its execution has no running task.
    pub(crate) urgent: bool,
}

/// The checks of one sweep.
#[derive(Debug)]
pub(crate) struct WorkflowChecks {
    queue: Mutex<CheckQueue>,
    until: Instant,
    changed: Notify,
}

/// How many of a sweep's checks were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CheckCounts {
    pub(crate) made: usize,
    /// Left to later visits.
    pub(crate) dropped: usize,
}

impl WorkflowChecks {
    /// No check is made from `until` on. The seed determines the order.
    pub(crate) fn new(seed: i64, until: Instant) -> Self {
        Self { queue: Mutex::new(CheckQueue::new(seed, until)), until, changed: Notify::new() }
    }

    /// Queues a check of an execution as it was read.
    pub(crate) fn add(&self, execution: Execution, check: WorkflowCheck) {
        self.queue().add(execution.id.clone(), check.urgent, (execution, check));
        self.changed.notify_one();
    }

    /// Marks that no more checks will be added.
    pub(crate) fn complete(&self) {
        self.queue().complete = true;
        self.changed.notify_one();
    }

    /// Makes the checks until no more will be added, or until the time limit. A check that fails affects only its own execution,
    /// unless it was throttled.
    pub(crate) async fn run<F>(&self, check_workflow: impl Fn(Execution, WorkflowCheck) -> F) -> CheckCounts
    where
        F: Future<Output = Result<(), Error>>,
    {
        loop {
            let next = self.queue().next(Instant::now());
            match next {
                Next::Check((execution, check)) => {
                    let id = execution.id.clone();
                    if let Err(why) = check_workflow(execution, check).await {
                        tracing::warn!(executionId = %id, error = %why, "cannot check the execution's workflow");
                        self.queue().closed |= is_throttled(&why);
                    }
                }
                Next::At(time) => sleep_until(time).await,
                // Either a check was added or the time is up: the next iteration decides.
                Next::WhenAdded => drop(timeout_at(self.until, self.changed.notified()).await),
                Next::Over(made) => return made,
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, CheckQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_throttled(why: &Error) -> bool {
    let failed = why.downcast_ref::<aws::CallFailed>();
    failed.is_some_and(|failed| failed.cause == aws::Cause::Throttled)
}

/// Decides which check is made when. Pure: the time is a parameter.
#[derive(Debug)]
struct CheckQueue<Q = (Execution, WorkflowCheck)> {
    seed: i64,
    until: Instant,
    /// When the next one may be made.
    next: Option<Instant>,
    /// By rank: the lowest comes first.
    waiting: BTreeMap<Rank, Q>,
    made: usize,
    dropped: usize,
    /// No more checks will be added.
    complete: bool,
    /// Lambda has throttled.
    closed: bool,
}

/// Urgent ones first, then in the order of this sweep.
type Rank = (bool, u64, ExecutionId);

#[derive(Debug, PartialEq)]
enum Next<Q> {
    Check(Q),
    At(Instant),
    WhenAdded,
    Over(CheckCounts),
}

impl<Q> CheckQueue<Q> {
    fn new(seed: i64, until: Instant) -> Self {
        let waiting = BTreeMap::new();
        Self { seed, until, next: None, waiting, made: 0, dropped: 0, complete: false, closed: false }
    }

    fn add(&mut self, id: ExecutionId, urgent: bool, check: Q) {
        let mut hasher = DefaultHasher::new();
        (self.seed, id.as_str()).hash(&mut hasher);
        self.waiting.insert((!urgent, hasher.finish(), id), check);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_last();
            self.dropped += 1;
        }
    }

    fn next(&mut self, now: Instant) -> Next<Q> {
        if self.closed || now >= self.until {
            self.dropped += std::mem::take(&mut self.waiting).len();
        }
        if now >= self.until || (self.complete && self.waiting.is_empty()) {
            return Next::Over(CheckCounts { made: self.made, dropped: self.dropped });
        }
        if let Some(next) = self.next.filter(|next| *next > now) {
            return Next::At(next.min(self.until));
        }
        match self.waiting.pop_first() {
            Some((_, check)) => {
                self.made += 1;
                self.next = Some(now + Duration::from_secs(1) / CALLS_PER_SECOND);
                Next::Check(check)
            }
            None => Next::WhenAdded,
        }
    }
}

#[cfg(test)]
mod tests;
