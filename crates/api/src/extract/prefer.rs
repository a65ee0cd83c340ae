//! `Prefer: wait`: how long a caller wants its response to be held (RFC 7240).

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
};
use domain::Execution;
use tokio::time::{Instant, sleep_until, timeout};
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{app::App, held::Held};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Longest wait, in seconds. API Gateway waits 30 s for a response
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>), and there is work to do before and after the
/// wait.
const LONGEST: u64 = 25;

/// The first pause between two reads. Each is longer than the previous one, up to [`LONGEST_PAUSE`]: 25 s take 29 reads.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Timeout of a read: if one hangs, the response must not be held for longer than API Gateway waits.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest wait, in seconds, that takes no place: an ordinary request may take just as long.
const SHORT: u64 = 1;

/// How long a request wants to wait, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefer {
    wait: Option<u64>,
    since: Instant,
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { wait: wait(&parts.headers), since: Instant::now() })
    }
}

impl Prefer {
    /// Reads an execution repeatedly, until its state is `enough` or the time is up, and returns the last state that was read.
    ///
    /// Other processes change it, so reading is the only way to notice. A read that fails does not end the wait, since the state that was
    /// read before can be returned in any case.
    ///
    /// If too many of the caller's requests are already held, this one is answered at once, and [`Prefer::add_headers`] says so.
    pub(crate) async fn hold(
        &mut self,
        app: &App,
        mut seen: Execution,
        enough: impl Fn(&Execution) -> bool,
    ) -> Execution {
        let wait = self.wait.unwrap_or_default();
        let until = self.since + Duration::from_secs(wait);
        let mut place = None;
        if wait > SHORT && !enough(&seen) {
            place = Held::take(app, &seen.owner, Duration::from_secs(wait)).await;
            if place.is_none() {
                self.wait = Some(0);
                return seen;
            }
        }
        let mut pause = FIRST_PAUSE;
        let mut failed = None;
        while !enough(&seen) && Instant::now() < until {
            sleep_until(until.min(Instant::now() + pause)).await;
            pause = LONGEST_PAUSE.min(pause * 3 / 2);
            match timeout(READ_TIMEOUT, app.executions.glance(&seen.id)).await {
                // An eventually consistent read may be older than what was read before.
                Ok(Ok(Some(now))) if now.version > seen.version => seen = now,
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(why)) => failed = Some(why),
            }
        }
        if let Some(why) = failed {
            let error = aws::with_causes(&why);
            tracing::warn!(executionId = %seen.id, error, "cannot read the execution that a request waits for; this is the last such error of the request");
        }
        if let Some(place) = place {
            place.give_back(app).await;
        }
        seen
    }

    /// Adds the header that says which wait was granted, if one was requested.
    pub(crate) fn add_headers(self, headers: &mut HeaderMap) {
        if let Some(Ok(applied)) = self.wait.map(|wait| HeaderValue::try_from(format!("wait={wait}"))) {
            headers.insert(APPLIED, applied);
        }
    }
}

impl IntoParams for Prefer {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let words = "`wait=N`: hold the response until the execution is final, or for N seconds, at most 25. \
                     `Preference-Applied` says what was granted: `wait=0` if too many of your requests are already held; \
                     then poll as `Retry-After` says";
        let parameter =
            ParameterBuilder::new().name("Prefer").parameter_in(ParameterIn::Header).description(Some(words));
        let text = ObjectBuilder::new().schema_type(Type::String).examples(["wait=10"]).build();
        vec![parameter.schema(Some(text)).build()]
    }
}

/// The wait that is requested, as far as it is granted. A preference that cannot be parsed is ignored (RFC 7240, 2).
fn wait(headers: &HeaderMap) -> Option<u64> {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = texts.flat_map(|text| split(text, ',')).filter_map(|preference| {
        let preference = split(preference, ';').next()?;
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        Some((name.trim(), value.trim()))
    });
    // If a preference is given more than once, only the first counts.
    let (_, value) = preferences.find(|(name, _)| name.eq_ignore_ascii_case("wait"))?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().map_or(LONGEST, |wait: u64| wait.min(LONGEST)))
}

/// Parts of a header's text; quoted strings are not split.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |character| {
        let literal = std::mem::take(&mut escaped);
        match character {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        character == at && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_wait_is_parsed_as_in_the_rfc() {
        for (lines, expected) in [
            (&[][..], None),
            (&["wait=10"], Some(10)),
            (&["wait=0"], Some(0)),
            (&["Wait = 7"], Some(7)),
            (&["wait=\"7\""], Some(7)),
            (&["respond-async, wait=5"], Some(5)),
            (&["respond-async; x=1, wait=5; y=\"1,2\""], Some(5)),
            (&["foo=\"a, wait=3\", wait=4"], Some(4)),
            (&["foo=\"a\\\", wait=3\", wait=4"], Some(4)),
            (&["wait=3, wait=9"], Some(3)),
            (&["respond-async", "wait=6"], Some(6)),
            (&["wait=26"], Some(LONGEST)),
            (&["wait=99999999999999999999999999"], Some(LONGEST)),
            (&["wait=-1"], None),
            (&["wait=+1"], None),
            (&["wait=1.5"], None),
            (&["wait=soon"], None),
            (&["wait"], None),
            (&["wait="], None),
            (&["await=5"], None),
        ] {
            let headers = lines.iter().map(|line| (PREFER, HeaderValue::from_static(line))).collect();
            assert_eq!(wait(&headers), expected, "{lines:?}");
        }
    }
}
