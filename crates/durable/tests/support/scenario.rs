//! What happens in an execution, and how it has to end.

use std::time::Duration;

use domain::{Attempt, Pattern, RetryRule, Status};

/// How each wait for a task ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wake {
    /// By its timeout, as if no event ever came.
    Timeout,
    /// By a wake-up with this result.
    Says(&'static str),
}

/// The reconciler's payload. It must never change, because workflows in flight receive it.
const STOPPED: Wake = Wake::Says(r#"{"stopped":true}"#);

/// What happens to an execution.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a test may switch on")]
pub(crate) struct Script {
    /// How many checks find a task running before it is over.
    pub(crate) checks: usize,
    /// Exit code of each attempt's task; the last one for all that follow.
    pub(crate) exits: Vec<i32>,
    /// How many starts ECS has no capacity for.
    pub(crate) no_capacity: Times,
    /// How many starts AWS denies.
    pub(crate) denied: Times,
    /// Whether ECS refuses to start a task.
    pub(crate) refused: bool,
    /// Whether the execution is cancelled while the first attempt fails.
    pub(crate) cancel_at_failure: bool,
    /// The check at which the execution is cancelled.
    pub(crate) cancel_at_check: Option<usize>,
    /// The check for which ECS shows the task as stopped, whatever the task does, because ECS is wrong for a moment.
    pub(crate) wrong_check: Option<usize>,
    /// In how many seconds the execution is to start.
    pub(crate) starts_in: Option<u64>,
    /// Within how many seconds its task must be started.
    pub(crate) latest_start_in: Option<u64>,
    /// Whether the execution is cancelled while the workflow waits for its start time.
    pub(crate) cancelled_while_scheduled: bool,
    /// Whether the execution was cancelled before the workflow began.
    pub(crate) cancelled_before: bool,
    pub(crate) max_attempts: u32,
    pub(crate) retry: RetryRule,
    /// The attempt that the workflow begins with.
    pub(crate) begin_with: Attempt,
    /// Whether the execution ends while its task is being started, for example because the reconciler ends it.
    pub(crate) ends_at_start: bool,
    pub(crate) timeout: Duration,
}

impl Script {
    /// The exit code of an attempt's task.
    pub(crate) fn exit_of(&self, attempt: Attempt) -> i32 {
        let nth = usize::try_from(attempt.get()).unwrap() - 1;
        *self.exits.get(nth).or(self.exits.last()).unwrap()
    }
}

/// How many calls something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Some(usize),
    All,
}

impl Times {
    pub(crate) const NONE: Self = Self::Some(0);
}

impl Default for Script {
    fn default() -> Self {
        Self {
            checks: 1,
            exits: vec![0],
            no_capacity: Times::NONE,
            denied: Times::NONE,
            refused: false,
            cancel_at_failure: false,
            cancel_at_check: None,
            wrong_check: None,
            starts_in: None,
            latest_start_in: None,
            cancelled_while_scheduled: false,
            cancelled_before: false,
            max_attempts: 1,
            retry: RetryRule::default(),
            begin_with: Attempt::FIRST,
            ends_at_start: false,
            timeout: Duration::from_hours(1),
        }
    }
}

/// A script and its expected outcome, which no fault changes.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) pattern: Pattern,
    pub(crate) script: Script,
    pub(crate) wake: Wake,
    pub(crate) status: Status,
    /// How many tasks are started.
    pub(crate) tasks: usize,
}

impl Scenario {
    pub(crate) fn new(name: &'static str, pattern: Pattern, script: Script, status: Status, tasks: usize) -> Self {
        Self { name, pattern, script, wake: Wake::Timeout, status, tasks }
    }
}

/// The start of the task is retried for longer than any other activity: while ECS has no capacity, until the deadline; while AWS denies it,
/// for minutes.
pub(crate) fn long_starts() -> Vec<Scenario> {
    let long = Duration::from_hours(2);
    let denied = Script { denied: Times::All, ..Script::default() };
    vec![
        no_capacity_for(Pattern::Sync, long),
        no_capacity_for(Pattern::Callback, long),
        Scenario::new("is denied its task", Pattern::Sync, denied, Status::Failed, 0),
    ]
}

