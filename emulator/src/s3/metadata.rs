//! What an upload says about its object, besides the bytes: headers that are sent back, and tags.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::errors::{Code, S3Error};

/// The content type of an object that was uploaded without one.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// The prefix of headers that belong to the user.
const USER: &str = "x-amz-meta-";

/// The header with tags, in the form of a query.
pub(super) const TAGGING: &str = "x-amz-tagging";

/// The maximum size of all user headers together, without their prefix
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
const MAX_USER_BYTES: usize = 2 * 1024;

/// The maximum number of tags, and the longest key and value
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>).
const MAX_TAGS: usize = 10;
const MAX_TAG_KEY_CHARS: usize = 128;
const MAX_TAG_VALUE_CHARS: usize = 256;

/// The system headers that are kept and sent back.
const KEPT: [&str; 6] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"];

/// Beginnings of headers that ask for something that does not exist here.
const REFUSED: [&str; 4] = [
    "x-amz-server-side-encryption-customer-",
    "x-amz-object-lock-",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// The headers and the tags of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Metadata {
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

impl Metadata {
    /// Reads the headers of an upload.
    ///
    /// # Errors
    ///
    /// `MetadataTooLarge`, `InvalidTag`, and `NotImplemented` for headers that ask for something that does not exist here.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut kept = BTreeMap::new();
        for (name, value) in headers {
            let name = name.as_str();
            if REFUSED.iter().any(|refused| name.starts_with(refused)) {
                return Err(S3Error::new(Code::NotImplemented));
            }
            if KEPT.contains(&name) || name.starts_with(USER) {
                kept.insert(name.to_owned(), text(value));
            }
        }
        let user = kept.iter().filter_map(|(name, value)| Some(name.strip_prefix(USER)?.len() + value.len()));
        if user.sum::<usize>() > MAX_USER_BYTES {
            return Err(S3Error::new(Code::MetadataTooLarge));
        }
        if let Some(encoding) = kept.remove("content-encoding").and_then(|encoding| without_chunks(&encoding)) {
            kept.insert("content-encoding".to_owned(), encoding);
        }
        kept.entry("content-type".to_owned()).or_insert_with(|| DEFAULT_TYPE.to_owned());
        let tags = headers.get(TAGGING).map(text).map(|text| tags(&text)).transpose()?;
        Ok(Self { headers: kept, tags: tags.unwrap_or_default() })
    }

    /// The headers of a response with the object.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        })
    }
}

/// `aws-chunked` describes the transfer, not the object.
fn without_chunks(encoding: &str) -> Option<String> {
    let kept: Vec<_> =
        encoding.split(',').map(str::trim).filter(|one| !one.eq_ignore_ascii_case("aws-chunked")).collect();
    Some(kept.join(",")).filter(|kept| !kept.is_empty())
}

fn tags(text: &str) -> Result<BTreeMap<String, String>, S3Error> {
    let mut tags = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        let fits =
            (1..=MAX_TAG_KEY_CHARS).contains(&key.chars().count()) && value.chars().count() <= MAX_TAG_VALUE_CHARS;
        if !fits || tags.insert(key.into_owned(), value.into_owned()).is_some() || tags.len() > MAX_TAGS {
            return Err(S3Error::new(Code::InvalidTag));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> Result<Metadata, S3Error> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Metadata::of(&headers.collect())
    }

    #[test]
    fn headers_of_the_object_are_kept_and_those_of_the_transfer_are_not() {
        let kept =
            of(&[("content-encoding", "gzip, aws-chunked"), ("x-amz-meta-a", "1"), ("x-amz-date", "now")]).unwrap();
        let headers: Vec<_> = kept.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let wanted = [("content-encoding", "gzip"), ("content-type", "binary/octet-stream"), ("x-amz-meta-a", "1")];
        assert_eq!(headers, wanted);
        assert!(!of(&[("content-encoding", "aws-chunked")]).unwrap().headers.contains_key("content-encoding"));
    }

    #[test]
    fn metadata_beyond_a_limit_is_refused() {
        assert!(of(&[("x-amz-meta-a", &"x".repeat(MAX_USER_BYTES - 1))]).is_ok());
        assert_eq!(of(&[("x-amz-meta-a", &"x".repeat(MAX_USER_BYTES))]).unwrap_err().code(), "MetadataTooLarge");
        assert_eq!(of(&[("x-amz-tagging", "a=1&b=%20c")]).unwrap().tags["b"], " c");
        assert_eq!(of(&[("x-amz-tagging", "a=1&a=2")]).unwrap_err().code(), "InvalidTag");
        assert_eq!(of(&[("x-amz-object-lock-mode", "GOVERNANCE")]).unwrap_err().code(), "NotImplemented");
    }
}
