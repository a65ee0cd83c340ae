//! Carries out the activities for an execution.
//!
//! An execution may change between being read and being acted on. An activity that was right when the execution was read is idempotent, and
//! harmless if the execution has changed since. An outcome that is inferred from the execution's state is recorded only if the
//! execution has not changed.

use std::time::Duration;

use aws::{Cause, Connection, Phase};
use compute::{Outcomes, Seen, StartError, Tasks, WorkflowStatus, Workflows};
use contract::{catalog::Catalog, messages::WakeUp};
use domain::{
    Attempt, ErrorKind, Event, Execution, ExecutionId, JobError, Next, Outcome, OutcomeKind, StartedTask,
    collect::{Patience, StoppedTask},
    judge,
    task::Task,
};
use lambda_runtime::Error;
use runtime::clock;
use store::{AdvanceError, Executions, Schedules};

use crate::{
    activities::{Activity, Trigger, activities},
    checks::WorkflowCheck,
    config::Config,
};

/// AWS keeps a durable execution for at least a day after its end
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_DurableConfig.html>).
const RETENTION: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// How long after a task's end its log may still be empty because CloudWatch is behind. Most of the stopped tasks that a sweep finds have
/// been over for longer. It does not wait for their logs, since there may be thousands of them.
const LOG_IS_LATE: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// Repairs executions.
#[derive(Debug)]
pub(crate) struct Reconciler {
    pub(crate) executions: Executions,
    pub(crate) schedules: Schedules,
    pub(crate) catalog: Catalog,
    pub(crate) workflows: Workflows,
    pub(crate) tasks: Tasks,
    outcomes: Outcomes,
}

impl Reconciler {
    pub(crate) fn new(connection: &Connection, config: &Config) -> Self {
        Self {
            executions: Executions::new(connection, &config.table),
            schedules: Schedules::new(connection, &config.table),
            catalog: config.catalog.clone(),
            workflows: Workflows::new(connection, &config.sync_function, &config.callback_function),
            tasks: Tasks::new(connection, &config.cluster, compute::Network::default()),
            outcomes: Outcomes::new(connection, &config.table),
        }
    }

    /// Notes that a task has stopped, as an event or a call of ECS showed. A workflow that waits for the task finds the note when it is
    /// woken, or when it notes its callback, and does not have to ask ECS. The note stays even after ECS has forgotten the task.
    ///
    /// If the function crashes before the note or after it, the event is delivered again, and the sweep visits the execution
    /// again.
    async fn note_end(&self, execution: &mut Execution, stopped: &Task) -> Result<(), Error> {
        let event = Event::TaskStopped { task: Box::new(stopped.clone()) };
        *execution = self.executions.advance_seen(execution.clone(), &event, clock::now()).await?;
        Ok(())
    }

    /// Repairs one execution, unless it no longer exists. `told` is its task as an event reported it. It is taken as current, since a
    /// stopped task stays stopped.
    pub(crate) async fn visit(&self, id: &ExecutionId, told: Option<Task>) -> Result<(), Error> {
        let Some(mut execution) = self.executions.get(id).await? else { return Ok(()) };
        if let Some(told) = &told {
            self.note_end(&mut execution, told).await?;
        }
        let task = match (execution.state.started_task(), told) {
            (Some(started), Some(told)) if told.arn == started.task_arn => Some(told),
            (Some(started), _) => self.task_of(started).await?,
            (None, _) => None,
        };
        match self.carry_out(&mut execution, task.as_ref(), Trigger::Event).await? {
            Some(check) => self.check_workflow(execution, check).await,
            None => Ok(()),
        }
    }

    /// A task as ECS shows it now; `None` if ECS does not know it.
    pub(crate) async fn task_of(&self, started: &StartedTask) -> Result<Option<Task>, Error> {
        Ok(match self.tasks.describe(&started.task_arn).await? {
            Seen::Task(task) => Some(*task),
            Seen::Missing => None,
        })
    }

