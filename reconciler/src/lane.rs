//! The lane of a sweep's questions for workflows. Lambda answers 30 `GetDurableExecution` a second for a whole account
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), and there may be far more executions to ask for.
//!
//! A sweep looks after every execution that is due, and leaves here what it would ask Lambda. Questions are asked one after the
//! other at a fixed pace while the sweep goes on. First come executions of which no working task can tell, then the others in
//! an order that is another one in each sweep, so that none is always the last. What is not asked in time is dropped: the
//! execution's next visit asks again. Once Lambda throttles, nothing more is asked in this sweep.

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

/// Questions in a second. A sweep has 40 s of each minute to ask in, so that is 10 a second in the mean, a third of what Lambda
/// answers.
const A_SECOND: u32 = 15;

/// Questions that are kept, the best ones: what can be asked in a sweep.
const KEPT: usize = 600;

/// What a durable execution is to be asked: whether it still lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// ARN of the durable execution.
    pub(crate) arn: String,
    /// Whether a start of it was answered with it, and may have found it there.
    pub(crate) restarted: bool,
    /// Whether nothing but the answer tells of its end: it has no task that works.
    pub(crate) urgent: bool,
}

/// The questions of one sweep.
#[derive(Debug)]
pub(crate) struct Lane {
    questions: Mutex<Questions>,
    until: Instant,
    changed: Notify,
}

/// What became of a sweep's questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) asked: usize,
    /// Left to later visits.
    pub(crate) dropped: usize,
}

impl Lane {
    /// A lane in which nothing is asked from `until` on. The seed makes the order.
    pub(crate) fn new(seed: i64, until: Instant) -> Self {
        Self { questions: Mutex::new(Questions::new(seed, until)), until, changed: Notify::new() }
    }

    /// Leaves a question about an execution as it was seen.
    pub(crate) fn add(&self, execution: Execution, question: Question) {
        self.questions().add(execution.id.clone(), question.urgent, (execution, question));
        self.changed.notify_one();
    }

    /// Says that there are no more questions to come.
    pub(crate) fn complete(&self) {
        self.questions().complete = true;
        self.changed.notify_one();
    }

    /// Asks until there are no more questions to come, or it is time. A question that fails is its execution's alone, unless it
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
                        tracing::warn!(executionId = %id, error = %why, "its workflow was not asked for");
                        self.questions().closed |= is_throttled(&why);
                    }
                }
                Turn::At(time) => sleep_until(time).await,
                // Woken or late: the next turn tells.
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

/// Which question comes when: pure, the time is given.
#[derive(Debug)]
struct Questions<Q = (Execution, Question)> {
    seed: i64,
    until: Instant,
    /// When the next one may be asked.
    next: Option<Instant>,
    /// By rank: the first is asked first.
    waiting: BTreeMap<Rank, Q>,
    asked: usize,
    dropped: usize,
    /// Nobody adds any more.
    complete: bool,
    /// Lambda throttles.
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
