//! The API behind API Gateway.

use crate::{
    caller::Callers,
    config::Config,
    router::{App, router},
};

/// Serves the API on Lambda's Runtime API until the process ends.
///
/// # Errors
///
/// An incomplete environment, or what the Lambda runtime failed with.
pub async fn run() -> Result<(), lambda_http::Error> {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let config = Config::from_env()?;
    let app = App::new(&aws::Connection::from_env().await, config, Callers::Authorized);
    lambda_http::run(router(app)).await
}
