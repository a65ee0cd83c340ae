//! The output of tasks: CloudWatch Logs.

use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::{Client, operation::get_log_events::GetLogEventsError, types::OutputLogEvent};
use domain::{JobLog, task::Line};
use jiff::Timestamp;

use aws::{CallFailed, Connection};

/// How many pages with lines are read to find the end of a log. Each has at most 1 MB.
const TAIL_PAGES: usize = 10;

/// How many empty pages, between those with lines, are followed to find the end of a log.
const EMPTY_PAGES: usize = 40;

/// How many calls one page of lines may take, and the time after which no further call is made. A caller waits for the page, and CloudWatch
/// answers ten calls a second for a whole account (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>).
const PAGE_CALLS: usize = 10;
const PAGE_TIME: Duration = Duration::from_secs(5);

/// Maximum size of a page of a tail, in bytes: that of CloudWatch's largest page.
const PAGE_BYTES: usize = 1024 * 1024;

/// CloudWatch's error for a token that is not valid or has expired.
const INVALID: &str = "InvalidParameterException";

/// The logs of an account.
#[derive(Debug, Clone)]
pub struct Logs {
    client: Client,
}

/// A stream of a log group: what one task printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    group: String,
    name: String,
}

impl Stream {
    /// The stream of a task.
    #[must_use]
    pub fn of(log: &JobLog, task_arn: &str) -> Self {
        Self { group: log.group.clone(), name: log.stream(task_arn) }
    }
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
    /// Its newest lines, if the search for them has not found any yet. The search continues at `older`. Lines that are printed from now on
    /// come after `newer`.
    Before {
        /// Leads to older lines.
        older: String,
        /// Leads to newer lines.
        newer: String,
    },
}

/// Some lines of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<Line>,
    /// Where reading continues.
    pub next: ReadFrom,
    /// Whether this is the current end of the stream. If not, there may be more lines even if this page has none.
    pub at_end: bool,
}

