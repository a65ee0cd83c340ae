//! The API behind API Gateway.

use runtime::FromEnvironment as _;

use crate::{app::App, config::Config, extract::caller::Callers, router::router};

/// Serves the API on Lambda's Runtime API until the process ends.
///
/// # Errors
///
/// An incomplete environment, or what the Lambda runtime failed with.
pub async fn run() -> Result<(), lambda_http::Error> {
    runtime::log_as_json();
    let config = Config::from_env()?;
    let app = App::new(&aws::Connection::from_env().await.for_requests(), config, Callers::Authorized);
    lambda_http::run(router(app)).await
}
