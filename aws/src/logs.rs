//! What tasks printed: CloudWatch Logs.

use aws_sdk_cloudwatchlogs::Client;
use domain::task::Line;
use jiff::Timestamp;

use crate::{CallFailed, Connection};

/// The log group that tasks print into.
#[derive(Debug, Clone)]
pub struct Logs {
    client: Client,
    group: String,
}

impl Logs {
    /// The log group with that name.
    #[must_use]
    pub fn new(connection: &Connection, group: impl Into<String>) -> Self {
        Self { client: Client::new(&connection.0), group: group.into() }
    }

    /// The newest lines of a stream, oldest first: as many as fit into one answer, which AWS bounds to 1 MB and 10,000
    /// events (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>), and at most
    /// `limit`. A stream that is not there (yet) has none.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] when CloudWatch did not answer or refused.
    pub async fn tail(&self, stream: &str, limit: i32) -> Result<Vec<Line>, CallFailed> {
        let request = self.client.get_log_events().log_group_name(&self.group).log_stream_name(stream);
        let answer = match request.start_from_head(false).limit(limit).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(aws_sdk_cloudwatchlogs::operation::get_log_events::GetLogEventsError::is_resource_not_found_exception) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(CallFailed::new("logs:GetLogEvents", error)),
        };
        let lines = answer.events.unwrap_or_default().into_iter().map(|event| Line {
            at: Timestamp::from_millisecond(event.timestamp.unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH),
            text: event.message.unwrap_or_default(),
        });
        Ok(lines.collect())
    }
}
