//! The two workflows: `sync` waits for its task and returns the result, `callback` starts the task and returns.
//!
//! ```text
//! sync      accept → (run-task → record-task → (wake → check-task → wait → [collect])+ → [fail-attempt → backoff])* → record
//! callback  create-record → [backoff] → run-task → record-task → [stop-task]
//! ```
//!
//! If an activity fails permanently, both run `give-up`: it stops what was started and records why.
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
use compute::WakeUp;
use domain::{Attempt, Ending, ExecutionId, Json, Pattern, Status, collect::Patience};

use crate::{
    activities::{Accepted, Activities, Again, EffectFailed, Finished, Job, Look, Recorded, Started, Try},
    cadence::{self, Waits},
};

/// Starts the job's task, waits for its end without being billed for the wait, and records the outcome.
///
/// # Errors
///
/// If the job did not complete, the durable execution fails too, after the outcome was recorded, so that Lambda's own status is
/// correct as well. Otherwise only permanent failures.
pub async fn sync<A: Activities>(world: Arc<A>, input: Json, ctx: DurableContext) -> Result<Finished, BoxError> {
    let job = match accept(&world, ACCEPT, Pattern::Sync, input, &ctx).await? {
        Accepted::Job(job) => job,
        Accepted::Over(finished) => return verdict(finished),
    };
    match every_attempt(&world, &job, &ctx).await {
        Ok(finished) => verdict(finished),
        Err(failed) => verdict(give_up(&world, &job.id, failed, &ctx).await?),
    }
}

/// Starts the job's task and returns at once; the worker in the task records the outcome.
///
/// # Errors
///
/// If the job's task could not be started, the durable execution fails too, after the outcome was recorded.
pub async fn callback<A: Activities>(world: Arc<A>, input: Json, ctx: DurableContext) -> Result<Finished, BoxError> {
    let job = match accept(&world, CREATE_RECORD, Pattern::Callback, input, &ctx).await? {
        Accepted::Job(job) => job,
        Accepted::Over(finished) => return verdict(finished),
    };
    match start(&world, &job, &ctx).await {
        Ok(finished) => verdict(finished),
        Err(failed) => verdict(give_up(&world, &job.id, failed, &ctx).await?),
    }
}

/// Why a workflow cannot continue, and its job's outcome, if it is known: it is never dropped.
struct Failed {
    why: BoxError,
    known: Option<Ending>,
}

impl From<BoxError> for Failed {
    fn from(why: BoxError) -> Self {
        Self { why, known: None }
    }
}

/// Records an outcome. If that fails, the error carries the outcome, so that it is not lost.
async fn record_known<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    ending: Ending,
    ctx: &DurableContext,
) -> Result<Finished, Failed> {
    record(world, id, ending.clone(), ctx).await.map_err(|why| Failed { why, known: Some(ending) })
}

/// Starts the task of a callback execution, or records why there is none.
async fn start<A: Activities>(world: &Arc<A>, job: &Job, ctx: &DurableContext) -> Result<Finished, Failed> {
    let (id, attempt) = (&job.id, job.attempt);
    if let Some(seconds) = job.backoff {
        ctx.wait(Duration::from_secs(seconds)).name("backoff").await.map_err(BoxError::from)?;
    }
    let task_arn = match run_task(world, id, attempt, ctx).await? {
        Started::Task(arn) => arn,
        Started::Not(ending) => return record_known(world, id, ending, ctx).await,
    };
    let recorded = record_task(world, id, attempt, &task_arn, ctx).await?;
    if recorded.status == Status::Cancelling || recorded.status.is_final() {
        // Cancelled or ended between RunTask and its record: nothing else knew which task to stop.
        let (world, arn) = (world.clone(), task_arn.clone());
        step(ctx, "stop-task", move |_| async move { world.stop_task(&arn).await }).await?;
    }
    let (execution_id, status, task_arn) = (id.clone(), recorded.status, Some(task_arn));
    Ok(Finished { execution_id, status, result: None, error: None, task_arn })
}

