//! Why an AWS call failed, without the SDK's types.

use std::{error::Error, fmt, time::Duration};

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// The kind of a failed call, which decides whether it can be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// AWS throttles, or has no capacity now: the same call can succeed later.
    Throttled,
    /// No answer, or an error of AWS itself. The call may have taken effect anyway, so repeat only idempotent calls.
    Unavailable,
    /// AWS denied the call, because of its permissions or its credentials. The same call succeeds once the permissions are fixed, once a
    /// new policy has reached all of AWS, or with new credentials.
    Denied,
    /// AWS refused the request itself: the same call will be refused again.
    Rejected,
}

/// How far an execution has progressed when a call for it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its task is not running yet: giving up loses only time, and the caller should learn of a missing permission soon.
    BeforeTask,
    /// Its task is running or has stopped: giving up would lose the job's work.
    TaskStarted,
}

impl Cause {
    /// How long a call that failed in this way is retried: for as long as waiting does no harm.
    ///
    /// A denial is transient too. A new policy takes a while to reach all of AWS
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>),
    /// credentials expire and are replaced, and a permission can be fixed while the job runs.
    #[must_use]
    pub fn patience(self, phase: Phase) -> Duration {
        match (self, phase) {
            (Self::Throttled | Self::Unavailable, Phase::BeforeTask) => Duration::from_hours(1),
            (Self::Denied, Phase::BeforeTask) => Duration::from_mins(8),
            (Self::Throttled | Self::Unavailable | Self::Denied, Phase::TaskStarted) => Duration::from_hours(24),
            (Self::Rejected, Phase::BeforeTask | Phase::TaskStarted) => Duration::ZERO,
        }
    }
}

/// A call that failed after the SDK's own retries.
#[derive(Debug)]
pub struct CallFailed {
    /// The call, as `service:Operation`.
    pub call: &'static str,
    /// The kind of failure.
    pub cause: Cause,
    /// AWS's error code, if AWS answered.
    pub code: Option<String>,
    /// What AWS says about it.
    pub message: Option<String>,
    source: Box<dyn Error + Send + Sync>,
}

impl CallFailed {
    /// Whether the same call may succeed later: see [`Cause::patience`] for how much later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self.cause {
            Cause::Throttled | Cause::Unavailable | Cause::Denied => true,
            Cause::Rejected => false,
        }
    }

    /// The IAM action that the call needs: named like the call, except for `Invoke`
    /// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html>) and `HeadObject`
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>).
    #[must_use]
    pub fn permission(&self) -> &'static str {
        match self.call {
            "lambda:Invoke" => "lambda:InvokeFunction",
            "s3:HeadObject" => "s3:GetObject",
            call => call,
        }
    }

    /// Classifies an SDK's error. `call` is the call that failed, as `service:Operation`.
    pub fn new<E, R>(call: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let message = error.message().map(str::to_owned);
        let cause = match (&error, code.as_deref()) {
            (_, Some(code)) if THROTTLES.contains(&code) => Cause::Throttled,
            // ECS also reports throttling in this way: "InvalidParameterException … Rate exceeded".
            (SdkError::ServiceError(_), _) if message.as_deref().is_some_and(says_rate_exceeded) => Cause::Throttled,
            (SdkError::ServiceError(_), Some(code)) if FAULTS.contains(&code) => Cause::Unavailable,
            (SdkError::ServiceError(_), Some(code)) if DENIALS.contains(&code) => Cause::Denied,
            (SdkError::ServiceError(_), Some(_)) => Cause::Rejected,
            (SdkError::ConstructionFailure(_), _) => Cause::Rejected,
            // A response without a code does not come from AWS.
            _ => Cause::Unavailable,
        };
        Self { call, cause, code, message, source: error.into() }
    }

    /// A call that AWS answered with this HTTP status and error, and that no SDK made.
    #[must_use]
    pub fn answered(call: &'static str, status: u16, code: Option<String>, message: Option<String>) -> Self {
        let by_code = code.as_deref().and_then(|code| match code {
            _ if THROTTLES.contains(&code) => Some(Cause::Throttled),
            _ if FAULTS.contains(&code) => Some(Cause::Unavailable),
            _ if DENIALS.contains(&code) => Some(Cause::Denied),
            _ => None,
        });
        let cause = by_code.unwrap_or(match status {
            401 | 403 => Cause::Denied,
            429 => Cause::Throttled,
            400..500 => Cause::Rejected,
            _ => Cause::Unavailable,
        });
        let source = format!("HTTP status {status}: {}", message.as_deref().unwrap_or("without a message"));
        Self { call, cause, code, message, source: source.into() }
    }

    /// A call without an answer.
    pub fn unanswered(call: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { call, cause: Cause::Unavailable, code: None, message: None, source: source.into() }
    }

    /// A response of AWS that only a newer version of this code can read, or that is not complete yet.
    pub fn not_yet(call: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { call, cause: Cause::Unavailable, code: None, message: None, source: source.into() }
    }

    /// A request that cannot be made, or a response that no version of this code can read.
    pub fn rejected(call: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { call, cause: Cause::Rejected, code: None, message: None, source: source.into() }
    }
}

