//! The two workflows: `sync` waits for its task and returns the result, `callback` starts the task and returns.
//!
//! ```text
//! sync      accept → [await start] → (run-task → record-task → (wake → check-task → wait → [collect])+ → [fail-attempt → backoff])* → record
//! callback  create-record → [await start] → [backoff] → run-task → record-task → [stop-task]
//! ```
//!
//! Before its start time, an execution awaits its start: `[check-start] → (wake → check-start → wait)* → check-start`.
//!
//! If any activity after the first fails permanently, both run `give-up`: it records the outcome or the failure, and stops what was
//! started.
//!
//! **Invariant**: one branch at a time, and no race between a callback and a timer. With this version of the SDK, an invocation can
//! end while a branch of a `race` or a `parallel` still has to be driven, and then nothing wakes the execution. A callback with a
//! timeout is a wait that an event can cut short, in one operation.

use std::{sync::Arc, time::Duration};

use aws::{Cause, Phase};
use aws_durable_execution_sdk::{
    BoxError, DurableContext, OperationError, OperationErrorKind, RetryDecision, Serdes, StepContext, StepError,
    TypedError, serdes::SerdesContext,
};
use contract::{
    checkpoint::{Accepted, Again, Checked, Due, Finished, Job, Recorded, Started},
    messages::WakeUp,
    written::As,
};
use domain::{Attempt, ExecutionId, Json, Outcome, Pattern, RetryRule, Status, collect::Patience};

use crate::{
    activities::{Activities, ActivityFailed, Try},
    cadence::{self, Waits},
};

/// Starts the job's task, waits for its end without being billed for the wait, and records the outcome.
///
/// # Errors
///
/// If the job did not complete, the durable execution fails too, after the outcome was recorded, so that Lambda's own status is correct
/// as well. Apart from that, it fails only if an activity fails permanently.
pub async fn sync<A: Activities>(activities: Arc<A>, input: Json, ctx: DurableContext) -> Result<Finished, BoxError> {
    let job = match accept(&activities, ACCEPT, Pattern::Sync, input, &ctx).await? {
        Accepted::Job(job) => job,
        Accepted::Over(finished) => return conclude(finished),
    };
    match every_attempt(&activities, &job, &ctx).await {
        Ok(finished) => conclude(finished),
        Err(failed) => conclude(give_up(&activities, &job.id, failed, &ctx).await?),
    }
}

/// Starts the job's task and returns at once; the worker in the task records the outcome.
///
/// # Errors
///
/// If the job's task could not be started, the durable execution fails too, after the outcome was recorded.
pub async fn callback<A: Activities>(
    activities: Arc<A>,
    input: Json,
    ctx: DurableContext,
) -> Result<Finished, BoxError> {
    let job = match accept(&activities, CREATE_RECORD, Pattern::Callback, input, &ctx).await? {
        Accepted::Job(job) => job,
        Accepted::Over(finished) => return conclude(finished),
    };
    match start(&activities, &job, &ctx).await {
        Ok(finished) => conclude(finished),
        Err(failed) => conclude(give_up(&activities, &job.id, failed, &ctx).await?),
    }
}

/// Why a workflow cannot continue, and its job's outcome, if that is known. A known outcome is never dropped.
struct Failed {
    why: BoxError,
    known: Option<Outcome>,
}

impl From<BoxError> for Failed {
    fn from(why: BoxError) -> Self {
        Self { why, known: None }
    }
}

/// Records an outcome. If that fails, the error carries the outcome, so that it is not lost.
async fn record_known<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    outcome: Outcome,
    ctx: &DurableContext,
) -> Result<Finished, Failed> {
    record(activities, id, outcome.clone(), ctx).await.map_err(|why| Failed { why, known: Some(outcome) })
}

/// Starts the task of a callback execution, or records why there is none.
async fn start<A: Activities>(activities: &Arc<A>, job: &Job, ctx: &DurableContext) -> Result<Finished, Failed> {
    let (id, attempt) = (&job.id, job.attempt);
    await_start(activities, job, ctx).await?;
    if let Some(seconds) = job.backoff {
        ctx.wait(Duration::from_secs(seconds)).name("backoff").await.map_err(BoxError::from)?;
    }
    let task_arn = match run_task(activities, id, attempt, ctx).await? {
        Started::Task(arn) => arn,
        Started::Not(outcome) => return record_known(activities, id, outcome, ctx).await,
    };
    let recorded = record_task(activities, id, attempt, &task_arn, ctx).await?;
    if recorded.status == Status::Cancelling || recorded.status.is_final() {
        // The execution was cancelled or ended between RunTask and its record, so nothing else knew which task to stop.
        let (activities, arn) = (activities.clone(), task_arn.clone());
        step(ctx, "stop-task", move |_| async move { activities.stop_task(&arn).await }).await?;
    }
    let (execution_id, status, task_arn) = (id.clone(), recorded.status, Some(task_arn));
    Ok(Finished { execution_id, status, result: None, error: None, task_arn })
}

