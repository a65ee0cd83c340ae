//! `GetObject` and `HeadObject`.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, stream};
use jiff::fmt::rfc2822;
use tokio::io::AsyncReadExt as _;

use super::{
    Asked, S3,
    answers::{Namespace, Tag, TagSet, Tagging},
    checksum::{self, Checksum, Type},
    conditions::{self, Condition},
    errors::{Code, Details, S3Error},
    put::{key, quoted},
    store::{self, Object},
    target::Query,
    xml,
};

/// The size of a read.
const PIECE_BYTES: usize = 256 * 1024;

/// The parameters that replace headers of the response
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];

impl S3 {
    pub(super) async fn get_object(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let key = key(&asked.target)?;
        let from = bucket.clone();
        let (object, file) = self.blocking(move |s3| s3.open_object(&from, &key)).await?;
        if conditions::check_read(&asked.headers, &object)? == Condition::NotModified {
            return Ok(not_modified(&object));
        }
        let range = conditions::range(&asked.headers, object.size)?;
        let mut response = describe(&object, range, &asked.headers, &asked.target.query)?;
        self.describe_expiration(response.headers_mut(), &bucket, &object.key, object.modified);
        let (first, length) = range.unwrap_or((0, object.size));
        *response.body_mut() = Body::from_stream(read(file, first, length));
        Ok(response)
    }

    pub(super) async fn head_object(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let key = key(&asked.target)?;
        let from = bucket.clone();
        let object = self.blocking(move |s3| s3.object(&from, &key)).await?;
        if conditions::check_read(&asked.headers, &object)? == Condition::NotModified {
            return Ok(not_modified(&object));
        }
        let range = conditions::range(&asked.headers, object.size)?;
        let mut response = describe(&object, range, &asked.headers, &asked.target.query)?;
        self.describe_expiration(response.headers_mut(), &bucket, &object.key, object.modified);
        Ok(response)
    }

    /// For version 2 of the `aws` client, which reads the tags before it copies a large object.
    pub(super) async fn get_object_tagging(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let key = key(&asked.target)?;
        let object = self.blocking(move |s3| s3.object(&bucket, &key)).await?;
        let tags = object.metadata.tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        xml::respond("Tagging", &Tagging { xmlns: Namespace, tag_set: TagSet { tags } })
    }

    /// An object.
    ///
    /// # Errors
    ///
    /// `NoSuchKey`.
    pub(super) fn object(&self, bucket: &str, key: &str) -> Result<Object, S3Error> {
        let details = || Details { key: Some(key.to_owned()), ..Details::default() };
        let found = self.db.transact(|tx| store::object(tx, bucket, key))?;
        found.ok_or_else(|| S3Error::new(Code::NoSuchKey).with(details()))
    }

    /// An object and its bytes, which remain readable when it is overwritten.
    ///
    /// # Errors
    ///
    /// `NoSuchKey`.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> Result<(Object, File), S3Error> {
        let mut object = self.object(bucket, key)?;
        loop {
            match self.files.read(&object.file) {
                Ok(file) => return Ok((object, file)),
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why.into()),
                Err(why) => {
                    // It may have been overwritten since its row was read.
                    let now = self.object(bucket, key)?;
                    if now.file == object.file {
                        return Err(why.into());
                    }
                    object = now;
                }
            }
        }
    }
}

/// The bytes of a file, read as they are sent.
fn read(file: File, first: u64, length: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((Some(file), None, length), move |(start, open, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut open = match (start, open) {
            (Some(mut file), _) => {
                let seek = move || file.seek(SeekFrom::Start(first)).map(|_| file);
                tokio::fs::File::from_std(tokio::task::spawn_blocking(seek).await??)
            }
            (None, Some(open)) => open,
            (None, None) => return Ok(None),
        };
        let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
        let count = open.read(&mut piece).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        piece.truncate(count);
        Ok(Some((Bytes::from(piece), (None, Some(open), left - count as u64))))
    })
}

/// The headers that describe an object, or a range of it.
fn describe(object: &Object, range: Option<(u64, u64)>, asked: &HeaderMap, query: &Query) -> Result<Response, S3Error> {
    let mut response = identify(object);
    let headers = response.headers_mut();
    headers.extend(object.metadata.headers());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert("x-amz-server-side-encryption", HeaderValue::from_static("AES256"));
    if !object.metadata.tags.is_empty() {
        headers.insert("x-amz-tagging-count", HeaderValue::from(object.metadata.tags.len()));
    }
    let asks_for_checksum =
        asked.get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"ENABLED"));
    if asks_for_checksum && range.is_none() {
        describe_checksum(headers, &object.checksum);
    }
    for (name, header) in OVERRIDES {
        if let Some(value) = query.get(name) {
            let wrong = |_| S3Error::argument(name, value, "Header value cannot be represented using ISO-8859-1.");
            headers.insert(header, HeaderValue::try_from(value).map_err(wrong)?);
        }
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.map_or(object.size, |(_, length)| length)));
    if let Some((first, length)) = range {
        let text = format!("bytes {first}-{}/{}", first + length - 1, object.size);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(text).map_err(S3Error::internal)?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn identify(object: &Object) -> Response {
    let modified = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&object.modified);
    let modified = modified.unwrap_or_default();
    [(header::ETAG, quoted(&object.etag)), (header::LAST_MODIFIED, modified)].into_response()
}

fn not_modified(object: &Object) -> Response {
    let mut response = identify(object);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// Adds the headers of a checksum.
pub(super) fn describe_checksum(headers: &mut HeaderMap, checksum: &Checksum) {
    if let Ok(value) = HeaderValue::try_from(&checksum.value) {
        headers.insert(checksum.algorithm.header(), value);
    }
    let of = match checksum.of {
        Type::FullObject => "FULL_OBJECT",
        Type::Composite => "COMPOSITE",
    };
    headers.insert(checksum::TYPE, HeaderValue::from_static(of));
}
