//! What an execution's workflow did.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use compute::HistoryError;
use contract::page_token::HistoryPlace;
use domain::{
    Attempt, Execution, Pattern,
    history::{Operation, Outcome, fold},
};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::{
    answers::{
        page_token,
        problem::{Answers, Code, Problem, answers},
        time::Time,
    },
    app::App,
    extract::{
        caller::Caller,
        owned::Owned,
        parameters::{LATEST_ATTEMPT, Parameters},
    },
    handlers::listing::QueryRefused,
};

/// Maximum number of events that are read for one page: as many as AWS returns at once
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_GetDurableExecutionHistory.html>).
const LARGEST_PAGE: i32 = 1_000;

/// What an execution's workflow did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    execution_id: String,
    /// Operations that have ended, in the order of their start; the last page also has those that have not ended.
    operations: Vec<OperationView>,
    /// The `pageToken` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_page_token: Option<String>,
}

/// An operation of a workflow. Each is recorded once it is done, and is not done again when the workflow resumes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Operation)]
pub(crate) struct OperationView {
    /// Its name; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "run-task")]
    name: Option<String>,
    /// What it is: `Step`, `Callback`, `Wait`, `Context` or `ChainedInvoke`.
    #[schema(example = "Step")]
    kind: String,
    /// How many times it was tried.
    attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    /// Absent if it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Time>,
    /// `STARTED` if it has not ended: it is still running, or the workflow ended before it did. `TIMED_OUT` for a callback means
    /// that no event came, so the workflow checked the task by itself.
    outcome: OutcomeView,
}

/// How an operation ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = Outcome)]
pub(crate) enum OutcomeView {
    Started,
    Succeeded,
    Failed,
    TimedOut,
    Stopped,
    Cancelled,
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        Self {
            name: operation.name,
            kind: operation.kind,
            attempts: operation.attempts,
            started_at: operation.started_at.into(),
            ended_at: operation.ended_at.map(Time::from),
            outcome: match operation.outcome {
                Outcome::Started => OutcomeView::Started,
                Outcome::Succeeded => OutcomeView::Succeeded,
                Outcome::Failed => OutcomeView::Failed,
                Outcome::TimedOut => OutcomeView::TimedOut,
                Outcome::Stopped => OutcomeView::Stopped,
                Outcome::Cancelled => OutcomeView::Cancelled,
            },
        }
    }
}

/// Why there is no history.
pub(crate) struct NoHistory;

impl IntoResponses for NoHistory {
    fn responses() -> Answers {
        answers(&[Code::ExecutionNotFound, Code::ExecutionExpired, Code::HistoryExpired])
    }
}

/// The query: which attempt's workflow, and which page.
pub(crate) struct Query {
    attempt: Attempt,
    size: i32,
    token: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::from_request_parts(parts, state).await?;
        let attempt = parameters.number("attempt", 1, LATEST_ATTEMPT)?.and_then(Attempt::new).unwrap_or(Attempt::FIRST);
        let size = parameters.number("pageSize", 1, LARGEST_PAGE)?.unwrap_or(LARGEST_PAGE);
        let token = parameters.take("pageToken", "a token", |text| Some(text.to_owned()))?;
        parameters.finish()?;
        Ok(Self { attempt, size, token })
    }
}

/// Read what an execution's workflow did, operation by operation.
///
/// The history comes from AWS, which answers only a few such requests a second for a whole account, and forgets a workflow two weeks
/// after its end.
/// The execution's own `timeline` is always available. A later attempt of a callback execution has its own workflow.
#[utoipa::path(
    get, path = "/executions/{executionId}/history", operation_id = "getExecutionHistory", tag = "executions",
    params(
        Owned,
        ("attempt" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 1000,
            description = "For a callback execution, the attempt whose workflow to read (default: the first)"),
        ("pageSize" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 1000,
            description = "The maximum number of events of the workflow to read (default 1000). Each operation has at least two events"),
        ("pageToken" = Option<String>, Query, nullable = false, description = "`nextPageToken` of the previous page"),
    ),
    responses(
        (status = 200, description = "The operations of the workflow; none if it has not begun", body = History),
        QueryRefused,
        NoHistory,
        Problem,
    ),
)]
pub(crate) async fn get_history(
    State(app): State<App>,
    _: Caller,
    Query { attempt, size, token }: Query,
    Owned(execution): Owned,
) -> Result<Json<History>, Problem> {
    let list = contract::page_token::History { history: execution.id.clone(), attempt };
    let place = token.map(|token| page_token::open(&list, &token)).transpose()?;
    let (marker, open) = place.map_or((None, Vec::new()), |place| (Some(place.marker), place.open));
    let mut history = History { execution_id: execution.id.to_string(), operations: Vec::new(), next_page_token: None };
    let Some(arn) = workflow(&app, &execution, attempt).await? else { return Ok(Json(history)) };
    let page = app.histories.events(&arn, marker.as_deref(), size).await.map_err(|why| match why {
        HistoryError::Forgotten => Problem::new(
            Code::HistoryExpired,
            "AWS no longer has the workflow's history; see the execution's `timeline`",
        ),
        HistoryError::Marker => page_token::invalid(),
        HistoryError::Call(failed) => failed.into(),
    })?;
    let (mut operations, open) = fold(open, page.events);
    match page.marker {
        Some(marker) => {
            history.next_page_token = Some(page_token::seal(&list, &HistoryPlace { marker, open })?);
        }
        None => operations.extend(open),
    }
    history.operations = operations.into_iter().map(OperationView::from).collect();
    Ok(Json(history))
}

/// The durable execution that drives an attempt, if it has begun and can be found.
async fn workflow(app: &App, execution: &Execution, attempt: Attempt) -> Result<Option<String>, Problem> {
    match execution.pattern {
        Pattern::Callback if attempt > Attempt::FIRST => {
            Ok(app.histories.of_attempt(&execution.id, execution.pattern, attempt).await?)
        }
        // A sync execution has one workflow for all attempts.
        Pattern::Sync | Pattern::Callback => Ok(execution.durable_execution_arn.clone()),
    }
}
