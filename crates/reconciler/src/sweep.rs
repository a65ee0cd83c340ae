//! Finds changes that no event reported: visits the executions that are due, a page at a time.
//!
//! If an execution cannot be processed, its visit is postponed. A page or a part of the index that cannot be read is left to the next
//! sweep. So nothing that keeps failing delays the rest.

use std::{collections::HashMap, time::Duration};

use contract::schedule::ScheduleKey;
use domain::{Event, Execution, ExecutionId, task::Task};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use lambda_runtime::Error;
use runtime::clock;
use store::{AdvanceError, Due, NextPage, PARTS};
use tokio::time::Instant;

use crate::{
    activities::Trigger,
    checks::{WorkflowCheck, WorkflowChecks},
    reconcile::Reconciler,
};

/// Executions in a page: as many tasks as one `DescribeTasks` takes.
const PAGE: i32 = 100;

/// Executions that are processed concurrently: an AWS call takes some milliseconds, and ten thousand executions may be due in a
/// minute.
const AT_ONCE: usize = 8;

/// Longer than any sweep: Lambda gives a function 15 minutes.
const LONGEST: Duration = Duration::from_hours(1);

impl Reconciler {
    /// Visits everything that is due, until all is done or it is `until`.
    pub(crate) async fn sweep(&self, until: Timestamp) -> Result<(), Error> {
        let now = clock::now();
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default().min(LONGEST);
        let checks = WorkflowChecks::new(now.as_second(), Instant::now() + left);
        let swept = async {
            let swept = self.sweep_parts(now, until, &checks).await;
            checks.complete();
            swept
        };
        // Boxed, so that the compiler does not have to process all of it at once.
        let made = checks.run(|execution, check| Box::pin(self.check_workflow(execution, check)));
        let (swept, counts) = tokio::join!(swept, made);
        if counts.dropped > 0 {
            tracing::warn!(
                counts.made,
                counts.dropped,
                "this sweep could not check every workflow; the rest is left to the executions' next visits"
            );
        }
        swept
    }

    async fn sweep_parts(&self, now: Timestamp, until: Timestamp, checks: &WorkflowChecks) -> Result<(), Error> {
        // Each sweep begins with another part, so that no part is always the last if there is not enough time for all.
        let first = u8::try_from(now.as_second() / 60 % i64::from(PARTS)).unwrap_or_default();
        let mut failed = None;
        for part in (0..PARTS).map(|n| (first + n) % PARTS) {
            failed = self.sweep_part(part, now, until, checks).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn sweep_part(
        &self,
        part: u8,
        now: Timestamp,
        until: Timestamp,
        checks: &WorkflowChecks,
    ) -> Result<(), Error> {
        let mut page: Option<NextPage> = None;
        let mut failed = None;
        while clock::now() < until {
            let (due, next) = self.executions.due(part, now, PAGE, page).await?;
            if let Err(why) = self.sweep_page(due, checks).await {
                tracing::warn!(part, error = %why, "cannot process a page of due executions; the next sweep retries");
                failed = Some(why);
            }
            match next {
                Some(next) => page = Some(next),
                None => break,
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn sweep_page(&self, due: Due, checks: &WorkflowChecks) -> Result<(), Error> {
        // Boxed, so that the compiler does not have to process all of it at once.
        let schedule = |key: ScheduleKey| Box::pin(async move { self.visit_schedule(&key).await });
        stream::iter(due.schedules).for_each_concurrent(AT_ONCE, schedule).await;
        let read = stream::iter(due.executions).map(|id| self.read_due(id)).buffer_unordered(AT_ONCE);
        let executions: Vec<_> = read.collect::<Vec<_>>().await.into_iter().flatten().collect();
        let tasks = self.tasks_of(&executions).await?;
        tracing::info!(executions = executions.len(), "visiting a page of due executions");
        let visit = |execution| {
            // Boxed, so that the compiler does not have to process all of it at once.
            Box::pin(self.visit_due(execution, tasks.as_ref(), checks))
        };
        stream::iter(executions).for_each_concurrent(AT_ONCE, visit).await;
        Ok(())
    }

    /// Reads an execution that is due. `None` if it needs no visit any more: the index is a moment behind.
    async fn read_due(&self, id: ExecutionId) -> Option<Execution> {
        match self.executions.get(&id).await {
            Ok(execution) => execution.filter(|execution| execution.due.is_some()),
            Err(why) => {
                tracing::error!(executionId = %id, error = %why, "cannot read an execution; skipping it");
                None
            }
        }
    }

    async fn visit_due(
        &self,
        mut execution: Execution,
        tasks: Option<&HashMap<String, Task>>,
        checks: &WorkflowChecks,
    ) {
        // Boxed, because a visit holds several versions of an execution.
        let (event, check) = match Box::pin(self.visit_with(&mut execution, tasks)).await {
            Ok(check) => (Event::Visited, check),
            Err(why) => {
                tracing::warn!(
                    executionId = %execution.id,
                    error = %why,
                    "cannot process an execution; postponing its next visit"
                );
                (Event::VisitPostponed, None)
            }
        };
        // If the execution has changed in the meantime, the visit is not recorded and the stored `due` is kept, since the visit did not see
        // that change.
        match self.executions.advance_from(&execution, &event, clock::now()).await {
            // An outcome that is inferred from the check is recorded only if the execution does not change from here on.
            Ok(Some(visited)) => {
                if let Some(check) = check {
                    checks.add(visited, check);
                }
            }
            Ok(None) | Err(AdvanceError::NotFound(_)) => {}
            Err(why) => {
                tracing::warn!(
                    executionId = %execution.id,
                    error = %why,
                    "cannot record the visit; the execution stays due"
                );
            }
        }
    }

    async fn visit_with(
        &self,
        execution: &mut Execution,
        tasks: Option<&HashMap<String, Task>>,
    ) -> Result<Option<WorkflowCheck>, Error> {
        let described;
        let task = match (execution.state.started_task(), tasks) {
            (None, _) => None,
            (Some(started), Some(tasks)) => tasks.get(&started.task_arn),
            (Some(started), None) => {
                described = self.task_of(started).await?;
                described.as_ref()
            }
        };
        self.carry_out(execution, task, Trigger::Sweep).await
    }

    /// The newest tasks of all of these executions, by ARN, in one call. `None` if ECS refuses the call: the reason may be one of the
    /// tasks, so each has to be requested separately.
    async fn tasks_of(&self, executions: &[Execution]) -> Result<Option<HashMap<String, Task>>, Error> {
        let arns = executions.iter().filter_map(|one| Some(one.state.started_task()?.task_arn.clone()));
        match self.tasks.describe_many(arns.collect()).await {
            Ok(tasks) => Ok(Some(tasks.into_iter().map(|task| (task.arn.clone(), task)).collect())),
            Err(why) if why.retryable() && why.cause != aws::Cause::Denied => Err(why.into()),
            Err(why) => {
                tracing::warn!(
                    error = %why,
                    "ECS refused to describe these tasks together; describing each of them separately"
                );
                Ok(None)
            }
        }
    }
}
