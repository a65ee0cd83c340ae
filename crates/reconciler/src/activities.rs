//! Decides what to do for an execution, from its state and the state of its task.
//!
//! **Invariant**: pure. Every combination of an execution's state and its task's state is written out.

use domain::{Execution, Pattern, StartedTask, State, judge, task::Task};
use jiff::{SignedDuration, Timestamp};

/// Something to do for an execution. Each is idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Start its workflow, which is not known to have begun.
    StartWorkflow,
    /// Check whether its workflow is running, and record an outcome if it is not.
    CheckWorkflow,
    /// End the wait of its workflow, because something has happened. If it is not waiting, check whether it is running.
    Wake(String),
    /// Stop its task.
    StopTask {
        /// ARN of the task.
        arn: String,
        /// The reason that ECS keeps.
        reason: &'static str,
    },
    /// Stop all of its tasks that are still running: it is over, but may have left something running.
    StopLeftovers,
    /// Determine its task's outcome, and record it.
    Collect {
        /// ARN of the task.
        arn: String,
    },
}

/// Why the reconciler visits an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// An event about its task or its workflow, or a request by a caller.
    Event,
    /// It was due in a sweep.
    Sweep,
}

/// From this age of an execution on, a sweep checks the workflow of a running task. Lambda sends an event when a workflow ends, and if that
/// is lost, the end of the workflow is found when its task ends. Such a check is a call of `GetDurableExecution`, of which Lambda answers
/// 30 a second for a whole account (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>). Ten thousand young
/// executions would use up this quota if a sweep checked each of them every few minutes.
const CHECKED_FROM_AGE: SignedDuration = SignedDuration::from_hours(1);

/// The state of an execution's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    Working,
    Over,
}

/// What to do for an execution now. `task` is its newest task as ECS describes it, if ECS knows it.
pub(crate) fn activities(
    execution: &Execution,
    task: Option<&Task>,
    now: Timestamp,
    trigger: Trigger,
) -> Vec<Activity> {
    let stop = |started: &StartedTask, reason| Activity::StopTask { arn: started.task_arn.clone(), reason };
    match (&execution.state, execution.pattern) {
        (State::Scheduled { wake }, Pattern::Sync | Pattern::Callback) => match &execution.durable_execution_arn {
            // The sweep comes back in time.
            None if execution.is_dormant(now) => Vec::new(),
            None => vec![Activity::StartWorkflow],
            // It was moved or cancelled, or its workflow missed its start time.
            Some(_) if trigger == Trigger::Event || execution.until_start(now).is_none() => {
                vec![wake.clone().map_or(Activity::CheckWorkflow, Activity::Wake)]
            }
            Some(_) => vec![Activity::CheckWorkflow],
        },
        (State::Pending | State::Cancelling { started: None, .. }, Pattern::Sync | Pattern::Callback) => {
            match execution.durable_execution_arn {
                None => vec![Activity::StartWorkflow],
                Some(_) => vec![Activity::CheckWorkflow],
            }
        }
        (State::Running { started, wake } | State::Cancelling { started: Some(started), wake }, Pattern::Sync) => {
            let wake = wake.clone().map(Activity::Wake);
            match (task_state(started, task, now), judge::reason_to_stop(execution, now)) {
                (TaskState::Working, None) => {
                    let young = now.duration_since(execution.started_from()) < CHECKED_FROM_AGE;
                    if trigger == Trigger::Sweep && young { Vec::new() } else { vec![Activity::CheckWorkflow] }
                }
                (TaskState::Working, Some(reason)) => std::iter::once(stop(started, reason)).chain(wake).collect(),
                (TaskState::Over, _) => vec![wake.unwrap_or(Activity::CheckWorkflow)],
            }
        }
        (State::Running { started, .. } | State::Cancelling { started: Some(started), .. }, Pattern::Callback) => {
            match (task_state(started, task, now), judge::reason_to_stop(execution, now)) {
                (TaskState::Working, None) => Vec::new(),
                (TaskState::Working, Some(reason)) => vec![stop(started, reason)],
                (TaskState::Over, _) => vec![Activity::Collect { arn: started.task_arn.clone() }],
            }
        }
        (State::Final { .. }, Pattern::Sync | Pattern::Callback) if execution.due.is_some() => {
            vec![Activity::StopLeftovers]
        }
        (State::Final { started: Some(started), .. }, Pattern::Sync | Pattern::Callback) => match task {
            Some(task) if !task.stopped && task.arn == started.task_arn => vec![stop(started, judge::OVER)],
            Some(_) | None => Vec::new(),
        },
        (State::Final { started: None, .. }, Pattern::Sync | Pattern::Callback) => Vec::new(),
    }
}

fn task_state(started: &StartedTask, task: Option<&Task>, now: Timestamp) -> TaskState {
    match task.filter(|task| task.arn == started.task_arn) {
        None if judge::is_forgotten(started, now) => TaskState::Over,
        None => TaskState::Working,
        Some(task) if !task.stopped => TaskState::Working,
        Some(_) => TaskState::Over,
    }
}

#[cfg(test)]
mod tests;
