//! The jobs that may be run.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use contract::catalog::{Job, offered};
use domain::{DEFAULT_JOB, RetryRule};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answers::{model::Resources, problem::Problem},
    app::App,
    extract::{caller::Caller, parameters::NoParameters},
};

/// The jobs that may be run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    /// Sorted by name.
    jobs: Vec<JobView>,
}

/// A job that may be run, and how it is run unless a request says otherwise.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(crate) struct JobView {
    /// Its name, as in a request's `job`.
    #[schema(example = "demo")]
    name: String,
    /// Whether a request without a `job` runs it.
    default: bool,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Counts words")]
    description: Option<String>,
    /// How long an execution may take, in seconds.
    #[schema(example = 3600)]
    timeout_seconds: u64,
    /// CPU and memory of its task; absent if the operator has not configured them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resources: Option<Resources>,
    retry: RetryView,
    allow: AllowView,
    /// The JSON Schema of its input; absent if it accepts any input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false, example = json!({"type": "object", "required": ["message"]}))]
    input_schema: Option<domain::Json>,
}

/// How a job is retried.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobRetry)]
pub(crate) struct RetryView {
    /// Attempts in total.
    #[schema(example = 3)]
    max_attempts: u32,
    /// The exit codes after which it is retried; absent if it is retried after all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([75]))]
    on_exit_codes: Option<BTreeSet<i32>>,
    backoff_seconds: BackoffView,
}

/// The waits between attempts, in seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobBackoff)]
pub(crate) struct BackoffView {
    /// The wait before the second attempt. It doubles with each attempt.
    #[schema(example = 5)]
    first: u64,
    /// The longest wait.
    #[schema(example = 300)]
    longest: u64,
}

/// What a request may override.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobAllow)]
pub(crate) struct AllowView {
    /// The names of environment variables.
    #[schema(example = json!(["DEBUG"]))]
    environment: Vec<String>,
    /// Whether a request may set `resources.cpu`.
    cpu: bool,
    /// Whether a request may set `resources.memoryMiB`.
    memory: bool,
}

impl JobView {
    fn of(name: &str, job: &Job) -> Self {
        let allowed = job.allowed();
        let RetryRule { on_exit_codes, first, longest } = job.retry_rule();
        let resources = Resources { cpu: job.cpu, memory: job.memory };
        Self {
            name: name.to_owned(),
            default: name == DEFAULT_JOB,
            description: job.description.clone(),
            timeout_seconds: job.timeout().as_secs(),
            resources: (job.cpu.is_some() || job.memory.is_some()).then_some(resources),
            retry: RetryView {
                max_attempts: job.max_attempts(),
                on_exit_codes,
                backoff_seconds: BackoffView { first: first.as_secs(), longest: longest.as_secs() },
            },
            allow: AllowView { environment: allowed.environment.to_vec(), cpu: allowed.cpu, memory: allowed.memory },
            input_schema: job.input.clone(),
        }
    }
}

/// List the jobs that may be run.
///
/// The operator of the installation configures them. Each has its defaults, what a request may override, and the schema of its input.
#[utoipa::path(
    get, path = "/jobs", operation_id = "listJobs", tag = "jobs",
    responses((status = 200, description = "The jobs that may be run", body = JobList), NoParameters, Problem),
)]
pub(crate) async fn list_jobs(State(app): State<App>, _: Caller, _: NoParameters) -> Json<JobList> {
    let job = |name: &str| Some(JobView::of(name, app.catalog.get(name)?));
    Json(JobList { jobs: offered(&app.catalog).into_iter().filter_map(job).collect() })
}
