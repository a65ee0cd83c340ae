//! What tasks printed: CloudWatch Logs.

use aws_sdk_cloudwatchlogs::{Client, operation::get_log_events::GetLogEventsError, types::OutputLogEvent};
use domain::task::Line;
use jiff::Timestamp;

use crate::{CallFailed, Connection};

/// Pages that are looked through for the end of a log. Each is a call, of which CloudWatch answers a few in a second for a whole
/// account (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>).
const TAIL_PAGES: usize = 10;

/// The log group that tasks print into.
#[derive(Debug, Clone)]
pub struct Logs {
    client: Client,
    group: String,
}

/// Where reading a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFrom {
    /// Its oldest line.
    Head,
    /// Its newest lines.
    Tail,
    /// Where the page with this token ended.
    Token(String),
}

/// Some lines of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<Line>,
    /// Goes on behind them. The one that was given, at the end of what is there.
    pub token: Option<String>,
}

/// Why lines could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// CloudWatch never gave this token, or has forgotten it: they live for a day.
    #[error("the token is not one of CloudWatch's")]
    Token,
    /// CloudWatch did not answer, or refused.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Logs {
    /// The log group with that name.
    #[must_use]
    pub fn new(connection: &Connection, group: impl Into<String>) -> Self {
        Self { client: Client::new(&connection.0), group: group.into() }
    }

    /// The newest lines of a stream, oldest first: at most `limit`, or as few as are `enough`. A stream that is not there (yet)
    /// has none.
    ///
    /// A page may be partly full or empty while there are older lines; that it is the last one is told by its token, which
    /// is the one that was given
    /// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>). Each has 1 MB at most.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] when CloudWatch did not answer or refused.
    pub async fn tail(
        &self,
        stream: &str,
        limit: usize,
        enough: impl Fn(&[Line]) -> bool,
    ) -> Result<Vec<Line>, CallFailed> {
        let mut newest = Vec::new();
        let mut token = None;
        for _ in 0..TAIL_PAGES {
            let request = self.client.get_log_events().log_group_name(&self.group).log_stream_name(stream);
            let left = i32::try_from(limit.saturating_sub(newest.len())).unwrap_or(i32::MAX);
            let answer = match request.start_from_head(false).limit(left).set_next_token(token.clone()).send().await {
                Ok(answer) => answer,
                Err(error)
                    if error.as_service_error().is_some_and(GetLogEventsError::is_resource_not_found_exception) =>
                {
                    break;
                }
                Err(error) => return Err(CallFailed::new("logs:GetLogEvents", error)),
            };
            newest.splice(0..0, lines(answer.events));
            let older = answer.next_backward_token;
            if newest.len() >= limit || enough(&newest) || older.is_none() || older == token {
                break;
            }
            token = older;
        }
        Ok(newest)
    }

    /// At most `limit` lines of a stream (1 to 10,000), fewer if they are long. `None` if the stream is not there (yet).
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub async fn page(&self, stream: &str, from: ReadFrom, limit: i32) -> Result<Option<LogPage>, LogError> {
        const CALL: &str = "logs:GetLogEvents";
        let request = self.client.get_log_events().log_group_name(&self.group).log_stream_name(stream).limit(limit);
        let request = request.start_from_head(from != ReadFrom::Tail);
        let (request, went_on) = match from {
            ReadFrom::Head | ReadFrom::Tail => (request, false),
            ReadFrom::Token(token) => (request.next_token(token), true),
        };
        match request.send().await {
            Ok(answer) => Ok(Some(LogPage { lines: lines(answer.events), token: answer.next_forward_token })),
            Err(error) => match error.as_service_error() {
                Some(GetLogEventsError::ResourceNotFoundException(_)) => Ok(None),
                Some(GetLogEventsError::InvalidParameterException(_)) if went_on => Err(LogError::Token),
                _ => Err(CallFailed::new(CALL, error).into()),
            },
        }
    }
}

fn lines(events: Option<Vec<OutputLogEvent>>) -> Vec<Line> {
    let line = |event: OutputLogEvent| Line {
        at: Timestamp::from_millisecond(event.timestamp.unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH),
        text: event.message.unwrap_or_default(),
    };
    events.unwrap_or_default().into_iter().map(line).collect()
}
