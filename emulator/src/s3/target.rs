//! What a request addresses: a bucket, a key in it, and the operation.

use axum::http::{HeaderMap, Method, Uri, header, request::Parts, uri::Authority};
use percent_encoding::percent_decode_str;

use super::errors::{Code, S3Error};
use crate::callers;

/// The header that names the source of a copy.
pub(super) const COPY_SOURCE: &str = "x-amz-copy-source";

/// The suffix of a host that names a bucket, as in `orders.localhost`.
const VIRTUAL_HOST: &str = ".localhost";

/// The operation for requests that no operation here answers. S3 refuses it.
pub(super) const UNSUPPORTED: &str = "Unsupported";

/// Declares the operations that are answered here.
macro_rules! operations {
    ($($name:ident),+ $(,)?) => {
        /// An operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Operation {
            $(#[doc = concat!("`", stringify!($name), "`.")] $name),+
        }

        /// The names of all operations that are answered here.
        pub(super) const OPERATIONS: &[&str] = &[$(stringify!($name)),+];

        impl Operation {
            /// Its name.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }

            /// The operation with this name.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

operations! {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateMultipartUpload,
    DeleteBucketLifecycle,
    DeleteObject,
    DeleteObjects,
    GetBucketLifecycleConfiguration,
    GetBucketLocation,
    GetObject,
    GetObjectTagging,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjectsV2,
    ListParts,
    PutBucketLifecycleConfiguration,
    PutObject,
    UploadPart,
    UploadPartCopy,
}

/// The parameters of a query, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query. In it, `+` stands for itself, as in what AWS's clients write.
    pub(super) fn of(uri: &Uri) -> Self {
        let text = uri.query().unwrap_or_default();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(n, v)| (decoded(n), decoded(v)))
                .collect(),
        )
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// All parameters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether it names a part of a bucket or of an object, such as `?acl`, that is not one of these.
    fn names_another(&self, known: &[&str]) -> bool {
        self.0.iter().any(|(name, value)| {
            value.is_empty() && !VALUED.contains(&name.as_str()) && !known.contains(&name.as_str())
        })
    }
}

/// Parameters that name nothing even if they are empty.
const VALUED: [&str; 7] =
    ["prefix", "delimiter", "start-after", "continuation-token", "key-marker", "upload-id-marker", "encoding-type"];

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What a request addresses.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) bucket: Option<String>,
    pub(super) key: Option<String>,
    pub(super) query: Query,
}

impl Target {
    /// Reads the bucket from the path, or from the host if it is `BUCKET.localhost`
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>).
    ///
    /// # Errors
    ///
    /// `InvalidURI` for a path that is not UTF-8.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, S3Error> {
        let path = uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = if let Some(bucket) = virtual_bucket(headers) {
            (bucket, path)
        } else {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (bucket.to_owned(), key)
        };
        let utf8 = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(Some(text.into_owned()).filter(|text| !text.is_empty())),
            Err(_) => Err(S3Error::new(Code::InvalidURI)),
        };
        Ok(Self { bucket: utf8(&bucket)?, key: utf8(key)?, query: Query::of(uri) })
    }

    fn operation(&self, method: &Method, headers: &HeaderMap) -> Option<Operation> {
        let query = &self.query;
        let copies = headers.contains_key(COPY_SOURCE);
        let (bucket, key) = (self.bucket.is_some(), self.key.is_some());
        match *method {
            Method::GET if !bucket => Some(Operation::ListBuckets),
            Method::HEAD if bucket && !key => Some(Operation::HeadBucket),
            Method::GET if !key && query.has("lifecycle") => Some(Operation::GetBucketLifecycleConfiguration),
            Method::PUT if !key && query.has("lifecycle") => Some(Operation::PutBucketLifecycleConfiguration),
            Method::DELETE if !key && query.has("lifecycle") => Some(Operation::DeleteBucketLifecycle),
            Method::GET if !key && query.has("location") => Some(Operation::GetBucketLocation),
            Method::GET if !key && query.has("uploads") => Some(Operation::ListMultipartUploads),
            Method::GET if !key && query.get("list-type") == Some("2") => Some(Operation::ListObjectsV2),
            Method::POST if bucket && !key && query.has("delete") => Some(Operation::DeleteObjects),
            _ if !key || query.names_another(&["uploads", "tagging"]) => None,
            Method::POST if query.has("uploads") => Some(Operation::CreateMultipartUpload),
            Method::POST if query.has("uploadId") => Some(Operation::CompleteMultipartUpload),
            Method::GET if query.has("uploadId") => Some(Operation::ListParts),
            Method::DELETE if query.has("uploadId") => Some(Operation::AbortMultipartUpload),
            Method::PUT if query.has("uploadId") && copies => Some(Operation::UploadPartCopy),
            Method::PUT if query.has("uploadId") => Some(Operation::UploadPart),
            Method::GET if query.has("tagging") => Some(Operation::GetObjectTagging),
            _ if query.has("tagging") => None,
            Method::GET => Some(Operation::GetObject),
            Method::HEAD => Some(Operation::HeadObject),
            Method::PUT if copies => Some(Operation::CopyObject),
            Method::PUT => Some(Operation::PutObject),
            Method::DELETE => Some(Operation::DeleteObject),
            _ => None,
        }
    }
}

/// The bucket that the host names, if it names one.
fn virtual_bucket(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
    host.host().strip_suffix(VIRTUAL_HOST).map(str::to_owned)
}

/// Whether a request is for S3: the scope of its signature says so
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>).
pub(crate) fn is_called(request: &Parts) -> bool {
    callers::scope_of_request(request).is_some_and(|scope| scope.ends_with("/s3/aws4_request"))
}

/// The name of the operation that a request calls.
pub(crate) fn operation(request: &Parts) -> &'static str {
    let target = Target::of(&request.uri, &request.headers).ok();
    let called = target.and_then(|target| target.operation(&request.method, &request.headers));
    called.map_or(UNSUPPORTED, Operation::name)
}
