//! The activities of the workflows, implemented with AWS.

mod launch;

use aws::{CallFailed, Cause, Connection, Phase};
use compute::{Outcomes, RunError, Seen, Tasks};
use contract::{
    checkpoint::{Accepted, Again, Checked, Due, Finished, Job, Recorded, Started},
    messages::StoredStart,
};
use domain::{
    Attempt, ErrorKind, Event, Execution, ExecutionId, Json, Next, Outcome, OutcomeKind, Pattern, Request, RetryRule,
    State,
    collect::{Patience, StoppedTask},
    judge,
};
use jiff::{SignedDuration, Timestamp};
use runtime::clock::Clock;
use store::{AdvanceError, Created, Executions};

use self::launch::Places;
use crate::{
    activities::{Activities, ActivityFailed, Try},
    config::Config,
};

/// The activities of the workflows, implemented with AWS.
#[derive(Debug, Clone)]
pub struct AwsActivities {
    executions: Executions,
    tasks: Tasks,
    outcomes: Outcomes,
    config: Config,
    clock: Clock,
}

impl AwsActivities {
    /// The activities with this configuration and clock.
    #[must_use]
    pub fn new(connection: &Connection, config: Config, clock: Clock) -> Self {
        Self {
            executions: Executions::new(connection, &config.table),
            tasks: Tasks::new(connection, &config.cluster, config.network.clone()),
            outcomes: Outcomes::new(connection, &config.table),
            config,
            clock,
        }
    }

    async fn read(&self, id: &ExecutionId) -> Result<Execution, ActivityFailed> {
        let found = self.executions.get(id).await?;
        found.ok_or_else(|| ActivityFailed::permanent(format!("there is no execution {id}")))
    }

    async fn advance(&self, id: &ExecutionId, event: &Event) -> Result<Execution, ActivityFailed> {
        Ok(self.executions.advance(id, event, self.clock.now()).await?)
    }

    /// The execution that a function was invoked for: stored by the API, or created here if the function was invoked directly.
    async fn called_for(
        &self,
        input: &Json,
        pattern: Pattern,
        durable_execution_arn: &str,
    ) -> Result<(Execution, Attempt), ActivityFailed> {
        let name = name_of(durable_execution_arn);
        if let Ok(start) = serde_json::from_str::<StoredStart>(input.text()) {
            let id = start.execution_id();
            if start.name() != name {
                // Two durable executions for one attempt would be two workflows for it.
                return Err(ActivityFailed::permanent(format!(
                    "execution {id} can only be driven by a durable execution of the same name"
                )));
            }
            let execution = self.read(id).await?;
            if execution.pattern != pattern {
                let why =
                    format!("execution {id} has the pattern {}, but this function runs {pattern}", execution.pattern);
                return Err(ActivityFailed::permanent(why));
            }
            return Ok((execution, start.attempt()));
        }
        let mut request = Request::of(input.clone());
        if let Some(job) = self.config.catalog.get(&request.job) {
            request.timeout = job.timeout();
            request.max_attempts = job.max_attempts();
            request.retry = job.retry_rule();
        }
        if let Some(wrong) = request.violations().first() {
            return Err(ActivityFailed::permanent(format!("{} {}", wrong.pointer, wrong.detail)));
        }
        let now = self.clock.now();
        let name = name.parse().map_err(ActivityFailed::permanent)?;
        let new = Execution::new(name, pattern, self.config.direct_owner.clone(), request, now);
        // The new item names its durable execution from the start, so that the reconciler does not start another one.
        let wanted =
            new.after(&self.began(&new, durable_execution_arn), now).map_err(ActivityFailed::permanent)?.unwrap_or(new);
        match self.executions.create(&wanted, now).await? {
            Created::New(made) => Ok((*made, Attempt::FIRST)),
            // This step ran before. If it ran with another version of the catalog, the defaults may differ.
            Created::Existing(seen)
                if seen.pattern == pattern && differs_by_defaults(&seen.request, &wanted.request) =>
            {
                Ok((*seen, Attempt::FIRST))
            }
            Created::Existing(seen) => {
                Err(ActivityFailed::permanent(format!("an execution named {} already exists", seen.id)))
            }
        }
    }

