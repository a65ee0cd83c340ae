//! Reads S3's errors from its responses.

use aws::CallFailed;

/// How much of an error's body is read, in bytes.
pub(crate) const BODY_BYTES: usize = 64 * 1024;

/// The error in a response (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses>). The response to a
/// `HEAD` has no body.
pub(crate) fn told(call: &'static str, status: u16, body: &str) -> CallFailed {
    CallFailed::answered(call, status, element(body, "Code"), element(body, "Message"))
}

/// The text of an element that contains no other elements. Codes and messages contain no escaped characters that matter here.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, from) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = from.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use aws::Cause;

    use super::*;

    #[test]
    fn the_code_of_s3_says_what_went_wrong() {
        let body = |code: &str| {
            format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>Why</Message><Key>a</Key></Error>")
        };
        for (status, code, cause) in [
            (403, "AccessDenied", Cause::Denied),
            (400, "ExpiredToken", Cause::Denied),
            (503, "SlowDown", Cause::Throttled),
            (500, "InternalError", Cause::Unavailable),
            (400, "RequestTimeout", Cause::Unavailable),
            (400, "BadDigest", Cause::Rejected),
            (404, "NoSuchBucket", Cause::Rejected),
        ] {
            let failed = told("s3:PutObject", status, &body(code));
            assert_eq!(
                (failed.cause, failed.code.as_deref(), failed.message.as_deref()),
                (cause, Some(code), Some("Why"))
            );
        }
        for (status, cause) in [(403, Cause::Denied), (502, Cause::Unavailable), (429, Cause::Throttled)] {
            assert_eq!(told("s3:HeadObject", status, "").cause, cause);
        }
    }
}
