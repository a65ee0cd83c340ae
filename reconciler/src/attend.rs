//! Does what there is to do for an execution.

use std::collections::HashMap;

use aws::{AdvanceError, Connection, Executions, Logs, Seen, StartError, Tasks, WorkflowStatus, Workflows, clock};
use domain::{Ending, Event, Execution, ExecutionId, JobError, State, Verdict, judge, output::kinds, task::Task};
use lambda_runtime::Error;

use crate::{
    config::Config,
    deeds::{Deed, deeds},
};

/// Lines of a log that are read to find a result, and an error's last words.
const LOG_LINES: i32 = 1_000;

/// Executions of one part of the index that one sweep looks after; the next sweep takes the next ones.
const SWEEP: i32 = 100;

/// Tasks that one `DescribeTasks` takes.
const DESCRIBED_AT_ONCE: usize = 100;

/// AWS keeps a durable execution for a day at least after its end
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_DurableConfig.html>).
const RETENTION: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Looks after executions.
#[derive(Debug)]
pub(crate) struct Attendant {
    executions: Executions,
    workflows: Workflows,
    tasks: Tasks,
    logs: Logs,
    config: Config,
}

impl Attendant {
    pub(crate) fn new(connection: &Connection, config: Config) -> Self {
        Self {
            executions: Executions::new(connection, &config.table),
            workflows: Workflows::new(connection, &config.sync_function, &config.callback_function),
            tasks: Tasks::new(connection, &config.cluster, aws::Network::default()),
            logs: Logs::new(connection, &config.log_group),
            config,
        }
    }

    /// Looks after one execution. What an event `told` of its task is taken for how it is: a stopped task stays stopped.
    pub(crate) async fn attend(&self, id: &ExecutionId, told: Option<Task>) -> Result<(), Error> {
        let Some(execution) = self.executions.get(id).await? else { return Ok(()) };
        let task = match (execution.state.run(), told) {
            (Some(run), Some(told)) if told.arn == run.task_arn => Some(told),
            (Some(run), _) => match self.tasks.describe(&run.task_arn).await? {
                Seen::Task(task) => Some(*task),
                Seen::Missing => None,
            },
            (None, _) => None,
        };
        self.look_after(&execution, task.as_ref()).await
    }

