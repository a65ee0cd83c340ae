//! `CompleteMultipartUpload`.

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use md5::{Digest as _, Md5};

use super::{
    Asked, S3,
    answers::{ChecksumMembers, CompleteMultipartUploadResult, Namespace},
    body,
    checksum::{self, Algorithm, Checksum, Type},
    errors::{Code, Details, S3Error},
    list::encoded,
    multipart::{MIN_PART_BYTES, no_such_upload},
    payload::{bad_checksum, hex},
    put::{New, quoted},
    request::{CompleteMultipartUpload, CompletedPart},
    store::{self, Part, Upload},
    xml,
};

impl S3 {
    pub(super) async fn complete_multipart_upload(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let upload = self.upload(&asked.target).await?;
        let headers = asked.headers.clone();
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let location = format!("http://{host}/{bucket}/{}", encoded(&upload.key));
        let asked: CompleteMultipartUpload = xml::read(&body(asked).await?)?;
        let named = bucket.clone();
        let object = self.blocking(move |s3| {
            let parts = s3.db.transact(|tx| store::parts(tx, &upload.id))?;
            let parts = chosen(&asked.parts, parts, &upload)?;
            let checksum = combined(&parts, &upload)?;
            if let Some((algorithm, value)) = Algorithm::given(&headers)?
                && (algorithm != checksum.algorithm || value != checksum.value)
            {
                return Err(bad_checksum(algorithm));
            }
            let mut draft = s3.files.draft()?;
            let mut size = 0;
            for part in &parts {
                size += draft.append(&part.file)?;
            }
            let new = New {
                key: upload.key.clone(),
                draft,
                size,
                etag: etag(&parts),
                checksum,
                metadata: upload.metadata.clone(),
            };
            let mut files = Vec::new();
            let object = s3.publish(&named, new, &headers, |tx| {
                // Another request may have completed or aborted it in the meantime, or replaced a part.
                store::upload(tx, &upload.id)?.ok_or_else(|| no_such_upload(&upload.id))?;
                let now = store::parts(tx, &upload.id)?;
                if parts.iter().any(|part| !now.contains(part)) {
                    return Err(S3Error::new(Code::InvalidPart));
                }
                files = store::delete_upload(tx, &upload.id)?;
                Ok(())
            })?;
            for file in &files {
                s3.files.remove(file);
            }
            Ok(object)
        });
        let object = object.await?;
        let mut response = xml::respond(
            "CompleteMultipartUploadResult",
            &CompleteMultipartUploadResult {
                xmlns: Namespace,
                location,
                bucket: bucket.clone(),
                key: object.key.clone(),
                e_tag: quoted(&object.etag),
                checksum: ChecksumMembers::of(object.checksum.algorithm, object.checksum.value),
                checksum_type: object.checksum.of,
            },
        )?;
        self.describe_expiration(response.headers_mut(), &bucket, &object.key, object.modified);
        Ok(response)
    }
}

/// The parts that the request names, which must have been uploaded
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>).
fn chosen(asked: &[CompletedPart], mut uploaded: Vec<Part>, upload: &Upload) -> Result<Vec<Part>, S3Error> {
    if asked.is_empty() {
        return Err(S3Error::new(Code::MalformedXML));
    }
    if !asked.is_sorted_by(|one, next| one.part_number < next.part_number) {
        return Err(S3Error::new(Code::InvalidPartOrder));
    }
    let mut parts = Vec::with_capacity(asked.len());
    for (index, wanted) in asked.iter().enumerate() {
        let invalid = || {
            S3Error::new(Code::InvalidPart).with(Details {
                upload_id: Some(upload.id.clone()),
                part_number: Some(wanted.part_number),
                e_tag: Some(wanted.e_tag.clone()),
                ..Details::default()
            })
        };
        let position = uploaded.iter().position(|part| part.number == wanted.part_number).ok_or_else(invalid)?;
        let part = uploaded.swap_remove(position);
        let given = wanted.checksum(upload.checked.algorithm);
        if wanted.e_tag.trim_matches('"') != part.etag || given.is_some_and(|given| *given != part.checksum) {
            return Err(invalid());
        }
        if given.is_none() && upload.checked.chosen && upload.checked.of == Type::Composite {
            let why = format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each part. \
                 It was missing for part {} in the request.",
                upload.checked.algorithm.name().to_lowercase(),
                wanted.part_number
            );
            return Err(S3Error::because(Code::InvalidRequest, why));
        }
        if part.size < MIN_PART_BYTES && index + 1 < asked.len() {
            return Err(S3Error::new(Code::EntityTooSmall).with(Details {
                proposed_size: Some(part.size),
                min_size_allowed: Some(MIN_PART_BYTES),
                part_number: Some(part.number),
                e_tag: Some(part.etag),
                ..Details::default()
            }));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// The checksum of the whole object, from those of its parts.
fn combined(parts: &[Part], upload: &Upload) -> Result<Checksum, S3Error> {
    let values = parts.iter().map(|part| Ok((BASE64.decode(&part.checksum).map_err(S3Error::internal)?, part.size)));
    let values: Vec<_> = values.collect::<Result<_, S3Error>>()?;
    let checked = &upload.checked;
    let value = match checked.of {
        Type::FullObject => checksum::of_whole(checked.algorithm, &values),
        Type::Composite => format!("{}-{}", checksum::of_checksums(checked.algorithm, &values), parts.len()),
    };
    Ok(Checksum { algorithm: checked.algorithm, of: checked.of, value })
}

/// The entity tag of an object with these parts: the digest of their digests, and how many there are.
fn etag(parts: &[Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        let digits = part.etag.as_bytes().chunks(2).filter_map(|two| std::str::from_utf8(two).ok());
        md5.update(digits.filter_map(|two| u8::from_str_radix(two, 16).ok()).collect::<Vec<_>>());
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}
