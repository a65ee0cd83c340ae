//! The one HTTP client for all of AWS, created when the process starts and shared by the clients of all services.
//!
//! By default, the client of each service creates its own HTTP client. Each HTTP client parses the machine's root certificates when it is
//! created, discards them, and parses them again for its first call (`aws-smithy-http-client`, `validate_base_client_config`).

use std::{env, fs, time::Duration};

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{HttpClient, HttpConnectorSettings, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};

/// The name of a file beside the program with certificates that are trusted in addition to the machine's. `worker install` puts it there,
/// because a job's image may have none.
pub const CERTIFICATES: &str = "ca-certificates.crt";

/// Always returns the same connector, since all of our clients have the same timeouts.
#[derive(Debug)]
pub(crate) struct OneClient(SharedHttpConnector);

impl OneClient {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let beside = env::current_exe().and_then(|program| fs::read(program.with_file_name(CERTIFICATES)));
        Self::trusting(beside.ok(), connect_timeout)
    }

    pub(crate) fn connector(&self) -> SharedHttpConnector {
        self.0.clone()
    }

    /// It trusts the machine's certificates, and these.
    fn trusting(certificates: Option<Vec<u8>>, connect_timeout: Duration) -> Self {
        let mut trusted = TlsContext::builder();
        if let Some(pem) = certificates {
            trusted = trusted.with_trust_store(TrustStore::default().with_pem_certificate(pem));
        }
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(trusted.build().unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The HTTP client panics if it cannot parse one of the certificates.
    #[test]
    fn a_machines_certificates_can_be_trusted_in_addition() {
        let pem = fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap();
        OneClient::trusting(Some(pem), Duration::from_secs(1));
    }
}
