//! The environment variables that the API reads, and the AWS calls that it makes.

use runtime::{FromEnvironment, Needs};

use crate::config::Config;

/// The AWS calls that the API makes.
const CALLS: [&str; 13] = [
    "dynamodb:BatchGetItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "lambda:GetDurableExecution",
    "lambda:GetDurableExecutionHistory",
    "lambda:Invoke",
    "lambda:ListDurableExecutionsByFunction",
    "logs:GetLogEvents",
    // Only its callers, to whom it gives presigned URLs.
    "s3:GetObject",
    "s3:HeadObject",
    // Only its callers, too.
    "s3:PutObject",
];

/// What the API needs from its deployment.
#[must_use]
pub fn needs() -> Needs {
    Needs { variables: Config::variables(), calls: CALLS.to_vec() }
}
