//! The checksums of objects: how they are computed, named, and combined over the parts of a multipart upload
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>).

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::errors::{Code, S3Error};

/// The header with the type of a checksum.
pub(super) const TYPE: &str = "x-amz-checksum-type";

/// An algorithm, by the name that it has in S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// What a checksum was computed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Type {
    /// The bytes of the object.
    FullObject,
    /// The checksums of its parts.
    Composite,
}

/// A checksum as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    #[serde(rename = "type")]
    pub(super) of: Type,
    /// In base64; that of a composite checksum ends with `-` and the number of parts.
    pub(super) value: String,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The algorithm with which S3 computes the checksum of an object that is uploaded without one.
    pub(super) const DEFAULT: Self = Self::Crc64Nvme;

    /// The header and the trailer with its value.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether the checksum of a whole can be computed from those of its parts.
    pub(super) fn combines(self) -> bool {
        self.crc().is_some()
    }

    /// The algorithm with this header.
    pub(super) fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    /// The checksum that the headers of a request give, if they give one.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for more than one.
    pub(super) fn given(headers: &HeaderMap) -> Result<Option<(Self, String)>, S3Error> {
        let value = |algorithm: Self| Some((algorithm, headers.get(algorithm.header())?.to_str().ok()?.to_owned()));
        let mut given = Self::ALL.into_iter().filter_map(value);
        let first = given.next();
        if given.next().is_some() {
            let why = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
            return Err(S3Error::because(Code::InvalidRequest, why));
        }
        Ok(first)
    }

    /// The length of its value, before it is encoded.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// A checksum that is being computed.
#[derive(Debug)]
pub(super) enum Hasher {
    Crc(crc_fast::Digest, usize),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match (algorithm.crc(), algorithm) {
            (Some(crc), _) => Self::Crc(crc_fast::Digest::new(crc), algorithm.bytes()),
            (None, Algorithm::Sha1) => Self::Sha1(Sha1::new()),
            (None, _) => Self::Sha256(Sha256::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest, _) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Crc(digest, bytes) => big_endian(digest.finalize(), bytes),
            Self::Sha1(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
        }
    }

    /// The value in base64.
    pub(super) fn value(self) -> String {
        BASE64.encode(self.bytes())
    }
}

/// The checksum of an object from those of its parts, each with its size. Only for an algorithm that [combines](Algorithm::combines).
pub(super) fn of_whole(algorithm: Algorithm, parts: &[(Vec<u8>, u64)]) -> String {
    let Some(crc) = algorithm.crc() else { return String::new() };
    let numbers =
        parts.iter().map(|(value, size)| (value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), *size));
    let whole = numbers
        .reduce(|(before, size), (value, more)| (crc_fast::checksum_combine(crc, before, value, more), size + more));
    BASE64.encode(big_endian(whole.map_or(0, |(value, _)| value), algorithm.bytes()))
}

/// The checksum of the checksums of an object's parts.
pub(super) fn of_checksums(algorithm: Algorithm, parts: &[(Vec<u8>, u64)]) -> String {
    let mut hasher = Hasher::new(algorithm);
    for (value, _) in parts {
        hasher.update(value);
    }
    hasher.value()
}

fn big_endian(value: u64, bytes: usize) -> Vec<u8> {
    let all = value.to_be_bytes();
    all.get(all.len() - bytes..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.value()
    }

    /// The CRCs are the check values of <https://reveng.sourceforge.io/crc-catalogue/>; the digests are those of `openssl dgst`.
    #[test]
    fn values_are_those_of_the_algorithms() {
        let of = |algorithm| value(algorithm, b"123456789");
        assert_eq!(of(Algorithm::Crc32), BASE64.encode(0xcbf4_3926_u32.to_be_bytes()));
        assert_eq!(of(Algorithm::Crc32c), BASE64.encode(0xe306_9283_u32.to_be_bytes()));
        assert_eq!(of(Algorithm::Crc64Nvme), BASE64.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes()));
        assert_eq!(of(Algorithm::Sha1), "98O8HYCOBHMq32eZZczDTKeuNEE=");
        assert_eq!(of(Algorithm::Sha256), "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
    }

    #[test]
    fn the_checksum_of_a_whole_follows_from_its_parts() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.combines()) {
            let parts = [&b"1234"[..], b"567", b"89"];
            let parts = parts.map(|part| (BASE64.decode(value(algorithm, part)).unwrap(), part.len() as u64));
            assert_eq!(of_whole(algorithm, &parts), value(algorithm, b"123456789"), "{}", algorithm.name());
        }
    }
}
