//! The one HTTP client for all of AWS, created when the process starts and shared by the clients of all services.
//!
//! By default, the client of each service creates its own HTTP client. Each HTTP client parses the machine's root certificates when it is
//! created, discards them, and parses them again for its first call (`aws-smithy-http-client`, `validate_base_client_config`).

use std::time::Duration;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{HttpClient, HttpConnectorSettings, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};

/// Always returns the same connector, since all of our clients have the same timeouts.
#[derive(Debug)]
pub(crate) struct OneClient(SharedHttpConnector);

impl OneClient {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .connector_settings(HttpConnectorSettings::builder().connect_timeout(connect_timeout).build())
            .sleep_impl(TokioSleep::new())
            // Like the SDK's own client.
            .proxy_config(ProxyConfig::from_env());
        Self(SharedHttpConnector::new(connector.build()))
    }
}

impl HttpClient for OneClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}
