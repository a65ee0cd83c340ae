//! Changing an execution before its start time.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use contract::catalog::Catalog;
use domain::{Changes, Event, Execution, LatestStart, Status};
use jiff::Timestamp;
use runtime::clock;
use store::AdvanceError;
use tracing::Level;
use utoipa::{IntoResponses, ToSchema, openapi::Object};

use crate::{
    answers::{
        model::{ExecutionView, read_texts, tags},
        problem::{Answers, Code, FieldError, Problem, answers},
    },
    app::App,
    extract::{
        body::{Body, BodyThen, Described},
        caller::Caller,
        object::{self, Members},
        owned::{self, Owned},
        parameters::NoParameters,
    },
    handlers::{cancel::Unavailable, executions::following, uploads},
    starting::{begin, lacks_workflow},
};

/// Changes of an execution that is `SCHEDULED`. A member that is absent stays as it is.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"startAt": "2026-12-24T20:00:00Z", "startBefore": null}))]
pub(crate) struct ExecutionChanges {
    /// The new start time, at most 366 days ahead. A time in the past, or `null`, means at once. The timeout keeps its length.
    #[schema(value_type = Option<String>, format = DateTime, required = false, example = "2026-12-24T20:00:00Z")]
    start_at: Option<Given<Timestamp>>,
    /// The new latest start; `null` removes it.
    #[schema(value_type = Option<String>, format = DateTime, required = false, example = "2026-12-24T22:00:00Z")]
    start_before: Option<Given<Timestamp>>,
    /// The new tags, which replace all earlier ones; `null` removes them.
    #[schema(schema_with = new_tags, required = false)]
    tags: Option<Given<BTreeMap<String, String>>>,
}

/// The value of a member that is present.
#[derive(Debug)]
enum Given<T> {
    Null,
    Value(T),
}

fn new_tags() -> Object {
    tags("The new tags, at most 20, which replace all earlier ones; `null` removes them.")
}

impl Described for ExecutionChanges {
    const EXAMPLE: &str = r#"{"startAt": "2026-12-24T20:00:00Z"}"#;

    fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self {
        let mut body = std::mem::take(body);
        let mut time = |name| {
            let value = body.take(name)?;
            if value.text() == "null" {
                return Some(Given::Null);
            }
            object::time(&value, body.pointer(name), errors).map(Given::Value)
        };
        let (start_at, start_before) = (time("startAt"), time("startBefore"));
        let tags = body.take("tags").map(|value| match value.text() {
            "null" => Given::Null,
            _ => Given::Value(read_texts(&value, &body.pointer("tags"), errors)),
        });
        body.finish(errors);
        Self { start_at, start_before, tags }
    }

    fn wrong(self, _: &Catalog, _: &[FieldError]) -> Vec<FieldError> {
        Vec::new()
    }
}

impl ExecutionChanges {
    fn at(self, now: Timestamp) -> Changes {
        Changes {
            start: self.start_at.map(|given| match given {
                Given::Null => now,
                Given::Value(time) => time,
            }),
            start_before: self.start_before.map(|given| match given {
                Given::Null => LatestStart::None,
                Given::Value(time) => LatestStart::At(time),
            }),
            tags: self.tags.map(|given| match given {
                Given::Null => BTreeMap::new(),
                Given::Value(tags) => tags,
            }),
        }
    }
}

/// The errors of a request that is refused.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Answers {
        answers(&[
            Code::InvalidJson,
            Code::IncompleteBody,
            Code::RequestTimeout,
            Code::UnsupportedContentEncoding,
            Code::UnsupportedMediaType,
            Code::InvalidParameter,
            Code::BodyTooLarge,
            Code::InvalidBody,
            Code::NotScheduled,
        ])
    }
}

/// Change an execution before it starts.
///
/// Only while it is `SCHEDULED`: move its start time, change its latest start or its tags. A repeat of its start with the same
/// `Idempotency-Key` is still recognized. Safe to repeat.
#[utoipa::path(
    patch, path = "/executions/{executionId}", operation_id = "changeExecution", tag = "executions",
    params(Owned),
    request_body(content = ExecutionChanges, description = "What to change"),
    responses(
        (status = 200, description = "The execution after the changes", body = ExecutionView, headers(
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll"),
        )),
        Refused,
        Owned,
        Unavailable,
    ),
)]
pub(crate) async fn change(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    BodyThen(Body(changes), Owned(execution)): BodyThen<ExecutionChanges, Owned>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let changes = changes.at(now);
    if execution.status() != Status::Scheduled {
        return Err(not_scheduled(&execution));
    }
    let errors = violations(&app, &execution, &changes, now).await?;
    if !errors.is_empty() {
        return Err(Problem::invalid_body(errors));
    }
    let moved = changes.start.is_some();
    let event = Event::Changed(Box::new(changes));
    let execution = match app.executions.advance_seen(execution, &event, now).await {
        // Its end is not an error for the store.
        Ok(over) if over.status() != Status::Scheduled => return Err(not_scheduled(&over)),
        Ok(execution) => execution,
        Err(AdvanceError::Call(failed)) => return Err(failed.into()),
        Err(AdvanceError::NotFound(_)) => return Err(owned::not_found()),
        Err(AdvanceError::Refused(why)) => return Err(Problem::new(Code::NotScheduled, why.to_string())),
        Err(why @ AdvanceError::Contended(_)) => {
            let detail = "other writers changed the execution at the same time; repeat the request";
            let problem = Problem::new(Code::ConcurrentUpdates, detail);
            return Err(problem.because(Level::WARN, aws::with_causes(&why)));
        }
    };
    if moved {
        notify(&app, &execution, now).await;
    }
    let view = ExecutionView::of(&app, execution.clone(), now).await;
    Ok((following(&execution, now), axum::Json(view)).into_response())
}

fn not_scheduled(execution: &Execution) -> Problem {
    Problem::new(
        Code::NotScheduled,
        format!("the execution is {}; it can be changed only while it is SCHEDULED", execution.status()),
    )
}

/// What is wrong with the changes. If the execution has an upload, that must be kept for long enough after the new deadline too.
async fn violations(
    app: &App,
    execution: &Execution,
    changes: &Changes,
    now: Timestamp,
) -> Result<Vec<FieldError>, Problem> {
    let found = execution.violations_of(changes, now).into_iter();
    let mut errors: Vec<_> = found.map(FieldError::from).collect();
    if let (Some(_), Some(upload), true) = (changes.start, &execution.request.input_upload, errors.is_empty())
        && let Ok(Some(moved)) = execution.changed(changes, now)
        && let Err(error) = uploads::find(app, &moved, &upload.id.to_string()).await?
    {
        let detail = format!("does not fit the execution's upload, which {}", error.detail);
        errors.push(FieldError { pointer: "/startAt".to_owned(), detail, ..error });
    }
    Ok(errors)
}

/// Makes a new start time take effect. If the function crashes before this, or the call is lost, the sweep does it: the execution is due a
/// minute after the change, or two minutes before its start time.
async fn notify(app: &App, execution: &Execution, now: Timestamp) {
    if lacks_workflow(execution, now) {
        if let Err(problem) = begin(app, execution).await {
            tracing::warn!(executionId = %execution.id, ?problem, "cannot start the workflow; the sweep will decide");
        }
    } else if execution.durable_execution_arn.is_some()
        && let Err(why) = app.reconciler.request_visit(&execution.id).await
    {
        tracing::warn!(
            executionId = %execution.id,
            error = %why,
            "cannot notify the reconciler of the new start time; the next sweep will wake the workflow"
        );
    }
}
