//! Cancelling an execution.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::Event;
use runtime::clock;
use store::AdvanceError;
use tracing::Level;
use utoipa::IntoResponses;

use crate::{
    answers::{
        model::ExecutionView,
        problem::{Answers, Code, Problem, answers},
    },
    app::App,
    extract::{
        body::NoBody,
        caller::Caller,
        owned::{self, Owned},
        parameters::NoParameters,
        prefer::Prefer,
    },
    handlers::executions::following,
};

/// The errors of a request that is refused.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Answers {
        answers(&[
            Code::IncompleteBody,
            Code::RequestTimeout,
            Code::UnsupportedContentEncoding,
            Code::InvalidParameter,
            Code::BodyTooLarge,
            Code::InvalidBody,
        ])
    }
}

/// The problems of every operation. In this one, a 503 may also mean that there were too many concurrent updates.
pub(crate) struct Unavailable;

impl IntoResponses for Unavailable {
    fn responses() -> Answers {
        let mut all = Problem::responses();
        all.extend(answers(&[Code::AwsUnavailable, Code::ConcurrentUpdates]));
        all
    }
}

/// Stop an execution.
///
/// Its task is stopped, and the execution is `CANCELLING` until ECS says that the task has stopped, and then `CANCELLED`. If no task is
/// running or being started, the execution is `CANCELLED` at once. If the job completes before it can be stopped, the execution is
/// `COMPLETED`. Safe to repeat.
#[utoipa::path(
    post, path = "/executions/{executionId}/cancel", operation_id = "cancelExecution", tag = "executions",
    params(Owned, Prefer),
    responses(
        (status = 202, description = "The execution is being stopped: poll it", body = ExecutionView, headers(
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        (status = 200, description = "The execution is over, and no longer changes", body = ExecutionView, headers(
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        Refused,
        Owned,
        Unavailable,
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    mut prefer: Prefer,
    NoBody(Owned(execution)): NoBody<Owned>,
) -> Result<Response, Problem> {
    let execution = match app.executions.advance_seen(execution, &Event::CancelRequested, clock::now()).await {
        Ok(execution) => execution,
        Err(AdvanceError::Call(failed)) => return Err(failed.into()),
        // The execution expired between the read and the write.
        Err(AdvanceError::NotFound(_)) => return Err(owned::not_found()),
        Err(why @ (AdvanceError::Contended(_) | AdvanceError::Refused(_))) => {
            let detail = "other writers changed the execution at the same time; repeat the request";
            let problem = Problem::new(Code::ConcurrentUpdates, detail);
            return Err(problem.because(Level::WARN, aws::with_causes(&why)));
        }
    };
    if !execution.status().is_final() {
        // If the function crashes before this, or the call is lost, the cancel is already recorded, and the next sweep carries it out.
        if let Err(why) = app.reconciler.request_visit(&execution.id).await {
            tracing::warn!(
                executionId = %execution.id,
                error = %why,
                "cannot notify the reconciler of the cancel; the next sweep will carry it out"
            );
        }
    }
    let execution = prefer.hold(&app, execution, |seen| seen.status().is_final()).await;
    let now = clock::now();
    let mut headers = following(&execution, now);
    prefer.add_headers(&mut headers);
    let status = if execution.status().is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, headers, axum::Json(ExecutionView::of(&app, execution, now).await)).into_response())
}
