//! Responses of the API, named and formed as in its model
//! (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Types.html>). Times are milliseconds since 1970.

#![expect(clippy::struct_field_names, reason = "the names are AWS's")]

use serde::Serialize;

/// `GetLogEvents`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetLogEventsResponse {
    pub(super) events: Vec<OutputLogEvent>,
    pub(super) next_forward_token: String,
    pub(super) next_backward_token: String,
}

/// An event of one stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutputLogEvent {
    pub(super) timestamp: i64,
    pub(super) message: String,
    pub(super) ingestion_time: i64,
}

/// `FilterLogEvents`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterLogEventsResponse {
    pub(super) events: Vec<FilteredLogEvent>,
    /// "This parameter is no longer used", and always empty.
    pub(super) searched_log_streams: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// An event of a search.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilteredLogEvent {
    pub(super) log_stream_name: String,
    pub(super) timestamp: i64,
    pub(super) message: String,
    pub(super) ingestion_time: i64,
    pub(super) event_id: String,
}

/// `DescribeLogGroups`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogGroupsResponse {
    pub(super) log_groups: Vec<LogGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// A group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogGroup {
    pub(super) log_group_name: String,
    pub(super) creation_time: i64,
    pub(super) metric_filter_count: u32,
    pub(super) stored_bytes: u64,
    /// With `:*` at the end, unlike `log_group_arn`.
    pub(super) arn: String,
    pub(super) log_group_arn: String,
    pub(super) log_group_class: &'static str,
}

/// `DescribeLogStreams`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogStreamsResponse {
    pub(super) log_streams: Vec<LogStream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// A stream. It has no times of events if it has no events.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogStream {
    pub(super) log_stream_name: String,
    pub(super) creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_ingestion_time: Option<i64>,
    pub(super) stored_bytes: u64,
    pub(super) arn: String,
}

/// `PutLogEvents`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutLogEventsResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rejected_log_events_info: Option<RejectedLogEventsInfo>,
}

/// Which events of a batch were not accepted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RejectedLogEventsInfo {
    /// The number of events at the beginning that were too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) too_old_log_event_end_index: Option<usize>,
    /// The index of the first event that was too new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) too_new_log_event_start_index: Option<usize>,
}
