//! Conditions and ranges of requests (<https://www.rfc-editor.org/rfc/rfc9110#section-13>).

use axum::http::{HeaderMap, HeaderName, header};
use jiff::{Timestamp, fmt::rfc2822};

use super::{
    errors::{Code, Details, S3Error},
    store::Object,
};

/// Whether a condition holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// The request is answered.
    Holds,
    /// The client has the object already.
    NotModified,
}

/// The conditions of a read.
///
/// # Errors
///
/// `PreconditionFailed`.
pub(super) fn check_read(headers: &HeaderMap, object: &Object) -> Result<Condition, S3Error> {
    let seconds = object.modified.as_second();
    match value(headers, header::IF_MATCH) {
        Some(wanted) if !matches(wanted, &object.etag) => return Err(failed("If-Match")),
        Some(_) => {}
        None if date(headers, header::IF_UNMODIFIED_SINCE).is_some_and(|since| seconds > since.as_second()) => {
            return Err(failed("If-Unmodified-Since"));
        }
        None => {}
    }
    let same = match value(headers, header::IF_NONE_MATCH) {
        Some(known) => matches(known, &object.etag),
        None => date(headers, header::IF_MODIFIED_SINCE).is_some_and(|since| seconds <= since.as_second()),
    };
    Ok(if same { Condition::NotModified } else { Condition::Holds })
}

/// The conditions of a copy about its source, each with the condition of a read that has the same meaning.
const OF_SOURCE: [(&str, HeaderName); 4] = [
    ("x-amz-copy-source-if-match", header::IF_MATCH),
    ("x-amz-copy-source-if-none-match", header::IF_NONE_MATCH),
    ("x-amz-copy-source-if-modified-since", header::IF_MODIFIED_SINCE),
    ("x-amz-copy-source-if-unmodified-since", header::IF_UNMODIFIED_SINCE),
];

/// The conditions of a copy about its source (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>).
///
/// # Errors
///
/// `PreconditionFailed`.
pub(super) fn check_source(headers: &HeaderMap, object: &Object) -> Result<(), S3Error> {
    let conditions = OF_SOURCE.into_iter().filter_map(|(name, of_read)| Some((of_read, headers.get(name)?.clone())));
    match check_read(&conditions.collect(), object)? {
        Condition::Holds => Ok(()),
        Condition::NotModified => Err(failed("x-amz-copy-source-If-None-Match")),
    }
}

/// The conditions of a write, in its transaction
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
///
/// # Errors
///
/// `PreconditionFailed`, and `NoSuchKey` if an object has to exist and does not.
pub(super) fn check_write(headers: &HeaderMap, before: Option<&Object>) -> Result<(), S3Error> {
    if let Some(wanted) = value(headers, header::IF_MATCH) {
        let before = before.ok_or_else(|| S3Error::new(Code::NoSuchKey))?;
        if !matches(wanted, &before.etag) {
            return Err(failed("If-Match"));
        }
    }
    match value(headers, header::IF_NONE_MATCH) {
        Some("*") if before.is_some() => Err(failed("If-None-Match")),
        Some("*") | None => Ok(()),
        Some(_) => Err(S3Error::new(Code::NotImplemented)),
    }
}

fn failed(condition: &str) -> S3Error {
    let details = Details { condition: Some(condition.to_owned()), ..Details::default() };
    S3Error::new(Code::PreconditionFailed).with(details)
}

fn value(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(value(headers, name)?).ok()
}

fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == etag)
}

/// The bytes that a request asks for: the first one, and how many. `None` means all. A range that is not valid, or that has several
/// parts, is ignored.
///
/// # Errors
///
/// `InvalidRange` for a range outside the object.
pub(super) fn range(headers: &HeaderMap, size: u64) -> Result<Option<(u64, u64)>, S3Error> {
    let Some(text) = value(headers, header::RANGE) else { return Ok(None) };
    let parts =
        text.strip_prefix("bytes=").filter(|parts| !parts.contains(',')).and_then(|parts| parts.split_once('-'));
    let Some((first, last)) = parts.map(|(first, last)| (first.trim(), last.trim())) else { return Ok(None) };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(last)) if first.is_empty() => (size.saturating_sub(last), size),
        _ => return Ok(None),
    };
    if range.0 < range.1 {
        return Ok(Some((range.0, range.1 - range.0)));
    }
    Err(S3Error::new(Code::InvalidRange).with(Details {
        range_requested: Some(text.to_owned()),
        actual_object_size: Some(size),
        ..Details::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_object() {
        let range = |text: &str| {
            let headers = [(header::RANGE, text.parse().unwrap())].into_iter().collect();
            range(&headers, 10).map_err(|why| why.code().to_owned())
        };
        for (text, wanted) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-5", Some((2, 4))),
            ("bytes=8-99", Some((8, 2))),
            ("bytes=3-", Some((3, 7))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-99", Some((0, 10))),
            ("bytes=5-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(range(text), Ok(wanted), "{text}");
        }
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(range(text), Err("InvalidRange".to_owned()), "{text}");
        }
    }
}