    /// The event that a durable execution has begun to drive an execution. The event also names the log that the tasks print to, from the
    /// catalog of this version of the function.
    fn began(&self, execution: &Execution, durable_execution_arn: &str) -> Event {
        let job = self.config.catalog.get(&execution.request.job);
        let log = job.map(|job| job.log(&self.config.log_group));
        Event::WorkflowStarted { durable_execution_arn: durable_execution_arn.to_owned(), log }
    }

    /// The task of an attempt, if it is running.
    async fn running(&self, id: &ExecutionId, attempt: Attempt) -> Result<Option<String>, CallFailed> {
        Ok(launch::task_of_attempt(&self.tasks.started_by(id.as_str()).await?, attempt))
    }

    /// The task of an attempt, if it is running or has recently stopped.
    async fn started_before(&self, execution: &Execution, attempt: Attempt) -> Result<Option<String>, CallFailed> {
        let running = self.running(&execution.id, attempt).await?;
        let (None, Some(job)) = (&running, self.config.catalog.get(&execution.request.job)) else {
            return Ok(running);
        };
        Ok(launch::task_of_attempt(&self.tasks.stopped_of(execution.id.as_str(), job).await?, attempt))
    }

    /// AWS denied the start of a task, so nothing is running. The start is retried for minutes. Each wait is recorded before it
    /// begins, so that a cancel does not have to wait for its end.
    async fn denied(
        &self,
        execution: &Execution,
        attempt: Attempt,
        why: CallFailed,
    ) -> Result<Started, ActivityFailed> {
        let now = self.clock.now();
        let patience = SignedDuration::try_from(why.cause.patience(Phase::BeforeTask)).unwrap_or(SignedDuration::MAX);
        if execution.denied_since(attempt).is_some_and(|since| now.duration_since(since) >= patience) {
            return Ok(Started::Not(Outcome::failed(ErrorKind::TaskRefused, told(&why), now)));
        }
        let wait = execution.wait_for_permission(attempt, now);
        let event = Event::StartDenied { attempt, why: told(&why), until: now.checked_add(wait).unwrap_or(now) };
        let execution = self.advance(&execution.id, &event).await?;
        match execution.outcome_without_task(self.clock.now()) {
            Some(outcome) => Ok(Started::Not(outcome)),
            None => Err(ActivityFailed::from(why).again_in(wait)),
        }
    }

    async fn check(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        callback_id: &str,
        ask: bool,
    ) -> Result<Checked, ActivityFailed> {
        let execution = self.advance(id, &Event::Watching { callback_id: callback_id.to_owned() }).await?;
        let now = self.clock.now();
        if execution.reported_end(task_arn).is_some() {
            return Ok(Checked::Stopped);
        }
        let unwanted = judge::reason_to_stop(&execution, now);
        if unwanted.is_none() && !ask {
            return Ok(Checked::Running { seconds_left: seconds_left(&execution, now) });
        }
        match self.tasks.describe(task_arn).await? {
            Seen::Task(task) if task.stopped => return Ok(Checked::Stopped),
            Seen::Missing if execution.state.started_task().is_none_or(|run| judge::is_forgotten(run, now)) => {
                return Ok(Checked::Stopped);
            }
            Seen::Task(_) | Seen::Missing => {}
        }
        if let Some(reason) = unwanted {
            tracing::info!(executionId = %id, reason, "stopping the task");
            self.tasks.stop(task_arn, reason).await?;
            return Ok(Checked::Stopping);
        }
        Ok(Checked::Running { seconds_left: seconds_left(&execution, now) })
    }

    /// The outcome of an execution whose workflow cannot continue.
    async fn outcome_without_workflow(&self, id: &ExecutionId, why: &str) -> Outcome {
        match self.read(id).await {
            Ok(execution) => execution.outcome_without_workflow(why, self.clock.now()),
            Err(_) => Outcome::failed(ErrorKind::WorkflowFailed, why, self.clock.now()),
        }
    }
}

