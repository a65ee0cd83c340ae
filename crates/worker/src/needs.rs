//! What the worker needs from its deployment.

use runtime::{FromEnvironment, Needs};

use crate::config::Config;

/// The AWS calls that the worker makes, if its task uses the table of executions or has files in S3.
const CALLS: [&str; 4] = ["dynamodb:GetItem", "dynamodb:PutItem", "s3:GetObject", "s3:PutObject"];

/// What the worker needs from its deployment. The workflow that starts its task sets most of the variables; the task definition or ECS sets
/// the rest.
#[must_use]
pub fn needs() -> Needs {
    Needs { variables: Config::variables(), calls: CALLS.to_vec() }
}
