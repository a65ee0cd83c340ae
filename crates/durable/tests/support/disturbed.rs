//! The real activities, with disturbances: one of them fails, and a script says what else happens to the execution. This code
//! reimplements no activity.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use contract::checkpoint::{Accepted, Again, Checked, Due, Finished, Recorded, Started};
use domain::{
    Attempt, Event, ExecutionId, JobError, Json, Outcome, OutcomeKind, Pattern, RetryRule, collect::Patience,
};
use durable::{Activities, ActivityFailed, AwsActivities, Try};
use emulator::testing::Pipe;
use jiff::{SignedDuration, Timestamp};
use runtime::clock::{self, Clock};
use serde_json::{Value, json};

use super::{
    Account,
    scenario::{Script, Times},
};

/// What goes wrong, and at which activity, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Three tries of the activity fail, each in a different way: it is not carried out, AWS denies it, and it is carried out but
    /// its reply is lost.
    ThreeTries(usize),
    /// The activity is carried out, but the workflow gets an error.
    LoseReply(usize),
    /// The activity is carried out twice.
    Repeat(usize),
    /// From this activity on, every activity fails permanently, except for `give-up`.
    RefuseFrom(usize),
}

impl Fault {
    fn loses_reply_of(self, nth: usize) -> bool {
        matches!(self, Self::LoseReply(at) if at == nth) || matches!(self, Self::ThreeTries(at) if at + 2 == nth)
    }
}

/// The clock of one execution. It moves only by the waits of its workflow, because the durable SDK's runner skips waits. It
/// starts with the emulator's time.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<Mutex<Timestamp>>);

impl TestClock {
    pub(crate) fn started_now() -> Self {
        Self(Arc::new(Mutex::new(clock::now())))
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    /// The same clock, for the activities.
    pub(crate) fn reading(&self) -> Clock {
        let clock = self.clone();
        Clock::reading(move || clock.now())
    }

    fn forward(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::try_from(by).unwrap();
    }
}

/// The activities of one execution.
#[derive(Debug)]
pub(crate) struct Disturbed {
    account: Account,
    real: AwsActivities,
    id: ExecutionId,
    durable_execution_arn: String,
    script: Script,
    fault: Fault,
    clock: TestClock,
    /// Its tasks read their exit codes from here.
    pipe: Pipe,
    seen: Mutex<Seen>,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Seen {
    activities: usize,
    checks: usize,
    /// How many checks have found each task running.
    found_running: BTreeMap<String, usize>,
    /// The attempt whose task was started last.
    attempt: Option<Attempt>,
    known_at_the_end: Option<Outcome>,
    /// The faults that are armed in the emulator.
    faults: Vec<u64>,
}

impl Disturbed {
    pub(crate) fn new(
        account: Account,
        real: AwsActivities,
        id: &ExecutionId,
        durable_execution_arn: String,
        script: &Script,
        fault: Fault,
        clock: TestClock,
    ) -> Self {
        let pipe = account.0.emulator.pipe(id.as_str());
        let (id, script, seen) = (id.clone(), script.clone(), Mutex::default());
        Self { account, real, id, durable_execution_arn, script, fault, clock, pipe, seen }
    }

    /// Arms the faults of the script that are not at a certain activity.
    pub(crate) async fn arm(&self) {
        let full = json!({ "answer": { "tasks": [], "failures": [{ "reason": "RESOURCE:CPU" }] } });
        self.arm_fault("ecs:RunTask", &full, self.script.no_capacity).await;
        let denied = json!({ "refuse": "AccessDeniedException" });
        self.arm_fault("ecs:RunTask", &denied, self.script.denied).await;
    }

    async fn arm_fault(&self, on: &str, does: &Value, times: Times) {
        let times = match times {
            Times::NONE => return,
            Times::Some(times) => json!(times),
            Times::All => json!("all"),
        };
        let fault = json!({ "on": on, "does": does, "times": times, "execution": self.id.as_str() });
        let armed = self.account.0.emulator.arm(&fault).await;
        self.seen().faults.push(armed);
    }

    pub(crate) async fn disarm(&self) {
        let armed = std::mem::take(&mut self.seen().faults);
        for fault in armed {
            self.account.0.emulator.disarm(fault).await;
        }
    }

    pub(crate) fn carried_out(&self) -> usize {
        self.seen().activities
    }

    pub(crate) fn known_at_the_end(&self) -> Option<Outcome> {
        self.seen().known_at_the_end.clone()
    }