    /// Notes the end of its task, if that has stopped, and carries out every activity, even if another one fails. Returns the
    /// check of its workflow, if one is needed, instead of making it: Lambda answers only a limited number of such calls.
    pub(crate) async fn carry_out(
        &self,
        execution: &mut Execution,
        task: Option<&Task>,
        trigger: Trigger,
    ) -> Result<Option<WorkflowCheck>, Error> {
        if let Some(stopped) = task.filter(|task| task.stopped) {
            self.note_end(execution, stopped).await?;
        }
        let urgent = task.is_none_or(|task| task.stopped);
        let check = |arn: String| WorkflowCheck { arn, restarted: false, urgent };
        let (mut failed, mut needed) = (None, None);
        for activity in activities(execution, task, clock::now(), trigger) {
            tracing::info!(
                executionId = %execution.id,
                status = %execution.status(),
                ?activity,
                "carrying out an activity"
            );
            let done = match activity {
                Activity::StartWorkflow => self.start_workflow(execution).await,
                Activity::CheckWorkflow => Ok(execution.durable_execution_arn.clone().map(check)),
                // If nothing waits for the callback, either it has timed out and the workflow checks its task by itself, or the
                // workflow is over.
                Activity::Wake(callback_id) => self.wake(execution, &callback_id).await.map(|waited| {
                    let arn = execution.durable_execution_arn.clone().filter(|_| !waited);
                    arn.map(check)
                }),
                Activity::StopTask { arn, reason } => {
                    self.tasks.stop(&arn, reason).await.map(|()| None).map_err(Into::into)
                }
                Activity::StopLeftovers => self.stop_leftovers(&execution.id).await.map(|()| None),
                Activity::Collect { arn } => self.collect(execution, &arn, task).await.map(|()| None),
            };
            match done {
                Ok(check) => needed = needed.or(check),
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        failed.map_or(Ok(needed), Err)
    }

    /// Starts the workflow, or finds the one that was started before. That one may be over: it may have crashed before it recorded
    /// anything.
    async fn start_workflow(&self, execution: &Execution) -> Result<Option<WorkflowCheck>, Error> {
        match self.workflows.start(&execution.id, execution.pattern).await {
            Ok(arn) => Ok(arn.map(|arn| WorkflowCheck { arn, restarted: true, urgent: true })),
            Err(why @ StartError::NameTaken(_)) => self.give_up(execution, why.to_string()).await.map(|()| None),
            Err(StartError::Call(why)) if clock::now() >= execution.deadline => {
                let why = format!("no workflow could be started before the deadline: {why}");
                let error = JobError::new(ErrorKind::TimedOut, why);
                self.end(execution, Outcome::without_job(OutcomeKind::TimedOut(error), clock::now()))
                    .await
                    .map(|()| None)
            }
            // It may be EXPIRED: no workflow accepted it, so no task can have been started.
            Err(StartError::Call(failed)) => match execution.outcome_without_task(clock::now()) {
                Some(outcome) => self.end(execution, outcome).await.map(|()| None),
                None => Err(failed.into()),
            },
        }
    }

    /// Ends the wait of a workflow. Returns whether it was waiting.
    async fn wake(&self, execution: &Execution, callback_id: &str) -> Result<bool, Error> {
        let told = |started: &StartedTask| execution.reported_end(&started.task_arn).is_some();
        let wake_up = WakeUp { stopped: execution.state.started_task().is_some_and(told) };
        Ok(self.workflows.wake(callback_id, wake_up).await?)
    }

    /// Asks whether a workflow is running. If it has ended without recording an outcome, it never will, so the reconciler records one, even
    /// if the workflow did not see the end of its task.
    ///
    /// If the ARN comes from a repeated start (`restarted`), the workflow itself has not recorded it. If that workflow is over and the
    /// execution has not changed, the workflow has recorded nothing, and never will.
    pub(crate) async fn check_workflow(&self, execution: Execution, check: WorkflowCheck) -> Result<(), Error> {
        let WorkflowCheck { arn, restarted, urgent: _ } = check;
        let execution = &execution;
        match self.workflows.status(&arn).await? {
            WorkflowStatus::Running => Ok(()),
            // Lambda returned this ARN a moment ago, and does not know it yet.
            WorkflowStatus::Forgotten if restarted => Ok(()),
            WorkflowStatus::Over(how) if restarted => self.give_up(execution, over(&how)).await,
            WorkflowStatus::Over(how) => self.record_for_workflow(execution, over(&how)).await,
            // The durable execution existed when it recorded its ARN, and Lambda keeps it for longer than this. So Lambda is behind.
            WorkflowStatus::Forgotten if clock::now().duration_since(execution.started_from()) < RETENTION => Ok(()),
            WorkflowStatus::Forgotten => {
                self.record_for_workflow(execution, "its durable execution no longer exists".to_owned()).await
            }
        }
    }

    /// Records what the workflow did not: the outcome of its task, if the task is over, or else that the workflow failed, and `why`.
    async fn record_for_workflow(&self, execution: &Execution, why: String) -> Result<(), Error> {
        // If the task's start could not be recorded, ECS's event is all that is known about it.
        let task = match execution.state.started_task() {
            Some(started) => execution.reported_end(&started.task_arn),
            None => execution.stopped.as_deref(),
        };
        match task {
            Some(task) => self.end(execution, self.outcome(execution, &task.arn, Some(task)).await?).await,
            None => self.give_up(execution, why).await,
        }
    }

    /// The outcome of a task that has stopped. CloudWatch may show its log a moment after its end.
    async fn outcome(&self, execution: &Execution, arn: &str, task: Option<&Task>) -> Result<Outcome, Error> {
        let stopped = StoppedTask { execution, arn, described: task };
        let stopped_at = task.and_then(|task| task.stopped_at);
        let just_stopped = stopped_at.is_some_and(|at| clock::now().duration_since(at) < LOG_IS_LATE);
        let waits = if just_stopped { &[1, 2][..] } else { &[] };
        for wait in waits {
            if let Some(outcome) = self.outcomes.of(&stopped, Patience::Late, clock::now()).await? {
                return Ok(outcome);
            }
            tokio::time::sleep(Duration::from_secs(*wait)).await;
        }
        let waited = clock::now().duration_since(stopped_at.unwrap_or(execution.started_from()));
        let most = jiff::SignedDuration::try_from(Cause::Denied.patience(Phase::TaskStarted))?;
        let patience = if waited < most { Patience::Failures } else { Patience::None };
        self.outcomes
            .of(&stopped, patience, clock::now())
            .await?
            .ok_or_else(|| "the task's log is not available yet".into())
    }

    async fn collect(&self, execution: &Execution, arn: &str, task: Option<&Task>) -> Result<(), Error> {
        let outcome = self.outcome(execution, arn, task).await?;
        if self.another_attempt(execution, &outcome).await? {
            return Ok(());
        }
        settled(self.executions.advance_seen(execution.clone(), &Event::Ended(outcome), clock::now()).await)
    }

    /// Starts another attempt, with its own workflow, if this one failed and another may follow. Idempotent: the workflow's name
    /// contains the attempt.
    ///
    /// If the function crashes before the failed attempt is recorded, the next visit repeats all of it. If it crashes between
    /// that and the workflow's start, the next visit finds the recorded failure and starts the workflow. If the workflow crashes
    /// before it records a task, the next visit finds that it is over.
    async fn another_attempt(&self, execution: &Execution, outcome: &Outcome) -> Result<bool, Error> {
        let Some(started) = execution.state.started_task() else { return Ok(false) };
        let Next::Retry(retry) = execution.next(started.attempt, outcome, clock::now()) else { return Ok(false) };
        let asked_before = execution.failed.last == Some(started.attempt);
        let execution = match self.executions.advance_seen(execution.clone(), &retry.failed, clock::now()).await {
            Ok(execution) => execution,
            failed => return settled(failed).map(|()| true),
        };
        // Another visit was faster, and its attempt is running. This visit saw an earlier attempt, which shows nothing about the workflow
        // of the new one.
        if execution.state.started_task() != Some(started) {
            return Ok(true);
        }
        match execution.next(started.attempt, outcome, clock::now()) {
            Next::Retry(retry) => self.start_attempt(&execution, retry.attempt, asked_before).await,
            // Cancelled in the meantime, or its deadline has passed.
            Next::Cancelled | Next::End => Ok(false),
        }
    }

    async fn start_attempt(&self, execution: &Execution, attempt: Attempt, asked_before: bool) -> Result<bool, Error> {
        match self.workflows.start_attempt(&execution.id, execution.pattern, attempt).await {
            Ok(Some(arn)) if asked_before => {
                // Rare, so not rate-limited: only if a failure was recorded but the next attempt was not started.
                self.check_workflow(execution.clone(), WorkflowCheck { arn, restarted: true, urgent: true }).await?;
            }
            Ok(_) => {}
            Err(StartError::NameTaken(_)) => return Ok(false),
            Err(StartError::Call(failed)) => return Err(failed.into()),
        }
        Ok(true)
    }

    async fn give_up(&self, seen: &Execution, why: String) -> Result<(), Error> {
        self.end(seen, seen.outcome_without_workflow(why, clock::now())).await
    }

    /// Records an outcome that was inferred from the execution as `seen`, and stops what it left running. If it has changed since
    /// then, nothing is recorded, and the next visit decides.
    ///
    /// If the function crashes between recording and stopping, or cannot stop the task, the sweep visits the execution once more.
    async fn end(&self, seen: &Execution, outcome: Outcome) -> Result<(), Error> {
        match self.executions.advance_from(seen, &Event::Ended(outcome), clock::now()).await {
            Ok(Some(_)) => self.stop_leftovers(&seen.id).await,
            Ok(None) => {
                tracing::info!(
                    executionId = %seen.id,
                    "not recording an outcome: the execution has changed since it was read"
                );
                Ok(())
            }
            Err(why) => settled(Err(why)),
        }
    }

    /// Stops every task that an execution left running, whether or not its start was recorded.
    async fn stop_leftovers(&self, id: &ExecutionId) -> Result<(), Error> {
        for task in self.tasks.started_by(id.as_str()).await? {
            if !task.stopped {
                tracing::warn!(executionId = %id, taskArn = task.arn, "stopping a task that was left running");
                self.tasks.stop(&task.arn, judge::OVER).await?;
            }
        }
        Ok(())
    }
}

/// How much of a durable execution's error is kept. It begins with what happened. An error of the SDK continues with internal
/// details.
const ERROR_CHARS: usize = 300;

fn over(how: &str) -> String {
    let told: String = how.chars().take(ERROR_CHARS).collect();
    format!("its durable execution ended without recording an outcome: {told}")
}

/// The item may have expired: then there is nothing to record.
fn settled(advanced: Result<Execution, AdvanceError>) -> Result<(), Error> {
    match advanced {
        Ok(_) | Err(AdvanceError::NotFound(_)) => Ok(()),
        Err(why) => Err(why.into()),
    }
}