impl Activities for AwsActivities {
    async fn accept(
        &self,
        input: &Json,
        pattern: Pattern,
        durable_execution_arn: &str,
    ) -> Result<Accepted, ActivityFailed> {
        let (execution, attempt) = self.called_for(input, pattern, durable_execution_arn).await?;
        let event = self.began(&execution, durable_execution_arn);
        let execution = self.executions.advance_seen(execution, &event, self.clock.now()).await?;
        tracing::info!(
            executionId = %execution.id,
            status = %execution.status(),
            "the workflow accepted the execution"
        );
        if execution.status().is_final() {
            return Ok(Accepted::Over(finished(execution)));
        }
        let usual = execution.request.retry.backoff_before(attempt);
        let wait = || execution.until_deadline(usual, self.clock.now()).as_secs();
        let backoff = (attempt != Attempt::FIRST).then(wait);
        // Even if the start time has come, the workflow still has to record that.
        let left = || execution.until_start(self.clock.now()).map_or(0, |left| left.as_secs());
        let starts_in = matches!(execution.state, State::Scheduled { .. }).then(left);
        let max_attempts = execution.request.max_attempts;
        Ok(Accepted::Job(Job { id: execution.id, max_attempts, attempt, backoff, starts_in }))
    }

    /// If the function crashes after the callback is noted or after the start is recorded, the step runs again and finds it recorded.
    async fn check_start(&self, id: &ExecutionId, callback_id: Option<&str>) -> Result<Due, ActivityFailed> {
        let mut execution = self.read(id).await?;
        // Once the start is recorded, or the execution is over, nothing wakes this workflow, and nothing has to.
        let waits = |execution: &Execution| matches!(execution.state, State::Scheduled { .. });
        if let Some(callback_id) = callback_id.filter(|_| waits(&execution)) {
            let event = Event::Watching { callback_id: callback_id.to_owned() };
            execution = match self.executions.advance_seen(execution, &event, self.clock.now()).await {
                // Another invocation of this workflow recorded the start at the same time.
                Err(AdvanceError::Refused(_)) => self.read(id).await?,
                advanced => advanced?,
            };
        }
        let now = self.clock.now();
        if let Some(left) = execution.until_start(now) {
            return Ok(Due::In { seconds: left.as_secs() });
        }
        self.executions.advance_seen(execution, &Event::Due, now).await?;
        Ok(Due::Now)
    }

    /// If the function crashes before `RunTask`, the step runs again. If the function crashes after `RunTask`, or the reply is lost, the
    /// same client token returns the same task. If the step is retried much later, `ListTasks` finds the task.
    async fn run_task(&self, id: &ExecutionId, attempt: Attempt, tried: Try) -> Result<Started, ActivityFailed> {
        let execution = self.read(id).await?;
        // This step ran before, and the worker in its task recorded the start. ECS may have forgotten the token and the task.
        if let Some(run) = execution.started_task_of(attempt) {
            return Ok(Started::Task(run.task_arn.clone()));
        }
        if let Some(outcome) = execution.outcome_without_task(self.clock.now()) {
            // This step may have run before. If it started a task that is running or has ended since, that task's outcome counts.
            return match self.started_before(&execution, attempt).await {
                Ok(started) => Ok(started.map_or(Started::Not(outcome), Started::Task)),
                Err(why) if may_be_retried(&why, tried, None, self.clock.now()) => Err(ActivityFailed::transient(why)),
                Err(why) => {
                    // The task is not needed, so this is not an error. After an outcome without an exit code, the sweep looks for a task
                    // that may still be running.
                    tracing::warn!(
                        executionId = %id,
                        error = %why,
                        "cannot list the tasks that an earlier try may have started; a sweep will look for them"
                    );
                    Ok(Started::Not(outcome))
                }
            };
        }
        // This step ran before, and crashed between recording its wait and waiting.
        if let Some(wait) = execution.still_waits(attempt, self.clock.now()) {
            return Err(ActivityFailed::transient("waiting for capacity").again_in(wait));
        }
        let waited_until = execution.waited_for_capacity(attempt);
        // This decides whether a denial is retried. The step's retry strategy must not decide it again, so it gets a transient failure
        // instead of a denial.
        let again_or_refused = |why: CallFailed| {
            if may_be_retried(&why, tried, waited_until, self.clock.now()) {
                return Err(ActivityFailed::transient(why));
            }
            Ok(Started::Not(Outcome::failed(ErrorKind::TaskRefused, told(&why), self.clock.now())))
        };
        let failed = |kind: ErrorKind, why: String| Ok(Started::Not(Outcome::failed(kind, why, self.clock.now())));
        if tried != Try::First && !execution.token_is_alive(attempt, self.clock.now()) {
            match self.running(id, attempt).await {
                Ok(Some(arn)) => return Ok(Started::Task(arn)),
                Ok(None) => {}
                Err(why) => return again_or_refused(why),
            }
        }
        let Some(job) = self.config.catalog.get(&execution.request.job) else {
            return failed(ErrorKind::UnknownJob, format!("there is no job named {}", execution.request.job));
        };
        let places = Places { table: self.executions.table(), bucket: &self.config.bucket };
        let new = launch::task_for(&execution, job, attempt, &places);
        match self.tasks.run(&new).await {
            Ok(arn) => {
                tracing::info!(executionId = %id, %attempt, taskArn = arn, "started a task");
                Ok(Started::Task(arn))
            }
            // The same attempt already used the token, with another configuration. That task is the attempt's.
            Err(RunError::Taken(Some(arn))) => Ok(Started::Task(arn)),
            Err(why @ RunError::Taken(None)) => match self.started_before(&execution, attempt).await {
                Ok(Some(arn)) => Ok(Started::Task(arn)),
                // ECS does not show it yet.
                Ok(None) if tried != Try::Last => Err(ActivityFailed::transient(why)),
                Ok(None) => failed(ErrorKind::TaskRefused, why.to_string()),
                Err(why) => again_or_refused(why),
            },
            Err(why @ RunError::Refused(_)) => failed(ErrorKind::TaskRefused, why.to_string()),
            Err(RunError::Call(why)) if why.cause == Cause::Denied => self.denied(&execution, attempt, why).await,
            Err(RunError::Call(why)) => again_or_refused(why),
            // Retried until the deadline. Each wait is recorded before it begins, so that a cancel does not have to wait for its end.
            Err(RunError::Busy(why)) => {
                let now = self.clock.now();
                let wait = execution.wait_for_capacity(attempt, now);
                let until = now.checked_add(wait).unwrap_or(now);
                let execution = self.advance(id, &Event::NoCapacity { attempt, why: why.clone(), until }).await?;
                match execution.outcome_without_task(self.clock.now()) {
                    Some(outcome) => Ok(Started::Not(outcome)),
                    None => Err(ActivityFailed::transient(RunError::Busy(why)).again_in(wait)),
                }
            }
        }
    }

