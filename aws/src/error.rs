//! Why an AWS call failed, without the SDK's types.

use std::{error::Error, fmt};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// What a failed call means for whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// AWS asks for fewer calls, or has no room now: the same call later can succeed.
    Throttled,
    /// No answer, or AWS's own fault. The call may have worked all the same: repeat only what is safe to repeat.
    Unavailable,
    /// AWS refused whoever asks: the same call will be refused again until somebody mends its permissions.
    Denied,
    /// AWS understood and refused: the same call will be refused again.
    Rejected,
}

/// A call that failed after the SDK's own retries.
#[derive(Debug)]
pub struct CallFailed {
    /// The call, as `service:Operation`.
    pub call: &'static str,
    /// What it means.
    pub cause: Cause,
    /// AWS's error code, if AWS answered.
    pub code: Option<String>,
    /// What AWS says about it.
    pub message: Option<String>,
    source: Box<dyn Error + Send + Sync>,
}

impl CallFailed {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self.cause {
            Cause::Throttled | Cause::Unavailable => true,
            Cause::Denied | Cause::Rejected => false,
        }
    }

    pub(crate) fn new<E, R>(call: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let message = error.message().map(str::to_owned);
        let cause = match (&error, code.as_deref()) {
            (_, Some(code)) if THROTTLES.contains(&code) => Cause::Throttled,
            // ECS says so too: "InvalidParameterException … Rate exceeded".
            (SdkError::ServiceError(_), _) if message.as_deref().is_some_and(says_rate_exceeded) => Cause::Throttled,
            (SdkError::ServiceError(_), Some(code)) if FAULTS.contains(&code) => Cause::Unavailable,
            (SdkError::ServiceError(_), Some(code)) if DENIALS.contains(&code) => Cause::Denied,
            (SdkError::ServiceError(_), Some(_)) => Cause::Rejected,
            (SdkError::ConstructionFailure(_), _) => Cause::Rejected,
            // An answer without a code is no answer of AWS's.
            _ => Cause::Unavailable,
        };
        Self { call, cause, code, message, source: error.into() }
    }

    /// Something that AWS answered and only a newer version of this code can read.
    pub(crate) fn not_yet(call: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { call, cause: Cause::Unavailable, code: None, message: None, source: source.into() }
    }

    pub(crate) fn rejected(call: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { call, cause: Cause::Rejected, code: None, message: None, source: source.into() }
    }
}

/// An error and what it came from, in one line.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn says_rate_exceeded(message: &str) -> bool {
    message.contains("Rate exceeded")
}

const THROTTLES: [&str; 8] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "EC2ThrottledException",
    "SlowDown",
];

const FAULTS: [&str; 6] = [
    "InternalServerError",
    "InternalFailure",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// As all services have them (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html>), and Lambda for a
/// key.
const DENIALS: [&str; 5] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "NotAuthorized",
    "UnrecognizedClientException",
    "KMSAccessDeniedException",
];

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.cause {
            Cause::Throttled => "was throttled",
            Cause::Unavailable => "got no answer",
            Cause::Denied | Cause::Rejected => "was refused",
        };
        write!(f, "{} {how}", self.call)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, ": {code}"))
    }
}

impl Error for CallFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
