//! Activities in memory, with which the real workflows run: the domain's own state machine, tasks that end after some looks, and
//! one fault, which is data.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use domain::{
    Attempt, Ending, ErrorKind, Event, Execution, ExecutionId, JobError, Json, Next, Owner, Pattern, Request, State,
    Status, Verdict,
    collect::Patience,
    output::{Exit, Output, ResultSource, judge},
};
use durable::{Accepted, Activities, Again, EffectFailed, Finished, Job, Look, Recorded, Started, Try};
use jiff::Timestamp;

/// What goes wrong, and at which effect, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The effect does not happen, and the caller gets an error.
    FailBefore(usize),
    /// AWS denies it, once.
    DenyOnce(usize),
    /// The effect happens, but the caller gets an error.
    LoseReply(usize),
    /// The effect happens twice.
    Repeat(usize),
    /// From this effect on, every effect fails permanently, except for the last activity of a workflow.
    RefuseFrom(usize),
}

/// How the tasks behave.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a test may switch on")]
pub(crate) struct Script {
    /// Looks at a task before it is over.
    pub(crate) looks: usize,
    /// Exit code of each attempt's task; the last one for all that follow.
    pub(crate) exits: Vec<i32>,
    /// Starts that ECS has no capacity for.
    pub(crate) busy: usize,
    /// Whether the deadline passes after those.
    pub(crate) never_room: bool,
    /// Whether ECS refuses to start a task.
    pub(crate) refused: bool,
    /// Whether the execution is cancelled while the first attempt fails.
    pub(crate) cancel_at_failure: bool,
    /// The look at which the execution is cancelled.
    pub(crate) cancel_at_look: Option<usize>,
    /// The look that shows a stopped task, whatever the task does, because ECS is wrong for a moment.
    pub(crate) wrong_look: Option<usize>,
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
            looks: 2,
            exits: vec![0],
            busy: 0,
            never_room: false,
            refused: false,
            cancel_at_failure: false,
            cancel_at_look: None,
            wrong_look: None,
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
    /// By client token, as ECS knows them.
    tasks: BTreeMap<String, Task>,
    effects: usize,
    looks: usize,
    busy: usize,
    final_states: usize,
    /// What a workflow that gave up knew about its job's outcome.
    known_at_the_end: Option<Ending>,
}

#[derive(Debug, Clone)]
struct Task {
    arn: String,
    exit: i32,
    looks_left: usize,
    stopped: bool,
}

/// The world.
#[derive(Debug, Clone)]
pub(crate) struct World {
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

impl World {
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

    pub(crate) fn effects(&self) -> usize {
        self.facts().effects
    }

    pub(crate) fn tasks_started(&self) -> usize {
        self.facts().tasks.len()
    }

    pub(crate) fn tasks_running(&self) -> usize {
        self.facts().tasks.values().filter(|task| task.looks_left > 0 && !task.stopped).count()
    }

    pub(crate) fn final_states(&self) -> usize {
        self.facts().final_states
    }

    pub(crate) fn known_at_the_end(&self) -> Option<Ending> {
        self.facts().known_at_the_end.clone()
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.facts().execution.as_ref().unwrap().state.ending().cloned()
    }

    pub(crate) fn status(&self) -> Status {
        self.facts().execution.as_ref().unwrap().status()
    }

