//! Responses in XML, named and formed as in S3's model
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>).

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    checksum::{Algorithm, Type},
    lifecycle::Rule,
    xml::NAMESPACE,
};
use crate::identity::ACCOUNT;

/// A time in XML, with milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}

/// The namespace, as an attribute of the root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Namespace;

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(NAMESPACE)
    }
}

/// The owner of everything.
#[derive(Debug, Serialize)]
pub(super) struct Owner {
    #[serde(rename = "ID")]
    id: &'static str,
    #[serde(rename = "DisplayName")]
    name: &'static str,
}

/// The only owner.
pub(super) const OWNER: Owner = Owner { id: ACCOUNT, name: ACCOUNT };

/// `ListBuckets`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAllMyBucketsResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) owner: Owner,
    pub(super) buckets: Buckets,
}

/// The list in `ListBuckets`.
#[derive(Debug, Serialize)]
pub(super) struct Buckets {
    #[serde(rename = "Bucket")]
    pub(super) all: Vec<Bucket>,
}

/// A bucket in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) creation_date: Time,
}

/// `GetObjectTagging`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tagging {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) tag_set: TagSet,
}

/// The list in `GetObjectTagging`.
#[derive(Debug, Serialize)]
pub(super) struct TagSet {
    #[serde(rename = "Tag")]
    pub(super) tags: Vec<Tag>,
}

/// A tag of an object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// `GetBucketLifecycleConfiguration`.
#[derive(Debug, Serialize)]
pub(super) struct LifecycleConfiguration {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    #[serde(rename = "Rule")]
    pub(super) rules: Vec<Rule>,
}

/// `GetBucketLocation`, which is empty for us-east-1.
#[derive(Debug, Serialize)]
pub(super) struct LocationConstraint {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
}

/// `ListObjectsV2`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListBucketResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) name: String,
    pub(super) prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continuation_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_continuation_token: Option<String>,
    pub(super) key_count: usize,
    pub(super) max_keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delimiter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding_type: Option<&'static str>,
    pub(super) is_truncated: bool,
    pub(super) contents: Vec<Contents>,
    pub(super) common_prefixes: Vec<CommonPrefix>,
}

/// An object in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Contents {
    pub(super) key: String,
    pub(super) last_modified: Time,
    pub(super) e_tag: String,
    pub(super) checksum_algorithm: Algorithm,
    pub(super) checksum_type: Type,
    pub(super) size: u64,
    pub(super) storage_class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Owner>,
}

/// Keys up to a delimiter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CommonPrefix {
    pub(super) prefix: String,
}

/// `DeleteObjects`.
#[derive(Debug, Serialize)]
pub(super) struct DeleteResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    #[serde(rename = "Deleted")]
    pub(super) deleted: Vec<Deleted>,
}

/// A key that does not exist any more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Deleted {
    pub(super) key: String,
}

/// `CopyObject`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CopyObjectResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) last_modified: Time,
    pub(super) e_tag: String,
    #[serde(flatten)]
    pub(super) checksum: ChecksumMembers,
    pub(super) checksum_type: Type,
}

/// `UploadPartCopy`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CopyPartResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) last_modified: Time,
    pub(super) e_tag: String,
    #[serde(flatten)]
    pub(super) checksum: ChecksumMembers,
}

/// The members for a checksum, of which at most one is there.
#[derive(Debug, Default, Serialize)]
pub(super) struct ChecksumMembers {
    #[serde(rename = "ChecksumCRC32", skip_serializing_if = "Option::is_none")]
    pub(super) crc32: Option<String>,
    #[serde(rename = "ChecksumCRC32C", skip_serializing_if = "Option::is_none")]
    pub(super) crc32c: Option<String>,
    #[serde(rename = "ChecksumCRC64NVME", skip_serializing_if = "Option::is_none")]
    pub(super) crc64nvme: Option<String>,
    #[serde(rename = "ChecksumSHA1", skip_serializing_if = "Option::is_none")]
    pub(super) sha1: Option<String>,
    #[serde(rename = "ChecksumSHA256", skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

impl ChecksumMembers {
    /// The member of an algorithm.
    pub(super) fn of(algorithm: Algorithm, value: String) -> Self {
        let mut members = Self::default();
        let member = match algorithm {
            Algorithm::Crc32 => &mut members.crc32,
            Algorithm::Crc32c => &mut members.crc32c,
            Algorithm::Crc64Nvme => &mut members.crc64nvme,
            Algorithm::Sha1 => &mut members.sha1,
            Algorithm::Sha256 => &mut members.sha256,
        };
        *member = Some(value);
        members
    }
}

/// `CreateMultipartUpload`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitiateMultipartUploadResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) upload_id: String,
}

/// `CompleteMultipartUpload`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CompleteMultipartUploadResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) location: String,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) e_tag: String,
    #[serde(flatten)]
    pub(super) checksum: ChecksumMembers,
    pub(super) checksum_type: Type,
}

/// `ListParts`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListPartsResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) part_number_marker: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_part_number_marker: Option<u32>,
    pub(super) max_parts: usize,
    pub(super) is_truncated: bool,
    #[serde(rename = "Part")]
    pub(super) parts: Vec<ListedPart>,
    pub(super) initiator: Owner,
    pub(super) owner: Owner,
    pub(super) storage_class: &'static str,
    pub(super) checksum_algorithm: Algorithm,
    pub(super) checksum_type: Type,
}

/// A part in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedPart {
    pub(super) part_number: u32,
    pub(super) last_modified: Time,
    pub(super) e_tag: String,
    pub(super) size: u64,
    #[serde(flatten)]
    pub(super) checksum: ChecksumMembers,
}

/// `ListMultipartUploads`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMultipartUploadsResult {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: Namespace,
    pub(super) bucket: String,
    pub(super) key_marker: String,
    pub(super) upload_id_marker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_key_marker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_upload_id_marker: Option<String>,
    pub(super) prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding_type: Option<&'static str>,
    pub(super) max_uploads: usize,
    pub(super) is_truncated: bool,
    #[serde(rename = "Upload")]
    pub(super) uploads: Vec<ListedUpload>,
}

/// An upload in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedUpload {
    pub(super) upload_id: String,
    pub(super) key: String,
    pub(super) initiated: Time,
    pub(super) storage_class: &'static str,
    pub(super) owner: Owner,
    pub(super) initiator: Owner,
    pub(super) checksum_algorithm: Algorithm,
    pub(super) checksum_type: Type,
}