/// Runs attempts, one after the other, until one of them decides the job's outcome, and records it.
async fn every_attempt<A: Activities>(
    activities: &Arc<A>,
    job: &Job,
    ctx: &DurableContext,
) -> Result<Finished, Failed> {
    await_start(activities, job, ctx).await?;
    let mut attempt = job.attempt;
    loop {
        let task_arn = match run_task(activities, &job.id, attempt, ctx).await? {
            Started::Task(arn) => arn,
            Started::Not(outcome) => return record_known(activities, &job.id, outcome, ctx).await,
        };
        let recorded = record_task(activities, &job.id, attempt, &task_arn, ctx).await?;
        let left = Duration::from_secs(recorded.seconds_left);
        let outcome = end_of(activities, &job.id, &task_arn, left, ctx).await?;
        let again = if domain::may_retry(job.max_attempts, &outcome) {
            let asked = fail_attempt(activities, &job.id, attempt, &outcome, ctx).await;
            asked.map_err(|why| Failed { why, known: Some(outcome.clone()) })?
        } else {
            Again::Said(false)
        };
        let wait = match again {
            Again::Said(false) => return record_known(activities, &job.id, outcome, ctx).await,
            Again::Said(true) => RetryRule::default().backoff_before(attempt.next()),
            Again::In { seconds } => Duration::from_secs(seconds),
        };
        attempt = attempt.next();
        ctx.wait(wait).name("backoff").await.map_err(BoxError::from)?;
    }
}

/// Waits for the start time of the execution, which may be moved meanwhile, or for its end.
///
/// The workflow was started shortly before the start time. If that is moved far ahead, this workflow keeps waiting, because its name can
/// only be used once.
///
/// As in [`end_of`], the callback is registered before the check, so that no wake-up is lost. After a wait that is not cut short, the
/// time has usually come, so the first check registers none, and leaves none open.
async fn await_start<A: Activities>(activities: &Arc<A>, job: &Job, ctx: &DurableContext) -> Result<(), BoxError> {
    let Some(seconds) = job.starts_in else { return Ok(()) };
    let mut left = Duration::from_secs(seconds);
    loop {
        if left.is_zero() {
            match check_start(activities, &job.id, None, ctx).await? {
                Due::Now => return Ok(()),
                Due::In { seconds } => left = Duration::from_secs(seconds),
            }
        }
        let wait = left.min(cadence::LONGEST);
        let wake = ctx.create_callback::<WakeUp>().name("wake").timeout(wait).serdes(AnyWord).await?;
        match check_start(activities, &job.id, Some(wake.id()), ctx).await? {
            Due::Now => return Ok(()),
            Due::In { seconds } => left = Duration::from_secs(seconds),
        }
        // The execution was moved to an earlier time before this wait. Its callback stays open, and times out eventually.
        if left + Duration::from_secs(1) < wait {
            continue;
        }
        left = match woken(wake.result().await)? {
            Some(_) => Duration::ZERO,
            None => left.saturating_sub(wait),
        };
    }
}

/// Waits for the end of a task, and determines its outcome.
///
/// The callback is registered before the check, so that no wake-up is lost: if the end is reported after the check, the reconciler
/// finds the callback. A wake-up for a callback that has just timed out is refused, which is harmless: the next check sees the task.
///
/// If a callback is completed during the check, the workflow notices it only in its next invocation, because this version of the
/// SDK suspends on a callback that it has just created, even if its result has already arrived. Lambda then invokes the function
/// again, either because the callback was completed, or because it does not suspend an execution that has nothing to wait for.
/// There is one exception: while the callback of an earlier attempt is still open, the execution could stay suspended until that
/// callback times out. A wake-up that says that the task has stopped leaves no callback open, and saves a check.
///
/// The first check does not ask ECS. ECS answers 20 such calls a second for a whole account, and starts as many tasks
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>), so asking at each start would use up the
/// quota. An end that is not noted by then is reported later, or seen by a check after a wait.
///
/// If the task was reported or seen to have stopped, but ECS then shows it as running, the workflow keeps waiting: the report was
/// wrong, or ECS, which is eventually consistent, was behind.
async fn end_of<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    task_arn: &str,
    left: Duration,
    ctx: &DurableContext,
) -> Result<Outcome, BoxError> {
    let mut waits = Waits::new(left);
    loop {
        let ask = !waits.is_first();
        let wake = ctx.create_callback::<WakeUp>().name("wake").timeout(waits.begin()).serdes(AnyWord).await?;
        match check_task(activities, id, task_arn, wake.id(), ask, ctx).await? {
            Checked::Stopped => {
                if let Some(outcome) = collect(activities, id, task_arn, ctx).await? {
                    return Ok(outcome);
                }
            }
            Checked::Running { seconds_left } => waits.left(Duration::from_secs(seconds_left)),
            // The wait that has begun is for a running task, and too long. Its callback stays open, and times out eventually.
            Checked::Stopping if waits.stopping() => continue,
            Checked::Stopping => {}
        }
        let woken = woken(wake.result().await)?;
        if woken.is_some_and(|said| !said.stopped) {
            waits.cut_short();
        }
        if woken.is_some_and(|said| said.stopped)
            && let Some(outcome) = collect(activities, id, task_arn, ctx).await?
        {
            return Ok(outcome);
        }
    }
}