/// ECS has no capacity until the deadline.
fn no_capacity_for(pattern: Pattern, timeout: Duration) -> Scenario {
    let name = if pattern == Pattern::Sync { "finds no capacity" } else { "cannot start" };
    let script = Script { no_capacity: Times::All, timeout, ..Script::default() };
    Scenario::new(name, pattern, script, Status::TimedOut, 0)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let sync = |name, script, status, tasks| Scenario::new(name, Pattern::Sync, script, status, tasks);
    let callback = |name, script, status, tasks| Scenario::new(name, Pattern::Callback, script, status, tasks);
    let told = |scenario| Scenario { wake: STOPPED, ..scenario };
    let plain = Script::default;
    let second_attempt_completes = || Script { exits: vec![3, 0], max_attempts: 3, ..plain() };
    let rule = RetryRule { on_exit_codes: Some([75].into()), first: Duration::from_secs(1), ..RetryRule::default() };
    let with_rule = |exits| Script { exits, max_attempts: 3, retry: rule.clone(), ..plain() };
    let refused = || Script { refused: true, max_attempts: 3, ..plain() };
    let twice = Script { checks: 2, ..plain() };
    let short = Duration::from_secs(3);
    vec![
        sync("completes", twice.clone(), Status::Completed, 1),
        sync("fails", Script { exits: vec![3], ..plain() }, Status::Failed, 1),
        sync("completes at the second attempt", second_attempt_completes(), Status::Completed, 2),
        told(sync("is told of the end", plain(), Status::Completed, 1)),
        told(sync("is told of the end of each attempt", second_attempt_completes(), Status::Completed, 2)),
        told(sync("is told of an end too early", twice.clone(), Status::Completed, 1)),
        sync("is seen to have stopped too early", Script { wrong_check: Some(2), ..twice }, Status::Completed, 1),
        sync("waits for capacity", Script { no_capacity: Times::Some(3), ..plain() }, Status::Completed, 1),
        no_capacity_for(Pattern::Sync, short),
        sync("is denied its task twice", Script { denied: Times::Some(2), ..plain() }, Status::Completed, 1),
        sync(
            "is cancelled while an attempt fails",
            Script { cancel_at_failure: true, ..second_attempt_completes() },
            Status::Cancelled,
            1,
        ),
        sync("is cancelled", Script { checks: 9, cancel_at_check: Some(2), ..plain() }, Status::Cancelled, 1),
        sync("is cancelled first", Script { cancelled_before: true, ..plain() }, Status::Cancelled, 0),
        sync("is refused its task", refused(), Status::Failed, 0),
        sync("fails with an exit code that is not retried", with_rule(vec![3]), Status::Failed, 1),
        sync("completes after an exit code that is retried", with_rule(vec![75, 0]), Status::Completed, 2),
        callback("starts", plain(), Status::Running, 1),
        no_capacity_for(Pattern::Callback, short),
        callback(
            "starts again",
            Script { begin_with: Attempt::FIRST.next(), max_attempts: 2, ..plain() },
            Status::Running,
            1,
        ),
        callback("is refused its task", refused(), Status::Failed, 0),
        sync("starts later", Script { starts_in: Some(90), ..plain() }, Status::Completed, 1),
        told(sync("is woken at its start", Script { starts_in: Some(90), ..plain() }, Status::Completed, 1)),
        callback("starts later", Script { starts_in: Some(90), ..plain() }, Status::Running, 1),
        sync(
            "is cancelled before its start",
            Script { starts_in: Some(90), cancelled_while_scheduled: true, ..plain() },
            Status::Cancelled,
            0,
        ),
        sync(
            "expires without capacity",
            Script { no_capacity: Times::All, latest_start_in: Some(3), ..plain() },
            Status::Expired,
            0,
        ),
    ]
}
