//! Stopping an execution.

use aws::{AdvanceError, clock};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::Event;

use crate::{
    caller::Caller,
    executions::{NotFound, following, owned},
    model::ExecutionView,
    problem::Problem,
    router::App,
};

/// Stop an execution.
///
/// Its task is stopped; it is `CANCELLED` once ECS says that the task has stopped, and until then `CANCELLING`. A job that
/// is through before it can be stopped has completed. Safe to repeat.
#[utoipa::path(
    post, path = "/executions/{executionId}/cancel", operation_id = "cancelExecution", tag = "executions",
    params(("executionId" = String, Path, description = "Id of the execution", max_length = 60,
        example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")),
    responses(
        (status = 202, description = "It is being stopped: poll it", body = ExecutionView, headers(
            ("ETag" = String, description = "Stands for the execution as it is now"),
            ("Retry-After" = u64, description = "Seconds until polling is worth it"),
        )),
        (status = 200, description = "It is over already; nothing changes", body = ExecutionView),
        NotFound,
        Problem,
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(owner): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let execution = owned(&app, &owner, &id, now).await?;
    let execution = match app.executions.advance(&execution.id, &Event::CancelRequested, now).await {
        Ok(cancelling) => cancelling,
        Err(AdvanceError::Refused { now: over, .. }) => *over,
        Err(AdvanceError::Call(failed)) => return Err(failed.into()),
        Err(why @ (AdvanceError::NotFound(_) | AdvanceError::Contended(_))) => return Err(Problem::inside(&why)),
    };
    let mut status = StatusCode::OK;
    if !execution.status().is_final() {
        status = StatusCode::ACCEPTED;
        // Dies before this, or it gets lost: the wish is recorded, and the next sweep sees to it.
        if let Err(why) = app.reconciler.attend(&execution.id).await {
            tracing::warn!(executionId = %execution.id, error = %why, "the reconciler was not told of a cancel");
        }
    }
    Ok((status, following(&execution, clock::now()), axum::Json(ExecutionView::of(execution))).into_response())
}