/// Reads the payload of a completed callback. Anyone who may complete a callback can send any payload, and older versions sent none. A
/// payload that is not a [`WakeUp`] is ignored, and the next check shows what happened.
struct AnyWord;

impl Serdes<WakeUp> for AnyWord {
    async fn serialize(&self, word: WakeUp, _: SerdesContext) -> Result<String, BoxError> {
        Ok(serde_json::to_string(&word)?)
    }

    async fn deserialize(&self, text: String, _: SerdesContext) -> Result<WakeUp, BoxError> {
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// How a wait ended. A timeout, and a failure that was sent to the callback, give `None`: the next check shows what happened.
fn woken(result: Result<WakeUp, OperationError>) -> Result<Option<WakeUp>, OperationError> {
    match result {
        Ok(said) => Ok(Some(said)),
        Err(error) if matches!(error.kind(), OperationErrorKind::Callback(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The durable execution's own outcome: it fails if the job did not complete.
fn conclude(finished: Finished) -> Result<Finished, BoxError> {
    match &finished.error {
        None => Ok(finished),
        Some(error) => Err(TypedError::with_type(error.kind.to_string(), error.message.clone()).into()),
    }
}

async fn accept<A: Activities>(
    activities: &Arc<A>,
    name: &str,
    pattern: Pattern,
    input: Json,
    ctx: &DurableContext,
) -> Result<Accepted, BoxError> {
    let (activities, arn) = (activities.clone(), ctx.execution_arn().to_owned());
    step(ctx, name, move |_| async move { activities.accept(&input, pattern, &arn).await }).await
}

async fn check_start<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    callback_id: Option<&str>,
    ctx: &DurableContext,
) -> Result<Due, BoxError> {
    let (activities, id, callback_id) = (activities.clone(), id.clone(), callback_id.map(str::to_owned));
    step(ctx, "check-start", move |_| async move { activities.check_start(&id, callback_id.as_deref()).await }).await
}

async fn run_task<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    attempt: Attempt,
    ctx: &DurableContext,
) -> Result<Started, BoxError> {
    let (activities, id) = (activities.clone(), id.clone());
    let activity = move |step: StepContext| async move {
        let tried = match step.attempt() {
            1 => Try::First,
            tried if tried >= cadence::tries(Cause::Throttled.patience(Phase::BeforeTask)) => Try::Last,
            tried if cadence::is_last_denial(tried) => Try::LastDenial,
            _ => Try::Again,
        };
        activities.run_task(&id, attempt, tried).await
    };
    step(ctx, RUN_TASK, activity).await
}

const ACCEPT: &str = "accept";
const CREATE_RECORD: &str = "create-record";
const RUN_TASK: &str = "run-task";

async fn record_task<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    attempt: Attempt,
    task_arn: &str,
    ctx: &DurableContext,
) -> Result<Recorded, BoxError> {
    let (activities, id, arn) = (activities.clone(), id.clone(), task_arn.to_owned());
    step(ctx, "record-task", move |_| async move { activities.record_task(&id, attempt, &arn).await }).await
}

async fn check_task<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    task_arn: &str,
    callback_id: &str,
    ask: bool,
    ctx: &DurableContext,
) -> Result<Checked, BoxError> {
    let (activities, id, arn, callback_id) =
        (activities.clone(), id.clone(), task_arn.to_owned(), callback_id.to_owned());
    step(ctx, "check-task", move |_| async move { activities.check_task(&id, &arn, &callback_id, ask).await }).await
}

async fn collect<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    task_arn: &str,
    ctx: &DurableContext,
) -> Result<Option<Outcome>, BoxError> {
    let (activities, id, arn) = (activities.clone(), id.clone(), task_arn.to_owned());
    let activity = move |step: StepContext| async move {
        let patience = match step.attempt() {
            ..=RETRIES_IF_LATE => Patience::Late,
            tried if tried < cadence::tries(Cause::Denied.patience(Phase::TaskStarted)) => Patience::Failures,
            _ => Patience::None,
        };
        activities.collect(&id, &arn, patience).await.map(As)
    };
    let As(outcome) = step(ctx, "collect", activity).await?;
    Ok(outcome)
}

/// How often to retry if ECS or the log does not show the end yet, with the waits of [`cadence::retry`]: 1 s and 2 s.
const RETRIES_IF_LATE: u32 = 2;

async fn fail_attempt<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    attempt: Attempt,
    outcome: &Outcome,
    ctx: &DurableContext,
) -> Result<Again, BoxError> {
    let (activities, id, outcome) = (activities.clone(), id.clone(), outcome.clone());
    step(ctx, "fail-attempt", move |_| async move { activities.fail_attempt(&id, attempt, &outcome).await }).await
}

