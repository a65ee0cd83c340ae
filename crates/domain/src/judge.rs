//! Classifies how a task ended, from what ECS says, its worker's report and its log, and decides when a task is to be stopped.

use jiff::{SignedDuration, Timestamp};

use crate::{
    ErrorKind, Execution, JobError, Outcome, OutcomeKind, Pattern, Report, StartedTask, State, Told,
    output::{Exit, Output, ResultSource, Scanner, StoppedBy, cut_short, judge},
    task::{Container, Line, MAX_EVENT_BYTES, Task},
};

/// The reason given to ECS for stopping a task that was cancelled.
pub const CANCELLED: &str = "the execution was cancelled";

/// The reason given to ECS for stopping a task whose deadline has passed.
pub const TIMED_OUT: &str = "the execution's deadline has passed";

/// The reason given to ECS for stopping a task of an execution that is over.
pub const OVER: &str = "the execution is over";

/// How many lines at the end of a log are read to find a result and the output for an error: as many as one `GetLogEvents` returns
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
pub const LINES: usize = 10_000;

/// How long ECS may fail to find a task that it has just started: it is eventually consistent
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>).
const NOT_FOUND_GRACE: SignedDuration = SignedDuration::from_mins(10);

/// How long lines may still arrive after an execution's end, if the end was recorded before its task stopped. The worker of a callback
/// execution records the end before it exits, and the log driver sends output every 5 s (`defaultForceFlushInterval` in
/// <https://github.com/moby/moby/blob/master/daemon/logger/awslogs/cloudwatchlogs.go>).
const LAST_LINES: SignedDuration = SignedDuration::from_secs(10);

/// ECS's stop codes for a task that was stopped before its container ended by itself: by `StopTask`, or by the platform
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>).
const STOPPED: [&str; 5] =
    ["UserInitiated", "SpotInterruption", "InfrastructureHealth", "TerminationNotice", "ServiceSchedulerInitiated"];

/// The codes with which ECS stops a task to retire its platform. AWS documents the first as the code of a service's scheduler, which stops
/// tasks for several reasons. Longhaul's tasks do not belong to a service, so for them it means a retirement.
const RETIRED: [&str; 2] = ["ServiceSchedulerInitiated", "TerminationNotice"];

/// The reason that ECS gives for a task that it stops to retire its Fargate platform revision or its host, whatever the stop code
/// (<https://repost.aws/knowledge-center/ecs-task-stopped>,
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html>).
const MAINTENANCE: &str = "ECS is performing maintenance on the underlying infrastructure hosting the task";

/// ECS's stop code for a task that could not be started.
const FAILED_TO_START: &str = "TaskFailedToStart";

/// Why a task of this execution has to be stopped now, if it has to.
#[must_use]
pub fn reason_to_stop(execution: &Execution, now: Timestamp) -> Option<&'static str> {
    match execution.state {
        State::Cancelling { .. } => Some(CANCELLED),
        State::Final { .. } => Some(OVER),
        State::Scheduled { .. } | State::Pending | State::Running { .. } => {
            (now >= execution.deadline).then_some(TIMED_OUT)
        }
    }
}

/// Whether a task that ECS does not know is over and forgotten, rather than too new for ECS to know.
#[must_use]
pub fn is_forgotten(started: &StartedTask, now: Timestamp) -> bool {
    now.duration_since(started.started_at) > NOT_FOUND_GRACE
}

/// Whether no more lines can come from an execution's newest task.
#[must_use]
pub fn has_printed_all(execution: &Execution, now: Timestamp) -> bool {
    let State::Final { outcome, .. } = &execution.state else { return false };
    let task_had_stopped = match execution.pattern {
        // Without an exit code, the workflow gave up, and the task may still be printing.
        Pattern::Sync => outcome.exit_code.is_some(),
        Pattern::Callback => false,
    };
    task_had_stopped || now.duration_since(outcome.finished_at) > LAST_LINES
}

/// The outcome of an execution's task. If `task` is absent, ECS has forgotten it.
#[must_use]
pub fn outcome(execution: &Execution, task: Option<&Task>, lines: &[Line], now: Timestamp) -> Outcome {
    let finished_at = task.and_then(|task| task.stopped_at).unwrap_or(now);
    let outcome = judge(exit(execution, task), output(lines), ResultSource::Log, &tail(lines), finished_at);
    // If ECS has forgotten the task, its end time is unknown.
    let by = task.and_then(|task| stopped_by(execution, was_stopped(task), &outcome));
    judged(execution, task, by, outcome)
}

