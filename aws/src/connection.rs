//! How AWS is reached: credentials, region, endpoint, timeouts, retries.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::Credentials;

use crate::http::OneClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to AWS that all clients of a process share.
#[derive(Debug, Clone)]
pub struct Connection(pub(crate) SdkConfig);

impl Connection {
    /// As the environment says: `AWS_REGION`, the credentials of the Lambda or the task, `AWS_ENDPOINT_URL`.
    pub async fn from_env() -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(OneClient::new(CONNECT_TIMEOUT));
        Self(loader.timeout_config(timeouts()).retry_config(retries()).load().await)
    }

    /// The same for whoever has a client waiting: three calls that hang are over before API Gateway stops waiting.
    #[must_use]
    pub fn for_requests(self) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(7))
            .build();
        Self(self.0.into_builder().timeout_config(timeouts).build())
    }

    /// For the durable execution SDK, which makes a Lambda client of its own: else it would load the configuration again.
    #[must_use]
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.0
    }

    /// To something that speaks AWS's protocols at `endpoint`, with credentials that are made up but for their name.
    pub async fn to_endpoint(endpoint: &str, region: &str, access_key: &str) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(OneClient::new(CONNECT_TIMEOUT))
            .endpoint_url(endpoint)
            .region(Region::new(region.to_owned()))
            .credentials_provider(Credentials::new(access_key, "local", None, None, "longhaul"));
        Self(loader.timeout_config(timeouts()).retry_config(retries()).load().await)
    }
}

/// A call that hangs is worth less than one that fails: everything that we do is safe to repeat.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(20))
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(4)
}
