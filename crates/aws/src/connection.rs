//! The connection to AWS: credentials, region, endpoint, timeouts, retries.

use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;

use crate::http::OneClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The connection to AWS that all clients of a process share.
#[derive(Debug, Clone)]
pub struct Connection {
    config: SdkConfig,
    http: SharedHttpConnector,
}

impl Connection {
    /// A connection from the environment: `AWS_REGION`, the credentials of the Lambda function or the task, `AWS_ENDPOINT_URL`.
    pub async fn from_env() -> Self {
        Self::of(aws_config::defaults(BehaviorVersion::latest())).await
    }

    /// The same connection, for a process whose client waits for a response: three calls that hang, one after the other, time out before
    /// API Gateway does.
    #[must_use]
    pub fn for_requests(self) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(7))
            .build();
        Self { config: self.config.into_builder().timeout_config(timeouts).build(), ..self }
    }

    /// The configuration for the durable execution SDK, which creates its own Lambda client and would otherwise load the configuration
    /// again.
    #[must_use]
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// The HTTP client that all SDK clients share, for requests that no SDK makes.
    #[must_use]
    pub fn http(&self) -> &SharedHttpConnector {
        &self.http
    }

    /// A connection to an emulator of AWS at `endpoint`, with this access key and an invented secret.
    pub async fn to_endpoint(endpoint: &str, region: &str, access_key: &str) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new(region.to_owned()))
            .credentials_provider(Credentials::new(access_key, "local", None, None, "longhaul"));
        Self::of(loader).await
    }

    async fn of(loader: ConfigLoader) -> Self {
        let client = OneClient::new(CONNECT_TIMEOUT);
        let http = client.connector();
        let loader = loader.http_client(client).timeout_config(timeouts()).retry_config(retries());
        Self { config: loader.load().await, http }
    }
}

/// Short timeouts: everything that we do is idempotent, so it is better to fail and retry than to hang.
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