/// The outcome of an execution's task, from its worker's report. `task` says why ECS stopped the task; it is absent if ECS has forgotten
/// it. The time of the end is limited to the execution's lifetime, whatever the worker's clock says.
#[must_use]
pub fn reported(execution: &Execution, task: Option<&Task>, report: &Report, now: Timestamp) -> Outcome {
    let finished_at = report.outcome.finished_at.min(now).max(execution.created_at);
    let outcome = Outcome { finished_at, ..report.outcome.clone() };
    let cancelling = matches!(execution.state, State::Cancelling { .. });
    let by = match report.told {
        Some(Told::ByDeadline) if !cancelling => Some(StoppedBy::Deadline),
        Some(Told::ByDeadline | Told::BySignal) => stopped_by(execution, true, &outcome),
        None => stopped_by(execution, false, &outcome),
    };
    judged(execution, task, by, outcome)
}

fn judged(execution: &Execution, task: Option<&Task>, by: Option<StoppedBy>, outcome: Outcome) -> Outcome {
    let mut outcome = match by {
        Some(by) => cut_short(by, execution.request.timeout, outcome),
        None => outcome,
    };
    match &mut outcome.kind {
        OutcomeKind::Completed => {}
        OutcomeKind::Failed(error)
        | OutcomeKind::TimedOut(error)
        | OutcomeKind::Cancelled(error)
        | OutcomeKind::Expired(error) => {
            explain(error, execution, task);
        }
    }
    outcome
}

/// The outcome of an execution's task if its log could not be read: the exit code decides, but there is no result. `why` is the error; if
/// access was denied, it names the permission.
#[must_use]
pub fn outcome_without_log(execution: &Execution, task: Option<&Task>, why: &str, now: Timestamp) -> Outcome {
    let mut outcome = outcome(execution, task, &[], now);
    match &mut outcome.kind {
        kind @ OutcomeKind::Completed => {
            let what = format!("exited with code 0, but its result could not be read: {why}");
            *kind = OutcomeKind::Failed(JobError::new(ErrorKind::ResultUnreadable, what));
        }
        OutcomeKind::Failed(error)
        | OutcomeKind::TimedOut(error)
        | OutcomeKind::Cancelled(error)
        | OutcomeKind::Expired(error) => {
            *error = error.with_message(format!("{}; its log could not be read: {why}", error.message));
        }
    }
    outcome
}

/// The exit code of a task's job, if ECS reports one.
#[must_use]
pub fn exit_code(execution: &Execution, task: &Task) -> Option<i32> {
    exit(execution, Some(task)).code()
}

/// Whether another attempt may succeed. If a job exited with 0 and only its result could not be read, it is not run again. A refused start
/// is not repeated: see [`ErrorKind::is_refused_start`].
#[must_use]
pub fn may_be_retried(outcome: &Outcome) -> bool {
    match &outcome.kind {
        OutcomeKind::Failed(error) => match error.kind {
            ErrorKind::ResultUnreadable
            | ErrorKind::ArtifactsNotKept
            | ErrorKind::WorkflowFailed
            | ErrorKind::UnknownJob
            | ErrorKind::TaskRefused => false,
            ErrorKind::ExitCode
            | ErrorKind::Signal
            | ErrorKind::CommandNotFound
            | ErrorKind::ResultTooLarge
            | ErrorKind::ResultTooDeep
            | ErrorKind::ResultNotJson
            | ErrorKind::TaskRetired
            | ErrorKind::TaskLost
            | ErrorKind::Stopped
            | ErrorKind::Cancelled
            | ErrorKind::TimedOut
            | ErrorKind::NotStartedInTime
            | ErrorKind::NoCapacity
            | ErrorKind::TaskFailedToStart
            | ErrorKind::Other(_) => true,
        },
        OutcomeKind::Completed | OutcomeKind::TimedOut(_) | OutcomeKind::Cancelled(_) | OutcomeKind::Expired(_) => {
            false
        }
    }
}

/// Whether the end of a log contains the job's result, so that earlier lines do not matter.
#[must_use]
pub fn holds_result(lines: &[Line]) -> bool {
    matches!(scan(lines, true), Output::Json(_) | Output::TooLarge(_) | Output::TooDeep(_))
}

/// Whether the platform failed, not the job, so that another attempt is likely to succeed.
#[must_use]
pub fn excused(outcome: &Outcome) -> bool {
    const PLATFORM: [&str; 3] = [FAILED_TO_START, "SpotInterruption", "InfrastructureHealth"];
    match &outcome.kind {
        OutcomeKind::Failed(error) => {
            error.kind == ErrorKind::TaskRetired
                || error.stop_code.as_deref().is_some_and(|code| PLATFORM.contains(&code))
        }
        OutcomeKind::Completed | OutcomeKind::TimedOut(_) | OutcomeKind::Cancelled(_) | OutcomeKind::Expired(_) => {
            false
        }
    }
}