    /// Carries out an effect, with the fault.
    fn effect<T>(&self, deed: impl Fn(&mut Facts) -> Result<T, EffectFailed>) -> Result<T, EffectFailed> {
        let mut facts = self.facts();
        facts.effects += 1;
        let nth = facts.effects;
        match self.fault {
            Fault::FailBefore(at) if at == nth => Err(EffectFailed::passing("nothing happened")),
            Fault::DenyOnce(at) if at == nth => Err(EffectFailed::denied("denied")),
            Fault::RefuseFrom(at) if nth >= at => Err(EffectFailed::lasting("access denied")),
            Fault::LoseReply(at) if at == nth => {
                let _ = deed(&mut facts);
                Err(EffectFailed::passing("the reply was lost"))
            }
            Fault::Repeat(at) if at == nth => {
                let _ = deed(&mut facts);
                deed(&mut facts)
            }
            _ => deed(&mut facts),
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

impl Activities for World {
    async fn accept(&self, _: &Json, pattern: Pattern, arn: &str) -> Result<Accepted, EffectFailed> {
        assert_eq!(pattern, self.pattern);
        self.effect(|facts| {
            let execution = facts.apply(&Event::WorkflowStarted { durable_execution_arn: arn.to_owned(), log: None });
            Ok(Accepted::Job(Job {
                id: execution.id,
                max_attempts: execution.request.max_attempts,
                attempt: self.script.begin_with,
                backoff: (self.script.begin_with != Attempt::FIRST).then_some(5),
            }))
        })
    }

    async fn run_task(&self, id: &ExecutionId, attempt: Attempt, _: Try) -> Result<Started, EffectFailed> {
        self.effect(|facts| {
            if let State::Cancelling { .. } = facts.execution.as_ref().unwrap().state {
                let verdict = Verdict::Cancelled(JobError::new("cancelled", "before it began"));
                return Ok(Started::Not(Ending::without_job(verdict, now())));
            }
            if facts.busy > 0 {
                facts.busy -= 1;
                return Err(EffectFailed::passing("no capacity").again_in(Duration::from_secs(1)));
            }
            if self.script.never_room {
                let verdict = Verdict::TimedOut(JobError::new("no-capacity", "until the deadline"));
                return Ok(Started::Not(Ending::without_job(verdict, now())));
            }
            if self.script.refused {
                return Ok(Started::Not(Ending::failed(ErrorKind::TaskRefused, "refused", now())));
            }
            let nth = usize::try_from(attempt.get()).unwrap() - 1;
            let exit = *self.script.exits.get(nth).or(self.script.exits.last()).unwrap();
            let task = Task { arn: format!("arn:task/{attempt}"), exit, looks_left: self.script.looks, stopped: false };
            let arn = facts.tasks.entry(id.client_token(attempt)).or_insert(task).arn.clone();
            if self.script.ends_at_start {
                let verdict = Verdict::Failed(JobError::new("workflow-failed", "given up"));
                facts.apply(&Event::Ended(Ending::without_job(verdict, now())));
            }
            Ok(Started::Task(arn))
        })
    }

    async fn record_task(&self, _: &ExecutionId, attempt: Attempt, arn: &str) -> Result<Recorded, EffectFailed> {
        self.effect(|facts| {
            let execution = facts.apply(&Event::TaskStarted { attempt, task_arn: arn.to_owned() });
            Ok(Recorded { status: execution.status(), seconds_left: 3_600 })
        })
    }

    async fn check_task(&self, _: &ExecutionId, arn: &str, callback_id: &str, _: bool) -> Result<Look, EffectFailed> {
        self.effect(|facts| {
            facts.looks += 1;
            if self.script.cancel_at_look == Some(facts.looks) {
                facts.apply(&Event::CancelRequested);
            }
            let execution = facts.apply(&Event::Watching { callback_id: callback_id.to_owned() });
            let cancelling = execution.status() == Status::Cancelling;
            let wrong = self.script.wrong_look == Some(facts.looks);
            let task = facts.task(arn);
            if task.stopped || task.looks_left == 0 || wrong {
                return Ok(Look::Stopped);
            }
            if cancelling {
                task.stopped = true;
                return Ok(Look::Stopping);
            }
            task.looks_left -= 1;
            Ok(Look::Running { seconds_left: 3_600 })
        })
    }

    async fn collect(&self, _: &ExecutionId, arn: &str, patience: Patience) -> Result<Option<Ending>, EffectFailed> {
        self.effect(|facts| {
            let task = facts.task(arn).clone();
            if task.stopped {
                let verdict = Verdict::Cancelled(JobError::new("cancelled", "cancelled"));
                return Ok(Some(Ending { exit_code: Some(143), ..Ending::without_job(verdict, now()) }));
            }
            if task.looks_left > 0 {
                return if patience == Patience::Late {
                    Err(EffectFailed::passing("it has not stopped"))
                } else {
                    Ok(None)
                };
            }
            let output = Output::Json(Json::parse(r#"{"n":1}"#).unwrap());
            Ok(Some(judge(Exit::Code(task.exit), output, ResultSource::Log, "", now())))
        })
    }

    async fn fail_attempt(&self, _: &ExecutionId, attempt: Attempt, ending: &Ending) -> Result<Again, EffectFailed> {
        self.effect(|facts| {
            if self.script.cancel_at_failure {
                facts.apply(&Event::CancelRequested);
            }
            let execution = facts.execution.clone().unwrap();
            let Next::Retry(retry) = execution.next(attempt, ending, now()) else { return Ok(Again::Said(false)) };
            facts.apply(&retry.failed);
            Ok(Again::Said(true))
        })
    }

    async fn record(&self, _: &ExecutionId, ending: &Ending) -> Result<Finished, EffectFailed> {
        self.effect(|facts| {
            let execution = facts.apply(&Event::Ended(ending.clone()));
            let ending = execution.state.ending().unwrap().clone();
            let error = match ending.verdict {
                Verdict::Completed => None,
                Verdict::Failed(error) | Verdict::TimedOut(error) | Verdict::Cancelled(error) => Some(error),
            };
            let task_arn = execution.state.run().map(|run| run.task_arn.clone());
            let status = execution.status();
            Ok(Finished { execution_id: execution.id, status, result: ending.result, error, task_arn })
        })
    }

    async fn give_up(&self, id: &ExecutionId, why: &str, known: Option<&Ending>) -> Result<Finished, EffectFailed> {
        let mut facts = self.facts();
        facts.tasks.values_mut().for_each(|task| task.stopped = true);
        let verdict = Verdict::Failed(JobError::new("workflow-failed", why));
        facts.known_at_the_end = known.cloned();
        let ending = known.cloned().unwrap_or_else(|| Ending::without_job(verdict, now()));
        let status = facts.apply(&Event::Ended(ending.clone())).status();
        let error = match ending.verdict {
            Verdict::Completed => None,
            Verdict::Failed(error) | Verdict::TimedOut(error) | Verdict::Cancelled(error) => Some(error),
        };
        Ok(Finished { execution_id: id.clone(), status, result: ending.result, error, task_arn: None })
    }

    async fn stop_task(&self, arn: &str) -> Result<(), EffectFailed> {
        self.effect(|facts| {
            facts.task(arn).stopped = true;
            Ok(())
        })
    }
}