/// Runs attempts, one after the other, until one of them decides the job's outcome, and records it.
async fn every_attempt<A: Activities>(world: &Arc<A>, job: &Job, ctx: &DurableContext) -> Result<Finished, Failed> {
    let mut attempt = job.attempt;
    loop {
        let task_arn = match run_task(world, &job.id, attempt, ctx).await? {
            Started::Task(arn) => arn,
            Started::Not(ending) => return record_known(world, &job.id, ending, ctx).await,
        };
        let recorded = record_task(world, &job.id, attempt, &task_arn, ctx).await?;
        let left = Duration::from_secs(recorded.seconds_left);
        let ending = end_of(world, &job.id, &task_arn, left, ctx).await?;
        let again = if domain::may_retry(job.max_attempts, &ending) {
            let asked = fail_attempt(world, &job.id, attempt, &ending, ctx).await;
            asked.map_err(|why| Failed { why, known: Some(ending.clone()) })?
        } else {
            Again::Said(false)
        };
        let wait = match again {
            Again::Said(false) => return record_known(world, &job.id, ending, ctx).await,
            Again::Said(true) => domain::backoff_before(attempt.next()),
            Again::In { seconds } => Duration::from_secs(seconds),
        };
        attempt = attempt.next();
        ctx.wait(wait).name("backoff").await.map_err(BoxError::from)?;
    }
}

/// Waits for the end of a task, and determines its outcome.
///
/// The callback is registered before the look, so that no wake-up is lost: if the end is reported after the look, the reconciler
/// finds the callback. A wake-up for a callback that has just timed out is refused, which is harmless: the next look sees the task.
///
/// If a callback is completed during the look, this is not noticed before the next invocation: this version of the SDK suspends on a
/// callback that it has just created, whatever it has received in the meantime. Lambda then invokes the function once more for it, or
/// else refuses to suspend an execution that has nothing to wait for, and repeats the invocation. Only if the callback of an earlier
/// attempt is still open could the execution stay suspended, until that callback times out. A wait that is ended by a wake-up that
/// says that the task has stopped leaves no callback open, and saves a look.
///
/// The first look does not ask ECS. ECS answers 20 such calls a second for a whole account, and starts as many tasks
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>), so asking at each start would use up the
/// quota. An end that is not noted by then is reported later, or seen by a look after a wait.
///
/// If the task was reported or seen to have stopped, but ECS then shows it as running, the workflow keeps waiting: the report was
/// wrong, or ECS, which is eventually consistent, was behind.
async fn end_of<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    task_arn: &str,
    left: Duration,
    ctx: &DurableContext,
) -> Result<Ending, BoxError> {
    let mut waits = Waits::new(left);
    loop {
        let ask = !waits.none_begun();
        let wake = ctx.create_callback::<WakeUp>().name("wake").timeout(waits.begin()).serdes(AnyWord).await?;
        match check_task(world, id, task_arn, wake.id(), ask, ctx).await? {
            Look::Stopped => {
                if let Some(ending) = collect(world, id, task_arn, ctx).await? {
                    return Ok(ending);
                }
            }
            Look::Running { seconds_left } => waits.left(Duration::from_secs(seconds_left)),
            // The wait that has begun is for a running task, and too long. Its callback stays open, and times out eventually.
            Look::Stopping if waits.stopping() => continue,
            Look::Stopping => {}
        }
        let woken = woken(wake.result().await)?;
        if woken.is_some_and(|said| !said.stopped) {
            waits.cut_short();
        }
        if woken.is_some_and(|said| said.stopped)
            && let Some(ending) = collect(world, id, task_arn, ctx).await?
        {
            return Ok(ending);
        }
    }
}

/// Reads the payload of a completed callback, whatever it is: whoever may complete one may write anything, and older versions wrote
/// nothing. A payload that is not a [`WakeUp`] is ignored, and the next look shows what happened.
struct AnyWord;

impl Serdes<WakeUp> for AnyWord {
    async fn serialize(&self, word: WakeUp, _: SerdesContext) -> Result<String, BoxError> {
        Ok(serde_json::to_string(&word)?)
    }

