//! Multipart uploads: parts are received like objects, and become one object with `CompleteMultipartUpload`
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>).

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Asked, S3,
    answers::{InitiateMultipartUploadResult, Namespace},
    checksum::{Algorithm, Type},
    errors::{Code, Details, S3Error},
    files::Draft,
    metadata::Metadata,
    payload::{Payload, Received, hex},
    put::{key, quoted},
    store::{self, Part, Upload},
    target::{Query, Target},
    xml,
};

/// The maximum number of parts.
pub(super) const MAX_PARTS: u32 = 10_000;

/// The minimum size of a part other than the last: 5 MiB.
pub(super) const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// How the checksum of a multipart upload is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checked {
    pub(super) algorithm: Algorithm,
    #[serde(rename = "type")]
    pub(super) of: Type,
    /// Whether the client chose it. Otherwise it is the one that S3 adds.
    pub(super) chosen: bool,
}

impl Checked {
    fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(name) = text("x-amz-checksum-algorithm") else {
            return Ok(Self { algorithm: Algorithm::DEFAULT, of: Type::FullObject, chosen: false });
        };
        let unknown = || {
            S3Error::because(
                Code::InvalidRequest,
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        };
        let algorithm = Algorithm::named(name).ok_or_else(unknown)?;
        let usual = if algorithm == Algorithm::Crc64Nvme { Type::FullObject } else { Type::Composite };
        let of = match text("x-amz-checksum-type") {
            None => usual,
            Some("FULL_OBJECT") => Type::FullObject,
            Some(_) => Type::Composite,
        };
        let fits = match of {
            Type::FullObject => algorithm.combines(),
            Type::Composite => algorithm != Algorithm::Crc64Nvme,
        };
        if fits {
            return Ok(Self { algorithm, of, chosen: true });
        }
        let of = if of == Type::FullObject { "FULL_OBJECT" } else { "COMPOSITE" };
        let why = format!(
            "The {of} checksum type cannot be used with the {} checksum algorithm.",
            algorithm.name().to_lowercase()
        );
        Err(S3Error::because(Code::InvalidRequest, why))
    }
}

/// A part whose bytes are written, and which does not belong to its upload yet.
#[derive(Debug)]
pub(super) struct NewPart {
    pub(super) number: u32,
    pub(super) draft: Draft,
    pub(super) size: u64,
    pub(super) md5: Vec<u8>,
    /// With the algorithm of the upload, in base64.
    pub(super) checksum: String,
}

impl S3 {
    pub(super) async fn create_multipart_upload(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let upload = Upload {
            id: Uuid::new_v4().simple().to_string(),
            key: key(&asked.target)?,
            started: self.clock.now(),
            checked: Checked::of(&asked.headers)?,
            metadata: Metadata::of(&asked.headers)?,
        };
        let result = InitiateMultipartUploadResult {
            xmlns: Namespace,
            bucket: bucket.clone(),
            key: upload.key.clone(),
            upload_id: upload.id.clone(),
        };
        let started = upload.started;
        self.blocking(move |s3| s3.db.transact(|tx| store::put_upload(tx, &bucket, &upload))).await?;
        let mut response = xml::respond("InitiateMultipartUploadResult", &result)?;
        self.describe_abort(response.headers_mut(), &result.bucket, &result.key, started);
        Ok(response)
    }

    pub(super) async fn upload_part(&self, asked: Asked) -> Result<Response, S3Error> {
        let Asked { target, headers, body } = asked;
        let number = part_number(&target.query)?;
        let upload = self.upload(&target).await?;
        let payload = Payload::of(&headers)?;
        let algorithm = upload.checked.algorithm;
        let received = payload.receive(&self.files, body, algorithm).await?;
        let part = self.blocking(move |s3| {
            let Received { draft, size, md5, wanted } = received;
            s3.store_part(&upload, NewPart { number, draft, size, md5, checksum: wanted.value })
        });
        let part = part.await?;
        let mut response = (StatusCode::OK, [("etag", quoted(&part.etag))]).into_response();
        if payload.algorithm() == Some(algorithm)
            && let Ok(value) = HeaderValue::try_from(&part.checksum)
        {
            response.headers_mut().insert(algorithm.header(), value);
        }
        Ok(response)
    }

    /// Adds a part to an upload, which may have been completed or aborted in the meantime. It blocks.
    pub(super) fn store_part(&self, upload: &Upload, new: NewPart) -> Result<Part, S3Error> {
        let part = Part {
            number: new.number,
            file: new.draft.store()?,
            size: new.size,
            etag: hex(&new.md5),
            modified: self.clock.now(),
            checksum: new.checksum,
        };
        let put = self.db.transact(|tx| {
            store::upload(tx, &upload.id)?.ok_or_else(|| no_such_upload(&upload.id))?;
            store::put_part(tx, &upload.id, &part)
        });
        match put {
            Ok(before) => {
                if let Some(file) = before {
                    self.files.remove(&file);
                }
                Ok(part)
            }
            Err(why) => {
                self.files.remove(&part.file);
                Err(why)
            }
        }
    }

    pub(super) async fn abort_multipart_upload(&self, asked: Asked) -> Result<Response, S3Error> {
        let upload = self.upload(&asked.target).await?;
        let files = self.blocking(move |s3| s3.db.transact(|tx| store::delete_upload(tx, &upload.id))).await?;
        self.remove_files(files).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// The upload that a request names.
    ///
    /// # Errors
    ///
    /// `NoSuchUpload`.
    pub(super) async fn upload(&self, target: &Target) -> Result<Upload, S3Error> {
        let bucket = self.bucket(target)?.name.clone();
        let key = key(target)?;
        let id = target.query.get("uploadId").unwrap_or_default().to_owned();
        let found = self.blocking({
            let id = id.clone();
            move |s3| s3.db.transact(|tx| store::upload(tx, &id))
        });
        let found = found.await?.filter(|(its, upload)| *its == bucket && upload.key == key);
        found.map(|(_, upload)| upload).ok_or_else(|| no_such_upload(&id))
    }
}

/// The error for an upload that does not exist.
pub(super) fn no_such_upload(id: &str) -> S3Error {
    let details = Details { upload_id: Some(id.to_owned()), ..Details::default() };
    S3Error::new(Code::NoSuchUpload).with(details)
}

/// The number of the part that a request names.
///
/// # Errors
///
/// `InvalidArgument`.
pub(super) fn part_number(query: &Query) -> Result<u32, S3Error> {
    let text = query.get("partNumber").unwrap_or_default();
    let number = text.parse().ok().filter(|number| (1..=MAX_PARTS).contains(number));
    let wrong =
        || S3Error::argument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive");
    number.ok_or_else(wrong)
}
