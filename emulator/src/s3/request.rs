//! Requests in XML.

use serde::Deserialize;

use super::{checksum::Algorithm, lifecycle::Rule};

/// `DeleteObjects`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    #[serde(rename = "Object", default)]
    pub(super) objects: Vec<ObjectIdentifier>,
    #[serde(default)]
    pub(super) quiet: bool,
}

/// An object to delete.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectIdentifier {
    pub(super) key: String,
}

/// `CompleteMultipartUpload`.
#[derive(Debug, Deserialize)]
pub(super) struct CompleteMultipartUpload {
    #[serde(rename = "Part", default)]
    pub(super) parts: Vec<CompletedPart>,
}

/// `PutBucketLifecycleConfiguration`.
#[derive(Debug, Deserialize)]
pub(super) struct LifecycleConfiguration {
    #[serde(rename = "Rule", default)]
    pub(super) rules: Vec<Rule>,
}

/// A part of the object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CompletedPart {
    pub(super) part_number: u32,
    pub(super) e_tag: String,
    #[serde(rename = "ChecksumCRC32")]
    crc32: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumSHA1")]
    sha1: Option<String>,
    #[serde(rename = "ChecksumSHA256")]
    sha256: Option<String>,
}

impl CompletedPart {
    /// Its checksum with this algorithm.
    pub(super) fn checksum(&self, algorithm: Algorithm) -> Option<&String> {
        match algorithm {
            Algorithm::Crc32 => self.crc32.as_ref(),
            Algorithm::Crc32c => self.crc32c.as_ref(),
            Algorithm::Crc64Nvme => self.crc64nvme.as_ref(),
            Algorithm::Sha1 => self.sha1.as_ref(),
            Algorithm::Sha256 => self.sha256.as_ref(),
        }
    }
}
