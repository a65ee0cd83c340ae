//! Requests to the API: their members, and the checks that need no database.

use serde::Deserialize;

use crate::wire::AwsError;

/// A mistake in a parameter.
pub(super) fn invalid(why: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidParameterException", why)
}

/// A log group, by name or by identifier, which may be its ARN.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupRef {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
}

impl GroupRef {
    /// The group's name.
    pub(super) fn name(&self) -> Result<&str, AwsError> {
        match (&self.log_group_name, &self.log_group_identifier) {
            (Some(name), None) => Ok(name),
            (None, Some(name_or_arn)) => Ok(name_of(name_or_arn)),
            _ => Err(invalid("Exactly one of logGroupName and logGroupIdentifier is needed.")),
        }
    }
}

/// The name in `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, with or without `:*`.
fn name_of(name_or_arn: &str) -> &str {
    let after = name_or_arn.split_once(":log-group:").map_or(name_or_arn, |(_, name)| name);
    after.strip_suffix(":*").unwrap_or(after)
}

/// `GetLogEvents`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetLogEvents {
    #[serde(flatten)]
    pub(super) group: GroupRef,
    pub(super) log_stream_name: String,
    pub(super) start_time: Option<i64>,
    pub(super) end_time: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) start_from_head: Option<bool>,
}

/// `FilterLogEvents`. `interleaved` is ignored: AWS interleaves the streams in any case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterLogEvents {
    #[serde(flatten)]
    pub(super) group: GroupRef,
    pub(super) log_stream_names: Option<Vec<String>>,
    pub(super) log_stream_name_prefix: Option<String>,
    pub(super) start_time: Option<i64>,
    pub(super) end_time: Option<i64>,
    pub(super) filter_pattern: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<usize>,
}

/// `DescribeLogGroups`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogGroups {
    pub(super) log_group_name_prefix: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<usize>,
}

/// `DescribeLogStreams`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogStreams {
    #[serde(flatten)]
    pub(super) group: GroupRef,
    pub(super) log_stream_name_prefix: Option<String>,
    pub(super) order_by: Option<OrderBy>,
    pub(super) descending: Option<bool>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<usize>,
}

/// How streams are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum OrderBy {
    /// By name.
    #[default]
    LogStreamName,
    /// By the time of the newest event.
    LastEventTime,
}

/// `CreateLogGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateLogGroup {
    pub(super) log_group_name: String,
}

/// `CreateLogStream`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateLogStream {
    pub(super) log_group_name: String,
    pub(super) log_stream_name: String,
}

/// `PutLogEvents`.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are AWS's")]
#[serde(rename_all = "camelCase")]
pub(super) struct PutLogEvents {
    pub(super) log_group_name: String,
    pub(super) log_stream_name: String,
    pub(super) log_events: Vec<InputLogEvent>,
}

/// An event to write.
#[derive(Debug, Deserialize)]
pub(super) struct InputLogEvent {
    pub(super) timestamp: i64,
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn a_log_group_can_be_named_in_three_ways() {
        let named = |json: &str| parse::<GroupRef>(json.as_bytes()).unwrap().name().map(str::to_owned);
        assert_eq!(named(r#"{"logGroupName":"/a/b"}"#).unwrap(), "/a/b");
        assert_eq!(named(r#"{"logGroupIdentifier":"/a/b"}"#).unwrap(), "/a/b");
        assert_eq!(named(r#"{"logGroupIdentifier":"arn:aws:logs:r:1:log-group:/a/b:*"}"#).unwrap(), "/a/b");
        assert!(named("{}").is_err());
        assert_eq!(parse::<GroupRef>(b"{").unwrap_err().code, "SerializationException");
    }
}
