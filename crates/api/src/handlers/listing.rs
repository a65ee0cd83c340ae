//! A caller's executions, page by page.

mod query;

use std::{collections::BTreeMap, fmt::Write as _};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
};
use contract::page_token::{ExecutionPlace, Executions};
use domain::{
    Json, Status,
    listing::{Included, Page, Place, Summary},
};
use runtime::clock;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::{
    answers::{
        answer_size::{self, LARGEST_BODY},
        model::{ErrorView, Links, PatternView, StatusView, milliseconds},
        page_token,
        problem::{Answers, Code, Problem, answers},
        time::Time,
    },
    app::App,
    extract::{caller::Caller, parameters::Parameters},
};

/// Largest page, and the default.
const LARGEST_PAGE: usize = 100;
const PAGE: usize = 50;

/// How many executions' outcomes are read at once. Their items have at most 400 KB each, so 4 MB in total, which one call can read before
/// it times out. Once a response is full, no more are read.
const READ_AT_ONCE: usize = 10;

/// A page of executions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionPage {
    /// Newest first. A page may be short or empty without being the last: see `nextPageToken`.
    executions: Vec<SummaryView>,
    /// The `pageToken` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_page_token: Option<String>,
}

/// What a list shows of an execution. `links.self` has everything, including input, timeline, result and error; `include` adds the
/// result and the error here.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExecutionSummary)]
pub(crate) struct SummaryView {
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    execution_id: String,
    pattern: PatternView,
    status: StatusView,
    /// Whether the execution is over. It does not change after that.
    done: bool,
    /// Name of the job.
    #[schema(example = "demo")]
    job: String,
    /// The attempt of its newest task, from 1. It may exceed `maxAttempts`: attempts that the platform ended do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempt: Option<u32>,
    /// How many attempts the job may have, not counting those that the platform ended.
    max_attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When its newest task was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    started_at: Option<Time>,
    /// When the job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    finished_at: Option<Time>,
    /// From `startedAt` to `finishedAt`, in milliseconds; absent while it is not over, and if no task was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 30_000)]
    duration_ms: Option<u64>,
    /// Exit code of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exit_code: Option<i32>,
    /// When its job must have ended.
    #[schema(value_type = String, format = DateTime)]
    deadline: Time,
    /// When it is deleted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    tags: BTreeMap<String, String>,
    /// The execution of which this one is a rerun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rerun_of: Option<String>,
    /// The name of the schedule that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "nightly-report")]
    schedule: Option<String>,
    /// The batch that it belongs to: see `GET /batches/{batchId}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    batch_id: Option<String>,
    links: Links,
    /// With `include=result`: the job's result, or `null` if there is none. Absent until the execution is over, and if it expired
    /// during the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    result: Option<Json>,
    /// With `include=error`: why it did not complete. Absent if the execution completed, is not over, or
    /// expired during the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ErrorView>,
}

impl SummaryView {
    /// The same with the execution's outcome, as far as `include` says.
    fn with(self, outcome: Included, include: Include) -> Self {
        let error = outcome.error.map(|error| ErrorView::of(error, self.exit_code));
        let result = outcome.result.unwrap_or_else(Json::null);
        Self { result: include.result.then_some(result), error: error.filter(|_| include.error), ..self }
    }
}

impl From<Summary> for SummaryView {
    fn from(summary: Summary) -> Self {
        Self {
            expires_at: summary.kept_until().into(),
            links: Links::of(&summary.id, summary.status),
            duration_ms: milliseconds(summary.started_at, summary.finished_at),
            execution_id: summary.id.to_string(),
            pattern: PatternView::of(summary.pattern),
            done: summary.status.is_final(),
            status: StatusView::of(summary.status),
            job: summary.job,
            attempt: summary.attempt.map(domain::Attempt::get),
            max_attempts: summary.max_attempts,
            created_at: summary.created_at.into(),
            started_at: summary.started_at.map(Time::from),
            finished_at: summary.finished_at.map(Time::from),
            exit_code: summary.exit_code,
            deadline: summary.deadline.into(),
            tags: summary.tags,
            rerun_of: summary.rerun_of.map(String::from),
            schedule: summary.schedule,
            batch_id: summary.batch.map(|batch| batch.to_string()),
            result: None,
            error: None,
        }
    }
}

/// The errors of a list's query.
pub(crate) struct QueryRefused;

impl IntoResponses for QueryRefused {
    fn responses() -> Answers {
        answers(&[Code::InvalidParameter, Code::InvalidPageToken])
    }
}

