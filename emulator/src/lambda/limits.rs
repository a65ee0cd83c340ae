//! Lambda's limits, and the errors for values beyond them. Each number is AWS's
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, and the service model in `botocore`).

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use axum::{body::Bytes, http::StatusCode};

use crate::wire::AwsError;

/// Largest payload of a synchronous invocation, and of its response, in bytes.
pub(crate) const SYNC_BYTES: usize = 6 * 1024 * 1024;

/// Largest payload of an asynchronous invocation. It also limits the payload and the response of a chained invocation.
pub(crate) const EVENT_BYTES: usize = 1024 * 1024;

/// Largest payload of one operation.
pub(crate) const OPERATION_BYTES: usize = 6 * 1024 * 1024;

/// Largest result of a callback.
pub(crate) const CALLBACK_BYTES: usize = 256 * 1024;

/// Largest error of one operation, as JSON.
pub(crate) const ERROR_BYTES: usize = 32 * 1024;

/// The maximum number of operations of one durable execution.
pub(crate) const OPERATIONS: u64 = 3_000;

/// The maximum number of bytes that one durable execution may write.
pub(crate) const WRITTEN_BYTES: u64 = 100 * 1024 * 1024;

/// The maximum size in bytes of the operations in the payload of an invocation, and in one page of the state.
pub(crate) const PAGE_BYTES: usize = 5 * 1024 * 1024;

/// How long a durable execution may take, and the longest wait and the longest delay of a retry: 366 days.
pub(crate) const DURATION_SECONDS: RangeInclusive<i64> = 1..=31_622_400;

/// Timeouts of a callback; 0 means no timeout.
pub(crate) const CALLBACK_SECONDS: RangeInclusive<i64> = 0..=99_999_999;

/// How long a closed durable execution is kept.
pub(crate) const RETENTION_DAYS: RangeInclusive<i64> = 1..=90;

/// How long a function may run.
pub(crate) const FUNCTION_SECONDS: RangeInclusive<i64> = 1..=900;

/// The memory size of a function, in MB.
pub(crate) const MEMORY_MB: RangeInclusive<i64> = 128..=10_240;

/// An `InvalidParameterValueException`.
pub(crate) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidParameterValueException", message)
}

/// The position where a page begins, from the marker of the previous page. An empty marker is the same as none.
pub(crate) fn marker<T: FromStr>(text: Option<&str>) -> Result<Option<T>, AwsError> {
    let given = text.filter(|text| !text.is_empty());
    given.map(str::parse).transpose().map_err(|_| invalid("Invalid marker."))
}

/// The length and the characters that are allowed for a member of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    longest: usize,
    pattern: &'static str,
    fits: fn(u8) -> bool,
}

/// Names of operations, printable ASCII.
pub(crate) const OPERATION_NAME: Text =
    Text { longest: 256, pattern: "[\\x20-\\x7E]+", fits: |c| (0x20..=0x7e).contains(&c) };
/// Ids of operations.
pub(crate) const OPERATION_ID: Text = Text { longest: 64, pattern: "[a-zA-Z0-9-_]+", fits: wordlike };
/// Subtypes of operations.
pub(crate) const SUB_TYPE: Text = Text { longest: 32, pattern: "[a-zA-Z0-9-_]+", fits: wordlike };
/// Names of durable executions.
pub(crate) const EXECUTION_NAME: Text = Text { longest: 64, pattern: "[a-zA-Z0-9-_]+", fits: wordlike };
/// Client tokens, which make a checkpoint idempotent.
pub(crate) const CLIENT_TOKEN: Text =
    Text { longest: 64, pattern: "[\\x21-\\x7E]+", fits: |c| (0x21..=0x7e).contains(&c) };
/// Names of functions.
pub(crate) const FUNCTION_NAME: Text = Text { longest: 64, pattern: "[a-zA-Z0-9-_]+", fits: wordlike };
/// Names of aliases.
pub(crate) const ALIAS_NAME: Text = Text { longest: 128, pattern: "(?!^[0-9]+$)([a-zA-Z0-9-_]+)", fits: wordlike };
/// Ids of tenants.
pub(crate) const TENANT: Text = Text {
    longest: 256,
    pattern: "[a-zA-Z0-9\\._:\\/=+\\-@ ]+",
    fits: |c| c.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(&c),
};

fn wordlike(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
}

impl Text {
    /// Refuses a value that is empty or too long, or has characters that are not allowed.
    pub(crate) fn check(self, member: &str, value: &str) -> Result<(), AwsError> {
        let wants = if value.is_empty() {
            "Member must have length greater than or equal to 1".to_owned()
        } else if value.len() > self.longest {
            format!("Member must have length less than or equal to {}", self.longest)
        } else if !value.bytes().all(self.fits) {
            format!("Member must satisfy regular expression pattern: {}", self.pattern)
        } else {
            return Ok(());
        };
        Err(unfit(member, value, &wants))
    }
}

/// Refuses a number outside its range.
pub(crate) fn within(member: &str, value: i64, range: &RangeInclusive<i64>) -> Result<(), AwsError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (which, limit) = if value < *range.start() { ("greater", range.start()) } else { ("less", range.end()) };
    Err(unfit(member, value, &format!("Member must have value {which} than or equal to {limit}")))
}

fn unfit(member: &str, value: impl Display, wants: &str) -> AwsError {
    invalid(format!("1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {wants}"))
}

/// Refuses a payload that is too large.
pub(crate) fn payload_fits(payload: &Bytes, limit: usize) -> Result<(), AwsError> {
    if payload.len() <= limit {
        return Ok(());
    }
    let message = format!("{} byte payload is too large (limit {limit} bytes)", payload.len());
    Err(AwsError { status: StatusCode::PAYLOAD_TOO_LARGE, code: "RequestTooLargeException", message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_a_limit_are_accepted_and_beyond_it_refused() {
        assert!(EXECUTION_NAME.check("n", &"x".repeat(64)).is_ok());
        for wrong in ["", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(EXECUTION_NAME.check("n", wrong).unwrap_err().code, "InvalidParameterValueException", "{wrong}");
        }
        for (value, fits) in [(0, false), (1, true), (31_622_400, true), (31_622_401, false)] {
            assert_eq!(within("t", value, &DURATION_SECONDS).is_ok(), fits, "{value}");
        }
    }
}
