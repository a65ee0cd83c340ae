//! S3: objects in files, and everything else about them in `SQLite`.
//!
//! **Invariant**: an upload becomes visible with one row, after its bytes are on disk and have been verified. A process that is killed at
//! any point leaves nothing visible, and what it leaves on disk is removed at the next start: see [`files`].
//!
//! Known differences from AWS are listed in `FACTS`.

mod answers;
mod buckets;
mod checksum;
mod chunked;
mod complete;
mod conditions;
mod copy;
mod delete;
mod errors;
mod files;
mod get;
mod lifecycle;
mod list;
mod metadata;
mod multipart;
mod payload;
mod presigned;
mod put;
mod request;
mod store;
mod target;
mod uploads;
mod xml;

use std::{path::Path, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::Db,
    service::{Answer, Facts, Protocol, Service},
};

pub use buckets::Bucket;
pub(crate) use errors::refusal;
pub(crate) use presigned::is_presigned;
pub(crate) use store::SCHEMA;
pub(crate) use target::{is_called, operation};

use errors::{Code, S3Error};
use files::Files;
use lifecycle::Lifecycles;
use target::{OPERATIONS, Operation, Target};

/// What the gateway and the faults need to know about this service.
pub(crate) static FACTS: Facts = Facts {
    name: "s3",
    title: "S3",
    targets: &[],
    operations: OPERATIONS,
    throttling: (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
    failure: "InternalError",
    content_type: xml::CONTENT_TYPE,
    protocol: Protocol::Xml,
    differences: &[
        "Buckets are declared in the resources; there is no call that creates or deletes one. There are no versions, access control \
         lists, policies, keys, locks, replication, notifications or storage classes. Calls for them are refused with `NotImplemented`; \
         headers that choose an access control list, a key or a storage class are ignored.",
        "Presigned URLs must use signature version 4. Only the parameters of the signature and those that change headers of the response \
         have an effect: the uploader must send metadata and checksums as signed headers. Version 1 of the `aws` client uses signature \
         version 2, unless `s3.signature_version` is `s3v4` in its configuration. Browsers can open them only from the address bar; web \
         pages cannot use them, since there is no CORS.",
        "Lifecycle rules select by prefix. They expire objects after a number of days, and abort multipart uploads; other members of rules \
         are refused. Expired objects are gone at midnight UTC; S3 removes them some time later.",
        "All writes are visible at once. Reads and writes are not throttled.",
        "`GET` with `partNumber` or several ranges returns the whole object.",
        "Completing an upload a second time fails with `NoSuchUpload`, as documented.",
        "Tags can be set only with `x-amz-tagging`.",
        "An upload without a length is refused, even if it is `aws-chunked`. The signatures of chunks are not verified.",
    ],
};

/// The service. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct S3(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    db: Db,
    files: Files,
    clock: Clock,
    buckets: Vec<Bucket>,
    lifecycles: Lifecycles,
    /// When this process started, which counts as the creation of the buckets.
    started: Timestamp,
}

impl std::ops::Deref for S3 {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// A request whose headers were read.
#[derive(Debug)]
struct Asked {
    target: Target,
    headers: HeaderMap,
    body: Body,
}

impl S3 {
    /// The service with these buckets, a database that has [`SCHEMA`], and a directory for the bytes. Removes what an earlier process left
    /// unfinished.
    ///
    /// # Errors
    ///
    /// What is wrong with a bucket, the directory or the database.
    pub(crate) fn open(db: Db, directory: &Path, clock: Clock, buckets: Vec<Bucket>) -> Result<Self, String> {
        buckets::check(&buckets)?;
        let files = Files::open(directory).map_err(|why| why.to_string())?;
        let named = db.transact(store::files).map_err(|why| format!("cannot read the objects of S3: {why}"))?;
        files.remove_others(&named).map_err(|why| why.to_string())?;
        let started = clock.now();
        let lifecycles = Lifecycles::open(&db, &buckets)?;
        Ok(Self(Arc::new(Inner { db, files, clock, buckets, lifecycles, started })))
    }

