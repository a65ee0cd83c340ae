//! Repairs executions that would otherwise be stuck: receives AWS's events about tasks and durable executions, and sweeps for the
//! changes that no event reported.
//!
//! Every event may be late, duplicated, out of order or missing. An event only says which execution to visit. What to do is decided
//! from the current state, and each activity is idempotent.

mod activities;
mod checks;
mod config;
mod events;
mod reconcile;
mod schedules;
mod sweep;

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::{FromEnvironment, Needs};
use serde_json::Value;

use events::{Batch, Event};

pub use events::EventPatterns;
use reconcile::Reconciler;

/// How long before its timeout an invocation stops starting new work.
const MARGIN: SignedDuration = SignedDuration::from_secs(20);

/// The AWS calls that the reconciler makes.
const CALLS: [&str; 11] = [
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "ecs:StopTask",
    "lambda:GetDurableExecution",
    "lambda:Invoke",
    "lambda:ListDurableExecutionsByFunction",
    "lambda:SendDurableExecutionCallbackSuccess",
    "logs:GetLogEvents",
];

/// What the reconciler needs from its deployment.
#[must_use]
pub fn needs() -> Needs {
    Needs { variables: config::Config::variables(), calls: CALLS.to_vec() }
}

/// Runs the reconciler on Lambda's Runtime API until the process ends.
///
/// # Errors
///
/// If the environment is incomplete, or the Lambda runtime fails.
pub async fn run() -> Result<(), Error> {
    runtime::log_as_json();
    let config = config::Config::from_env()?;
    let reconciler = Arc::new(Reconciler::new(&aws::Connection::from_env().await, &config));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let reconciler = reconciler.clone();
        // Boxed, so that the compiler does not have to process all of it at once.
        Box::pin(async move {
            // Work that starts before this time can finish. The next sweep continues where this one stopped.
            let until = timestamp(event.context.deadline).checked_sub(MARGIN).unwrap_or_default();
            handle(&reconciler, event.payload, until).await
        })
    }))
    .await
}

/// Reports failures of a batch by record, so that one bad record does not delay the rest; anything else fails as a whole. The records
/// of a batch are processed concurrently, so that the last of ten ended tasks does not wait for the other nine.
async fn handle(reconciler: &Reconciler, event: Value, until: Timestamp) -> Result<Value, Error> {
    let Some(batch) = Batch::of(&event) else {
        process(reconciler, &event, until).await?;
        return Ok(Value::Null);
    };
    let processed = batch.records.into_iter().map(async |(message_id, body)| {
        let why = process(reconciler, &body, until).await.err()?;
        tracing::warn!(message_id, error = %why, "cannot process an event; it will be delivered again");
        Some(message_id)
    });
    Ok(Batch::answer(join_all(processed).await.into_iter().flatten().collect()))
}

async fn process(reconciler: &Reconciler, event: &Value, until: Timestamp) -> Result<(), Error> {
    match Event::of(event) {
        // Boxed, because a visit holds several versions of an execution.
        Some(Event::TaskStopped { execution, task }) => Box::pin(reconciler.visit(&execution, Some(*task))).await,
        Some(Event::Visit(executions)) => {
            for id in &executions {
                Box::pin(reconciler.visit(id, None)).await?;
            }
            Ok(())
        }
        Some(Event::Sweep) => reconciler.sweep(until).await,
        None => Ok(()),
    }
}

/// The deadline that Lambda gives in milliseconds since 1970.
fn timestamp(deadline: u64) -> Timestamp {
    i64::try_from(deadline).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}
