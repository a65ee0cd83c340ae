//! `ListParts` and `ListMultipartUploads`.

use axum::response::Response;

use super::{
    Asked, S3,
    answers::{
        ChecksumMembers, ListMultipartUploadsResult, ListPartsResult, ListedPart, ListedUpload, Namespace, OWNER, Time,
    },
    errors::S3Error,
    list::{encoded, encodes, limit},
    put::quoted,
    store, xml,
};

/// The maximum number of parts or uploads in a response.
const MAX_LISTED: usize = 1_000;

impl S3 {
    pub(super) async fn list_parts(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let upload = self.upload(&asked.target).await?;
        let query = &asked.target.query;
        let marker = query.get("part-number-marker").and_then(|marker| marker.parse().ok()).unwrap_or(0);
        let max_parts = limit(query, "max-parts", MAX_LISTED)?;
        let id = upload.id.clone();
        let mut parts = self.blocking(move |s3| s3.db.transact(|tx| store::parts(tx, &id))).await?;
        parts.retain(|part| part.number as usize > marker);
        let is_truncated = parts.len() > max_parts;
        parts.truncate(max_parts);
        let (to, key, started) = (bucket.clone(), upload.key.clone(), upload.started);
        let mut response = xml::respond(
            "ListPartsResult",
            &ListPartsResult {
                xmlns: Namespace,
                bucket,
                key: upload.key,
                upload_id: upload.id,
                part_number_marker: marker,
                next_part_number_marker: parts.last().map(|part| part.number),
                max_parts,
                is_truncated,
                parts: parts
                    .into_iter()
                    .map(|part| ListedPart {
                        part_number: part.number,
                        last_modified: Time(part.modified),
                        e_tag: quoted(&part.etag),
                        size: part.size,
                        checksum: ChecksumMembers::of(upload.checked.algorithm, part.checksum),
                    })
                    .collect(),
                initiator: OWNER,
                owner: OWNER,
                storage_class: "STANDARD",
                checksum_algorithm: upload.checked.algorithm,
                checksum_type: upload.checked.of,
            },
        )?;
        self.describe_abort(response.headers_mut(), &to, &key, started);
        Ok(response)
    }

    pub(super) async fn list_multipart_uploads(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let query = asked.target.query.clone();
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        let (prefix, after) = (text("prefix"), (text("key-marker"), text("upload-id-marker")));
        let max_uploads = limit(&query, "max-uploads", MAX_LISTED)?;
        let encodes = encodes(&query)?;
        let named = bucket.clone();
        let mut uploads = self.blocking(move |s3| s3.db.transact(|tx| store::uploads(tx, &named))).await?;
        uploads.retain(|upload| {
            let follows = if after.1.is_empty() {
                upload.key > after.0
            } else {
                (&upload.key, &upload.id) > (&after.0, &after.1)
            };
            upload.key.starts_with(&prefix) && (after.0.is_empty() || follows)
        });
        let is_truncated = uploads.len() > max_uploads;
        uploads.truncate(max_uploads);
        let key = |key: &str| if encodes { encoded(key) } else { key.to_owned() };
        let last = uploads.last().filter(|_| is_truncated);
        xml::respond(
            "ListMultipartUploadsResult",
            &ListMultipartUploadsResult {
                xmlns: Namespace,
                bucket,
                key_marker: key(&text("key-marker")),
                upload_id_marker: text("upload-id-marker"),
                next_key_marker: last.map(|upload| key(&upload.key)),
                next_upload_id_marker: last.map(|upload| upload.id.clone()),
                prefix: key(&text("prefix")),
                encoding_type: encodes.then_some("url"),
                max_uploads,
                is_truncated,
                uploads: uploads
                    .into_iter()
                    .map(|upload| ListedUpload {
                        key: key(&upload.key),
                        upload_id: upload.id,
                        initiator: OWNER,
                        owner: OWNER,
                        storage_class: "STANDARD",
                        initiated: Time(upload.started),
                        checksum_algorithm: upload.checked.algorithm,
                        checksum_type: upload.checked.of,
                    })
                    .collect(),
            },
        )
    }
}
