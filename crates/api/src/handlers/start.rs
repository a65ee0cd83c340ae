//! Starting an execution.

mod validation;

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Execution, Owner, Pattern};
use jiff::Timestamp;
use runtime::clock;
use utoipa::IntoResponses;

use self::validation::Validated;
use crate::{
    answers::{
        model::{ExecutionView, NewExecution, Said, example},
        problem::{Answers, Code, Problem, answers},
    },
    app::App,
    extract::{
        body::{Body, NoBody},
        caller::Caller,
        idempotency_key::IdempotencyKey,
        owned::Owned,
        parameters::NoParameters,
        prefer::Prefer,
    },
    handlers::executions,
    starting::{Start, begin, lacks_workflow, new_id},
};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The errors of a rerun.
struct RerunRefused;

impl RerunRefused {
    const CODES: [Code; 9] = [
        Code::IncompleteBody,
        Code::RequestTimeout,
        Code::UnsupportedContentEncoding,
        Code::InvalidHeader,
        Code::InvalidParameter,
        Code::ExecutionIdTaken,
        Code::BodyTooLarge,
        Code::InvalidBody,
        Code::IdempotencyKeyReused,
    ];
}

impl IntoResponses for RerunRefused {
    fn responses() -> Answers {
        answers(&Self::CODES)
    }
}

/// The errors of a start: those of a rerun, and those of a body.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Answers {
        answers(&[&RerunRefused::CODES[..], &[Code::InvalidJson, Code::UnsupportedMediaType]].concat())
    }
}

/// The two patterns differ in what waits for the task, not in how they are started.
macro_rules! start {
    ($(#[$doc:meta])* $name:ident, $path:literal, $id:literal, $pattern:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, operation_id = $id, tag = "executions",
            params(
                ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
                    description = "Makes the request idempotent: a repeat with the same key and body, compared by value, returns the \
                                   existing execution and starts nothing, as long as the execution is kept"),
                Prefer,
            ),
            request_body(content = NewExecution, description = "The job to run, and its input", examples(
                ("greeting" = (summary = "The demonstration job: takes three seconds, then greets",
                    value = json!({"input": {"message": "Hello", "processingTime": 3}}))),
                ("with-everything" = (summary = "The same, with every member",
                    value = json!({
                        "input": {"message": "Hello", "processingTime": 3},
                        "job": "demo",
                        "timeoutSeconds": 3600,
                        "retry": {"maxAttempts": 3},
                        "tags": {"team": "blue"}
                    }))),
            )),
            responses(
                (status = 202, description = "Accepted: poll `Location`", body = ExecutionView, headers(
                    ("Location" = String, description = "Path of the execution"),
                    ("ETag" = String, description = "Identifies this version of the execution"),
                    ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
                    ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
                    ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
                ), example = example::pending),
                (status = 200, description = "The execution is already final: `Prefer: wait` saw it end, or the request is a repeat",
                    body = ExecutionView, headers(
                    ("Location" = String, description = "Path of the execution"),
                    ("ETag" = String, description = "Identifies this version of the execution"),
                    ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
                    ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
                )),
                Refused,
                Problem,
            ),
        )]
        pub(crate) async fn $name(
            State(app): State<App>,
            Caller(owner): Caller,
            _: NoParameters,
            prefer: Prefer,
            key: Option<IdempotencyKey>,
            Body(new): Body<NewExecution>,
        ) -> Result<Response, Problem> {
            start(app, $pattern, owner, prefer, key, new).await
        }
    };
}

start!(
    /// Start a job whose workflow waits for it and records the result.
    ///
    /// The image needs the worker only for inputs over 4 KB: smaller inputs are in `EXECUTION_INPUT`. Without the worker, the result is
    /// the last JSON object or array among the last 10,000 lines of the task's log, on stdout or stderr.
    start_sync, "/executions/sync", "startSyncExecution", Pattern::Sync
);
start!(
    /// Start a job whose worker records the result.
    ///
    /// The workflow starts the task and ends; the worker in the task records the result: the file that
    /// `EXECUTION_RESULT_FILE` names, or else the last JSON object or array on the job's stdout.
    start_callback, "/executions/callback", "startCallbackExecution", Pattern::Callback
);

