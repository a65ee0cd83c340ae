//! Files in S3: uploads of callers, and artifacts of executions.
//!
//! S3's own SDK would double the API's zip file, and Longhaul needs only three operations. So requests are signed here with the SDKs'
//! signer and sent with their HTTP client. Requests that callers send are presigned.
//!
//! **Invariant**: an object is complete or does not exist. Each is written by one `PutObject` with a signed length and digest.

mod errors;
mod presign;
mod transfer;

use aws::{CallFailed, Connection};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;

pub use self::{
    presign::{Presigner, Put, Validity},
    transfer::{Download, Found},
};

/// The region of a connection without one, which only tests have.
const NO_REGION: &str = "us-east-1";

/// The objects of a bucket.
#[derive(Debug, Clone)]
pub struct Objects {
    http: SharedHttpConnector,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    /// The address of the bucket, without a slash at the end.
    address: String,
}

impl Objects {
    /// The objects of the bucket with this name.
    ///
    /// The bucket's name is in the path of each URL, not in the host, so that a bucket of an emulator needs no DNS entry. S3 supports both
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html#path-style-access>).
    #[must_use]
    pub fn new(connection: &Connection, bucket: &str) -> Self {
        let config = connection.sdk_config();
        let region = config.region().map_or(NO_REGION, |region| region.as_ref()).to_owned();
        let endpoint = config.endpoint_url().map_or_else(|| endpoint_of(&region), str::to_owned);
        Self {
            http: connection.http().clone(),
            credentials: config.credentials_provider(),
            address: format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            region,
        }
    }

    /// Presigns requests with the credentials that this process has now. A URL is valid no longer than its credentials, and those of a
    /// role expire with their session
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html#PresignedUrl-Expiration>).
    ///
    /// # Errors
    ///
    /// [`CallFailed`] for `call`, the call to presign, if there are no credentials.
    pub async fn presigner(&self, call: &'static str) -> Result<Presigner, CallFailed> {
        let provider = self.credentials.as_ref();
        let provider = provider.ok_or_else(|| CallFailed::unanswered(call, "no credentials are configured"))?;
        let credentials = provider.provide_credentials().await.map_err(|why| CallFailed::unanswered(call, why))?;
        Ok(Presigner::new(credentials.into(), self.region.clone(), self.address.clone()))
    }
}

/// The endpoint of S3 in a region (<https://docs.aws.amazon.com/general/latest/gr/s3.html>).
fn endpoint_of(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{suffix}")
}
