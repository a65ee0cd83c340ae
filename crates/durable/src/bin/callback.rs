//! The durable function of the callback pattern.

use aws_durable_execution_sdk::lambda_runtime;
use domain::Pattern;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    durable::run(Pattern::Callback).await
}
