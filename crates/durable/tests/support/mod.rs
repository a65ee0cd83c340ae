//! Activities in memory, with which the real workflows run: the domain's own state machine, tasks that end after a
//! number of checks, and one fault, which is data.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use contract::checkpoint::{Accepted, Again, Checked, Finished, Job, Recorded, Started};
use domain::{
    Attempt, ErrorKind, Event, Execution, ExecutionId, JobError, Json, Next, Outcome, OutcomeKind, Owner, Pattern,
    Request, State, Status,
    collect::Patience,
    output::{Exit, Output, ResultSource, judge},
};
use durable::{Activities, ActivityFailed, Try};
use jiff::Timestamp;

/// What goes wrong, and at which activity, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The activity is not carried out, and the caller gets an error.
    FailBefore(usize),
    /// AWS denies it, once.
    DenyOnce(usize),
    /// The activity is carried out, but the caller gets an error.
    LoseReply(usize),
    /// The activity is carried out twice.
    Repeat(usize),
    /// From this activity on, every activity fails permanently, except for the last activity of a workflow.
    RefuseFrom(usize),
}

/// How the tasks behave.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a test may switch on")]
pub(crate) struct Script {
    /// How many checks find a task running before it is over.
    pub(crate) checks: usize,
    /// Exit code of each attempt's task; the last one for all that follow.
    pub(crate) exits: Vec<i32>,
    /// How many starts ECS has no capacity for.
    pub(crate) busy: usize,
    /// Whether the deadline passes after those starts.
    pub(crate) never_room: bool,
    /// Whether ECS refuses to start a task.
    pub(crate) refused: bool,
    /// Whether the execution is cancelled while the first attempt fails.
    pub(crate) cancel_at_failure: bool,
    /// The check at which the execution is cancelled.
    pub(crate) cancel_at_check: Option<usize>,
    /// The check that shows a stopped task, whatever the task does, because ECS is wrong for a moment.
    pub(crate) wrong_check: Option<usize>,
    /// Whether the execution was cancelled before the workflow began.
    pub(crate) cancelled_before: bool,
    pub(crate) max_attempts: u32,
    /// The attempt that the workflow begins with.
    pub(crate) begin_with: Attempt,
    /// Whether the execution ends while its task is being started, for example because the reconciler ends it.
    pub(crate) ends_at_start: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            checks: 2,
            exits: vec![0],
            busy: 0,
            never_room: false,
            refused: false,
            cancel_at_failure: false,
            cancel_at_check: None,
            wrong_check: None,
            cancelled_before: false,
            max_attempts: 1,
            begin_with: Attempt::FIRST,
            ends_at_start: false,
        }
    }
}

#[derive(Debug, Default)]
struct Facts {
    execution: Option<Execution>,
    /// The tasks that ECS knows, by client token.
    tasks: BTreeMap<String, Task>,
    activities_run: usize,
    checks: usize,
    busy: usize,
    final_states: usize,
    /// The outcome that a workflow knew when it gave up.
    known_at_the_end: Option<Outcome>,
}

#[derive(Debug, Clone)]
struct Task {
    arn: String,
    exit: i32,
    checks_left: usize,
    stopped: bool,
}

/// Activities that work on facts in memory.
#[derive(Debug, Clone)]
pub(crate) struct FakeActivities {
    facts: Arc<Mutex<Facts>>,
    script: Script,
    fault: Fault,
    pattern: Pattern,
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

pub(crate) fn id() -> ExecutionId {
    "e1".parse().unwrap()
}

impl FakeActivities {
    pub(crate) fn new(pattern: Pattern, script: Script, fault: Fault) -> Self {
        let request = Request {
            input: Json::null(),
            job: "demo".into(),
            timeout: Duration::from_hours(1),
            max_attempts: script.max_attempts,
            tags: BTreeMap::new(),
        };
        let mut execution = Execution::new(id(), pattern, Owner::new("ada"), request, now());
        if script.cancelled_before {
            // Cancelled just after a workflow has accepted it. Before that, the cancel would end it, and the workflow would have
            // nothing to do.
            let accepted = Event::WorkflowStarted { durable_execution_arn: "arn:earlier".into(), log: None };
            execution = execution.after(&accepted, now()).unwrap().unwrap();
            execution = execution.after(&Event::CancelRequested, now()).unwrap().unwrap();
        }
        let facts = Facts { execution: Some(execution), busy: script.busy, ..Facts::default() };
        Self { facts: Arc::new(Mutex::new(facts)), script, fault, pattern }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }

    pub(crate) fn activities_run(&self) -> usize {
        self.facts().activities_run
    }

    pub(crate) fn tasks_started(&self) -> usize {
        self.facts().tasks.len()
    }

    pub(crate) fn tasks_running(&self) -> usize {
        self.facts().tasks.values().filter(|task| task.checks_left > 0 && !task.stopped).count()
    }

    pub(crate) fn final_states(&self) -> usize {
        self.facts().final_states
    }

    pub(crate) fn known_at_the_end(&self) -> Option<Outcome> {
        self.facts().known_at_the_end.clone()
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.facts().execution.as_ref().unwrap().state.outcome().cloned()
    }

    pub(crate) fn status(&self) -> Status {
        self.facts().execution.as_ref().unwrap().status()
    }

    /// Carries out an activity, with the fault.
    fn carry_out<T>(&self, activity: impl Fn(&mut Facts) -> Result<T, ActivityFailed>) -> Result<T, ActivityFailed> {
        let mut facts = self.facts();
        facts.activities_run += 1;
        let nth = facts.activities_run;
        match self.fault {
            Fault::FailBefore(at) if at == nth => Err(ActivityFailed::transient("nothing happened")),
            Fault::DenyOnce(at) if at == nth => Err(ActivityFailed::denied("denied")),
            Fault::RefuseFrom(at) if nth >= at => Err(ActivityFailed::permanent("access denied")),
            Fault::LoseReply(at) if at == nth => {
                let _ = activity(&mut facts);
                Err(ActivityFailed::transient("the reply was lost"))
            }
            Fault::Repeat(at) if at == nth => {
                let _ = activity(&mut facts);
                activity(&mut facts)
            }
            _ => activity(&mut facts),
        }
    }
}

impl Facts {
    fn apply(&mut self, event: &Event) -> Execution {
        let seen = self.execution.clone().unwrap();
        match seen.after(event, now()) {
            Ok(Some(next)) => {
                self.final_states += usize::from(next.status().is_final());
                self.execution = Some(next.clone());
                next
            }
            // Already recorded, or refused because it is over: nothing changes.
            Ok(None) | Err(_) => seen,
        }
    }

    fn task(&mut self, arn: &str) -> &mut Task {
        self.tasks.values_mut().find(|task| task.arn == arn).unwrap()
    }
}

impl Activities for FakeActivities {
    async fn accept(&self, _: &Json, pattern: Pattern, arn: &str) -> Result<Accepted, ActivityFailed> {
        assert_eq!(pattern, self.pattern);
        self.carry_out(|facts| {
            let execution = facts.apply(&Event::WorkflowStarted { durable_execution_arn: arn.to_owned(), log: None });
            Ok(Accepted::Job(Job {
                id: execution.id,
                max_attempts: execution.request.max_attempts,
                attempt: self.script.begin_with,
                backoff: (self.script.begin_with != Attempt::FIRST).then_some(5),
            }))
        })
    }

    async fn run_task(&self, id: &ExecutionId, attempt: Attempt, _: Try) -> Result<Started, ActivityFailed> {
        self.carry_out(|facts| {
            if let State::Cancelling { .. } = facts.execution.as_ref().unwrap().state {
                let kind = OutcomeKind::Cancelled(JobError::new("cancelled", "before it began"));
                return Ok(Started::Not(Outcome::without_job(kind, now())));
            }
            if facts.busy > 0 {
                facts.busy -= 1;
                return Err(ActivityFailed::transient("no capacity").again_in(Duration::from_secs(1)));
            }
            if self.script.never_room {
                let kind = OutcomeKind::TimedOut(JobError::new("no-capacity", "until the deadline"));
                return Ok(Started::Not(Outcome::without_job(kind, now())));
            }
            if self.script.refused {
                return Ok(Started::Not(Outcome::failed(ErrorKind::TaskRefused, "refused", now())));
            }
            let nth = usize::try_from(attempt.get()).unwrap() - 1;
            let exit = *self.script.exits.get(nth).or(self.script.exits.last()).unwrap();
            let task =
                Task { arn: format!("arn:task/{attempt}"), exit, checks_left: self.script.checks, stopped: false };
            let arn = facts.tasks.entry(id.client_token(attempt)).or_insert(task).arn.clone();
            if self.script.ends_at_start {
                let kind = OutcomeKind::Failed(JobError::new("workflow-failed", "given up"));
                facts.apply(&Event::Ended(Outcome::without_job(kind, now())));
            }
            Ok(Started::Task(arn))
        })
    }

