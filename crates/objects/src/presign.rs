//! Presigned URLs: anyone who has one can make that one request
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).

use std::time::{Duration, SystemTime};

use aws::CallFailed;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use aws_smithy_runtime_api::client::identity::Identity;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::Digest;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::clock;

/// The header with the SHA-256 of an object, in Base64. S3 compares it with what it receives, and stores it.
pub(crate) const SHA256: &str = "x-amz-checksum-sha256";

/// The header that asks for [`SHA256`] in the response.
pub(crate) const CHECKSUM_MODE: &str = "x-amz-checksum-mode";

/// All characters except those that S3 and RFC 3986 call unreserved.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a path, where `/` separates the parts of a key.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// When a URL is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The start.
    pub from: Timestamp,
    /// The duration, at most a week. A transfer that has begun by the end continues.
    pub lasts: Duration,
}

/// A file to put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl Put {
    /// The headers that the request must have: names in lower case, and values. They are signed, so no other file can be put.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 2] {
        [("content-length", self.bytes.to_string()), (SHA256, BASE64_STANDARD.encode(self.sha256.bytes()))]
    }
}

/// Presigns requests for the objects of a bucket.
#[derive(Debug, Clone)]
pub struct Presigner {
    identity: Identity,
    region: String,
    address: String,
}

impl Presigner {
    pub(crate) fn new(identity: Identity, region: String, address: String) -> Self {
        Self { identity, region, address }
    }

    /// The URL for putting a file under this key, with `PUT` and exactly [`Put::headers`].
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if the request cannot be signed, which does not happen in practice.
    pub fn put(&self, key: &str, put: &Put, valid: Validity) -> Result<String, CallFailed> {
        let headers = put.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.presign("s3:PutObject", "PUT", &self.url(key), &headers, valid)
    }

    /// The URL for downloading the object with this key, with `GET`. A browser saves it as a file with this name, and never shows it as a
    /// page.
    ///
    /// # Errors
    ///
    /// As for [`Presigner::put`].
    pub fn download(&self, key: &str, name: &str, valid: Validity) -> Result<String, CallFailed> {
        let encoded = utf8_percent_encode(name, UNRESERVED);
        let disposition = format!("attachment; filename*=UTF-8''{encoded}");
        let disposition = utf8_percent_encode(&disposition, UNRESERVED);
        let url = format!("{}?response-content-disposition={disposition}", self.url(key));
        self.presign("s3:GetObject", "GET", &url, &[], valid)
    }

    /// The URL and the headers of a request that this process sends itself, now. Its signature is in a header, because a presigned URL
    /// does not cover [`CHECKSUM_MODE`].
    pub(crate) fn now(
        &self,
        call: &'static str,
        method: &str,
        key: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(String, Vec<(String, String)>), CallFailed> {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let url = self.url(key);
        let added = self.sign(call, method, &url, headers, clock::now(), settings)?;
        let given = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let added = added.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok((url, given.chain(added).collect()))
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{}", self.address, utf8_percent_encode(key, PATH))
    }

    fn presign(
        &self,
        call: &'static str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        valid: Validity,
    ) -> Result<String, CallFailed> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(valid.lasts);
        let added = self.sign(call, method, url, headers, valid.from, settings)?;
        let encoded =
            added.params().iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED)));
        let separator = if url.contains('?') { '&' } else { '?' };
        Ok(format!("{url}{separator}{}", encoded.collect::<Vec<_>>().join("&")))
    }

    /// What has to be added to a request to sign it. S3 does not normalize paths.
    fn sign(
        &self,
        call: &'static str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        at: Timestamp,
        mut settings: SigningSettings,
    ) -> Result<SigningInstructions, CallFailed> {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::from(at))
            .settings(settings)
            .build()
            .map_err(|why| CallFailed::rejected(call, why))?;
        // TLS protects the content, and the digest of an object is in a header.
        let request = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::UnsignedPayload)
            .map_err(|why| CallFailed::rejected(call, why))?;
        let signed = sign(request, &params.into()).map_err(|why| CallFailed::rejected(call, why))?;
        Ok(signed.into_parts().0)
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    fn presigner() -> Presigner {
        let (key, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let credentials = Credentials::new(key, secret, None, None, "test");
        Presigner::new(credentials.into(), "us-east-1".into(), "https://s3.us-east-1.amazonaws.com/bucket".into())
    }

    fn valid() -> Validity {
        Validity { from: "2013-05-24T00:00:00Z".parse().unwrap(), lasts: Duration::from_hours(24) }
    }

    #[test]
    fn a_url_says_what_may_be_put_and_until_when() {
        let put = Put { bytes: 7, sha256: [0; 32].into() };
        let url = presigner().put("uploads/35/a/b c", &put, valid()).unwrap();
        let (path, query) = url.split_once('?').unwrap();
        assert_eq!(path, "https://s3.us-east-1.amazonaws.com/bucket/uploads/35/a/b%20c");
        for part in [
            "X-Amz-Expires=86400",
            "X-Amz-Date=20130524T000000Z",
            "X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-sha256",
        ] {
            assert!(query.split('&').any(|given| given == part), "{part}: {query}");
        }
        let other = presigner().put("uploads/35/a/b c", &Put { bytes: 8, ..put }, valid()).unwrap();
        assert_ne!(url, other);
    }

    #[test]
    fn a_download_is_saved_under_its_name() {
        let url = presigner().download("outputs/a/b/ü", "ü.html", valid()).unwrap();
        let disposition = "response-content-disposition=attachment%3B%20filename%2A%3DUTF-8%27%27%25C3%25BC.html";
        assert!(url.contains(disposition), "{url}");
        assert_eq!(url, presigner().download("outputs/a/b/ü", "ü.html", valid()).unwrap(), "the same at every time");
    }
}