/// A request is checked in the same way for both patterns.
macro_rules! validate {
    ($(#[$doc:meta])* $name:ident, $path:literal, $id:literal, $pattern:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, operation_id = $id, tag = "executions",
            params(
                ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
                    description = "The key with which the execution would be started"),
            ),
            request_body(content = NewExecution, description = "The job that would be run, and its input"),
            responses(
                (status = 200, description = "The request is valid. This is what would be started", body = Validated),
                Refused,
                Problem,
            ),
        )]
        pub(crate) async fn $name(
            State(app): State<App>,
            Caller(owner): Caller,
            _: NoParameters,
            key: Option<IdempotencyKey>,
            Body(new): Body<NewExecution>,
        ) -> Result<axum::Json<Validated>, Problem> {
            validate(app, $pattern, owner, key, new).await
        }
    };
}

validate!(
    /// Check a request for a sync execution, and start nothing.
    ///
    /// An invalid request is refused as the start would be. Otherwise the response says what would be started, with every default
    /// filled in.
    validate_sync, "/executions/sync/validate", "validateSyncExecution", Pattern::Sync
);
validate!(
    /// Check a request for a callback execution, and start nothing.
    ///
    /// An invalid request is refused as the start would be. Otherwise the response says what would be started, with every default
    /// filled in.
    validate_callback, "/executions/callback/validate", "validateCallbackExecution", Pattern::Callback
);

async fn validate(
    app: App,
    pattern: Pattern,
    owner: Owner,
    key: Option<IdempotencyKey>,
    new: NewExecution,
) -> Result<axum::Json<Validated>, Problem> {
    let now = clock::now();
    let id = new_id(key.as_ref(), &owner, now)?;
    let mut start = Start::of(&app, id, key.is_some(), (pattern, owner), new, now);
    start.check(&app, now).await?;
    Validated::of(&app, start, now).await.map(axum::Json)
}

async fn start(
    app: App,
    pattern: Pattern,
    owner: Owner,
    prefer: Prefer,
    key: Option<IdempotencyKey>,
    new: NewExecution,
) -> Result<Response, Problem> {
    let now = clock::now();
    let id = new_id(key.as_ref(), &owner, now)?;
    let start = Start::of(&app, id, key.is_some(), (pattern, owner), new, now);
    start_and_wait(&app, start, now, prefer).await
}

async fn start_and_wait(app: &App, mut start: Start, now: Timestamp, mut prefer: Prefer) -> Result<Response, Problem> {
    start.check(app, now).await?;
    let (execution, replayed) = start.create(app, now).await?;
    if lacks_workflow(&execution, now) {
        begin(app, &execution).await?;
    }
    let execution = prefer.hold(app, execution, |seen| seen.status().is_final()).await;
    let mut answer = accepted(app, execution, replayed).await;
    prefer.add_headers(answer.headers_mut());
    Ok(answer)
}

/// Run the same job again, as a new execution.
///
/// The new execution has the request of the old one, whose id is in `rerunOf`, and a new deadline. It starts at once, even if the old one
/// was to start later. It is refused for the
/// same reasons as a start, for example with `invalid-body` if the job can no longer be run.
#[utoipa::path(
    post, path = "/executions/{executionId}/rerun", operation_id = "rerunExecution", tag = "executions",
    params(
        Owned,
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
            description = "Makes the request idempotent"),
        Prefer,
    ),
    responses(
        (status = 202, description = "Accepted: poll `Location`", body = ExecutionView, headers(
            ("Location" = String, description = "Path of the new execution"),
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        (status = 200, description = "The execution is already final: `Prefer: wait` saw it end, or the request is a repeat",
            body = ExecutionView, headers(
            ("Location" = String, description = "Path of the new execution"),
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        RerunRefused,
        Owned,
        Problem,
    ),
)]
pub(crate) async fn rerun(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    prefer: Prefer,
    key: Option<IdempotencyKey>,
    NoBody(Owned(old)): NoBody<Owned>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let request = old.request.without_delay();
    let new = Execution::new(new_id(key.as_ref(), &old.owner, now)?, old.pattern, old.owner, request, now);
    let execution = Execution { rerun_of: Some(old.id), ..new };
    let upload = execution.request.input_upload.as_ref().map(|upload| upload.id.to_string());
    let start = Start { execution, upload, keyed: key.is_some(), said: Said::ALL };
    start_and_wait(&app, start, now, prefer).await
}

pub(crate) async fn accepted(app: &App, execution: Execution, replayed: bool) -> Response {
    let status = if execution.status().is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let now = clock::now();
    let mut headers = executions::following(&execution, now);
    if let Ok(location) = HeaderValue::try_from(format!("/executions/{}", execution.id)) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    (status, headers, axum::Json(ExecutionView::of(app, execution, now).await)).into_response()
}
