//! The jobs that may be run.

use aws::offered;
use axum::{Json, extract::State};
use domain::DEFAULT_TASK;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{caller::Caller, parameters::NoParameters, problem::Problem, router::App};

/// The jobs that may be run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskList {
    /// Sorted by name.
    tasks: Vec<TaskView>,
}

/// A job that may be run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub(crate) struct TaskView {
    /// Its name, as in a request's `task`.
    #[schema(example = "demo")]
    name: String,
    /// Whether a request without a `task` runs it.
    default: bool,
}

/// List the jobs that may be run.
///
/// The operator of the installation configures them.
#[utoipa::path(
    get, path = "/tasks", operation_id = "listTasks", tag = "tasks",
    responses((status = 200, description = "The jobs that may be run", body = TaskList), NoParameters, Problem),
)]
pub(crate) async fn list_tasks(State(app): State<App>, _: Caller, _: NoParameters) -> Json<TaskList> {
    let task = |name: &str| TaskView { name: name.to_owned(), default: name == DEFAULT_TASK };
    Json(TaskList { tasks: offered(&app.catalog).into_iter().map(task).collect() })
}