    async fn record_task(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        task_arn: &str,
    ) -> Result<Recorded, ActivityFailed> {
        let event = Event::TaskStarted { attempt, task_arn: task_arn.to_owned() };
        let execution = self.advance(id, &event).await?;
        Ok(Recorded { status: execution.status(), seconds_left: seconds_left(&execution, self.clock.now()) })
    }

    async fn check_task(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        callback_id: &str,
        ask: bool,
    ) -> Result<Checked, ActivityFailed> {
        self.check(id, task_arn, callback_id, ask).await
    }

    async fn collect(
        &self,
        id: &ExecutionId,
        task_arn: &str,
        patience: Patience,
    ) -> Result<Option<Outcome>, ActivityFailed> {
        let execution = self.read(id).await?;
        let task = match execution.reported_end(task_arn) {
            Some(told) => Some(Box::new(told.clone())),
            None => match self.tasks.describe(task_arn).await? {
                // ECS is eventually consistent: it may temporarily show an older state than before.
                Seen::Task(task) if !task.stopped && patience == Patience::Late => {
                    return Err(ActivityFailed::transient("the task has not stopped"));
                }
                Seen::Task(task) if !task.stopped => return Ok(None),
                Seen::Task(task) => Some(task),
                Seen::Missing => None,
            },
        };
        let stopped = StoppedTask { execution: &execution, arn: task_arn, described: task.as_deref() };
        match self.outcomes.of(&stopped, patience, self.clock.now()).await? {
            Some(outcome) => Ok(Some(outcome)),
            None => Err(ActivityFailed::transient("the task's log is not available yet")),
        }
    }

    async fn fail_attempt(
        &self,
        id: &ExecutionId,
        attempt: Attempt,
        outcome: &Outcome,
    ) -> Result<Again, ActivityFailed> {
        let execution = self.read(id).await?;
        let Next::Retry(retry) = execution.next(attempt, outcome, self.clock.now()) else {
            return Ok(Again::Said(false));
        };
        let execution = self.executions.advance_seen(execution, &retry.failed, self.clock.now()).await?;
        Ok(match execution.next(attempt, outcome, self.clock.now()) {
            Next::Retry(retry) if retry.wait != RetryRule::default().backoff_before(retry.attempt) => {
                Again::In { seconds: retry.wait.as_secs() }
            }
            Next::Retry(_) => Again::Said(true),
            Next::Cancelled | Next::End => Again::Said(false),
        })
    }

