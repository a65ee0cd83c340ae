//! Errors as `application/problem+json` (RFC 9457).
//!
//! One type is both the response and its documentation, so the two cannot drift apart.
//!
//! **Invariant**: nothing is logged here. A problem carries its cause, which `layers::request_id` logs once and which is never sent to the
//! caller.

mod documented;

use aws::Cause;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::Level;
use utoipa::ToSchema;

use crate::rate::Remaining;

pub(crate) use self::documented::{Answers, GatewayAnswer, answers, share};

/// The page that explains every code, under an anchor with its name.
const EXPLAINED: &str = "/docs/errors";

/// What went wrong, for programs. Codes are part of the API and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Code {
    /// The body is not JSON.
    InvalidJson,
    /// The body does not validate; `errors` says where.
    InvalidBody,
    /// A header is not valid.
    InvalidHeader,
    /// A query parameter is unknown or not valid.
    InvalidParameter,
    /// A page token does not belong to this request.
    InvalidPageToken,
    /// The request is not authenticated.
    Unauthenticated,
    /// A web page of another origin requests a change.
    CrossSiteRequest,
    /// There is no such path.
    PathNotFound,
    /// No such execution, or the caller does not have access to it.
    ExecutionNotFound,
    /// No such schedule, or the caller does not have access to it.
    ScheduleNotFound,
    /// No such batch, or the caller does not have access to it.
    BatchNotFound,
    /// The execution has expired.
    ExecutionExpired,
    /// AWS has forgotten what the workflow did.
    HistoryExpired,
    /// The path does not support this method; `Allow` lists those that it supports.
    MethodNotAllowed,
    /// Another caller started a durable execution with this name.
    ExecutionIdTaken,
    /// The caller has as many schedules as allowed.
    TooManySchedules,
    /// The execution is not `SCHEDULED` any more, so it cannot be changed.
    NotScheduled,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The connection broke before the whole body had arrived.
    IncompleteBody,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// The body has a `Content-Encoding`, such as `gzip`.
    UnsupportedContentEncoding,
    /// The same idempotency key was used for a different request.
    IdempotencyKeyReused,
    /// The caller has reached a rate limit: the same request succeeds after `Retry-After`.
    QuotaExceeded,
    /// An internal error.
    Internal,
    /// AWS is temporarily unavailable: the same request can succeed later.
    AwsUnavailable,
    /// Too many concurrent updates of the execution or schedule: the same request can succeed later.
    ConcurrentUpdates,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson
            | Self::InvalidHeader
            | Self::InvalidParameter
            | Self::InvalidPageToken
            | Self::IncompleteBody => StatusCode::BAD_REQUEST,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::CrossSiteRequest => StatusCode::FORBIDDEN,
            Self::PathNotFound | Self::ExecutionNotFound | Self::ScheduleNotFound | Self::BatchNotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ExecutionIdTaken | Self::TooManySchedules | Self::NotScheduled => StatusCode::CONFLICT,
            Self::ExecutionExpired | Self::HistoryExpired => StatusCode::GONE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidBody | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::AwsUnavailable | Self::ConcurrentUpdates => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code as text, as in a body.
    pub(crate) fn name(self) -> String {
        let name = serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned));
        name.unwrap_or_default()
    }

    /// The URI that identifies it: one that is registered with IANA if there is one
    /// (<https://www.iana.org/assignments/http-problem-types>), or else that of its explanation, relative to the API.
    fn r#type(self) -> String {
        match self {
            Self::QuotaExceeded => "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned(),
            _ => format!("{EXPLAINED}#{}", self.name()),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not JSON",
            Self::InvalidBody => "The body is not valid",
            Self::InvalidHeader => "A header is not valid",
            Self::InvalidParameter => "A query parameter is not valid",
            Self::InvalidPageToken => "The page token is not valid for this request",
            Self::Unauthenticated => "The request is not authenticated",
            Self::CrossSiteRequest => "Pages of other origins may not make changes",
            Self::PathNotFound => "No such path",
            Self::ExecutionNotFound => "No such execution",
            Self::ScheduleNotFound => "No such schedule",
            Self::BatchNotFound => "No such batch",
            Self::ExecutionExpired => "The execution has expired",
            Self::HistoryExpired => "The workflow's history has expired",
            Self::MethodNotAllowed => "Method not allowed",
            Self::ExecutionIdTaken => "The execution id is already in use",
            Self::TooManySchedules => "Too many schedules",
            Self::NotScheduled => "The execution is not SCHEDULED",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::IncompleteBody => "The body is incomplete",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::UnsupportedContentEncoding => "The body's encoding is not supported",
            Self::IdempotencyKeyReused => "The idempotency key was used for a different request",
            Self::QuotaExceeded => "Too many requests of this kind",
            Self::Internal => "Internal error",
            Self::AwsUnavailable => "AWS is temporarily unavailable",
            Self::ConcurrentUpdates => "Too many concurrent updates",
        }
    }

    /// Seconds after which the same request may succeed, for transient errors.
    fn retry_after(self) -> Option<u64> {
        matches!(self, Self::AwsUnavailable | Self::ConcurrentUpdates).then_some(1)
    }
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where, as a JSON Pointer (RFC 6901); empty for the whole body.
    #[schema(example = "/timeoutSeconds")]
    pub(crate) pointer: String,
    /// What is wrong there, and what is allowed.
    #[schema(example = "must be between 1 and 31536000")]
    pub(crate) detail: String,
    /// The rule that it violates, for programs: `invalid-value`, `unknown-job`, `override-not-allowed`, `task-size`, `invalid-variable`,
    /// `input-schema`, `upload-not-found`, `upload-expires`, `invalid-cron`, `unknown-time-zone`, `not-in-schedule`, or the limit that it exceeds.
    #[schema(value_type = String, example = "timeout-out-of-range")]
    pub(crate) rule: &'static str,
}