    /// Lets the execution's running task end with this exit code.
    pub(crate) fn let_task_end(&self, code: i32) {
        self.pipe.say(&code.to_string());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Something else happens to the execution.
    async fn apply(&self, event: Event) {
        self.account.apply(&self.id, &[event], self.clock.now()).await;
    }

    /// Carries out an activity, with the fault.
    async fn carry_out<T, F>(&self, activity: impl Fn() -> F + Sync) -> Result<T, ActivityFailed>
    where
        T: Send,
        F: Future<Output = Result<T, ActivityFailed>> + Send,
    {
        let nth = {
            let mut seen = self.seen();
            seen.activities += 1;
            seen.activities
        };
        match self.fault {
            Fault::ThreeTries(at) if at == nth => Err(ActivityFailed::transient("nothing happened")),
            Fault::ThreeTries(at) if at + 1 == nth => Err(ActivityFailed::denied("denied")),
            Fault::RefuseFrom(at) if nth >= at => Err(ActivityFailed::permanent("access denied")),
            fault if fault.loses_reply_of(nth) => {
                let _ = activity().await;
                Err(ActivityFailed::transient("the reply was lost"))
            }
            Fault::Repeat(at) if at == nth => {
                let _ = activity().await;
                activity().await
            }
            _ => activity().await,
        }
    }

    /// A check, before which the script's cancel or mistake of ECS happens. After the last check that may find the task running, the task
    /// ends.
    async fn check(&self, task_arn: &str, callback_id: &str, ask: bool) -> Result<Checked, ActivityFailed> {
        let nth = {
            let mut seen = self.seen();
            seen.checks += 1;
            seen.checks
        };
        if self.script.cancel_at_check == Some(nth) {
            self.apply(Event::CancelRequested).await;
        }
        if self.script.wrong_check == Some(nth) {
            let stopped = json!({ "taskArn": task_arn, "lastStatus": "STOPPED", "desiredStatus": "STOPPED" });
            let answer = json!({ "answer": { "tasks": [stopped], "failures": [] } });
            self.arm_fault("ecs:DescribeTasks", &answer, Times::Some(1)).await;
        }
        let checked = self.real.check_task(&self.id, task_arn, callback_id, ask).await?;
        match checked {
            Checked::Running { .. } => {
                let (found_running, attempt) = {
                    let mut seen = self.seen();
                    let found_running = seen.found_running.entry(task_arn.to_owned()).or_default();
                    *found_running += 1;
                    (*found_running, seen.attempt)
                };
                if found_running == self.script.checks {
                    self.let_task_end(self.script.exit_of(attempt.unwrap()));
                    self.account.0.emulator.wait_for_task_to_stop(task_arn).await;
                }
            }
            Checked::Stopping => {
                self.account.0.emulator.wait_for_task_to_stop(task_arn).await;
            }
            Checked::Stopped => {}
        }
        Ok(checked)
    }

    async fn start(&self, attempt: Attempt, tried: Try) -> Result<Started, ActivityFailed> {
        let started = self.real.run_task(&self.id, attempt, tried).await?;
        self.seen().attempt = Some(attempt);
        if self.script.ends_at_start {
            let kind = OutcomeKind::Failed(JobError::new("workflow-failed", "given up"));
            self.apply(Event::Ended(Outcome::without_job(kind, self.clock.now()))).await;
        }
        Ok(started)
    }
}

impl Activities for Disturbed {
    /// The runner's own ARN names no durable execution, so the activity gets another ARN.
    async fn accept(&self, input: &Json, pattern: Pattern, _: &str) -> Result<Accepted, ActivityFailed> {
        let accepted = self.carry_out(|| self.real.accept(input, pattern, &self.durable_execution_arn)).await?;
        if let Accepted::Job(job) = &accepted {
            self.clock.forward(Duration::from_secs(job.backoff.unwrap_or_default()));
        }
        Ok(accepted)
    }

    /// The runner skips waits, so the time of the wait passes after the check before it.
    async fn check_start(&self, id: &ExecutionId, callback_id: Option<&str>) -> Result<Due, ActivityFailed> {
        let due = self
            .carry_out(|| async {
                if callback_id.is_some() && self.script.cancelled_while_scheduled {
                    self.apply(Event::CancelRequested).await;
                }
                self.real.check_start(id, callback_id).await
            })
            .await?;
        match due {
            Due::Now => {}
            Due::In { seconds } => self.clock.forward(Duration::from_secs(seconds)),
        }
        Ok(due)
    }

    async fn run_task(&self, _: &ExecutionId, attempt: Attempt, tried: Try) -> Result<Started, ActivityFailed> {
        let started = self.carry_out(|| self.start(attempt, tried)).await;
        if let Err(ActivityFailed { again_in: Some(wait), .. }) = &started {
            self.clock.forward(*wait);
        }
        started
    }

    async fn record_task(&self, id: &ExecutionId, attempt: Attempt, arn: &str) -> Result<Recorded, ActivityFailed> {
        self.carry_out(|| self.real.record_task(id, attempt, arn)).await
    }

    async fn check_task(
        &self,
        _: &ExecutionId,
        arn: &str,
        callback_id: &str,
        ask: bool,
    ) -> Result<Checked, ActivityFailed> {
        self.carry_out(|| self.check(arn, callback_id, ask)).await
    }

    async fn collect(
        &self,
        id: &ExecutionId,
        arn: &str,
        patience: Patience,
    ) -> Result<Option<Outcome>, ActivityFailed> {
        self.carry_out(|| self.real.collect(id, arn, patience)).await
    }

    async fn fail_attempt(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        outcome: &Outcome,
    ) -> Result<Again, ActivityFailed> {
        let again = self
            .carry_out(|| async {
                if self.script.cancel_at_failure {
                    self.apply(Event::CancelRequested).await;
                }
                self.real.fail_attempt(id, attempt, outcome).await
            })
            .await?;
        match again {
            Again::Said(false) => {}
            Again::Said(true) => self.clock.forward(RetryRule::default().backoff_before(attempt.next())),
            Again::In { seconds } => self.clock.forward(Duration::from_secs(seconds)),
        }
        Ok(again)
    }

    async fn record(&self, id: &ExecutionId, outcome: &Outcome) -> Result<Finished, ActivityFailed> {
        self.carry_out(|| self.real.record(id, outcome)).await
    }

    async fn stop_task(&self, arn: &str) -> Result<(), ActivityFailed> {
        self.carry_out(|| self.real.stop_task(arn)).await
    }

    async fn give_up(&self, id: &ExecutionId, why: &str, known: Option<&Outcome>) -> Result<Finished, ActivityFailed> {
        self.seen().known_at_the_end = known.cloned();
        self.real.give_up(id, why, known).await
    }
}