    async fn deserialize(&self, text: String, _: SerdesContext) -> Result<WakeUp, BoxError> {
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// How a wait ended. A timeout, and a failure that was sent to the callback, give `None`: the next look shows what happened.
fn woken(result: Result<WakeUp, OperationError>) -> Result<Option<WakeUp>, OperationError> {
    match result {
        Ok(said) => Ok(Some(said)),
        Err(error) if matches!(error.kind(), OperationErrorKind::Callback(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The durable execution's own outcome: it fails if the job did not complete.
fn verdict(finished: Finished) -> Result<Finished, BoxError> {
    match &finished.error {
        None => Ok(finished),
        Some(error) => Err(TypedError::with_type(error.kind.to_string(), error.message.clone()).into()),
    }
}

async fn accept<A: Activities>(
    world: &Arc<A>,
    name: &str,
    pattern: Pattern,
    input: Json,
    ctx: &DurableContext,
) -> Result<Accepted, BoxError> {
    let (world, arn) = (world.clone(), ctx.execution_arn().to_owned());
    step(ctx, name, move |_| async move { world.accept(&input, pattern, &arn).await }).await
}

async fn run_task<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    attempt: Attempt,
    ctx: &DurableContext,
) -> Result<Started, BoxError> {
    let (world, id) = (world.clone(), id.clone());
    let activity = move |step: StepContext| async move {
        let tried = match step.attempt() {
            1 => Try::First,
            tried if tried >= cadence::tries(Cause::Throttled.patience(Phase::BeforeTask)) => Try::Last,
            tried if cadence::is_last_denial(tried) => Try::LastDenial,
            _ => Try::Again,
        };
        world.run_task(&id, attempt, tried).await
    };
    step(ctx, RUN_TASK, activity).await
}

const ACCEPT: &str = "accept";
const CREATE_RECORD: &str = "create-record";
const RUN_TASK: &str = "run-task";

async fn record_task<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    attempt: Attempt,
    task_arn: &str,
    ctx: &DurableContext,
) -> Result<Recorded, BoxError> {
    let (world, id, arn) = (world.clone(), id.clone(), task_arn.to_owned());
    step(ctx, "record-task", move |_| async move { world.record_task(&id, attempt, &arn).await }).await
}

async fn check_task<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    task_arn: &str,
    callback_id: &str,
    ask: bool,
    ctx: &DurableContext,
) -> Result<Look, BoxError> {
    let (world, id, arn, callback_id) = (world.clone(), id.clone(), task_arn.to_owned(), callback_id.to_owned());
    step(ctx, "check-task", move |_| async move { world.check_task(&id, &arn, &callback_id, ask).await }).await
}

async fn collect<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    task_arn: &str,
    ctx: &DurableContext,
) -> Result<Option<Ending>, BoxError> {
    let (world, id, arn) = (world.clone(), id.clone(), task_arn.to_owned());
    let activity = move |step: StepContext| async move {
        let patience = match step.attempt() {
            ..=LATE => Patience::Late,
            tried if tried < cadence::tries(Cause::Denied.patience(Phase::TaskStarted)) => Patience::Failures,
            _ => Patience::None,
        };
        world.collect(&id, &arn, patience).await
    };
    step(ctx, "collect", activity).await
}

/// How often to retry if ECS or the log does not show the end yet, with the waits of [`cadence::retry`]: 1 s and 2 s.
const LATE: u32 = 2;

async fn fail_attempt<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    attempt: Attempt,
    ending: &Ending,
    ctx: &DurableContext,
) -> Result<Again, BoxError> {
    let (world, id, ending) = (world.clone(), id.clone(), ending.clone());
    step(ctx, "fail-attempt", move |_| async move { world.fail_attempt(&id, attempt, &ending).await }).await
}

async fn record<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    ending: Ending,
    ctx: &DurableContext,
) -> Result<Finished, BoxError> {
    let (world, id) = (world.clone(), id.clone());
    step(ctx, "record", move |_| async move { world.record(&id, &ending).await }).await
}

async fn give_up<A: Activities>(
    world: &Arc<A>,
    id: &ExecutionId,
    failed: Failed,
    ctx: &DurableContext,
) -> Result<Finished, BoxError> {
    let (world, id, why, known) = (world.clone(), id.clone(), aws::with_causes(&*failed.why), failed.known);
    step(ctx, GIVE_UP, move |_| async move { world.give_up(&id, &why, known.as_ref()).await }).await
}

const GIVE_UP: &str = "give-up";

/// A checkpointed activity, retried for as long as [`Cause::patience`] says. A job that has run for weeks is not abandoned because
/// a service is unavailable for an hour.
async fn step<O, F, Fut>(ctx: &DurableContext, name: &str, activity: F) -> Result<O, BoxError>
where
    O: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
    F: FnOnce(StepContext) -> Fut + Send + 'static,
    Fut: Future<Output = Result<O, EffectFailed>> + Send + 'static,
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
        // One denial after hours of waiting for capacity does not end the execution.
        cause @ Cause::Denied => !attempt.is_multiple_of(cadence::tries(cause.patience(Phase::TaskStarted))),
        Cause::Rejected => false,
    };
    retry(again, attempt)
}

/// Retries a step before the start of a task.
fn retry_accept(error: &StepError, attempt: u32) -> RetryDecision {
    let patience = match cause(error) {
        // As long as after the start: nothing can be recorded before this step.
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

fn failed(error: &StepError) -> Option<&EffectFailed> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<EffectFailed>())
}

fn retry(again: bool, attempt: u32) -> RetryDecision {
    if again { RetryDecision::Retry { delay: cadence::retry(attempt) } } else { RetryDecision::Stop }
}