impl From<domain::Violation> for FieldError {
    fn from(violation: domain::Violation) -> Self {
        Self { pointer: violation.pointer, detail: violation.detail, rule: violation.rule }
    }
}

/// An error as in RFC 9457.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem, title = "Problem")]
pub(crate) struct ProblemBody {
    /// A URI that identifies the code and leads to its explanation. Like `Location`, it is relative to the API's address, unless the
    /// code is registered with IANA.
    #[schema(format = "uri-reference", example = "/docs/errors#execution-not-found")]
    r#type: String,
    /// The code in words; the same for every occurrence.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What went wrong this time, and what to do about it.
    detail: String,
    /// What went wrong, for programs.
    code: Code,
    /// Identifies this request in the API's logs.
    request_id: String,
    /// What is wrong with the body, one entry for each mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// The limits that are exceeded, by their names in `RateLimit-Policy`.
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    violated_policies: Vec<&'static str>,
}

/// An error on its way to becoming a response.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    beyond: Option<(&'static str, Remaining)>,
    failure: Option<Failure>,
}

/// What failed inside. It is for the log, and never sent.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// `ERROR` if an operator has to act, `WARN` if it passes by itself.
    pub(crate) level: Level,
    /// The error and its causes, in one line, without payloads.
    pub(crate) error: String,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), beyond: None, failure: None }
    }

    /// The same, with the internal failure that caused it, for the log.
    pub(crate) fn because(self, level: Level, error: impl Into<String>) -> Self {
        Self { failure: Some(Failure { level, error: error.into() }), ..self }
    }

    /// Its code and the internal failure that caused it, if there is one.
    pub(crate) fn failure(&self) -> Option<(Code, &Failure)> {
        Some((self.code, self.failure.as_ref()?))
    }

    /// The same, for a request that exceeds a limit.
    pub(crate) fn beyond(self, policy: &'static str, left: Remaining) -> Self {
        Self { beyond: Some((policy, left)), ..self }
    }

    /// A body that is not valid. There must be at least one error, which says what is wrong and where.
    pub(crate) fn invalid_body(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map_or_else(String::new, |first| match first.pointer.as_str() {
            "" => format!("the body {}", first.detail),
            pointer => format!("{pointer} {}", first.detail),
        });
        let detail = match errors.len() {
            0 | 1 => detail,
            all => format!("{detail} (and {} more: see errors)", all - 1),
        };
        Self { errors, ..Self::new(Code::InvalidBody, detail) }
    }

    /// The same, for a request that is not safe to repeat: AWS may have carried out the call although it did not answer.
    pub(crate) fn not_safe_to_repeat(mut self) -> Self {
        if self.code == Code::AwsUnavailable {
            "it may have been accepted: see GET /executions before you repeat it; with an Idempotency-Key it is safe to repeat"
                .clone_into(&mut self.detail);
        }
        self
    }

    /// The same, with another detail, which says what the caller can do about it.
    pub(crate) fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same, with what else is wrong and where.
    pub(crate) fn about(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// An internal error. The caller only learns that the API failed.
    pub(crate) fn inside(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::internal(aws::with_causes(error))
    }

    /// An internal error that is text.
    pub(crate) fn internal(error: impl Into<String>) -> Self {
        let problem = Self::new(Code::Internal, "the error was logged under this request's id");
        problem.because(Level::ERROR, error)
    }

    /// The body, once the request's id is known.
    pub(crate) fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: self.code.r#type(),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
            violated_policies: self.beyond.iter().map(|(policy, _)| *policy).collect(),
        }
    }
}

