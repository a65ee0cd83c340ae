//! `CopyObject`: `aws s3 cp` and `aws s3 mv` from one key to another.

use std::io::{self, Read as _};

use axum::{http::HeaderMap, response::Response};
use percent_encoding::percent_decode_str;

use super::{
    Asked, S3,
    answers::{ChecksumMembers, CopyObjectResult, Namespace, Time},
    checksum::{Algorithm, Checksum, Hasher, Type},
    errors::{Code, S3Error},
    files::Draft,
    metadata::Metadata,
    put::{New, key, quoted},
    target::COPY_SOURCE,
    xml,
};

/// The size of a read.
const PIECE_BYTES: usize = 1024 * 1024;

impl S3 {
    pub(super) async fn copy_object(&self, asked: Asked) -> Result<Response, S3Error> {
        let Asked { target, headers, .. } = asked;
        let bucket = self.bucket(&target)?.name.clone();
        let key = key(&target)?;
        let (from_bucket, from_key) = source(&headers)?;
        self.named(&from_bucket)?;
        let replaces = headers.get("x-amz-metadata-directive").is_some_and(|directive| directive == "REPLACE");
        if bucket == from_bucket && key == from_key && !replaces {
            let why = "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
                metadata, storage class, website redirect location or encryption attributes.";
            return Err(S3Error::because(Code::InvalidRequest, why));
        }
        let metadata = if replaces { Some(Metadata::of(&headers)?) } else { None };
        let object = self.blocking(move |s3| {
            let (from, mut file) = s3.open_object(&from_bucket, &from_key)?;
            let mut draft = s3.files.draft()?;
            let algorithm = from.checksum.algorithm;
            let value = copy(&mut file, &mut draft, algorithm)?;
            let checksum = Checksum { algorithm, of: Type::FullObject, value };
            // The bytes are the same, but a copy is one upload: its tag is a plain MD5 only if that of the source is.
            let metadata = metadata.unwrap_or(from.metadata);
            let new = New { key, draft, size: from.size, etag: from.etag, checksum, metadata };
            s3.publish(&bucket, new, &HeaderMap::new(), |_| Ok(()))
        });
        let object = object.await?;
        xml::respond(
            "CopyObjectResult",
            &CopyObjectResult {
                xmlns: Namespace,
                last_modified: Time(object.modified),
                e_tag: quoted(&object.etag),
                checksum: ChecksumMembers::of(object.checksum.algorithm, object.checksum.value),
            },
        )
    }
}

/// The bucket and the key that the request copies from.
fn source(headers: &HeaderMap) -> Result<(String, String), S3Error> {
    let text = headers.get(COPY_SOURCE).and_then(|source| source.to_str().ok()).unwrap_or_default();
    let wrong = || {
        S3Error::argument(
            COPY_SOURCE,
            text,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    let path = text.split_once('?').map_or(text, |(path, _)| path);
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| wrong())?;
    let (bucket, key) = decoded.trim_start_matches('/').split_once('/').ok_or_else(wrong)?;
    if key.is_empty() { Err(wrong()) } else { Ok((bucket.to_owned(), key.to_owned())) }
}

/// Copies a file, and computes a checksum of it. It blocks.
fn copy(from: &mut std::fs::File, to: &mut Draft, algorithm: Algorithm) -> io::Result<String> {
    let mut hasher = Hasher::new(algorithm);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut piece)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(hasher.value());
        }
        hasher.update(bytes);
        to.write(bytes)?;
    }
}
