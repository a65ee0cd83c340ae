//! Presigned URLs: the signature in the query, which is verified
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).

use axum::http::{HeaderMap, HeaderName, Uri, header, request::Parts};
use jiff::{SignedDuration, Timestamp, fmt::strtime};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::{
    errors::{Code, Details, S3Error},
    payload::hex,
    target::{self, Query},
};
use crate::identity::SECRET;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The parameter with the signature itself.
const SIGNATURE: &str = "X-Amz-Signature";

/// The longest validity: a week, in seconds.
const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

/// How far the clock of the client may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);

/// The characters that are not encoded in the query of a canonical request.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whether a request is presigned for S3. It has no other signature, and is for no other service.
pub(crate) fn is_presigned(request: &Parts) -> bool {
    let in_header =
        [header::AUTHORIZATION.as_str(), "x-amz-target"].iter().any(|name| request.headers.contains_key(*name));
    !in_header && target::is_called(request) && Query::of(&request.uri).get(SIGNATURE).is_some()
}

/// Verifies a presigned request: that it is signed with the secret key of the emulator's callers, and still valid.
///
/// # Errors
///
/// What S3 says about a signature that is not valid.
pub(super) fn verify(request: &Parts, now: Timestamp) -> Result<(), S3Error> {
    let query = Query::of(&request.uri);
    let incomplete = || S3Error::new(Code::AuthorizationQueryParametersError);
    let get = |name: &str| query.get(name).ok_or_else(incomplete);
    let wrong = |why: &'static str| S3Error::because(Code::AuthorizationQueryParametersError, why);
    if get("X-Amz-Algorithm")? != ALGORITHM {
        return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""));
    }
    let (credential, date, signed) = (get("X-Amz-Credential")?, get("X-Amz-Date")?, get("X-Amz-SignedHeaders")?);
    let seconds: u64 = get("X-Amz-Expires")?.parse().map_err(|_| wrong("X-Amz-Expires should be a number"))?;
    if seconds > MAX_SECONDS {
        return Err(wrong(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ));
    }
    let began =
        instant(date).ok_or_else(|| wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    let form = "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
    let (key, scope) = credential.split_once('/').ok_or_else(|| wrong(form))?;
    let [day, region, service, "aws4_request"] = *scope.split('/').collect::<Vec<_>>() else { return Err(wrong(form)) };
    if !date.starts_with(day) {
        return Err(wrong("Invalid credential date. Date is not the same as X-Amz-Date"));
    }
    let ends =
        i64::try_from(seconds).ok().and_then(|seconds| began.checked_add(SignedDuration::from_secs(seconds)).ok());
    let ends = ends.ok_or_else(incomplete)?;
    if began > now.checked_add(AHEAD).unwrap_or(Timestamp::MAX) {
        return Err(S3Error::because(Code::AccessDenied, "Request is not yet valid"));
    }
    if now >= ends {
        return Err(S3Error::because(Code::AccessDenied, "Request has expired").with(Details {
            expires_seconds: Some(seconds),
            expires: Some(ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            server_time: Some(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            ..Details::default()
        }));
    }
    all_signed(&request.headers, signed)?;
    let canonical = canonical(request, &query, signed);
    let digest = hex(&Sha256::digest(&canonical));
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{digest}");
    let signing = aws_sigv4::sign::v4::generate_signing_key(SECRET, began.into(), region, service);
    let signature = aws_sigv4::sign::v4::calculate_signature(signing, to_sign.as_bytes());
    let provided = get(SIGNATURE)?;
    // The secret is public, so a comparison in constant time would protect nothing.
    if signature == provided {
        return Ok(());
    }
    let why = format!(
        "{} Presigned URLs for this emulator are signed with the secret key `{SECRET}`.",
        Code::SignatureDoesNotMatch.message()
    );
    Err(S3Error::because(Code::SignatureDoesNotMatch, why).with(Details {
        access_key: Some(key.to_owned()),
        string_to_sign: Some(to_sign),
        signature_provided: Some(provided.to_owned()),
        canonical_request: Some(canonical),
        ..Details::default()
    }))
}

fn instant(text: &str) -> Option<Timestamp> {
    let time = strtime::parse("%Y%m%dT%H%M%SZ", text).ok()?.to_datetime().ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// All headers that choose what a request does have to be signed.
fn all_signed(headers: &HeaderMap, signed: &str) -> Result<(), S3Error> {
    let is_signed = |name: &str| signed.split(';').any(|signed| signed == name);
    let missing: Vec<_> =
        headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-") && !is_signed(name)).collect();
    if missing.is_empty() && is_signed("host") {
        return Ok(());
    }
    let why = "There were headers present in the request which were not signed";
    let details = Details { headers_not_signed: Some(missing.join(", ")), ..Details::default() };
    Err(S3Error::because(Code::AccessDenied, why).with(details))
}

/// The canonical request, which is signed.
fn canonical(request: &Parts, query: &Query, signed: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let pairs = query.iter().filter(|(name, _)| *name != SIGNATURE).map(|(name, value)| (encode(name), encode(value)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers =
        signed.split(';').fold(String::new(), |text, name| text + name + ":" + &values(&request.headers, name) + "\n");
    let payload = request.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    let payload = payload.or_else(|| query.get("X-Amz-Content-Sha256")).unwrap_or("UNSIGNED-PAYLOAD");
    let (method, path) = (&request.method, path(&request.uri));
    format!("{method}\n{path}\n{}\n{headers}\n{signed}\n{payload}", pairs.join("&"))
}

/// The path as it is signed, with every segment encoded once.
fn path(uri: &Uri) -> String {
    let decoded = percent_encoding::percent_decode_str(uri.path()).collect::<Vec<_>>();
    let segments =
        decoded.split(|byte| *byte == b'/').map(|segment| percent_encoding::percent_encode(segment, PLAIN).to_string());
    segments.collect::<Vec<_>>().join("/")
}

fn values(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let trimmed = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
    trimmed.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// Written by boto3 1.44.5 with the secret key `local`.
    const URL: &str = "http://127.0.0.1:4566/orders/dir/a%20b%2Bc%25.txt?response-content-disposition=attachment%3B%20filename%3D%22%C3%BC.txt%22&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=task.1%2F20261128%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261128T032927Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=a979e95f0d4c2b66eed1a25b0ff042fe83834fe8c4b80f3a2a76401389f2be2a";

    fn at(url: &str, method: &str, now: &str, header: Option<(&str, &str)>) -> Result<(), String> {
        let (host, _) = url.trim_start_matches("http://").split_once('/').unwrap();
        let request = Request::builder().method(method).uri(url.trim_start_matches("http://").trim_start_matches(host));
        let request = request.header("host", host);
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert!(is_presigned(&parts));
        verify(&parts, now.parse().unwrap()).map_err(|why| why.code().to_owned())
    }

    #[test]
    fn a_url_is_valid_until_it_expires_and_for_what_was_signed() {
        let now = "2026-11-28T03:44:26Z";
        assert_eq!(at(URL, "GET", now, None), Ok(()));
        let refused = |code: &str| Err(code.to_owned());
        assert_eq!(at(URL, "GET", "2026-11-28T03:44:27Z", None), refused("AccessDenied"));
        assert_eq!(at(URL, "GET", "2026-11-28T03:14:26Z", None), refused("AccessDenied"));
        let mismatch = || refused("SignatureDoesNotMatch");
        assert_eq!(at(URL, "PUT", now, None), mismatch());
        assert_eq!(at(&URL.replace("/orders/", "/other/"), "GET", now, None), mismatch());
        assert_eq!(at(&URL.replace("Expires=900", "Expires=901"), "GET", now, None), mismatch());
        assert_eq!(at(&URL.replace("127.0.0.1", "localhost"), "GET", now, None), mismatch());
        assert_eq!(at(&format!("{URL}&response-content-type=text%2Fhtml"), "GET", now, None), mismatch());
        assert_eq!(at(URL, "GET", now, Some(("x-amz-meta-a", "1"))), refused("AccessDenied"), "it is not signed");
        let incomplete = || refused("AuthorizationQueryParametersError");
        assert_eq!(at(&URL.replace("Expires=900", "Expires=604801"), "GET", now, None), incomplete());
        assert_eq!(at(&URL.replace("&X-Amz-Expires=900", ""), "GET", now, None), incomplete());
        assert_eq!(at(&URL.replace("X-Amz-Date=2", "X-Amz-Date=3"), "GET", now, None), incomplete());
    }
}
