//! The jobs that may be run.

use axum::{Json, extract::State};
use contract::catalog::offered;
use domain::DEFAULT_JOB;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answers::problem::Problem,
    app::App,
    extract::{caller::Caller, parameters::NoParameters},
};

/// The jobs that may be run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    /// Sorted by name.
    jobs: Vec<JobView>,
}

/// A job that may be run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobView {
    /// Its name, as in a request's `job`.
    #[schema(example = "demo")]
    name: String,
    /// Whether a request without a `job` runs it.
    default: bool,
}

/// List the jobs that may be run.
///
/// The operator of the installation configures them.
#[utoipa::path(
    get, path = "/jobs", operation_id = "listJobs", tag = "jobs",
    responses((status = 200, description = "The jobs that may be run", body = JobList), NoParameters, Problem),
)]
pub(crate) async fn list_jobs(State(app): State<App>, _: Caller, _: NoParameters) -> Json<JobList> {
    let job = |name: &str| JobView { name: name.to_owned(), default: name == DEFAULT_JOB };
    Json(JobList { jobs: offered(&app.catalog).into_iter().map(job).collect() })
}