    async fn record_task(&self, _: &ExecutionId, attempt: Attempt, arn: &str) -> Result<Recorded, ActivityFailed> {
        self.carry_out(|facts| {
            let execution = facts.apply(&Event::TaskStarted { attempt, task_arn: arn.to_owned() });
            Ok(Recorded { status: execution.status(), seconds_left: 3_600 })
        })
    }

    async fn check_task(
        &self,
        _: &ExecutionId,
        arn: &str,
        callback_id: &str,
        _: bool,
    ) -> Result<Checked, ActivityFailed> {
        self.carry_out(|facts| {
            facts.checks += 1;
            if self.script.cancel_at_check == Some(facts.checks) {
                facts.apply(&Event::CancelRequested);
            }
            let execution = facts.apply(&Event::Watching { callback_id: callback_id.to_owned() });
            let cancelling = execution.status() == Status::Cancelling;
            let wrong = self.script.wrong_check == Some(facts.checks);
            let task = facts.task(arn);
            if task.stopped || task.checks_left == 0 || wrong {
                return Ok(Checked::Stopped);
            }
            if cancelling {
                task.stopped = true;
                return Ok(Checked::Stopping);
            }
            task.checks_left -= 1;
            Ok(Checked::Running { seconds_left: 3_600 })
        })
    }

    async fn collect(&self, _: &ExecutionId, arn: &str, patience: Patience) -> Result<Option<Outcome>, ActivityFailed> {
        self.carry_out(|facts| {
            let task = facts.task(arn).clone();
            if task.stopped {
                let kind = OutcomeKind::Cancelled(JobError::new("cancelled", "cancelled"));
                return Ok(Some(Outcome { exit_code: Some(143), ..Outcome::without_job(kind, now()) }));
            }
            if task.checks_left > 0 {
                return if patience == Patience::Late {
                    Err(ActivityFailed::transient("it has not stopped"))
                } else {
                    Ok(None)
                };
            }
            let output = Output::Json(Json::parse(r#"{"n":1}"#).unwrap());
            Ok(Some(judge(Exit::Code(task.exit), output, ResultSource::Log, "", now())))
        })
    }

    async fn fail_attempt(
        &self,
        _: &ExecutionId,
        attempt: Attempt,
        outcome: &Outcome,
    ) -> Result<Again, ActivityFailed> {
        self.carry_out(|facts| {
            if self.script.cancel_at_failure {
                facts.apply(&Event::CancelRequested);
            }
            let execution = facts.execution.clone().unwrap();
            let Next::Retry(retry) = execution.next(attempt, outcome, now()) else { return Ok(Again::Said(false)) };
            facts.apply(&retry.failed);
            Ok(Again::Said(true))
        })
    }

    async fn record(&self, _: &ExecutionId, outcome: &Outcome) -> Result<Finished, ActivityFailed> {
        self.carry_out(|facts| {
            let execution = facts.apply(&Event::Ended(outcome.clone()));
            let outcome = execution.state.outcome().unwrap().clone();
            let error = match outcome.kind {
                OutcomeKind::Completed => None,
                OutcomeKind::Failed(error) | OutcomeKind::TimedOut(error) | OutcomeKind::Cancelled(error) => {
                    Some(error)
                }
            };
            let task_arn = execution.state.run().map(|run| run.task_arn.clone());
            let status = execution.status();
            Ok(Finished { execution_id: execution.id, status, result: outcome.result, error, task_arn })
        })
    }

    async fn give_up(&self, id: &ExecutionId, why: &str, known: Option<&Outcome>) -> Result<Finished, ActivityFailed> {
        let mut facts = self.facts();
        facts.tasks.values_mut().for_each(|task| task.stopped = true);
        let kind = OutcomeKind::Failed(JobError::new("workflow-failed", why));
        facts.known_at_the_end = known.cloned();
        let outcome = known.cloned().unwrap_or_else(|| Outcome::without_job(kind, now()));
        let status = facts.apply(&Event::Ended(outcome.clone())).status();
        let error = match outcome.kind {
            OutcomeKind::Completed => None,
            OutcomeKind::Failed(error) | OutcomeKind::TimedOut(error) | OutcomeKind::Cancelled(error) => Some(error),
        };
        Ok(Finished { execution_id: id.clone(), status, result: outcome.result, error, task_arn: None })
    }

    async fn stop_task(&self, arn: &str) -> Result<(), ActivityFailed> {
        self.carry_out(|facts| {
            facts.task(arn).stopped = true;
            Ok(())
        })
    }
}
