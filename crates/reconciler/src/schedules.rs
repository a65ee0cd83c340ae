//! Starts what schedules are due.
//!
//! `domain::schedule` decides one step at a time. Each step is recorded in the schedule's item, with one conditional write, before the next
//! one is decided.
//!
//! If the function crashes before a step's effect, the schedule stays due, and the next sweep repeats the step. If it crashes between the
//! effect and its record, the repeat finds the execution, whose id is derived from the schedule and the time.

use aws::Cause;
use compute::StartError;
use contract::schedule::ScheduleKey;
use domain::{
    Event, Execution, Violation,
    schedule::{FAILING, Origin, Overlap, Schedule, Step, Times},
};
use jiff::Timestamp;
use lambda_runtime::Error;
use runtime::clock;
use store::{Created, Stored};

use crate::reconcile::Reconciler;

/// The most steps for one schedule in a sweep, so that one with many missed times does not delay the others. The next sweep continues.
const STEPS: usize = 20;

/// How often a start is recorded again because another writer was faster.
const MAX_RACES: usize = 16;

/// What a step did.
enum Done {
    /// An execution exists for this time.
    Started(Timestamp),
    /// Nothing could be started for this time, for this reason.
    Failed(Timestamp, String),
    /// Nothing was to be started: only the step has to be recorded.
    Decided,
}

impl Reconciler {
    /// Does what a schedule is due. If it fails, the schedule stays due, and the next sweep continues.
    pub(crate) async fn visit_schedule(&self, key: &ScheduleKey) {
        if let Err(why) = self.run_schedule(key).await {
            tracing::warn!(
                schedule = %key.name,
                owner = key.owner.pseudonym(),
                error = %why,
                "cannot process a schedule; the next sweep retries"
            );
        }
    }

    async fn run_schedule(&self, key: &ScheduleKey) -> Result<(), Error> {
        let Some(mut schedule) = self.schedules.get(key).await? else { return Ok(()) };
        for _ in 0..STEPS {
            let now = clock::now();
            if schedule.due().is_none_or(|due| due > now) {
                return Ok(());
            }
            let times = times(&schedule)?;
            let busy = self.is_busy(&schedule, now).await?;
            let step = schedule.step(&times, busy, now);
            let done = match &step {
                Step::Wait => return Ok(()),
                Step::Start(time) => self.fire(&schedule, *time, now).await?,
                Step::Buffer { .. } | Step::Skip { .. } | Step::Miss { .. } => {
                    self.drop_unless_started(&schedule, &step).await?
                }
            };
            let Some(recorded) = self.record(schedule, &step, &done, now).await? else { return Ok(()) };
            schedule = recorded;
        }
        Ok(())
    }

    /// Whether the last execution of a schedule is not over, if its policy asks for that.
    async fn is_busy(&self, schedule: &Schedule, now: Timestamp) -> Result<bool, Error> {
        let Some(last) = schedule.last.as_ref().filter(|_| schedule.definition.overlap != Overlap::AllowAll) else {
            return Ok(false);
        };
        let execution = self.executions.get(&last.execution_id).await?;
        Ok(execution.is_some_and(|execution| !execution.status().is_final() && execution.expires_at > now))
    }

