//! What an execution's task printed.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, request::Parts},
};
use compute::{LogError, LogPage, ReadFrom, Stream};
use contract::page_token::{LogPlace, LogPosition, Logs};
use domain::{Attempt, Execution, judge, task::Line};
use runtime::clock;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answers::{
        answer_size::LARGEST_BODY,
        page_token,
        problem::{Code, Problem},
        time::Time,
    },
    app::App,
    extract::{
        caller::Caller,
        owned::Owned,
        parameters::{LATEST_ATTEMPT, Parameters},
    },
    handlers::listing::QueryRefused,
    rate,
};

/// Maximum number of lines of one page. CloudWatch limits a page to 1 MB as well.
const LARGEST_PAGE: i32 = 1_000;

/// What a task printed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogLines {
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    execution_id: String,
    /// The attempt whose task printed them, from 1.
    attempt: u32,
    /// Oldest first. Empty if the task has printed nothing yet.
    lines: Vec<LogLine>,
    /// Token of the next page. While the attempt runs, there is always a token. The same token and no lines: nothing new has been
    /// printed yet. Another token and no lines: continue with it. Absent at the end of the log; this may take up to 10 s after the
    /// execution's end, because the last lines arrive late.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_token: Option<String>,
}

/// A line that a task printed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[schema(example = "Hello")]
    text: String,
}

/// The query: which attempt's task, and which of its lines.
pub(crate) struct Query {
    attempt: Option<Attempt>,
    tail: Option<i32>,
    token: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::from_request_parts(parts, state).await?;
        let attempt = parameters.number("attempt", 1, LATEST_ATTEMPT)?.and_then(Attempt::new);
        let tail = parameters.number("tail", 1, LARGEST_PAGE)?;
        let token = parameters.take("nextToken", "a token", |text| Some(text.to_owned()))?;
        parameters.finish()?;
        if token.is_some() && (attempt.is_some() || tail.is_some()) {
            let detail = "nextToken cannot be combined with attempt or tail; leave them out";
            return Err(Problem::new(Code::InvalidParameter, detail));
        }
        Ok(Self { attempt, tail, token })
    }
}

/// Read what an execution's task printed.
///
/// Pages go from the oldest line to the newest. `nextToken` leads to the next page, and to new lines of a task that is still running.
/// CloudWatch shows a line some seconds after it was printed. The rate of these requests is limited for each caller, by default to 30
/// in 10 seconds: `RateLimit-Policy` has the limit.
#[utoipa::path(
    get, path = "/executions/{executionId}/logs", operation_id = "getExecutionLogs", tag = "executions",
    params(
        Owned,
        ("attempt" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 1000,
            description = "The attempt whose log to read, one of the last 16 (default: the newest)"),
        ("tail" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 1000,
            description = "Only this many of the newest lines"),
        ("nextToken" = Option<String>, Query, nullable = false,
            description = "`nextToken` of the previous page; not allowed together with `attempt` or `tail`"),
    ),
    responses(
        (status = 200, description = "Lines that the task printed", body = LogLines, headers(
            ("RateLimit-Policy" = String, description = "The limit: how many requests (`q`) in a window of how many seconds (`w`); \
                absent if the request was not counted"),
            ("RateLimit" = String, description = "How many requests are left (`r`) in this window, and in how many seconds it ends (`t`)"),
        )),
        QueryRefused,
        Owned,
        Problem,
    ),
)]
pub(crate) async fn get_logs(
    State(app): State<App>,
    _: Caller,
    Query { attempt, tail, token }: Query,
    Owned(execution): Owned,
) -> Result<(HeaderMap, Json<LogLines>), Problem> {
    let now = clock::now();
    let newest = execution.state.started_task().map_or(Attempt::FIRST, |started| started.attempt);
    let (attempt, from) = match (token, tail) {
        (Some(token), _) => place(page_token::open(&Logs { logs: execution.id.clone() }, &token)?),
        (None, Some(limit)) => (attempt.unwrap_or(newest), Reading { from: ReadFrom::Tail, limit }),
        (None, None) => (attempt.unwrap_or(newest), Reading { from: ReadFrom::Head, limit: LARGEST_PAGE }),
    };
    let mut headers = HeaderMap::new();
    let page = read(&app, &execution, attempt, &from, &mut headers).await?;
    let over = attempt < newest || judge::has_printed_all(&execution, now);
    let ended = over && page.at_end;
    let next = Reading { from: page.next, limit: from.limit };
    let sealed = || page_token::seal(&Logs { logs: execution.id.clone() }, &LogPlace { attempt, from: position(next) });
    let next_token = (!ended).then(sealed).transpose()?;
    let lines = page.lines.into_iter().map(|line| LogLine { at: line.at.into(), text: line.text }).collect();
    let lines = LogLines { execution_id: execution.id.to_string(), attempt: attempt.get(), lines, next_token };
    Ok((headers, Json(lines)))
}

