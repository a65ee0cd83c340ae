//! A rate limit for a sweep's `GetDurableExecution` calls. Lambda answers 30 of them a second for a whole account
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), and a sweep may have far more to make.
//!
//! A sweep visits every execution that is due, and queues its calls here. They are made one after the other at a fixed rate while
//! the sweep continues. Executions without a running task come first, since nothing else tells that their workflow is over. The
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
const A_SECOND: u32 = 15;

/// How many calls are queued, by rank: as many as a sweep can make.
const KEPT: usize = 600;

/// A call to be made: whether a durable execution is still running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// ARN of the durable execution.
    pub(crate) arn: String,
    /// Whether the ARN comes from a repeated start, which may have found a durable execution that is over.
    pub(crate) restarted: bool,
    /// Whether only this call can show that it is over, because it has no running task.
    pub(crate) urgent: bool,
}

/// The questions of one sweep.
#[derive(Debug)]
pub(crate) struct Lane {
    questions: Mutex<Questions>,
    until: Instant,
    changed: Notify,
}

/// How many of a sweep's questions were asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) asked: usize,
    /// Left to later visits.
    pub(crate) dropped: usize,
}

impl Lane {
    /// A lane in which nothing is asked from `until` on. The seed determines the order.
    pub(crate) fn new(seed: i64, until: Instant) -> Self {
        Self { questions: Mutex::new(Questions::new(seed, until)), until, changed: Notify::new() }
    }

    /// Queues a question about an execution as it was read.
    pub(crate) fn add(&self, execution: Execution, question: Question) {
        self.questions().add(execution.id.clone(), question.urgent, (execution, question));
        self.changed.notify_one();
    }

    /// Marks that no more questions will be added.
    pub(crate) fn complete(&self) {
        self.questions().complete = true;
        self.changed.notify_one();
    }

    /// Asks until no more questions will be added, or it is `until`. A question that fails affects only its own execution, unless it
    /// was throttled.
    pub(crate) async fn ask<F>(&self, ask: impl Fn(Execution, Question) -> F) -> Asked
    where
        F: Future<Output = Result<(), Error>>,
    {
        loop {
            let turn = self.questions().turn(Instant::now());
            match turn {
                Turn::Ask((execution, question)) => {
                    let id = execution.id.clone();
                    if let Err(why) = ask(execution, question).await {
                        tracing::warn!(executionId = %id, error = %why, "cannot check the execution's workflow");
                        self.questions().closed |= is_throttled(&why);
                    }
                }
                Turn::At(time) => sleep_until(time).await,
                // A new question or the time limit: the next turn decides.
                Turn::WhenAdded => drop(timeout_at(self.until, self.changed.notified()).await),
                Turn::Over(asked) => return asked,
            }
        }
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_throttled(why: &Error) -> bool {
    let failed = why.downcast_ref::<aws::CallFailed>();
    failed.is_some_and(|failed| failed.cause == aws::Cause::Throttled)
}

/// Decides which question is asked when. Pure: the time is a parameter.
#[derive(Debug)]
struct Questions<Q = (Execution, Question)> {
    seed: i64,
    until: Instant,
    /// When the next one may be asked.
    next: Option<Instant>,
    /// By rank: the lowest is asked first.
    waiting: BTreeMap<Rank, Q>,
    asked: usize,
    dropped: usize,
    /// No more questions will be added.
    complete: bool,
    /// Lambda has throttled.
    closed: bool,
}

/// Urgent ones first, then in the order of this sweep.
type Rank = (bool, u64, ExecutionId);

#[derive(Debug, PartialEq)]
enum Turn<Q> {
    Ask(Q),
    At(Instant),
    WhenAdded,
    Over(Asked),
}

impl<Q> Questions<Q> {
    fn new(seed: i64, until: Instant) -> Self {
        let waiting = BTreeMap::new();
        Self { seed, until, next: None, waiting, asked: 0, dropped: 0, complete: false, closed: false }
    }

    fn add(&mut self, id: ExecutionId, urgent: bool, question: Q) {
        let mut hasher = DefaultHasher::new();
        (self.seed, id.as_str()).hash(&mut hasher);
        self.waiting.insert((!urgent, hasher.finish(), id), question);
        if self.waiting.len() > KEPT {
            self.waiting.pop_last();
            self.dropped += 1;
        }
    }

    fn turn(&mut self, now: Instant) -> Turn<Q> {
        if self.closed || now >= self.until {
            self.dropped += std::mem::take(&mut self.waiting).len();
        }
        if now >= self.until || (self.complete && self.waiting.is_empty()) {
            return Turn::Over(Asked { asked: self.asked, dropped: self.dropped });
        }
        if let Some(next) = self.next.filter(|next| *next > now) {
            return Turn::At(next.min(self.until));
        }
        match self.waiting.pop_first() {
            Some((_, question)) => {
                self.asked += 1;
                self.next = Some(now + Duration::from_secs(1) / A_SECOND);
                Turn::Ask(question)
            }
            None => Turn::WhenAdded,
        }
    }
}

#[cfg(test)]
mod tests;