#[cfg(test)]
impl ProblemBody {
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl From<aws::CallFailed> for Problem {
    fn from(failed: aws::CallFailed) -> Self {
        let level = match failed.cause {
            Cause::Throttled | Cause::Unavailable => Level::WARN,
            Cause::Denied => Level::ERROR,
            Cause::Rejected => return Self::inside(&failed),
        };
        let problem =
            Self::new(Code::AwsUnavailable, "repeat the request, with the same Idempotency-Key if it has one");
        problem.because(level, aws::with_causes(&failed))
    }
}

impl IntoResponse for Problem {
    /// The response has no body yet. The body contains the request's id, so `layers::request_id` adds it.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.code.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some((_, left)) = self.beyond {
            left.add_headers(response.headers_mut());
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(left.seconds()));
        }
        match self.code {
            // Otherwise the rest of the body would be read as the next request.
            Code::RequestTimeout | Code::BodyTooLarge => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // The encodings that are accepted (RFC 9110, section 15.5.16).
            Code::UnsupportedContentEncoding => {
                response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use domain::ErrorKind;
    use utoipa::PartialSchema as _;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/errors.md");

    #[test]
    fn the_page_of_errors_explains_every_code_with_its_status() {
        let codes = serde_json::to_value(Code::schema()).unwrap()["enum"].as_array().unwrap().clone();
        assert!(codes.len() > 20, "{codes:?}");
        for code in &codes {
            assert!(PAGE.contains(&format!("\n### {}\n", code.as_str().unwrap())), "{code}");
        }
        assert_eq!(
            PAGE.matches("\n### ").count(),
            codes.len() + 1,
            "all codes, and the local stack's host-not-allowed"
        );
        for code in [Code::InvalidJson, Code::InvalidBody, Code::QuotaExceeded, Code::ConcurrentUpdates] {
            let explained = format!("\n### {}\n\nStatus {}. ", code.name(), code.status().as_u16());
            assert!(PAGE.contains(&explained), "{explained}");
        }
    }

    #[test]
    fn the_page_of_errors_explains_every_error_of_an_execution() {
        for kind in ErrorKind::KNOWN {
            assert!(PAGE.contains(&format!("`{kind}`")), "{kind}");
        }
    }
}
