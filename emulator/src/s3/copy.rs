//! `CopyObject` and `UploadPartCopy`: `aws s3 cp` and `aws s3 mv` from one key to another.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

use axum::{http::HeaderMap, response::Response};
use md5::{Digest as _, Md5};
use percent_encoding::percent_decode_str;

use super::{
    Asked, S3,
    answers::{ChecksumMembers, CopyObjectResult, CopyPartResult, Namespace, Time},
    checksum::{Algorithm, Checksum, Hasher, Type},
    conditions,
    errors::{Code, S3Error},
    files::Draft,
    metadata::Metadata,
    multipart::{NewPart, part_number},
    payload::MAX_BYTES,
    put::{New, key, quoted},
    store::Object,
    target::COPY_SOURCE,
    xml,
};

/// The size of a read.
const PIECE_BYTES: usize = 1024 * 1024;

/// The header with the bytes that become a part.
const RANGE: &str = "x-amz-copy-source-range";

impl S3 {
    pub(super) async fn copy_object(&self, asked: Asked) -> Result<Response, S3Error> {
        let Asked { target, headers, .. } = asked;
        let bucket = self.bucket(&target)?.name.clone();
        let key = key(&target)?;
        let from = Source::of(&headers)?;
        self.named(&from.bucket)?;
        let replaces = headers.get("x-amz-metadata-directive").is_some_and(|directive| directive == "REPLACE");
        if bucket == from.bucket && key == from.key && !replaces {
            let why = "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
                metadata, storage class, website redirect location or encryption attributes.";
            return Err(S3Error::because(Code::InvalidRequest, why));
        }
        let metadata = if replaces { Some(Metadata::of(&headers)?) } else { None };
        let to = bucket.clone();
        let object = self.blocking(move |s3| {
            let (from, mut file) = s3.open_source(&from, &headers)?;
            check_size(from.size)?;
            let mut draft = s3.files.draft()?;
            let algorithm = from.checksum.algorithm;
            let copied = copy(&mut file, &mut draft, algorithm, from.size)?;
            let checksum = Checksum { algorithm, of: Type::FullObject, value: copied.checksum };
            // The bytes are the same, but a copy is one upload: its tag is a plain MD5 only if that of the source is.
            let metadata = metadata.unwrap_or(from.metadata);
            let new = New { key, draft, size: from.size, etag: from.etag, checksum, metadata };
            s3.publish(&to, new, &HeaderMap::new(), |_| Ok(()))
        });
        let object = object.await?;
        let mut response = xml::respond(
            "CopyObjectResult",
            &CopyObjectResult {
                xmlns: Namespace,
                last_modified: Time(object.modified),
                e_tag: quoted(&object.etag),
                checksum: ChecksumMembers::of(object.checksum.algorithm, object.checksum.value),
                checksum_type: object.checksum.of,
            },
        )?;
        self.describe_expiration(response.headers_mut(), &bucket, &object.key, object.modified);
        Ok(response)
    }

    pub(super) async fn upload_part_copy(&self, asked: Asked) -> Result<Response, S3Error> {
        let Asked { target, headers, .. } = asked;
        let number = part_number(&target.query)?;
        let upload = self.upload(&target).await?;
        let from = Source::of(&headers)?;
        self.named(&from.bucket)?;
        let checked = upload.checked;
        let part = self.blocking(move |s3| {
            let (from, mut file) = s3.open_source(&from, &headers)?;
            let (first, size) = range(&headers, from.size)?;
            check_size(size)?;
            file.seek(SeekFrom::Start(first))?;
            let mut draft = s3.files.draft()?;
            let copied = copy(&mut file, &mut draft, checked.algorithm, size)?;
            s3.store_part(&upload, NewPart { number, draft, size, md5: copied.md5, checksum: copied.checksum })
        });
        let part = part.await?;
        let checksum = if checked.chosen {
            ChecksumMembers::of(checked.algorithm, part.checksum)
        } else {
            ChecksumMembers::default()
        };
        let (last_modified, e_tag) = (Time(part.modified), quoted(&part.etag));
        xml::respond("CopyPartResult", &CopyPartResult { xmlns: Namespace, last_modified, e_tag, checksum })
    }

    /// The object that a request copies from, and its bytes.
    fn open_source(&self, from: &Source, headers: &HeaderMap) -> Result<(Object, File), S3Error> {
        let (object, file) = self.open_object(&from.bucket, &from.key)?;
        conditions::check_source(headers, &object)?;
        Ok((object, file))
    }
}

/// The bucket and the key that a request copies from.
#[derive(Debug)]
struct Source {
    bucket: String,
    key: String,
}

impl Source {
    fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
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
        if key.is_empty() { Err(wrong()) } else { Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() }) }
    }
}

/// The bytes that a request copies: the first one, and how many. Unlike a range of a read, it is not cut to the object
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>).
fn range(headers: &HeaderMap, size: u64) -> Result<(u64, u64), S3Error> {
    let Some(text) = headers.get(RANGE) else { return Ok((0, size)) };
    let text = text.to_str().unwrap_or_default();
    let parts = text.strip_prefix("bytes=").and_then(|parts| parts.split_once('-'));
    let offsets = parts.and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    let Some((first, last)) = offsets.filter(|(first, last)| first <= last) else {
        let why = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based \
            offsets of the first and last bytes to copy";
        return Err(S3Error::argument(RANGE, text, why));
    };
    if last >= size {
        let why = format!("Range specified is not valid for source object of size: {size}");
        return Err(S3Error::argument(RANGE, text, why));
    }
    Ok((first, last - first + 1))
}

fn check_size(size: u64) -> Result<(), S3Error> {
    if size <= MAX_BYTES {
        return Ok(());
    }
    let why =
        format!("The specified copy source is larger than the maximum allowable size for a copy source: {MAX_BYTES}");
    Err(S3Error::because(Code::InvalidRequest, why))
}

/// The digests of bytes that were copied.
#[derive(Debug)]
struct Copied {
    md5: Vec<u8>,
    /// In base64.
    checksum: String,
}

/// Copies this many bytes. It blocks.
fn copy(from: &mut File, to: &mut Draft, algorithm: Algorithm, size: u64) -> io::Result<Copied> {
    let (mut md5, mut hasher) = (Md5::new(), Hasher::new(algorithm));
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let count = from.read(piece.get_mut(..most).unwrap_or_default())?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        md5.update(bytes);
        hasher.update(bytes);
        to.write(bytes)?;
        left -= count as u64;
    }
    Ok(Copied { md5: md5.finalize().to_vec(), checksum: hasher.value() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_source_must_be_inside_it() {
        let range = |text: &str| {
            let headers = [(RANGE.parse().unwrap(), text.parse().unwrap())].into_iter().collect();
            range(&headers, 10).map_err(|why| why.code().to_owned())
        };
        assert_eq!(range("bytes=0-9"), Ok((0, 10)));
        assert_eq!(range("bytes=3-3"), Ok((3, 1)));
        for text in ["bytes=0-10", "bytes=3-", "bytes=-3", "bytes=5-2", "3-4", "bytes=a-b"] {
            assert_eq!(range(text), Err("InvalidArgument".to_owned()), "{text}");
        }
        assert_eq!(super::range(&HeaderMap::new(), 10).unwrap(), (0, 10));
    }
}