    async fn call(&self, operation: &str, target: Target, request: Request) -> Result<Response, S3Error> {
        let operation = Operation::named(operation).ok_or_else(|| S3Error::new(Code::NotImplemented))?;
        let (parts, body) = request.into_parts();
        let asked = Asked { target, headers: parts.headers, body };
        self.apply_lifecycle().await?;
        match operation {
            Operation::AbortMultipartUpload => self.abort_multipart_upload(asked).await,
            Operation::CompleteMultipartUpload => self.complete_multipart_upload(asked).await,
            Operation::CreateMultipartUpload => self.create_multipart_upload(asked).await,
            Operation::ListMultipartUploads => self.list_multipart_uploads(asked).await,
            Operation::ListParts => self.list_parts(asked).await,
            Operation::UploadPart => self.upload_part(asked).await,
            Operation::UploadPartCopy => self.upload_part_copy(asked).await,
            Operation::CopyObject => self.copy_object(asked).await,
            Operation::DeleteBucketLifecycle => self.delete_lifecycle(&asked.target).await,
            Operation::DeleteObject => self.delete_object(asked).await,
            Operation::DeleteObjects => self.delete_objects(asked).await,
            Operation::GetBucketLifecycleConfiguration => self.get_lifecycle(&asked.target),
            Operation::GetBucketLocation => self.get_bucket_location(&asked.target),
            Operation::GetObject => self.get_object(asked).await,
            Operation::GetObjectTagging => self.get_object_tagging(asked).await,
            Operation::HeadBucket => self.head_bucket(&asked.target),
            Operation::HeadObject => self.head_object(asked).await,
            Operation::ListBuckets => self.list_buckets(),
            Operation::ListObjectsV2 => self.list_objects(asked).await,
            Operation::PutBucketLifecycleConfiguration => self.put_lifecycle(asked).await,
            Operation::PutObject => self.put_object(asked).await,
        }
    }

    /// Runs work that blocks on a separate thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, S3Error> + Send + 'static,
    ) -> Result<T, S3Error> {
        let s3 = self.clone();
        tokio::task::spawn_blocking(move || work(&s3)).await?
    }
}

impl Service for S3 {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn answer<'a>(&'a self, operation: &'a str, request: Request) -> Answer<'a> {
        Box::pin(async move {
            let id = request_id();
            let resource = request.uri().path().to_owned();
            let target = Target::of(request.uri(), request.headers());
            let answered = match target {
                Ok(target) => self.call(operation, target, request).await,
                Err(why) => Err(why),
            };
            let mut response = answered.unwrap_or_else(|why| why.respond(Some(resource), &id));
            let headers = response.headers_mut();
            if let Ok(id) = HeaderValue::try_from(id) {
                headers.insert("x-amz-request-id", id.clone());
                headers.insert("x-amz-id-2", id);
            }
            headers.insert(header::SERVER, HeaderValue::from_static("AmazonS3"));
            response
        })
    }
}

/// Verifies the signature of a presigned request.
///
/// # Errors
///
/// The response to a request whose signature is not valid.
pub(crate) fn check_presigned(request: &Parts, now: Timestamp) -> Result<(), Box<Response>> {
    let refused = |why: S3Error| Box::new(why.respond(Some(request.uri.path().to_owned()), &request_id()));
    presigned::verify(request, now).map_err(refused)
}

/// A new id for a response.
fn request_id() -> String {
    Uuid::new_v4().simple().to_string().to_ascii_uppercase()
}

/// Reads the body of a request in XML.
async fn body(asked: Asked) -> Result<axum::body::Bytes, S3Error> {
    let limit = xml::MAX_BYTES;
    axum::body::to_bytes(asked.body, limit).await.map_err(|_| S3Error::new(Code::MalformedXML))
}