/// Where a page begins, and how many lines it has at most.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    from: ReadFrom,
    limit: i32,
}

/// Reads a page of lines. There are none if the attempt has no task, or its task has printed nothing.
async fn read(
    app: &App,
    execution: &Execution,
    attempt: Attempt,
    from: &Reading,
    headers: &mut HeaderMap,
) -> Result<LogPage, Problem> {
    let Reading { from, mut limit } = from.clone();
    let started = execution.started_task_of(attempt);
    let Some(stream) =
        started.and_then(|started| Some(Stream::of(execution.log_of(&started.task_arn)?, &started.task_arn)))
    else {
        return Ok(LogPage { lines: Vec::new(), next: from, at_end: true });
    };
    if let Some(left) = rate::log_read(app, &execution.owner).await? {
        left.add_headers(headers);
    }
    loop {
        let page = app.logs.page(&stream, from.clone(), limit).await;
        let page = page.map_err(|why| match why {
            LogError::Token => page_token::invalid(),
            LogError::Call(failed) => failed.into(),
        })?;
        // A line has at most 256 KB, so a single line always fits.
        if text(&page.lines) <= LARGEST_BODY {
            return Ok(page);
        }
        limit = (limit / 2).max(1);
    }
}

/// Size of lines as a JSON string within JSON. A control character, which is `\\u0007` there, has seven bytes.
fn text(lines: &[Line]) -> usize {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' => 4,
        0..b' ' | 0x7f => 7,
        _ => 1,
    };
    lines.iter().map(|line| line.text.bytes().map(byte).sum::<usize>()).sum()
}

/// Where a page begins, as a token contains it.
fn position(Reading { from, limit }: Reading) -> LogPosition {
    match from {
        ReadFrom::Head => LogPosition::Head,
        ReadFrom::Tail => LogPosition::Tail,
        ReadFrom::Token(token) => LogPosition::Token(token),
        ReadFrom::Before { older, newer } => LogPosition::Before { older, newer, limit },
    }
}

/// The attempt and the reading that a token contains.
fn place(LogPlace { attempt, from }: LogPlace) -> (Attempt, Reading) {
    let (from, limit) = match from {
        LogPosition::Head => (ReadFrom::Head, LARGEST_PAGE),
        LogPosition::Tail => (ReadFrom::Tail, LARGEST_PAGE),
        LogPosition::Token(token) => (ReadFrom::Token(token), LARGEST_PAGE),
        LogPosition::Before { older, newer, limit } => {
            (ReadFrom::Before { older, newer }, limit.clamp(1, LARGEST_PAGE))
        }
    };
    (attempt, Reading { from, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_where_a_reading_continues() {
        let before = ReadFrom::Before { older: "b/1".into(), newer: "f/2".into() };
        for (from, limit) in [
            (ReadFrom::Head, LARGEST_PAGE),
            (ReadFrom::Tail, LARGEST_PAGE),
            (ReadFrom::Token("f/1".into()), LARGEST_PAGE),
            (before, 7),
        ] {
            let reading = Reading { from, limit };
            let sealed = LogPlace { attempt: Attempt::FIRST, from: position(reading.clone()) };
            assert_eq!(place(sealed), (Attempt::FIRST, reading));
        }
    }
}