async fn record<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    outcome: Outcome,
    ctx: &DurableContext,
) -> Result<Finished, BoxError> {
    let (activities, id) = (activities.clone(), id.clone());
    step(ctx, "record", move |_| async move { activities.record(&id, &outcome).await }).await
}

async fn give_up<A: Activities>(
    activities: &Arc<A>,
    id: &ExecutionId,
    failed: Failed,
    ctx: &DurableContext,
) -> Result<Finished, BoxError> {
    let (activities, id, why, known) = (activities.clone(), id.clone(), aws::with_causes(&*failed.why), failed.known);
    step(ctx, GIVE_UP, move |_| async move { activities.give_up(&id, &why, known.as_ref()).await }).await
}

const GIVE_UP: &str = "give-up";

/// A checkpointed activity, retried for as long as [`Cause::patience`] says. A job that has run for weeks is not abandoned because
/// a service is unavailable for an hour.
async fn step<O, F, Fut>(ctx: &DurableContext, name: &str, activity: F) -> Result<O, BoxError>
where
    O: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
    F: FnOnce(StepContext) -> Fut + Send + 'static,
    Fut: Future<Output = Result<O, ActivityFailed>> + Send + 'static,
{
    let tried = ctx
        .step(move |step| {
            let activity = activity(step);
            async move { activity.await.map_err(BoxError::from) }
        })
        .name(name)
        .retry_strategy(match name {
            RUN_TASK => retry_start,
            ACCEPT | CREATE_RECORD => retry_accept,
            _ => retry_started,
        });
    Ok(tried.await?)
}

/// Retries the start of a task. The activity itself decides which try is the last: for capacity, it waits until the deadline. The
/// exception is a denied read or write of the item, which is retried for as long as in any other step.
fn retry_start(error: &StepError, attempt: u32) -> RetryDecision {
    if let Some(delay) = again_in(error) {
        return RetryDecision::Retry { delay };
    }
    let again = match cause(error) {
        Cause::Throttled | Cause::Unavailable => true,
        // A multiple and not a maximum: a single denial after hours of waiting for capacity must not end the execution.
        cause @ Cause::Denied => !attempt.is_multiple_of(cadence::tries(cause.patience(Phase::TaskStarted))),
        Cause::Rejected => false,
    };
    retry(again, attempt)
}

/// Retries a step before the start of a task.
fn retry_accept(error: &StepError, attempt: u32) -> RetryDecision {
    let patience = match cause(error) {
        // Retried for as long as after the start, because nothing can be recorded before this step has succeeded.
        Cause::Throttled | Cause::Unavailable => Cause::Unavailable.patience(Phase::TaskStarted),
        cause @ (Cause::Denied | Cause::Rejected) => cause.patience(Phase::BeforeTask),
    };
    retry(attempt < cadence::tries(patience), attempt)
}

/// Retries a step after the start of a task.
fn retry_started(error: &StepError, attempt: u32) -> RetryDecision {
    retry(attempt < cadence::tries(cause(error).patience(Phase::TaskStarted)), attempt)
}

/// Why a step failed. If the SDK does not say, it is treated as transient.
fn cause(error: &StepError) -> Cause {
    failed(error).map_or(Cause::Unavailable, |failed| failed.cause)
}

fn again_in(error: &StepError) -> Option<Duration> {
    failed(error)?.again_in
}

fn failed(error: &StepError) -> Option<&ActivityFailed> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<ActivityFailed>())
}

fn retry(again: bool, attempt: u32) -> RetryDecision {
    if again { RetryDecision::Retry { delay: cadence::retry(attempt) } } else { RetryDecision::Stop }
}