    async fn record(&self, id: &ExecutionId, outcome: &Outcome) -> Result<Finished, ActivityFailed> {
        let execution = self.advance(id, &Event::Ended(outcome.clone())).await?;
        tracing::info!(executionId = %id, status = %execution.status(), "recorded the outcome");
        Ok(finished(execution))
    }

    async fn stop_task(&self, task_arn: &str) -> Result<(), ActivityFailed> {
        Ok(self.tasks.stop(task_arn, judge::CANCELLED).await?)
    }

    async fn give_up(&self, id: &ExecutionId, why: &str, known: Option<&Outcome>) -> Result<Finished, ActivityFailed> {
        tracing::error!(executionId = %id, why, "an activity failed permanently; the workflow gives up");
        let outcome = match known {
            Some(known) => known.clone(),
            None => self.outcome_without_workflow(id, why).await,
        };
        // The outcome is recorded first, because AWS may be refusing to stop tasks. The tasks are stopped even if the item no longer
        // exists.
        let recorded = self.record(id, &outcome).await;
        for task in self.tasks.started_by(id.as_str()).await? {
            self.tasks.stop(&task.arn, "the workflow of the execution failed").await?;
        }
        recorded
    }
}

/// Whether two requests without any rules of their own differ at most by the defaults of their job.
fn differs_by_defaults(seen: &Request, wanted: &Request) -> bool {
    seen.differences(wanted).into_iter().all(|name| ["timeoutSeconds", "retry"].contains(&name))
}

/// The name of a durable execution: the execution's id, followed by the attempt if it is a later one. It is NAME in
/// `…/durable-execution/NAME/ID`
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_GetDurableExecution.html>).
fn name_of(durable_execution_arn: &str) -> &str {
    let name = durable_execution_arn.split("/durable-execution/").nth(1).and_then(|rest| rest.split('/').next());
    name.unwrap_or_default()
}

/// Whether to retry the start of a task after a call that failed.
///
/// `tried` also counts the tries that found no capacity, which say nothing about this failure. So after a wait for capacity,
/// which ended at `waited_until`, the time since then decides.
fn may_be_retried(why: &CallFailed, tried: Try, waited_until: Option<Timestamp>, now: Timestamp) -> bool {
    match (why.cause, waited_until) {
        (Cause::Rejected, _) => false,
        (Cause::Denied, Some(until)) => {
            let patience = SignedDuration::try_from(why.cause.patience(Phase::BeforeTask));
            now.duration_since(until) < patience.unwrap_or(SignedDuration::MAX)
        }
        (Cause::Denied, None) => matches!(tried, Try::First | Try::Again),
        (Cause::Throttled | Cause::Unavailable, Some(_)) => true,
        (Cause::Throttled | Cause::Unavailable, None) => tried != Try::Last,
    }
}

/// The error with AWS's message, which names the resource. For `RunTask`, the missing permission may also be `iam:PassRole`.
fn told(why: &CallFailed) -> String {
    let said = why.message.as_deref().unwrap_or_default();
    if said.is_empty() { why.to_string() } else { format!("{why}: {said}") }
}

fn seconds_left(execution: &Execution, now: Timestamp) -> u64 {
    u64::try_from(execution.deadline.duration_since(now).as_secs()).unwrap_or_default()
}

fn finished(execution: Execution) -> Finished {
    let status = execution.status();
    let task_arn = execution.state.started_task().map(|run| run.task_arn.clone());
    let (result, error) = match execution.state {
        State::Final { outcome, .. } => match outcome.kind {
            OutcomeKind::Completed => (outcome.result, None),
            OutcomeKind::Failed(error)
            | OutcomeKind::TimedOut(error)
            | OutcomeKind::Cancelled(error)
            | OutcomeKind::Expired(error) => (outcome.result, Some(error)),
        },
        State::Scheduled { .. } | State::Pending | State::Running { .. } | State::Cancelling { .. } => (None, None),
    };
    Finished { execution_id: execution.id, status, result, error, task_arn }
}
