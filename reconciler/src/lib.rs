//! Looks after executions that nobody else looks after: hears what AWS tells of tasks and durable executions, and sweeps for
//! what it did not tell.
//!
//! Everything here may be late, doubled, out of order or missing: whatever comes in only says which execution to look at.
//! What is done is decided by how things are then, and each deed is safe to repeat.

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

/// How long before its time is over an invocation begins nothing new.
const MARGIN: SignedDuration = SignedDuration::from_secs(20);

/// Runs the reconciler on Lambda's Runtime API until the process ends.
///
/// # Errors
///
/// An incomplete environment, or what the Lambda runtime failed with.
pub async fn run() -> Result<(), Error> {
    aws::log_as_json();
    let config = config::Config::from_env()?;
    let attendant = Arc::new(Attendant::new(&aws::Connection::from_env().await, &config));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let attendant = attendant.clone();
        // Boxed, so that the compiler need not look through all of it at once.
        Box::pin(async move {
            // What is begun then can be ended: the next sweep goes on where this one stopped.
            let until = timestamp(event.context.deadline).checked_sub(MARGIN).unwrap_or_default();
            handle(&attendant, event.payload, until).await
        })
    }))
    .await
}

/// A batch is answered record by record, so that one bad record does not hold up the rest; anything else as a whole. Its
/// records are taken up at once: the last of ten tasks that ended is not told ten times later than the first.
async fn handle(attendant: &Attendant, event: Value, until: Timestamp) -> Result<Value, Error> {
    let Some(batch) = Batch::of(&event) else {
        notice(attendant, &event, until).await?;
        return Ok(Value::Null);
    };
    let taken_up = batch.records.into_iter().map(async |(message_id, body)| {
        let why = notice(attendant, &body, until).await.err()?;
        tracing::warn!(message_id, error = %why, "a notice could not be taken up");
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

/// The time of a deadline as Lambda gives it: milliseconds since 1970.
fn timestamp(deadline: u64) -> Timestamp {
    i64::try_from(deadline).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}