/// Why lines could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The token is not valid, or has expired: tokens are valid for a day.
    #[error("the token is not valid or has expired")]
    Token,
    /// CloudWatch did not answer, or refused the call.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Logs {
    /// The logs of a connection's account.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self { client: Client::new(connection.sdk_config()) }
    }

    /// The newest lines of a stream, oldest first: at most `limit`. Stops reading pages once the lines are `enough`. Empty if the stream
    /// does not exist (yet).
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if CloudWatch did not answer or refused the call.
    pub async fn tail(
        &self,
        stream: &Stream,
        limit: usize,
        enough: impl Fn(&[Line]) -> bool,
    ) -> Result<Vec<Line>, CallFailed> {
        let mut newest = Vec::new();
        let (mut full, mut empty) = (0, 0);
        let mut token = None;
        while full < TAIL_PAGES && empty < EMPTY_PAGES {
            let left = i32::try_from(limit.saturating_sub(newest.len())).unwrap_or(i32::MAX);
            let Some(page) = self.ask(stream, Direction::Older, token.clone(), left).await? else { break };
            if page.lines.is_empty() {
                empty += 1;
            } else {
                full += 1;
            }
            newest.splice(0..0, page.lines);
            if newest.len() >= limit || enough(&newest) || page.older.is_none() || page.older == token {
                break;
            }
            token = page.older;
        }
        Ok(newest)
    }

    /// At most `limit` lines of a stream (1 to 10,000), fewer if they are long or if finding them takes too long. A stream that does
    /// not exist (yet) is at its end.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub async fn page(&self, stream: &Stream, from: ReadFrom, limit: i32) -> Result<LogPage, LogError> {
        let goes_on = matches!(from, ReadFrom::Token(_) | ReadFrom::Before { .. });
        let most = usize::try_from(limit).unwrap_or_default().max(1);
        let page = match from.clone() {
            ReadFrom::Head => self.forward(stream, None, limit).await,
            ReadFrom::Token(token) => self.forward(stream, Some(token), limit).await,
            ReadFrom::Tail => self.backward(stream, (None, None), most).await,
            ReadFrom::Before { older, newer } => self.backward(stream, (Some(older), Some(newer)), most).await,
        };
        match page {
            Ok(Some(page)) => Ok(page),
            Ok(None) => Ok(LogPage { lines: Vec::new(), next: from, at_end: true }),
            Err(failed) if goes_on && failed.code.as_deref() == Some(INVALID) => Err(LogError::Token),
            Err(failed) => Err(failed.into()),
        }
    }

    /// The first page with lines, from a token on.
    async fn forward(&self, stream: &Stream, token: Option<String>, limit: i32) -> Result<Option<LogPage>, CallFailed> {
        let mut limits = SearchLimit::new();
        let mut token = token;
        loop {
            let Some(page) = self.ask(stream, Direction::Newer, token.clone(), limit).await? else { return Ok(None) };
            let at_end = page.newer.is_none() || page.newer == token;
            token = page.newer.or(token);
            if at_end || !page.lines.is_empty() || limits.is_reached() {
                let next = token.map_or(ReadFrom::Head, ReadFrom::Token);
                return Ok(Some(LogPage { lines: page.lines, next, at_end }));
            }
        }
    }

    /// The newest lines, or those before the older of two tokens.
    async fn backward(
        &self,
        stream: &Stream,
        tokens: (Option<String>, Option<String>),
        limit: usize,
    ) -> Result<Option<LogPage>, CallFailed> {
        let mut limits = SearchLimit::new();
        let (mut older, mut newer) = tokens;
        let mut lines = Vec::new();
        let at_end = loop {
            let left = i32::try_from(limit - lines.len()).unwrap_or(i32::MAX);
            let Some(page) = self.ask(stream, Direction::Older, older.clone(), left).await? else { return Ok(None) };
            newer = newer.or(page.newer);
            lines.splice(0..0, page.lines);
            if page.older.is_none() || page.older == older {
                break true;
            }
            older = page.older;
            if lines.len() >= limit || size(&lines) >= PAGE_BYTES || limits.is_reached() {
                break false;
            }
        };
        let next = match (newer, older) {
            (Some(newer), Some(older)) if lines.is_empty() && !at_end => ReadFrom::Before { older, newer },
            (Some(newer), _) => ReadFrom::Token(newer),
            (None, _) => ReadFrom::Tail,
        };
        Ok(Some(LogPage { at_end: at_end && lines.is_empty(), lines, next }))
    }

    /// One call. `None` if the stream does not exist (yet).
    ///
    /// A page may be partly full or empty although there are more lines. On the last page, the returned token is the one that was sent
    /// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
    async fn ask(
        &self,
        stream: &Stream,
        direction: Direction,
        token: Option<String>,
        limit: i32,
    ) -> Result<Option<Answer>, CallFailed> {
        let request =
            self.client.get_log_events().log_group_name(&stream.group).log_stream_name(&stream.name).limit(limit);
        match request.start_from_head(direction == Direction::Newer).set_next_token(token).send().await {
            Ok(answer) => Ok(Some(Answer {
                lines: lines(answer.events),
                newer: answer.next_forward_token,
                older: answer.next_backward_token,
            })),
            Err(error) if error.as_service_error().is_some_and(GetLogEventsError::is_resource_not_found_exception) => {
                Ok(None)
            }
            Err(error) => Err(CallFailed::new("logs:GetLogEvents", error)),
        }
    }
}

/// The direction in which a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Newer,
    Older,
}

/// CloudWatch's response.
struct Answer {
    lines: Vec<Line>,
    newer: Option<String>,
    older: Option<String>,
}

/// Limits the search for one page of lines.
struct SearchLimit {
    calls: usize,
    until: Instant,
}

impl SearchLimit {
    fn new() -> Self {
        Self { calls: 0, until: Instant::now() + PAGE_TIME }
    }

    /// Counts a call. Returns whether it was the last one.
    fn is_reached(&mut self) -> bool {
        self.calls += 1;
        self.calls == PAGE_CALLS || Instant::now() >= self.until
    }
}

fn size(lines: &[Line]) -> usize {
    lines.iter().map(|line| line.text.len()).sum()
}

fn lines(events: Option<Vec<OutputLogEvent>>) -> Vec<Line> {
    let line = |event: OutputLogEvent| Line {
        at: Timestamp::from_millisecond(event.timestamp.unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH),
        text: event.message.unwrap_or_default(),
    };
    events.unwrap_or_default().into_iter().map(line).collect()
}