fn exit(execution: &Execution, task: Option<&Task>) -> Exit {
    let Some(task) = task else {
        return Exit::Lost("ECS no longer knows the task: it forgets a task an hour after its end".into());
    };
    match working(execution, task).and_then(|seen| seen.exit_code) {
        Some(code) => Exit::Code(code),
        None => Exit::Lost(task.stopped_reason.clone().unwrap_or_else(|| "it is not known how the task ended".into())),
    }
}

/// The container of a task that runs the job.
fn working<'a>(execution: &Execution, task: &'a Task) -> Option<&'a Container> {
    let name = execution.container_of(&task.arn);
    task.containers.iter().find(|seen| seen.name == name)
}

/// The result at the end of a log. If there are fewer `lines` than [`LINES`], they are the whole log, unless reading stopped early at a
/// result.
fn output(lines: &[Line]) -> Output {
    match scan(lines, true) {
        found @ (Output::Json(_) | Output::TooLarge(_) | Output::TooDeep(_)) => found,
        Output::None | Output::Text | Output::Broken | Output::OutOfReach | Output::BadFile(_) | Output::Artifact => {
            scan(lines, lines.len() >= LINES)
        }
    }
}

fn scan(lines: &[Line], cut: bool) -> Output {
    let mut scanner = Scanner::for_log(cut);
    for line in lines {
        scanner.see(line.text.as_bytes());
        // If the log driver had to cut a line, it continues in the next event. It cuts between characters, of up to 4 bytes.
        if line.text.len() + 3 < MAX_EVENT_BYTES {
            scanner.see(b"\n");
        }
    }
    scanner.finish()
}

/// The last lines that the task printed, for an error. stdout and stderr are one stream in the log.
fn tail(lines: &[Line]) -> String {
    let last = lines.len().saturating_sub(20);
    lines.iter().skip(last).map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// Whether ECS stopped the task, for any reason, so that it did not end by itself.
fn was_stopped(task: &Task) -> bool {
    is_retired(task) || task.stop_code.as_deref().is_some_and(|code| STOPPED.contains(&code))
}

/// Who ended a job, if it did not end by itself. A job that had finished before it was stopped has completed.
fn stopped_by(execution: &Execution, stopped: bool, outcome: &Outcome) -> Option<StoppedBy> {
    let incomplete = outcome.kind != OutcomeKind::Completed;
    let late = outcome.finished_at >= execution.deadline;
    match execution.state {
        // The task was stopped, or its worker noticed the cancel by itself.
        State::Cancelling { .. } => (stopped || incomplete).then_some(StoppedBy::Cancel),
        // The worker in the task enforces the deadline too.
        State::Scheduled { .. } | State::Pending | State::Running { .. } | State::Final { .. } if late => {
            (stopped || incomplete).then_some(StoppedBy::Deadline)
        }
        State::Scheduled { .. } | State::Pending | State::Running { .. } | State::Final { .. } => {
            stopped.then_some(StoppedBy::Other)
        }
    }
}

/// Whether AWS stopped the task to retire its platform.
fn is_retired(task: &Task) -> bool {
    task.stop_code.as_deref().is_some_and(|code| RETIRED.contains(&code))
        || task.stopped_reason.as_deref().is_some_and(|reason| reason.contains(MAINTENANCE))
}

fn explain(error: &mut JobError, execution: &Execution, task: Option<&Task>) {
    let Some(task) = task else { return };
    error.stop_code.clone_from(&task.stop_code);
    let reason = working(execution, task).and_then(|seen| seen.reason.clone());
    if task.stop_code.as_deref() == Some(FAILED_TO_START) {
        let why = reason.or_else(|| task.stopped_reason.clone()).unwrap_or_else(|| error.message.clone());
        *error = JobError { kind: ErrorKind::TaskFailedToStart, ..error.with_message(why) };
    } else if error.kind == ErrorKind::Stopped && is_retired(task) {
        let why = task.stopped_reason.as_deref().unwrap_or(MAINTENANCE);
        let why = format!("AWS retired the platform of the task: {why}");
        *error = JobError { kind: ErrorKind::TaskRetired, ..error.with_message(why) };
    } else if let Some(reason) = reason {
        // Such as OutOfMemoryError, which the exit code does not show.
        *error = error.with_message(format!("{reason}: {}", error.message));
    } else if error.kind == ErrorKind::Stopped
        && let Some(why) = &task.stopped_reason
    {
        *error = error.with_message(format!("{}: {why}", error.message));
    }
}

#[cfg(test)]
mod tests;
