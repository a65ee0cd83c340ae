//! Repairs executions that would otherwise be stuck: receives AWS's events about tasks and durable executions, and sweeps for what they
//! missed.
//!
//! Every event may be late, duplicated, out of order or missing. An event only says which execution to visit. What to do is decided
//! from the current state, and each deed is idempotent.

mod attend;
mod config;
mod deeds;
mod events;
mod lane;
mod sweep;

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use attend::Attendant;
use events::{Batch, Notice};

/// How long before its timeout an invocation stops beginning anything new.
const MARGIN: SignedDuration = SignedDuration::from_secs(20);

/// Runs the reconciler on Lambda's Runtime API until the process ends.
///
/// # Errors
///
/// An incomplete environment, or what the Lambda runtime failed with.
pub async fn run() -> Result<(), Error> {
    runtime::log_as_json();
    let config = config::Config::from_env()?;
    let attendant = Arc::new(Attendant::new(&aws::Connection::from_env().await, &config));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let attendant = attendant.clone();
        // Boxed, so that the compiler does not have to process all of it at once.
        Box::pin(async move {
            // Anything begun before this time can be finished. The next sweep continues where this one stopped.
            let until = timestamp(event.context.deadline).checked_sub(MARGIN).unwrap_or_default();
            handle(&attendant, event.payload, until).await
        })
    }))
    .await
}

/// Reports failures of a batch by record, so that one bad record does not delay the rest; anything else fails as a whole. The records
/// of a batch are processed concurrently, so that the last of ten ended tasks does not wait for the other nine.
async fn handle(attendant: &Attendant, event: Value, until: Timestamp) -> Result<Value, Error> {
    let Some(batch) = Batch::of(&event) else {
        notice(attendant, &event, until).await?;
        return Ok(Value::Null);
    };
    let taken_up = batch.records.into_iter().map(async |(message_id, body)| {
        let why = notice(attendant, &body, until).await.err()?;
        tracing::warn!(message_id, error = %why, "an event could not be processed");
        Some(message_id)
    });
    Ok(Batch::answer(join_all(taken_up).await.into_iter().flatten().collect()))
}

async fn notice(attendant: &Attendant, event: &Value, until: Timestamp) -> Result<(), Error> {
    match Notice::of(event) {
        Some(Notice::TaskStopped { execution, task }) => attendant.attend(&execution, Some(*task)).await,
        Some(Notice::Attend(executions)) => {
            for id in &executions {
                attendant.attend(id, None).await?;
            }
            Ok(())
        }
        Some(Notice::Sweep) => attendant.sweep(until).await,
        None => Ok(()),
    }
}

/// The deadline that Lambda gives in milliseconds since 1970.
fn timestamp(deadline: u64) -> Timestamp {
    i64::try_from(deadline).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}
