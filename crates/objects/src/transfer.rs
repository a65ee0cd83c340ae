//! The requests that Longhaul sends itself.

use std::{path::Path, time::Duration};

use aws::CallFailed;
use aws_smithy_runtime_api::{
    client::{
        http::HttpConnector as _,
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::{
    body::SdkBody,
    byte_stream::{ByteStream, Length},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::Digest;
use jiff::{Timestamp, fmt::rfc2822};
use tokio::time::timeout;

use crate::{
    Objects, errors,
    presign::{CHECKSUM_MODE, Put, SHA256},
};

/// How long to wait for the response to a request without a body, and for the next bytes of a response.
const PATIENCE: Duration = Duration::from_secs(10);

/// The slowest acceptable upload, in bytes per second. A connection that hangs must not delay a job forever.
const SLOWEST: u64 = 256 * 1024;

/// How much of a file is read at once.
const CHUNK: usize = 256 * 1024;

/// What S3 says about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 that it was put with.
    pub sha256: Option<Digest>,
    /// When its upload was complete, in whole seconds.
    pub modified: Timestamp,
}

/// The content of an object, as it arrives.
#[derive(Debug)]
pub struct Download {
    /// The length of the content that arrives.
    pub bytes: u64,
    /// The SHA-256 that the whole object was put with. S3 does not send it with a part of an object.
    pub sha256: Option<Digest>,
    body: ByteStream,
}

impl Objects {
    /// What S3 says about an object; `None` if it does not exist or is not complete. One `HeadObject`, which needs the permission
    /// `s3:GetObject`, and `s3:ListBucket` to distinguish a missing object from a denial
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>).
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if S3 did not answer or refused the call.
    pub async fn head(&self, key: &str) -> Result<Option<Found>, CallFailed> {
        const CALL: &str = "s3:HeadObject";
        let request = self.request(CALL, "HEAD", key, &[(CHECKSUM_MODE, "ENABLED")], &[], SdkBody::empty()).await?;
        let response = self.send(CALL, request, PATIENCE).await?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        let response = succeeded(CALL, response).await?;
        let header = |name: &str| response.headers().get(name);
        let incomplete = || CallFailed::unanswered(CALL, "the response has no valid length or time");
        let bytes = header("content-length").and_then(|bytes| bytes.parse().ok()).ok_or_else(incomplete)?;
        let modified = header("last-modified").and_then(|at| rfc2822::parse(at).ok()).ok_or_else(incomplete)?;
        Ok(Some(Found { bytes, sha256: header(SHA256).and_then(digest), modified: modified.timestamp() }))
    }

    /// The content of an object, starting at this byte; `None` if the object does not exist.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if S3 did not answer or refused the call.
    pub async fn get(&self, key: &str, from: u64) -> Result<Option<Download>, CallFailed> {
        const CALL: &str = "s3:GetObject";
        // Not signed, and not sent for the whole object: an empty object has no range.
        let range = format!("bytes={from}-");
        let unsigned: &[_] = if from == 0 { &[] } else { &[("range", &*range)] };
        let request = self.request(CALL, "GET", key, &[(CHECKSUM_MODE, "ENABLED")], unsigned, SdkBody::empty()).await?;
        let response = self.send(CALL, request, PATIENCE).await?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        let mut response = succeeded(CALL, response).await?;
        let sha256 = if from == 0 { response.headers().get(SHA256).and_then(digest) } else { None };
        let bytes = response.headers().get("content-length").and_then(|bytes| bytes.parse().ok());
        let bytes = bytes.ok_or_else(|| CallFailed::unanswered(CALL, "the response has no valid length"))?;
        Ok(Some(Download { bytes, sha256, body: ByteStream::new(response.take_body()) }))
    }

    /// Puts a file under a key. Idempotent: putting the same file again leaves the same object.
    ///
    /// If this process crashes during the call, there is no object. If the response is lost, there is one, and a retry replaces it.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if the file cannot be read, or if S3 did not answer or refused the call, for example because the file has changed.
    pub async fn put(&self, key: &str, file: &Path, put: &Put) -> Result<(), CallFailed> {
        const CALL: &str = "s3:PutObject";
        let body = ByteStream::read_from().path(file).length(Length::Exact(put.bytes)).buffer_size(CHUNK).build().await;
        let body = body.map_err(|why| CallFailed::rejected(CALL, why))?.into_inner();
        let headers = put.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = self.request(CALL, "PUT", key, &headers, &[], body).await?;
        let patience = Duration::from_mins(1) + Duration::from_secs(put.bytes / SLOWEST);
        let response = self.send(CALL, request, patience).await?;
        succeeded(CALL, response).await.map(drop)
    }

    async fn request(
        &self,
        call: &'static str,
        method: &str,
        key: &str,
        signed: &[(&'static str, &str)],
        unsigned: &[(&'static str, &str)],
        body: SdkBody,
    ) -> Result<HttpRequest, CallFailed> {
        let (url, headers) = self.presigner(call).await?.now(call, method, key, signed)?;
        let rejected = |why| CallFailed::rejected(call, why);
        let mut request = HttpRequest::new(body);
        request.set_method(method).map_err(rejected)?;
        request.set_uri(url).map_err(rejected)?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value).map_err(rejected)?;
        }
        for (name, value) in unsigned {
            request.headers_mut().try_insert(*name, (*value).to_owned()).map_err(rejected)?;
        }
        Ok(request)
    }

    async fn send(
        &self,
        call: &'static str,
        request: HttpRequest,
        patience: Duration,
    ) -> Result<HttpResponse, CallFailed> {
        let sent = timeout(patience, self.http.call(request)).await;
        let sent =
            sent.map_err(|_| CallFailed::unanswered(call, format!("no response for {} s", patience.as_secs())))?;
        sent.map_err(|why| CallFailed::unanswered(call, why))
    }
}

impl Download {
    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if the connection was lost; call [`Objects::get`] for the rest.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, CallFailed> {
        const CALL: &str = "s3:GetObject";
        let next = timeout(PATIENCE, self.body.next()).await;
        let next = next.map_err(|_| CallFailed::unanswered(CALL, format!("no data for {} s", PATIENCE.as_secs())))?;
        next.transpose().map_err(|why| CallFailed::unanswered(CALL, why))
    }
}

async fn succeeded(call: &'static str, response: HttpResponse) -> Result<HttpResponse, CallFailed> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status: StatusCode = response.status();
    let (mut body, mut text) = (ByteStream::new(response.into_body()), Vec::new());
    while text.len() < errors::BODY_BYTES
        && let Ok(Some(Ok(bytes))) = timeout(PATIENCE, body.next()).await
    {
        text.extend_from_slice(&bytes);
    }
    Err(errors::told(call, status.as_u16(), &String::from_utf8_lossy(&text)))
}

fn digest(base64: &str) -> Option<Digest> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    Some(<[u8; 32]>::try_from(bytes).ok()?.into())
}
