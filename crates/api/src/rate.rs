//! Per-caller rate limits on what uses an AWS quota that all callers share, and the headers that report them
//! (draft-ietf-httpapi-ratelimit-headers-11).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::Owner;
use jiff::Timestamp;
use runtime::clock;
use tokio::time::timeout;
use utoipa::openapi::{Header, ObjectBuilder, Type, header::HeaderBuilder};

use crate::{
    answers::problem::{Code, Problem},
    app::App,
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Name of the limit on reading logs, and its window in seconds.
const LOGS: &str = "logs";
const WINDOW: i64 = 10;

/// Timeout for counting a request.
const COUNTING: Duration = Duration::from_secs(2);

/// What a caller has left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remaining {
    most: u32,
    requests: u32,
    seconds: u64,
}

impl Remaining {
    /// Nothing, for this many seconds.
    pub(crate) fn none(most: u32, seconds: u64) -> Self {
        Self { most, requests: 0, seconds }
    }

    /// Adds the headers that report it.
    pub(crate) fn add_headers(self, headers: &mut HeaderMap) {
        let Self { most, requests, seconds } = self;
        let policy = HeaderValue::try_from(format!("\"{LOGS}\";q={most};w={WINDOW}"));
        let left = HeaderValue::try_from(format!("\"{LOGS}\";r={requests};t={seconds}"));
        headers.extend(
            [(POLICY, policy), (RATE_LIMIT, left)].into_iter().filter_map(|(name, value)| Some((name, value.ok()?))),
        );
    }

    /// Seconds until the next window begins.
    pub(crate) fn seconds(self) -> u64 {
        self.seconds
    }
}

/// Counts a caller's read of a log.
///
/// If `DynamoDB` cannot count it, the read is allowed: the limit shares out a CloudWatch quota that CloudWatch enforces anyway.
///
/// # Errors
///
/// 429 if the caller has used up the limit.
pub(crate) async fn log_read(app: &App, owner: &Owner) -> Result<Option<Remaining>, Problem> {
    let (until, seconds) = window(clock::now());
    let most = app.log_reads;
    match timeout(COUNTING, app.allowances.count(owner, LOGS, until, most)).await {
        Ok(Ok(Some(count))) => Ok(Some(Remaining { most, requests: most.saturating_sub(count), seconds })),
        Ok(Ok(None)) => {
            let detail = format!(
                "you have read logs {most} times in {WINDOW} seconds, which is the limit; repeat the request in {seconds} s"
            );
            Err(Problem::new(Code::QuotaExceeded, detail).beyond(LOGS, Remaining::none(most, seconds)))
        }
        Ok(Err(why)) => {
            tracing::warn!(error = aws::with_causes(&why), "cannot count the log read; it is allowed");
            Ok(None)
        }
        Err(_) => {
            tracing::warn!("counting the log read timed out; it is allowed");
            Ok(None)
        }
    }
}

/// When the current window ends, and in how many seconds.
fn window(now: Timestamp) -> (Timestamp, u64) {
    let seconds = WINDOW - now.as_second().rem_euclid(WINDOW);
    let until = Timestamp::from_second(now.as_second() + seconds).unwrap_or(Timestamp::MAX);
    (until, seconds.unsigned_abs())
}

/// The headers for the document.
pub(crate) fn documented() -> [(&'static str, Header); 2] {
    let header = |words: &str, example: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String).examples([example]);
        HeaderBuilder::new().schema(Some(text)).description(Some(words)).build()
    };
    [
        (
            "RateLimit-Policy",
            header("The limit: how many requests (`q`) in a window of how many seconds (`w`)", "\"logs\";q=30;w=10"),
        ),
        (
            "RateLimit",
            header(
                "How many requests are left (`r`) in this window, and in how many seconds it ends (`t`)",
                "\"logs\";r=29;t=7",
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_within_its_seconds() {
        for (now, until, seconds) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z", 10),
            ("2026-01-01T00:00:03.999Z", "2026-01-01T00:00:10Z", 7),
            ("2026-01-01T00:00:09.999Z", "2026-01-01T00:00:10Z", 1),
        ] {
            assert_eq!(window(now.parse().unwrap()), (until.parse().unwrap(), seconds), "{now}");
        }
    }

    #[test]
    fn the_rate_limit_headers_have_the_format_of_the_draft() {
        let told = |requests| {
            let mut headers = HeaderMap::new();
            Remaining { most: 30, requests, seconds: 7 }.add_headers(&mut headers);
            let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            ["ratelimit-policy", "ratelimit"].map(text)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(told(29), [some("\"logs\";q=30;w=10"), some("\"logs\";r=29;t=7")]);
        assert_eq!(told(0), [some("\"logs\";q=30;w=10"), some("\"logs\";r=0;t=7")]);
    }
}