/// An error and its causes, in one line.
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

const FAULTS: [&str; 9] = [
    "InternalServerError",
    "InternalFailure",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    // S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
];

/// Error codes for permission and credential errors. The same error has several names: those of the services' common errors
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>), of `DynamoDB`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>), of the query protocols
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>), of signature verification
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>), and of Lambda for a KMS key
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
const DENIALS: [&str; 22] = [
    // No permission.
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "KMSAccessDeniedException",
    "NotAuthorized",
    "OptInRequired",
    "SubscriptionRequiredException",
    "UnauthorizedOperation",
    // Credentials that have expired, or that AWS does not know, or does not know yet.
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "UnrecognizedClientException",
    // A signature that is missing or does not match: the key was replaced, or the clock is wrong.
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.cause {
            Cause::Throttled => "was throttled",
            Cause::Unavailable => "got no answer",
            Cause::Denied => "was denied",
            Cause::Rejected => "was refused",
        };
        write!(f, "{} {how}", self.call)?;
        if let Some(code) = &self.code {
            write!(f, ": {code}")?;
        }
        if self.cause == Cause::Denied {
            write!(f, " (it needs the permission {})", self.permission())?;
        }
        Ok(())
    }
}

impl Error for CallFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{config::http::HttpResponse, error::ErrorMetadata, operation::get_item::GetItemError};

    use super::*;

    fn failed(code: &str, message: &str) -> CallFailed {
        let error = GetItemError::generic(ErrorMetadata::builder().code(code).message(message).build());
        let response = HttpResponse::new(400.try_into().unwrap(), "".into());
        CallFailed::new("dynamodb:GetItem", SdkError::service_error(error, response))
    }

    #[test]
    fn every_error_code_has_a_cause() {
        let all = THROTTLES.map(|code| (code, Cause::Throttled)).into_iter();
        let all = all.chain(FAULTS.map(|code| (code, Cause::Unavailable)));
        let all = all.chain(DENIALS.map(|code| (code, Cause::Denied)));
        for (code, cause) in all.chain([("ValidationException", Cause::Rejected)]) {
            assert_eq!(failed(code, "").cause, cause, "{code}");
        }
        assert_eq!(failed("InvalidParameterException", "Rate exceeded").cause, Cause::Throttled);
    }

    #[test]
    fn a_denial_names_the_permission() {
        let denied = failed("AccessDeniedException", "");
        let told = "dynamodb:GetItem was denied: AccessDeniedException (it needs the permission dynamodb:GetItem)";
        assert_eq!(denied.to_string(), told);
        let invoke = CallFailed { call: "lambda:Invoke", ..denied };
        assert!(invoke.to_string().ends_with("(it needs the permission lambda:InvokeFunction)"), "{invoke}");
        assert_eq!(failed("ValidationException", "").to_string(), "dynamodb:GetItem was refused: ValidationException");
    }

    #[test]
    fn a_denial_is_retried_for_minutes_before_the_task_starts_and_for_a_day_afterwards() {
        let minutes =
            |cause: Cause| [Phase::BeforeTask, Phase::TaskStarted].map(|at| cause.patience(at).as_secs() / 60);
        assert_eq!(minutes(Cause::Denied), [8, 24 * 60]);
        assert_eq!(minutes(Cause::Unavailable), [60, 24 * 60]);
        assert_eq!(minutes(Cause::Rejected), [0, 0]);
    }
}
