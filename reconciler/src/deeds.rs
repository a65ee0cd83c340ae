//! What there is to do for an execution, given how it is and what its task does.
//!
//! **Invariant**: pure, and every state against everything a task can do is written out.

use domain::{Execution, Pattern, Run, State, judge, task::Task};
use jiff::{SignedDuration, Timestamp};

/// Something to be done. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Start its workflow, which nobody is known to have begun.
    StartWorkflow,
    /// See whether its workflow still lives, and record its end if it does not.
    CheckWorkflow,
    /// End the wait of its workflow: there is something to see. If nobody waits, see whether the workflow still lives.
    Wake(String),
    /// Stop its task.
    StopTask {
        /// ARN of the task.
        arn: String,
        /// The reason that ECS keeps.
        reason: &'static str,
    },
    /// Stop whatever of it still runs: it is over, and may have left something running.
    StopLeftovers,
    /// Find out what its task came to, and record that.
    Collect,
}

/// Why somebody looks after an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Something was told of it: of its task or its workflow, or by a caller.
    Told,
    /// It was time to.
    Sweep,
}

/// How old an execution is before a sweep asks for the workflow of a task that works. Lambda tells of a workflow that ends,
/// and one that ended without a word is found when its task ends. It answers 30 such questions a second for a whole account
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>): ten thousand young executions, of each of
/// which a sweep asks every few minutes, would use them up.
const ASKED_FROM: SignedDuration = SignedDuration::from_hours(1);

/// What an execution's task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Working,
    Over,
}

/// What there is to do for an execution now. `task` is what ECS says of its newest task, if it knows it.
pub(crate) fn deeds(execution: &Execution, task: Option<&Task>, now: Timestamp, occasion: Occasion) -> Vec<Deed> {
    let stop = |run: &Run, reason| Deed::StopTask { arn: run.task_arn.clone(), reason };
    match (&execution.state, execution.pattern) {
        (State::Pending | State::Cancelling { run: None, .. }, Pattern::Sync | Pattern::Callback) => {
            match execution.durable_execution_arn {
                None => vec![Deed::StartWorkflow],
                Some(_) => vec![Deed::CheckWorkflow],
            }
        }
        (State::Running { run, wake } | State::Cancelling { run: Some(run), wake }, Pattern::Sync) => {
            let wake = wake.clone().map(Deed::Wake);
            match (doing(run, task, now), judge::reason_to_stop(execution, now)) {
                (Doing::Working, None) => {
                    let young = now.duration_since(execution.created_at) < ASKED_FROM;
                    if occasion == Occasion::Sweep && young { Vec::new() } else { vec![Deed::CheckWorkflow] }
                }
                (Doing::Working, Some(reason)) => std::iter::once(stop(run, reason)).chain(wake).collect(),
                (Doing::Over, _) => vec![wake.unwrap_or(Deed::CheckWorkflow)],
            }
        }
        (State::Running { run, .. } | State::Cancelling { run: Some(run), .. }, Pattern::Callback) => {
            match (doing(run, task, now), judge::reason_to_stop(execution, now)) {
                (Doing::Working, None) => Vec::new(),
                (Doing::Working, Some(reason)) => vec![stop(run, reason)],
                (Doing::Over, _) => vec![Deed::Collect],
            }
        }
        (State::Final { .. }, Pattern::Sync | Pattern::Callback) if execution.due.is_some() => {
            vec![Deed::StopLeftovers]
        }
        (State::Final { run: Some(run), .. }, Pattern::Sync | Pattern::Callback) => match task {
            Some(task) if !task.stopped && task.arn == run.task_arn => vec![stop(run, judge::OVER)],
            Some(_) | None => Vec::new(),
        },
        (State::Final { run: None, .. }, Pattern::Sync | Pattern::Callback) => Vec::new(),
    }
}

fn doing(run: &Run, task: Option<&Task>, now: Timestamp) -> Doing {
    match task.filter(|task| task.arn == run.task_arn) {
        None if judge::is_forgotten(run, now) => Doing::Over,
        None => Doing::Working,
        Some(task) if !task.stopped => Doing::Working,
        Some(_) => Doing::Over,
    }
}

#[cfg(test)]
mod tests;