/// List your executions, newest first.
///
/// For one page, filters are applied to at most 2,000 executions: the page may be short or empty while `nextPageToken` says that the list
/// continues. With `include`, a page may also be short because a response holds at most about 5 MB. An execution that was just
/// accepted may be missing for a moment.
#[utoipa::path(
    get, path = "/executions", operation_id = "listExecutions", tag = "executions",
    params(
        ("status" = Option<StatusView>, Query, nullable = false, description = "Only executions in this state"),
        ("pattern" = Option<PatternView>, Query, nullable = false, description = "Only executions of this pattern"),
        ("job" = Option<String>, Query, nullable = false, description = "Only executions of this job", example = "demo"),
        ("tag" = Option<String>, Query, nullable = false, example = "team=blue",
            description = "Only executions with this tag: its key, or `key=value`"),
        ("schedule" = Option<String>, Query, nullable = false, example = "nightly-report",
            description = "Only executions that this schedule started"),
        ("batch" = Option<String>, Query, nullable = false,
            pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c",
            description = "Only executions of this batch, by its `batchId`"),
        ("createdAfter" = Option<String>, Query, nullable = false, format = DateTime, example = "2026-03-02T09:00:00Z",
            description = "Only executions that were accepted after this time (RFC 3339)"),
        ("createdBefore" = Option<String>, Query, nullable = false, format = DateTime, example = "2099-03-02T09:00:00Z",
            description = "Only executions that were accepted before this time (RFC 3339)"),
        ("pageSize" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 100,
            description = "The maximum number of executions on a page (default 50)"),
        ("pageToken" = Option<String>, Query, nullable = false, description = "`nextPageToken` of the previous page"),
        ("include" = Option<String>, Query, nullable = false, pattern = "^(result|error)(,(result|error))*$",
            example = "result,error",
            description = "What to include for executions that are over: `result`, `error` or both, separated by a comma"),
    ),
    responses(
        (status = 200, description = "A page of executions", body = ExecutionPage, headers(
            ("Link" = String, description = "The next page, with `rel=\"next\"`; absent on the last one"),
        )),
        QueryRefused,
        Problem,
    ),
)]
pub(crate) async fn list_executions(
    State(app): State<App>,
    Caller(owner): Caller,
    uri: Uri,
    mut parameters: Parameters,
) -> Result<(HeaderMap, axum::Json<ExecutionPage>), Problem> {
    let size = parameters.number("pageSize", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
    let token = parameters.take("pageToken", "a token", |text| Some(text.to_owned()))?;
    let filter = query::filter(&mut parameters)?;
    let include = Include::of(&parameters.names("include", &["result", "error"])?);
    parameters.finish()?;
    let list = Executions::of(&owner, &filter);
    let after = token.map(|token| page_token::open(&list, &token)).transpose()?;
    let after = after.map(|ExecutionPlace { at, id }| Place { at, id });
    let mut page = app.executions.list(&owner, &filter, after.as_ref(), size, clock::now()).await?;
    let executions = if include == Include::default() {
        page.found.drain(..).map(SummaryView::from).collect()
    } else {
        with_outcomes(&app, &mut page, include).await?
    };
    let next = page.next.map(|Place { at, id }| page_token::seal(&list, &ExecutionPlace { at, id })).transpose()?;
    let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]);
    if let Some(Ok(link)) = next.as_ref().map(|token| HeaderValue::try_from(link(&uri, token))) {
        headers.insert(header::LINK, link);
    }
    Ok((headers, axum::Json(ExecutionPage { executions, next_page_token: next })))
}

/// Which parts of an execution's outcome a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Include {
    result: bool,
    error: bool,
}

impl Include {
    fn of(names: &[&str]) -> Self {
        Self { result: names.contains(&"result"), error: names.contains(&"error") }
    }

    /// Whether there is something to show: an execution that is not over has no outcome, and one that completed has no error.
    fn is_about(self, summary: &Summary) -> bool {
        summary.status.is_final() && (self.result || (self.error && summary.status != Status::Completed))
    }
}

/// Executions with their outcomes, as many as fit into one response: the page ends before the first that does not fit.
async fn with_outcomes(app: &App, page: &mut Page, include: Include) -> Result<Vec<SummaryView>, Problem> {
    let mut views = Vec::new();
    let mut room = LARGEST_BODY;
    'page: for some in page.found.chunks(READ_AT_ONCE) {
        let wanted = some.iter().filter(|summary| include.is_about(summary)).map(|summary| summary.id.clone());
        let mut outcomes = app.executions.outcomes(&wanted.collect::<Vec<_>>()).await?;
        for summary in some {
            let view = SummaryView::from(summary.clone());
            let view = match outcomes.remove(&summary.id) {
                Some(outcome) => view.with(outcome, include),
                None => view,
            };
            let size = answer_size::as_text(&serde_json::to_vec(&view).map_err(|why| Problem::inside(&why))?);
            // A single result always fits: it has 180 KB at most.
            let Some(left) = room.checked_sub(size) else { break 'page };
            room = left;
            views.push(view);
        }
    }
    page.cut(views.len());
    Ok(views)
}

/// A link that repeats the request for the next page. It has no path, because API Gateway may have put a stage before the API's path.
fn link(uri: &Uri, token: &str) -> String {
    let same = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let same = same.filter(|pair| !pair.starts_with("pageToken="));
    let mut query = String::new();
    for pair in same {
        let _ = write!(query, "{pair}&");
    }
    format!("<?{query}pageToken={token}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_to_the_next_page_repeats_the_request_with_another_token() {
        for (path, expected) in [
            ("/executions", "<?pageToken=T>; rel=\"next\""),
            ("/executions?status=FAILED", "<?status=FAILED&pageToken=T>; rel=\"next\""),
            ("/executions?pageToken=old&tag=a%3Db", "<?tag=a%3Db&pageToken=T>; rel=\"next\""),
        ] {
            assert_eq!(link(&path.parse().unwrap(), "T"), expected);
        }
    }
}
