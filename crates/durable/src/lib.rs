//! The two durable functions, which drive an execution from checkpoint to checkpoint.
//!
//! **Invariant**: the names and the order of a workflow's operations, and what each records, are a contract with executions in flight.
//! `tests/` has them as snapshots. If a snapshot changes, executions in flight must stay on the previous version of the function.

mod activities;
mod aws_activities;
mod cadence;
pub mod config;
mod workflows;

pub use activities::{Activities, ActivityFailed, Try};
pub use aws_activities::AwsActivities;
pub use workflows::{callback, sync};

use std::{future::Future, sync::Arc};

use aws_durable_execution_sdk::{self as durable_sdk, BoxError, DurableContext, Options, lambda_runtime};
use contract::checkpoint::Finished;
use domain::{Json, Pattern};
use runtime::{FromEnvironment, Needs, clock::Clock};

/// The AWS calls of both functions: their own, and the two that the durable SDK makes between steps. The sync workflow also reads the log
/// of a task, for the result.
const CALLS: [&str; 9] = [
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "ecs:RunTask",
    "ecs:StopTask",
    "lambda:CheckpointDurableExecution",
    "lambda:GetDurableExecutionState",
    "logs:GetLogEvents",
];

/// What the durable function of a pattern needs from its deployment.
#[must_use]
pub fn needs(pattern: Pattern) -> Needs {
    let calls = match pattern {
        Pattern::Sync => CALLS.to_vec(),
        Pattern::Callback => CALLS.into_iter().filter(|call| *call != "logs:GetLogEvents").collect(),
    };
    Needs { variables: config::Config::variables(), calls }
}

/// Runs a durable function on Lambda's Runtime API until the process ends.
///
/// # Errors
///
/// If the environment is incomplete, or the Lambda runtime fails.
pub async fn run(pattern: Pattern) -> Result<(), lambda_runtime::Error> {
    runtime::log_as_json();
    let config = config::Config::from_env()?;
    let connection = aws::Connection::from_env().await;
    let activities = Arc::new(AwsActivities::new(&connection, config, Clock::wall()));
    let options = Options::builder().sdk_config(connection.sdk_config().clone()).build()?;
    match pattern {
        Pattern::Sync => serve(activities, options, sync).await,
        Pattern::Callback => serve(activities, options, callback).await,
    }
}

async fn serve<F, Fut>(
    activities: Arc<AwsActivities>,
    options: Options,
    workflow: F,
) -> Result<(), lambda_runtime::Error>
where
    F: Fn(Arc<AwsActivities>, Json, DurableContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Finished, BoxError>> + Send,
{
    let handler = move |input: Json, ctx: DurableContext| workflow(activities.clone(), input, ctx);
    durable_sdk::run_with_options(handler, options).await
}