    /// Looks after everything that is due. One that fails stays due, and does not hold up the others.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let due = self.executions.due(clock::now(), SWEEP).await?;
        let mut executions = Vec::new();
        for id in due {
            match self.executions.get(&id).await {
                Ok(Some(execution)) if !execution.status().is_final() => executions.push(execution),
                Ok(_) => {}
                Err(why) => tracing::warn!(executionId = %id, error = %why, "cannot be looked after now"),
            }
        }
        let tasks = self.tasks_of(&executions).await?;
        tracing::info!(executions = executions.len(), "sweeping");
        for execution in executions {
            let task = execution.state.run().and_then(|run| tasks.get(&run.task_arn));
            let done = match self.look_after(&execution, task).await {
                Ok(()) => self.attended(&execution.id).await,
                failed => failed,
            };
            if let Err(why) = done {
                tracing::warn!(executionId = %execution.id, error = %why, "cannot be looked after now");
            }
        }
        Ok(())
    }

    /// The newest tasks of all of them, by ARN, in as few calls as ECS allows.
    async fn tasks_of(&self, executions: &[Execution]) -> Result<HashMap<String, Task>, Error> {
        let arns: Vec<_> = executions.iter().filter_map(|one| Some(one.state.run()?.task_arn.clone())).collect();
        let mut tasks = HashMap::new();
        for some in arns.chunks(DESCRIBED_AT_ONCE) {
            tasks.extend(
                self.tasks.describe_many(some.to_vec()).await?.into_iter().map(|task| (task.arn.clone(), task)),
            );
        }
        Ok(tasks)
    }

    async fn look_after(&self, execution: &Execution, task: Option<&Task>) -> Result<(), Error> {
        for deed in deeds(execution, task, clock::now()) {
            tracing::info!(executionId = %execution.id, status = %execution.status(), ?deed, "looking after");
            match deed {
                Deed::StartWorkflow => self.start_workflow(execution).await?,
                Deed::CheckWorkflow => self.check_workflow(execution).await?,
                Deed::Wake(callback_id) => self.workflows.wake(&callback_id).await?,
                Deed::StopTask { arn, reason } => self.tasks.stop(&arn, reason).await?,
                Deed::Collect => self.collect(execution, task).await?,
            }
        }
        Ok(())
    }

    async fn start_workflow(&self, execution: &Execution) -> Result<(), Error> {
        match self.workflows.start(&execution.id, execution.pattern).await {
            Ok(()) => Ok(()),
            Err(why @ StartError::NameTaken(_)) => self.record_failure(&execution.id, why.to_string()).await,
            Err(StartError::Call(failed)) => Err(failed.into()),
        }
    }

    /// A workflow that ended without recording an end never will.
    async fn check_workflow(&self, execution: &Execution) -> Result<(), Error> {
        let Some(arn) = &execution.durable_execution_arn else { return Ok(()) };
        let why = match self.workflows.status(arn).await? {
            WorkflowStatus::Running => return Ok(()),
            WorkflowStatus::Over(how) => format!("its durable execution is over and recorded nothing: {how}"),
            // It was there when it noted its ARN: so young, it is AWS that is behind.
            WorkflowStatus::Forgotten if clock::now().duration_since(execution.created_at) < RETENTION => return Ok(()),
            WorkflowStatus::Forgotten => "its durable execution is not there any more".to_owned(),
        };
        self.record_failure(&execution.id, why).await?;
        match execution.state.run() {
            Some(run) => Ok(self.tasks.stop(&run.task_arn, "the workflow of the execution is gone").await?),
            None => Ok(()),
        }
    }

    async fn collect(&self, execution: &Execution, task: Option<&Task>) -> Result<(), Error> {
        let job = self.config.catalog.get(&execution.request.task);
        let arn = execution.state.run().map(|run| run.task_arn.as_str());
        let lines = match (job, arn) {
            (Some(job), Some(arn)) => self.logs.tail(&job.log_stream(arn), LOG_LINES).await?,
            _ => Vec::new(),
        };
        let container = job.map_or("", |job| job.container.as_str());
        let ending = judge::ending(execution, task, container, &lines, clock::now());
        if self.another_attempt(execution, &ending).await? { Ok(()) } else { self.record(&execution.id, ending).await }
    }

    /// Starts another attempt if this one failed and one may follow: a workflow that begins with it. Safe to repeat: the
    /// workflow's name says which attempt it is.
    async fn another_attempt(&self, execution: &Execution, ending: &Ending) -> Result<bool, Error> {
        let (State::Running { run, .. }, Verdict::Failed(error)) = (&execution.state, &ending.verdict) else {
            return Ok(false);
        };
        let excused = judge::excused(ending);
        if clock::now() >= execution.deadline || !(excused || execution.may_try_again(run.attempt)) {
            return Ok(false);
        }
        let event = Event::AttemptFailed { attempt: run.attempt, error: error.clone(), excused };
        let execution = match self.executions.advance(&execution.id, &event, clock::now()).await {
            Ok(execution) => execution,
            failed => return settled(failed).map(|()| true),
        };
        if !execution.may_try_again(run.attempt) {
            return Ok(false);
        }
        match self.workflows.start_attempt(&execution.id, execution.pattern, run.attempt.next()).await {
            Ok(()) => Ok(true),
            Err(StartError::NameTaken(_)) => Ok(false),
            Err(StartError::Call(failed)) => Err(failed.into()),
        }
    }

    async fn record_failure(&self, id: &ExecutionId, why: String) -> Result<(), Error> {
        let verdict = Verdict::Failed(JobError::new(kinds::WORKFLOW_FAILED, why));
        self.record(id, Ending { verdict, result: None, exit_code: None, finished_at: clock::now() }).await
    }

    /// Records an end, unless there is one already.
    async fn record(&self, id: &ExecutionId, ending: Ending) -> Result<(), Error> {
        settled(self.executions.advance(id, &Event::Ended(ending), clock::now()).await)
    }

    async fn attended(&self, id: &ExecutionId) -> Result<(), Error> {
        settled(self.executions.advance(id, &Event::Attended, clock::now()).await)
    }
}

/// Somebody else was first, or it is gone: both are well.
fn settled(advanced: Result<Execution, AdvanceError>) -> Result<(), Error> {
    match advanced {
        Ok(_) | Err(AdvanceError::NotFound(_)) => Ok(()),
        Err(AdvanceError::Refused { now, .. }) if now.status().is_final() => Ok(()),
        Err(why) => Err(why.into()),
    }
}
