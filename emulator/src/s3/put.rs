//! `PutObject`, and how every object becomes visible.

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};

use super::{
    Asked, S3,
    checksum::{Algorithm, Checksum},
    conditions,
    errors::{Code, S3Error},
    files::Draft,
    get,
    metadata::Metadata,
    payload::{Payload, hex},
    store::{self, Object},
    target::Target,
};

/// The longest key, in bytes of UTF-8 (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const MAX_KEY_BYTES: usize = 1024;

/// An object whose bytes are written, and which is not visible yet.
#[derive(Debug)]
pub(super) struct New {
    pub(super) key: String,
    pub(super) draft: Draft,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) checksum: Checksum,
    pub(super) metadata: Metadata,
}

/// The key that a request names.
///
/// # Errors
///
/// `KeyTooLongError`.
pub(super) fn key(target: &Target) -> Result<String, S3Error> {
    let key = target.key.clone().unwrap_or_default();
    if key.len() > MAX_KEY_BYTES { Err(S3Error::new(Code::KeyTooLongError)) } else { Ok(key) }
}

impl S3 {
    pub(super) async fn put_object(&self, asked: Asked) -> Result<Response, S3Error> {
        let Asked { target, headers, body } = asked;
        let bucket = self.bucket(&target)?.name.clone();
        let key = key(&target)?;
        let metadata = Metadata::of(&headers)?;
        let payload = Payload::of(&headers)?;
        let algorithm = payload.algorithm().unwrap_or(Algorithm::DEFAULT);
        let received = payload.receive(&self.files, body, algorithm).await?;
        let etag = hex(&received.md5);
        let new = New { key, draft: received.draft, size: received.size, etag, checksum: received.wanted, metadata };
        let to = bucket.clone();
        let object = self.blocking(move |s3| s3.publish(&to, new, &headers, |_| Ok(()))).await?;
        let mut response = (StatusCode::OK, [("etag", quoted(&object.etag))]).into_response();
        self.describe_expiration(response.headers_mut(), &bucket, &object.key, object.modified);
        get::describe_checksum(response.headers_mut(), &object.checksum);
        Ok(response)
    }

    /// Makes an object visible with one transaction, in which `also` can make further changes. The headers may have conditions. It blocks.
    pub(super) fn publish(
        &self,
        bucket: &str,
        new: New,
        headers: &HeaderMap,
        also: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<(), S3Error>,
    ) -> Result<Object, S3Error> {
        let file = new.draft.store()?;
        let object = Object {
            key: new.key,
            file,
            size: new.size,
            etag: new.etag,
            modified: self.clock.now(),
            checksum: new.checksum,
            metadata: new.metadata,
        };
        let put = self.db.transact(|tx| {
            conditions::check_write(headers, store::object(tx, bucket, &object.key)?.as_ref())?;
            also(tx)?;
            store::put_object(tx, bucket, &object)
        });
        match put {
            Ok(before) => {
                if let Some(file) = before {
                    self.files.remove(&file);
                }
                Ok(object)
            }
            Err(why) => {
                self.files.remove(&object.file);
                Err(why)
            }
        }
    }
}

/// An entity tag as it is sent.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