    /// Starts a schedule's request for a time. Idempotent: the execution's id is derived from the schedule and the time.
    async fn fire(&self, schedule: &Schedule, time: Timestamp, now: Timestamp) -> Result<Done, Error> {
        let request = match contract::schedule::request(&schedule.definition.start, &self.catalog) {
            Ok(request) => request,
            Err(violations) => return Ok(Done::Failed(time, explained(&violations))),
        };
        let (id, owner) = (schedule.execution_id(time), schedule.owner.clone());
        let new = Execution::new(id, schedule.definition.pattern, owner, request, now);
        let origin = Origin { name: schedule.name.to_string(), time: Some(time) };
        let execution = match self.executions.create(&Execution { schedule: Some(origin), ..new }, now).await {
            Ok(Created::New(execution) | Created::Existing(execution)) => *execution,
            Err(why) if why.cause == Cause::Rejected => return Ok(Done::Failed(time, why.to_string())),
            Err(why) => return Err(why.into()),
        };
        if execution.durable_execution_arn.is_none() && !execution.status().is_final() {
            // The execution is stored, so it is started, whatever the failure: the sweep will start its workflow, or record why it cannot.
            match self.workflows.start(&execution.id, execution.pattern).await {
                Ok(_) => {}
                Err(why @ (StartError::Call(_) | StartError::NameTaken(_))) => tracing::warn!(
                    executionId = %execution.id,
                    error = %why,
                    "cannot start the workflow of a scheduled execution; the next sweep retries"
                ),
            }
        }
        Ok(Done::Started(time))
    }

    /// Before a time is dropped: it may have been started by a sweep that died before it recorded that.
    async fn drop_unless_started(&self, schedule: &Schedule, step: &Step) -> Result<Done, Error> {
        if let Some(next) = schedule.next
            && self.executions.get(&schedule.execution_id(next)).await?.is_some()
        {
            return Ok(Done::Started(next));
        }
        if let (Step::Buffer { cancel: true, .. }, Some(last)) = (step, &schedule.last) {
            self.executions.advance(&last.execution_id, &Event::CancelRequested, clock::now()).await?;
            Box::pin(self.visit(&last.execution_id, None)).await?;
        }
        Ok(Done::Decided)
    }

    /// Records what a step did. Returns the schedule after it; `None` if it was deleted in the meantime.
    async fn record(
        &self,
        mut schedule: Schedule,
        step: &Step,
        done: &Done,
        now: Timestamp,
    ) -> Result<Option<Schedule>, Error> {
        let generation = schedule.generation.clone();
        for _ in 0..MAX_RACES {
            let next = match done {
                Done::Started(time) => schedule.started(&times(&schedule)?, *time, now),
                Done::Failed(time, why) => Some(schedule.failed(&times(&schedule)?, *time, why)),
                Done::Decided => schedule.without_start(step),
            };
            let Some(next) = next else { return Ok(Some(schedule)) };
            match self.schedules.replace(&next).await? {
                Stored::Done => {
                    log(&next, done);
                    return Ok(Some(next));
                }
                Stored::Changed(Some(other)) if other.generation == generation => match done {
                    Done::Started(_) => schedule = *other,
                    // Its owner has changed it, which may change the decision.
                    Done::Failed(..) | Done::Decided => return Ok(Some(*other)),
                },
                Stored::Changed(_) => return Ok(None),
            }
        }
        Err("too many concurrent updates of a schedule".into())
    }
}

fn times(schedule: &Schedule) -> Result<Times, Error> {
    let definition = &schedule.definition;
    let why = |errors: Vec<domain::schedule::InvalidRule>| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        format!("its rule {}", errors.join(", and "))
    };
    Ok(Times::of(&definition.cron, &definition.time_zone).map_err(why)?)
}

fn explained(violations: &[Violation]) -> String {
    violations.first().map_or_else(String::new, |first| format!("/start{} {}", first.pointer, first.detail))
}

fn log(schedule: &Schedule, done: &Done) {
    let (name, owner) = (&schedule.name, schedule.owner.pseudonym());
    match (done, &schedule.failing) {
        (Done::Started(time), _) => {
            tracing::info!(schedule = %name, owner, %time, "started an execution for a schedule");
        }
        (Done::Failed(time, why), Some(failing)) if failing.count >= FAILING => tracing::error!(
            schedule = %name, owner, %time, failures = failing.count, error = why,
            "a schedule is failing: none of its last times could be started"
        ),
        (Done::Failed(time, why), _) => {
            tracing::warn!(schedule = %name, owner, %time, error = why, "cannot start a schedule's request");
        }
        (Done::Decided, _) => tracing::info!(schedule = %name, owner, "skipped or postponed times of a schedule"),
    }
}
