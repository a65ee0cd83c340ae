//! Errors of S3, with the codes, statuses and messages of its documentation
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).

use std::{borrow::Cow, fmt};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use super::xml;

/// Declares the codes, each with its status and its usual message.
macro_rules! codes {
    ($($code:ident $status:ident $message:literal;)+) => {
        /// The code of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = $message] $code),+
        }

        impl Code {
            const ALL: &[Self] = &[$(Self::$code),+];

            /// Its name.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code)),+
                }
            }

            fn status(self) -> StatusCode {
                match self {
                    $(Self::$code => StatusCode::$status),+
                }
            }

            /// Its usual message.
            pub(super) fn message(self) -> &'static str {
                match self {
                    $(Self::$code => $message),+
                }
            }
        }
    };
}

codes! {
    AccessDenied FORBIDDEN "Access Denied";
    AuthorizationQueryParametersError BAD_REQUEST "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    BadDigest BAD_REQUEST "The Content-MD5 you specified did not match what we received.";
    EntityTooLarge BAD_REQUEST "Your proposed upload exceeds the maximum allowed object size.";
    EntityTooSmall BAD_REQUEST "Your proposed upload is smaller than the minimum allowed object size.";
    IncompleteBody BAD_REQUEST "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InternalError INTERNAL_SERVER_ERROR "We encountered an internal error. Please try again.";
    InvalidArgument BAD_REQUEST "Invalid Argument";
    InvalidDigest BAD_REQUEST "The Content-MD5 you specified is not valid.";
    InvalidPart BAD_REQUEST "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartOrder BAD_REQUEST "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidRange RANGE_NOT_SATISFIABLE "The requested range is not satisfiable";
    InvalidRequest BAD_REQUEST "Invalid Request";
    InvalidTag BAD_REQUEST "The tag provided was not a valid tag.";
    InvalidURI BAD_REQUEST "Couldn't parse the specified URI.";
    KeyTooLongError BAD_REQUEST "Your key is too long";
    MalformedXML BAD_REQUEST "The XML you provided was not well-formed or did not validate against our published schema.";
    MetadataTooLarge BAD_REQUEST "Your metadata headers exceed the maximum allowed metadata size.";
    MissingContentLength LENGTH_REQUIRED "You must provide the Content-Length HTTP header.";
    NoSuchBucket NOT_FOUND "The specified bucket does not exist";
    NoSuchKey NOT_FOUND "The specified key does not exist.";
    NoSuchLifecycleConfiguration NOT_FOUND "The lifecycle configuration does not exist";
    NoSuchUpload NOT_FOUND "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NotImplemented NOT_IMPLEMENTED "A header you provided implies functionality that is not implemented";
    PreconditionFailed PRECONDITION_FAILED "At least one of the pre-conditions you specified did not hold";
    ServiceUnavailable SERVICE_UNAVAILABLE "Service is unable to handle request.";
    SignatureDoesNotMatch FORBIDDEN "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown SERVICE_UNAVAILABLE "Please reduce your request rate.";
    XAmzContentSHA256Mismatch BAD_REQUEST "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// An error response.
#[derive(Debug)]
pub(crate) struct S3Error {
    status: StatusCode,
    body: Box<ErrorBody>,
}

/// The body of an error response. Which members it has depends on the code.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ErrorBody {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    #[serde(flatten)]
    pub(super) details: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    request_id: String,
    host_id: String,
}

/// What an error is about.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) argument_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) argument_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bucket_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upload_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) e_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_size_allowed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proposed_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_size_allowed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_requested: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actual_object_size: Option<u64>,
    #[serde(rename = "ClientComputedContentSHA256", skip_serializing_if = "Option::is_none")]
    pub(super) client_sha256: Option<String>,
    #[serde(rename = "S3ComputedContentSHA256", skip_serializing_if = "Option::is_none")]
    pub(super) s3_sha256: Option<String>,
    #[serde(rename = "AWSAccessKeyId", skip_serializing_if = "Option::is_none")]
    pub(super) access_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) string_to_sign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature_provided: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) canonical_request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers_not_signed: Option<String>,
    #[serde(rename = "X-Amz-Expires", skip_serializing_if = "Option::is_none")]
    pub(super) expires_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_time: Option<String>,
}

impl S3Error {
    /// An error with its usual message.
    pub(super) fn new(code: Code) -> Self {
        Self::because(code, code.message())
    }

    /// An error with a particular message.
    pub(super) fn because(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let body = ErrorBody { code: code.name().into(), message: message.into(), ..ErrorBody::default() };
        Self { status: code.status(), body: Box::new(body) }
    }

    /// The same error with details.
    pub(super) fn with(mut self, details: Details) -> Self {
        self.body.details = details;
        self
    }

    /// An `InvalidArgument`.
    pub(super) fn argument(name: &str, value: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::because(Code::InvalidArgument, message).with(Details {
            argument_name: Some(name.to_owned()),
            argument_value: Some(value.to_owned()),
            ..Details::default()
        })
    }

    /// An error of the emulator itself, which is also logged.
    pub(super) fn internal(why: impl std::fmt::Display) -> Self {
        tracing::error!(%why, "S3 failed");
        Self::because(Code::InternalError, format!("the emulator's S3 failed: {why}"))
    }

    /// The code, for tests.
    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.body.code
    }

    /// The response to the request with this id, for this path.
    pub(super) fn respond(mut self, resource: Option<String>, request_id: &str) -> Response {
        self.body.resource = resource;
        request_id.clone_into(&mut self.body.request_id);
        request_id.clone_into(&mut self.body.host_id);
        match xml::write("Error", &*self.body) {
            Ok(body) => (self.status, [(header::CONTENT_TYPE, xml::CONTENT_TYPE)], body).into_response(),
            Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
        }
    }
}

/// An error that a fault or a missing permission causes, in place of S3. A code that is not known here has the status 400.
pub(crate) fn refusal(code: &str, message: Option<&str>) -> Response {
    let known = Code::ALL.iter().find(|known| known.name() == code);
    let status = known.map_or(StatusCode::BAD_REQUEST, |known| known.status());
    let usual = known.map_or("A fault that was armed at /_local/faults", |known| known.message());
    let body = ErrorBody {
        code: code.to_owned().into(),
        message: message.unwrap_or(usual).to_owned().into(),
        ..ErrorBody::default()
    };
    S3Error { status, body: Box::new(body) }.respond(None, &super::request_id())
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.body.code, self.body.message)
    }
}

impl From<rusqlite::Error> for S3Error {
    fn from(why: rusqlite::Error) -> Self {
        Self::internal(why)
    }
}

impl From<std::io::Error> for S3Error {
    fn from(why: std::io::Error) -> Self {
        Self::internal(why)
    }
}

impl From<serde_json::Error> for S3Error {
    fn from(why: serde_json::Error) -> Self {
        Self::internal(why)
    }
}

impl From<tokio::task::JoinError> for S3Error {
    fn from(why: tokio::task::JoinError) -> Self {
        Self::internal(why)
    }
}
