//! Errors as `application/problem+json` (RFC 9457).
//!
//! One type is the response and its documentation, so the two can't drift. What went wrong inside is logged, never sent.

mod documented;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::rate::Left;

pub(crate) use self::documented::{Answers, GatewayAnswer, answers, share};

/// What went wrong, for programs. Part of the API: never rename one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Code {
    /// The body is not JSON.
    InvalidJson,
    /// The body does not validate; `errors` says where.
    InvalidBody,
    /// A header cannot be used as it is.
    InvalidHeader,
    /// A parameter in the query is unknown, or cannot be used as it is.
    InvalidParameter,
    /// A token does not say where this request goes on.
    InvalidPageToken,
    /// No authorizer vouches for the caller.
    Unauthenticated,
    /// A web page of another origin asks for a change.
    CrossSiteRequest,
    /// There is no such path.
    PathNotFound,
    /// There is no such execution, or not any more, or it is somebody else's.
    ExecutionNotFound,
    /// The execution has expired.
    ExecutionExpired,
    /// AWS has forgotten what the workflow did.
    HistoryExpired,
    /// The path does not have this method; `Allow` says which it has.
    MethodNotAllowed,
    /// A durable execution of this name was started by somebody else.
    ExecutionIdTaken,
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
    /// The same idempotency key came with another body before.
    IdempotencyKeyReused,
    /// The caller has reached a rate limit: the same request succeeds after `Retry-After`.
    QuotaExceeded,
    /// Our fault.
    Internal,
    /// AWS has no room or no answer for us now: the same request later can succeed.
    AwsUnavailable,
    /// Other writers changed the execution at the same time, again and again: the same request later can succeed.
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
            Self::PathNotFound | Self::ExecutionNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ExecutionIdTaken => StatusCode::CONFLICT,
            Self::ExecutionExpired | Self::HistoryExpired => StatusCode::GONE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidBody | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::AwsUnavailable | Self::ConcurrentUpdates => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// As it stands in a body.
    fn name(self) -> String {
        let name = serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned));
        name.unwrap_or_default()
    }

    /// The URI that stands for it: what is registered with IANA where there is such, else one of our own
    /// (<https://www.iana.org/assignments/http-problem-types>).
    fn r#type(self) -> String {
        match self {
            Self::QuotaExceeded => "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned(),
            _ => format!("urn:longhaul:problem:{}", self.name()),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not JSON",
            Self::InvalidBody => "The body does not validate",
            Self::InvalidHeader => "A header cannot be used as it is",
            Self::InvalidParameter => "A parameter cannot be used as it is",
            Self::InvalidPageToken => "The token is not one of this request's",
            Self::Unauthenticated => "The request is not authenticated",
            Self::CrossSiteRequest => "A page of another origin may not do this",
            Self::PathNotFound => "There is no such path",
            Self::ExecutionNotFound => "There is no such execution",
            Self::ExecutionExpired => "The execution has expired",
            Self::HistoryExpired => "What the workflow did is forgotten",
            Self::MethodNotAllowed => "The path does not have this method",
            Self::ExecutionIdTaken => "The execution's id is taken",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::IncompleteBody => "The body did not arrive whole",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body has to be JSON",
            Self::UnsupportedContentEncoding => "The body's encoding is not supported",
            Self::IdempotencyKeyReused => "The idempotency key came with another body before",
            Self::QuotaExceeded => "Too many requests of this kind",
            Self::Internal => "Something went wrong on our side",
            Self::AwsUnavailable => "AWS is temporarily unavailable",
            Self::ConcurrentUpdates => "Too many concurrent updates",
        }
    }

    /// Seconds after which the same request may succeed, for what passes by itself.
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
    /// What is wrong there.
    #[schema(example = "must be between 1 and 31536000")]
    pub(crate) detail: String,
    /// The rule that it breaks, for programs: `invalid-value`, `unknown-task`, or the limit that it exceeds.
    #[schema(value_type = String, example = "timeout-out-of-range")]
    pub(crate) rule: &'static str,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem, title = "Problem")]
pub(crate) struct ProblemBody {
    /// A URI that stands for the code.
    #[schema(format = "uri-reference", example = "urn:longhaul:problem:execution-not-found")]
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
    /// Names this request in our logs.
    request_id: String,
    /// What is wrong with the body, one entry for each place.
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
    beyond: Option<(&'static str, Left)>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), beyond: None }
    }

    /// The same, of a request beyond a limit.
    pub(crate) fn beyond(self, policy: &'static str, left: Left) -> Self {
        Self { beyond: Some((policy, left)), ..self }
    }

    /// A body that does not validate, with at least one place where.
    pub(crate) fn invalid_body(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map_or_else(String::new, |first| format!("{} {}", first.pointer, first.detail));
        Self { errors, ..Self::new(Code::InvalidBody, detail.trim()) }
    }

    /// The same, of a request that is not safe to repeat: AWS may have done what it did not say.
    pub(crate) fn not_safe_to_repeat(mut self) -> Self {
        if self.code == Code::AwsUnavailable {
            "it may have been accepted: see GET /executions before you repeat it; with an Idempotency-Key it is safe to repeat"
                .clone_into(&mut self.detail);
        }
        self
    }

    /// A failure inside. It is logged here, where it is handled; the caller learns that it was ours, and no more.
    pub(crate) fn inside(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = aws::with_causes(error), "a request failed inside");
        Self::new(Code::Internal, "it has been logged under this request's id")
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
        if failed.retryable() {
            if failed.cause == aws::Cause::Denied {
                tracing::error!(error = aws::with_causes(&failed), "AWS denied a call");
            } else {
                tracing::warn!(error = aws::with_causes(&failed), "AWS did not take a call");
            }
            return Self::new(Code::AwsUnavailable, "repeat the request, with the same Idempotency-Key if it has one");
        }
        Self::inside(&failed)
    }
}

impl IntoResponse for Problem {
    /// Without its body: that names the request, which only [`crate::request_id`] knows.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.code.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some((_, left)) = self.beyond {
            left.tell(response.headers_mut());
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(left.seconds()));
        }
        match self.code {
            // Otherwise the rest of the body would be read as the next request.
            Code::RequestTimeout => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // What would be taken (RFC 9110, section 15.5.16).
            Code::UnsupportedContentEncoding => {
                response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}
